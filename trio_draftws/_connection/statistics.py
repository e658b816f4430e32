"""Counts of what a connection and a server have done so far.

Messages cost nothing more for this: a connection has these numbers anyway, or adds them up once for
each read.
"""

from __future__ import annotations

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
    """Those of `Connection.ping` and `send_ping`, and keepalive pings."""
    pongs_received: int
    latency: float | None
    """Seconds that the latest answered ping took; None before the first."""
    compression: str | None
    """The same as `Connection.compression`."""


Totals: TypeAlias = tuple[int, int, int, int]
"""Messages received and sent, bytes received and sent"""
