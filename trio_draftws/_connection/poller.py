"""One epoll for all tasks of a scope that wait for bytes.

Trio's own `wait_readable` takes a dozen calls for each wait and wake. Where many are woken in one
pass of the scheduler it is cheaper to share an epoll: one task waits for it, asks it once, and
wakes them all. Nothing is read here: whoever receives reads, as everywhere, so that TCP's
backpressure works. The rules:

1. Whoever waits here is woken, cancelled and interrupted as in `trio.lowlevel.wait_readable`, and
   reads in the next pass.
2. A descriptor is armed again for each wait, and for one event (EPOLLONESHOT). So one that
   other code closed is noticed when somebody waits for it, and then Trio raises the error.
3. The epoll costs a task and one more pass, so it pays only if enough tasks are woken at once. That
   is measured: it is tried now and then, and left if it does not pay. Those that wait here then
   still wait here until they are woken.
4. A descriptor is removed before it closes: the number is used again, and after a fork the socket
   stays open elsewhere.
"""

from __future__ import annotations

import errno
import select
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeAlias

import attrs
import outcome
import trio
from trio.lowlevel import Abort, current_task, reschedule, wait_readable, wait_task_rescheduled

from trio_draftws._transport import platform
from trio_draftws._transport.kqueue import READABLE

# How many have to be woken at once, on average over so many times that the epoll is ready
FEWEST_AT_ONCE = 8
TIMES_ASKED = 16
# Waits between two trials, and at least so many for each connection: if connections are active one
# after the other, each waits in the epoll once before a trial is over, and such a wake takes twice
# as long. With these numbers that costs 3 %.
WAITS_BETWEEN_TRIALS = 2048
WAITS_FOR_EACH = 32
MOST_AT_ONCE = 256

READABLE_ONCE = READABLE | platform.ONCE

Leave: TypeAlias = Callable[[object], Abort]


class ClosingSocket(Protocol):
    """A socket that is about to be closed, or whose waiters are to look again."""

    def fileno(self) -> int: ...


@attrs.define(eq=False)
class SharedPoller:
    """Waits until descriptors are readable: by itself where that pays, else through Trio."""

    _nursery: trio.Nursery
    _how_many: Callable[[], int]
    """Returns how many tasks may come to wait."""
    _pays: bool = False
    """Whether new waits go through the epoll."""
    _waits_to_trial: int = WAITS_BETWEEN_TRIALS
    _times_asked: int = 0
    _woken: int = 0
    _epoll: select.epoll | None = None
    _modify: Callable[[int, int], None] = attrs.field(init=False)
    """The epoll's: Python makes a new object each time that one asks for a method."""
    _known: dict[int, Leave] = attrs.field(factory=dict)
    """The descriptors that the epoll knows, and how to leave the wait for each."""
    _waiting: dict[int, trio.lowlevel.Task] = attrs.field(factory=dict)

    def wait_readable(self, fileno: int, /) -> Awaitable[None]:
        """Like `trio.lowlevel.wait_readable`, but what it returns has to be awaited at once, with
        protection from KeyboardInterrupt.
        """
        if not self._pays:
            self._waits_to_trial -= 1
            if self._waits_to_trial or not self._begin_trial():
                return wait_readable(fileno)  # noqa: ASYNC105
        leave = self._known.get(fileno) or self._add(fileno)
        if leave is None or fileno in self._waiting:
            return wait_readable(fileno)  # noqa: ASYNC105
        try:
            self._modify(fileno, READABLE_ONCE)
        except OSError:
            # Other code closed it; its number may be another's by now.
            del self._known[fileno]
            return wait_readable(fileno)  # noqa: ASYNC105
        self._waiting[fileno] = current_task()
        return wait_task_rescheduled(leave)  # noqa: ASYNC105

    def notify_closing(self, closing: ClosingSocket, /) -> None:
        """Like `trio.lowlevel.notify_closing`."""
        fileno = closing.fileno()
        self.forget(fileno)
        self._interrupt(fileno)
        trio.lowlevel.notify_closing(closing)

    def forget(self, fileno: int, /) -> None:
        """Takes a descriptor out of the epoll; whoever waits for it has to be woken next."""
        if fileno in self._known:
            del self._known[fileno]
            assert self._epoll is not None
            with suppress(OSError):  # other code closed it
                self._epoll.unregister(fileno)

    def _add(self, fileno: int) -> Leave | None:
        """Registers a descriptor with the epoll; returns how to leave it, None if that failed."""
        assert self._epoll is not None
        try:
            self._epoll.register(fileno, platform.ONCE)
        except OSError as error:
            # Other code closed it, or the system allows no more.
            if error.errno == errno.EINVAL:
                # Its number is the epoll's by now: Trio must not take the one for the other.
                self._give_up()
            return None
        leave = self._known[fileno] = partial(self._leave, fileno)
        return leave

    def _leave(self, fileno: int, _: object) -> Abort:
        # As with Trio's own wait: what is there when a deadline passes comes first.
        self._wake_ready()
        if self._waiting.pop(fileno, None) is None:
            return Abort.FAILED
        return Abort.SUCCEEDED

    def _interrupt(self, fileno: int) -> None:
        task = self._waiting.pop(fileno, None)
        if task is not None:
            reschedule(task, outcome.Error(trio.ClosedResourceError("the wait was interrupted")))

    # The epoll

    def _begin_trial(self) -> bool:
        count = self._how_many()
        self._waits_to_trial = max(WAITS_BETWEEN_TRIALS, WAITS_FOR_EACH * count)
        self._times_asked = self._woken = 0
        self._pays = count >= FEWEST_AT_ONCE and self._start()
        return self._pays

    def _start(self) -> bool:
        """Makes the epoll, if there is none; returns False where there can be none."""
        if self._epoll is None:
            self._epoll = platform.make_epoll()
            if self._epoll is None:
                return False
            self._modify = self._epoll.modify
            self._nursery.start_soon(self._run, self._epoll)
        return True

    async def _run(self, epoll: select.epoll) -> None:
        try:
            # It is closed when it was given up. It is busy when its number is one that other code
            # closed, for which somebody waits.
            with suppress(trio.ClosedResourceError, trio.BusyResourceError):
                while self._epoll is epoll:
                    await wait_readable(epoll)
                    self._wake(epoll)
        finally:
            if self._epoll is epoll:
                self._give_up()

    def _wake_ready(self) -> None:
        """Wakes those whose descriptors are readable."""
        assert self._epoll is not None
        waiting = self._waiting
        for fileno, _ in self._epoll.poll(0, MOST_AT_ONCE):
            # Whoever was cancelled meanwhile is not found.
            if fileno in waiting:
                reschedule(waiting.pop(fileno))
                self._woken += 1

    def _wake(self, epoll: select.epoll) -> None:
        if self._epoll is not epoll:
            return
        self._wake_ready()
        self._times_asked += 1
        if self._times_asked == TIMES_ASKED:
            self._pays = self._woken >= FEWEST_AT_ONCE * TIMES_ASKED
            self._times_asked = self._woken = 0

    def _give_up(self) -> None:
        """Closes the epoll; whoever waits looks again. A later trial makes another."""
        assert self._epoll is not None
        epoll, self._epoll = self._epoll, None
        self._pays = False
        self._known.clear()
        for fileno in list(self._waiting):
            self._interrupt(fileno)
        trio.lowlevel.notify_closing(epoll)
        epoll.close()
