"""What `select` has on macOS and the BSDs, imitated with an epoll."""

from __future__ import annotations

import errno
import select
from typing import Any

KQ_FILTER_READ, KQ_FILTER_WRITE = -1, -2
KQ_EV_ADD, KQ_EV_DELETE, KQ_EV_ONESHOT, KQ_EV_EOF = 0x1, 0x2, 0x10, 0x8000
KQ_NOTE_LOWAT = 0x1

_epoll = select.epoll
_ENDED = select.EPOLLRDHUP | select.EPOLLHUP
MOST_THAT_WAITS = 2**18
"""As on macOS, whoever waits for more than the socket may hold is told when it is full."""


class kevent:  # noqa: N801
    def __init__(self, ident: int, of: int, flags: int = 0, fflags: int = 0, data: int = 0) -> None:
        self.ident = ident
        self.filter = of
        self.flags = flags
        self.fflags = fflags
        self.data = data


class kqueue:  # noqa: N801
    def __init__(self) -> None:
        self._epoll = _epoll()
        self._armed: dict[int, dict[int, kevent]] = {}
        self._known: set[int] = set()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def close(self) -> None:
        self._epoll.close()

    def control(
        self, changes: list[kevent] | None, most: int, timeout: float | None = None
    ) -> list[kevent]:
        for change in changes or ():
            self._change(change)
        came = []
        for ident, mask in self._epoll.poll(timeout, most) if most else ():
            armed = self._armed.pop(ident, {})
            for event in armed.values():
                wanted = select.EPOLLIN if event.filter == KQ_FILTER_READ else select.EPOLLOUT
                ended = mask & (_ENDED | select.EPOLLERR)
                if ended or mask & wanted:
                    came.append(
                        kevent(
                            ident,
                            event.filter,
                            KQ_EV_EOF if ended else 0,
                            errno.ECONNRESET if mask & select.EPOLLERR else 0,
                        )
                    )
                else:
                    self._armed.setdefault(ident, {})[event.filter] = event
            self._arm(ident)
        return came

    def _change(self, change: kevent) -> None:
        armed = self._armed.setdefault(change.ident, {})
        if change.flags & KQ_EV_DELETE:
            if armed.pop(change.filter, None) is None:
                raise FileNotFoundError(errno.ENOENT, "no such event")
        else:
            assert change.flags & KQ_EV_ONESHOT
            armed[change.filter] = change
        self._arm(change.ident)

    def _arm(self, ident: int) -> None:
        mask = select.EPOLLONESHOT
        for event in self._armed.get(ident, {}).values():
            mask |= select.EPOLLRDHUP
            if event.filter == KQ_FILTER_WRITE:
                mask |= select.EPOLLOUT
            elif not event.fflags & KQ_NOTE_LOWAT or event.data <= MOST_THAT_WAITS:
                mask |= select.EPOLLIN
        try:
            self._epoll.modify(ident, mask)
        except FileNotFoundError:
            self._epoll.register(ident, mask)


NAMES: dict[str, Any] = {
    name: value
    for name, value in globals().items()
    if name.startswith("KQ_") or name in ("kqueue", "kevent")
}
