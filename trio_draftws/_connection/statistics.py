"""Counts of what a connection and a server have done so far.

Messages cost nothing more for this: a connection has these numbers anyway, or adds them up once for
each read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType
from typing import TypeAlias

import attrs

from trio_draftws.drafts import CloseCode

# RFC 6455 section 7.1.5: what stands for a connection that ended without a closing frame
LOST: int = CloseCode.ABNORMAL_CLOSURE.value


@attrs.frozen(kw_only=True)
class ConnectionStatistics:
    """What `Connection.statistics` returns.

    Bytes are those of frames, as on the wire before TLS; the opening handshake does not count.
    """

    opened_at: float
    """When it was opened, as `trio.current_time` counts."""
    last_heard: float | None
    """When bytes came last, or if none did, when it was opened; None once we gave up the peer as
    silent or too slow."""
    messages_received: int
    """Whole messages that came, also those that nobody has received."""
    messages_sent: int
    """Messages that were sent in any way. One that is sent part by part counts with its last
    part."""
    bytes_received: int
    bytes_sent: int
    """Bytes that the system, or a stream that is not a socket, has taken."""
    bytes_waiting: int
    """Bytes that wait to be written."""
    pings_received: int
    pings_sent: int
    """Those of `Connection.ping`, and keepalive pings."""
    pongs_received: int
    latency: float | None
    """Seconds that the latest answered ping took; None before the first."""
    compression: str | None
    """The same as `Connection.compression`."""


@attrs.frozen(kw_only=True)
class ServerStatistics:
    """What `Server.statistics` returns: since the server started, but for the first two."""

    open: int
    """Connections that are open now, those included whose closing handshake is under way."""
    opening: int
    """Openings that are not done."""
    accepted: int
    """Connections that came about."""
    refused: Mapping[int, int]
    """Requests that were refused, by the status of the answer."""
    pages: Mapping[int, int]
    """Requests that `http_handler` answered, by the status of the answer."""
    flash_policies: int
    """Flash players that were told the policy."""
    failed: int
    """Openings that ended otherwise: broken off, too slow, without TLS, answered with 500, or cut
    off by the server's end."""
    closed: Mapping[int | None, int]
    """Connections that have ended, by the code that was said by whoever closed first; None where
    there was none, and 1006 where the connection was lost."""
    messages_received: int
    """This and what follows is the sum over all connections, open and closed."""
    messages_sent: int
    bytes_received: int
    bytes_sent: int


Totals: TypeAlias = tuple[int, int, int, int]
"""Messages received and sent, bytes received and sent"""


@attrs.define(eq=False)
class Tally:
    """What a server has to remember of those who have left."""

    accepted: int = 0
    refused: Counter[int] = attrs.field(factory=Counter)
    pages: Counter[int] = attrs.field(factory=Counter)
    flash_policies: int = 0
    failed: int = 0
    closed: Counter[int | None] = attrs.field(factory=Counter)
    _totals: Totals = (0, 0, 0, 0)

    def note_closed(self, code: int | None, done: Totals) -> None:
        """A connection has ended with that code."""
        self.closed[code] += 1
        self._totals = _added(self._totals, done)

    def sum_up(self, current: list[Totals], opening: int) -> ServerStatistics:
        """The same, with those that are open now."""
        messages_received, messages_sent, bytes_received, bytes_sent = reduce(
            _added, current, self._totals
        )
        return ServerStatistics(
            open=len(current),
            opening=opening,
            accepted=self.accepted,
            refused=MappingProxyType(dict(self.refused)),
            pages=MappingProxyType(dict(self.pages)),
            flash_policies=self.flash_policies,
            failed=self.failed,
            closed=MappingProxyType(dict(self.closed)),
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
