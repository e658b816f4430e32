"""A kqueue, as macOS and the BSDs have it, with the methods of `select.epoll` that are used here.

Each descriptor waits for one event at a time, as with EPOLLONESHOT. The flags are those of epoll:
Linux's numbers, for there is no header of them elsewhere.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import Any

READABLE = 0x001  # EPOLLIN
WRITABLE = 0x004  # EPOLLOUT
RESET = 0x018  # EPOLLERR and EPOLLHUP
HANG_UP = 0x2000  # EPOLLRDHUP

# More than a socket can hold, so that only the end is an event
_NEVER = 2**30


class Kqueue:
    """Waits for one event of each descriptor."""

    # Looked up by name: the `select` of other systems has no such things, for type checkers too.
    _select: Any = select

    def __init__(self) -> None:
        self._kqueue = self._select.kqueue()
        self._waits: dict[int, tuple[int, bool]] = {}
        """The kind of event that each descriptor waits for, and whether only as the end."""

    def fileno(self) -> int:
        return int(self._kqueue.fileno())

    def register(self, fileno: int, flags: int, /) -> None:
        """Waits for one event.

        Raises:
            OSError: the descriptor is closed, or the kqueue.
        """
        known = self._select
        kind = known.KQ_FILTER_WRITE if flags & WRITABLE else known.KQ_FILTER_READ
        if self._waits.get(fileno, (kind,))[0] != kind:
            self.unregister(fileno)
        end_alone = not flags & (READABLE | WRITABLE)
        event = known.kevent(
            fileno,
            kind,
            known.KQ_EV_ADD | known.KQ_EV_ONESHOT,
            known.KQ_NOTE_LOWAT if end_alone else 0,
            _NEVER if end_alone else 0,
        )
        self._kqueue.control([event], 0)
        self._waits[fileno] = kind, end_alone

    modify = register

    def unregister(self, fileno: int, /) -> None:
        """Waits for `fileno` no longer."""
        waits = self._waits.pop(fileno, None)
        if waits is not None:
            event = self._select.kevent(fileno, waits[0], self._select.KQ_EV_DELETE)
            # Its event came meanwhile, or other code closed it.
            with suppress(OSError):
                self._kqueue.control([event], 0)

    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]:
        """Returns the descriptors whose event has come, with its flags."""
        known = self._select
        came = []
        for event in self._kqueue.control(None, most, timeout):
            _, end_alone = self._waits.pop(event.ident, (None, False))
            flags = WRITABLE if event.filter == known.KQ_FILTER_WRITE else READABLE
            if event.flags & known.KQ_EV_EOF:
                flags |= HANG_UP
                if event.fflags:
                    # The error that the socket has
                    flags |= RESET
            elif end_alone:
                continue  # as much has come as macOS lets wait
            came.append((event.ident, flags))
        return came

    def close(self) -> None:
        self._kqueue.close()
