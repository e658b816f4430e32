"""One epoll for all connections of a scope that nobody receives on; a kqueue where there is one.

An epoll descriptor can itself be waited for, so one task of Trio's waits for all of them. It is
made when the first connection is armed: where everybody receives there is none. The rules:

1. A connection is armed for one event (EPOLLONESHOT). Whoever armed it decides then whether to arm
   it again.
2. It is removed before its descriptor closes: the number is used again, and after a fork the socket
   stays open elsewhere.
3. No more than one millisecond is spent between two passes of the scheduler.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Generic, TypeVar

import attrs
import trio

from trio_draftws._transport import platform

from .checkpoints import SECONDS_PER_PASS

EVENTS_AT_ONCE = 64

T = TypeVar("T")


@attrs.define(eq=False)
class Watch(Generic[T]):
    """Waits for events of descriptors, and calls `attend` with whatever each was armed with."""

    _nursery: trio.Nursery
    _attend: Callable[[T, int], None]
    """Called with the flags of the event."""
    _epoll: platform.Watcher | None = None
    _armed: dict[int, tuple[T, int]] = attrs.field(factory=dict)
    _known: set[int] = attrs.field(factory=set)
    """The descriptors that the epoll knows, armed or not."""

    def start(self) -> bool:
        """Makes the epoll, if there is none; returns False where there can be none."""
        if self._epoll is None:
            self._epoll = platform.make_watcher()
            if self._epoll is None:
                return False
            self._nursery.start_soon(self._run, self._epoll)
        return True

    def arm(self, fileno: int, watched: T, flags: int) -> bool:
        """Waits for one event of `fileno`, then calls `attend`; returns False if that cannot be.

        Args:
            fileno: the descriptor.
            watched: what `attend` is called with.
            flags: the events to wait for, as in `_transport.kqueue`.
        """
        assert self._epoll is not None
        flags |= platform.ONCE
        if self._armed.get(fileno) == (watched, flags):
            return True
        try:
            if fileno in self._known:
                self._epoll.modify(fileno, flags)
            else:
                self._epoll.register(fileno, flags)
        except OSError:
            # Other code closed it, and may have closed the epoll's number too.
            self._known.discard(fileno)
            return False
        self._known.add(fileno)
        self._armed[fileno] = (watched, flags)
        return True

    def discard(self, fileno: int) -> None:
        """Removes a descriptor that is about to be closed."""
        self._armed.pop(fileno, None)
        if fileno in self._known:
            self._known.discard(fileno)
            assert self._epoll is not None
            try:
                self._epoll.unregister(fileno)
            except OSError:
                pass  # other code closed it

    async def _run(self, epoll: platform.Watcher) -> None:
        try:
            while True:
                await trio.lowlevel.wait_readable(epoll)
                began = perf_counter()
                for fileno, flags in epoll.poll(0, EVENTS_AT_ONCE):
                    # Whoever was disarmed in the meantime is not found.
                    armed = self._armed.pop(fileno, None)
                    if armed is None:
                        continue
                    self._attend(armed[0], flags)
                    # It must not live on here.
                    del armed
                    if perf_counter() - began > SECONDS_PER_PASS:
                        await trio.lowlevel.checkpoint()
                        began = perf_counter()
        finally:
            trio.lowlevel.notify_closing(epoll)
            epoll.close()
