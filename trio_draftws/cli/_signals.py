"""The signals that end a command: the first in order, the second at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

ENDING = (signal.SIGINT, signal.SIGTERM)


async def first_of(signals: AsyncIterator[int]) -> int:
    """Waits for one of the `ENDING` signals; from then on each of them ends the process.

    Whoever sends a second one does not want to wait for peers any longer.
    """
    signum = await anext(signals)
    for ending in ENDING:
        signal.signal(ending, signal.SIG_DFL)
    return signum
