"""What a connection has done up to now, in numbers.

Nothing is counted for this alone while messages go by: a connection knows these numbers anyway, or
adds them up once for each read.
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

    Bytes are those of frames, as they are on the wire before TLS: the opening handshake is not
    among them.
    """

    opened_at: float
    """When it was opened, as `trio.current_time` tells it."""
    last_heard: float | None
    """When bytes came last, or when it was opened; None once it was given up for silence, or as
    too slow."""
    messages_received: int
    """Messages that came whole, also those that nobody has received yet, or ever will."""
    messages_sent: int
    """Messages that were sent by any way of sending. One that was sent part by part counts when its
    last part was sent."""
    bytes_received: int
    bytes_sent: int
    """What the system, or a stream that is not a socket, has taken."""
    bytes_waiting: int
    """What waits to be written."""
    pings_received: int
    pings_sent: int
    """Those of `Connection.ping`, and those that keep the connection alive."""
    pongs_received: int
    latency: float | None
    """Seconds that the latest answered ping took; None before the first."""
    compression: str | None
    """As `Connection.compression`."""


Totals: TypeAlias = tuple[int, int, int, int]
"""Messages received and sent, bytes received and sent"""
