"""What the default settings promise, in seconds and bytes, and what must be allowed for."""

from __future__ import annotations

import math

from .journal import OBJECT, Journal
from .ours import OurSide

CLOSE_TIMEOUT = 5.0
GRACE = 2.0
"""How long an answer to Close waits for answers to the messages before it."""
PING_INTERVAL = 20.0
PING_TIMEOUT = 20.0
WRITE_TIMEOUT = 60.0
IDLE_TIMEOUT = 3600.0
ROOM = 65_536
"""How much is read ahead, and how much may wait to be written."""
SLACK = 0.5
PATIENCE = 5.0
"""What may be added to a time of silence: looks, and until a ping is seen to have left."""

SOCKETS = ("unix", "tcp", "tls")
# What a socket pair takes of one side that the other does not read
KERNEL = 300_000
# Below this nothing is full, whatever is counted and however.
SURELY_ROOM = 40_000
# Above this everything is
SURELY_FULL = 160_000


def time_to_read(transport: str, size: int) -> float:
    """How long it may take until `size` bytes are read that nobody receives."""
    if transport in SOCKETS:
        return SLACK
    # Streams that are not ours are looked at every two seconds, with one read each time.
    at_once = 500 if transport == "pieces" else 2048
    return 2.1 * (2 + max(0, size) // at_once)


def unread(ours: OurSide, peer: Journal, at: float = math.inf) -> int:
    """What a peer had sent and nobody had taken, as the memory that it takes."""
    sent = sum(
        sent.size + OBJECT
        for sent in peer.sent
        if sent.begun <= at and not (sent.outcome in ("cancelled", "failed") and sent.at < at)
    )
    return sent - sum(size for when, size in ours.takes if when <= at)
