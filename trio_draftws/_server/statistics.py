"""What a server has done since it started, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType

import attrs

from trio_draftws._connection.statistics import Totals


@attrs.frozen(kw_only=True)
class ServerStatistics:
    """What `Server.statistics` returns: since the server started, but for the first two."""

    open: int
    """Connections that are open now, including those whose closing handshake is under way."""
    opening: int
    """Opening handshakes that are not done."""
    accepted: int
    """Connections that were opened."""
    refused: Mapping[int, int]
    """Requests that were refused, by the status of the answer."""
    pages: Mapping[int, int]
    """Requests that `http_handler` answered, by the status of the answer."""
    flash_policies: int
    """Flash players that were sent the policy."""
    failed: int
    """Opening handshakes that failed in other ways: broken off, too slow, without TLS, answered
    with 500, or cut off by the end of the server."""
    closed: Mapping[int | None, int]
    """Connections that have ended, by the code that was sent by whoever closed first; None if
    there was none, and 1006 if the connection was lost."""
    messages_received: int
    """This and what follows is the sum over all connections, open and closed."""
    messages_sent: int
    bytes_received: int
    bytes_sent: int


@attrs.define(eq=False)
class ServerCounts:
    """Counts what a server has done."""

    _accepted: int = 0
    _refused: Counter[int] = attrs.field(factory=Counter)
    _pages: Counter[int] = attrs.field(factory=Counter)
    _flash_policies: int = 0
    _failed: int = 0
    _closed: Counter[int | None] = attrs.field(factory=Counter)
    _totals: Totals = (0, 0, 0, 0)
    """Those of all connections that have ended."""

    def add_accepted(self) -> None:
        """Counts a connection that was opened."""
        self._accepted += 1

    def add_refused(self, status: int) -> None:
        """Counts a request that was refused."""
        self._refused[status] += 1

    def add_page(self, status: int) -> None:
        """Counts a request that `http_handler` answered."""
        self._pages[status] += 1

    def add_flash_policy(self) -> None:
        """Counts a Flash player that was sent the policy."""
        self._flash_policies += 1

    def add_failed(self) -> None:
        """Counts an opening handshake that failed in any other way."""
        self._failed += 1

    def add_closed(self, code: int | None, totals: Totals) -> None:
        """Counts a connection that has ended with `code`."""
        self._closed[code] += 1
        self._totals = _added(self._totals, totals)

    def statistics(self, current: list[Totals], opening: int) -> ServerStatistics:
        """Returns all of it.

        Args:
            current: the totals of each connection that is open now.
            opening: how many opening handshakes are not done.
        """
        messages_received, messages_sent, bytes_received, bytes_sent = reduce(
            _added, current, self._totals
        )
        return ServerStatistics(
            open=len(current),
            opening=opening,
            accepted=self._accepted,
            refused=MappingProxyType(dict(self._refused)),
            pages=MappingProxyType(dict(self._pages)),
            flash_policies=self._flash_policies,
            failed=self._failed,
            closed=MappingProxyType(dict(self._closed)),
            messages_received=messages_received,
            messages_sent=messages_sent,
            bytes_received=bytes_received,
            bytes_sent=bytes_sent,
        )


def _added(these: Totals, those: Totals) -> Totals:
    return (
        these[0] + those[0],
        these[1] + those[1],
        these[2] + those[2],
        these[3] + those[3],
    )
