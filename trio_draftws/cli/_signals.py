"""The signals that end a command: the first in order, the second at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from ._stdio import CommandError

ENDING = (signal.SIGINT, signal.SIGTERM)


async def first_of(signals: AsyncIterator[int]) -> int:
    """Waits for one of the `ENDING` signals; from then on each of them ends the process.

    Whoever sends a second one does not want to wait for peers any longer.
    """
    signum = await anext(signals)
    for ending in ENDING:
        signal.signal(ending, signal.SIG_DFL)
    return signum


async def until_signal(work: Callable[[], Awaitable[object]]) -> int | None:
    """Runs `work`, which SIGINT and SIGTERM cancel; returns the signal that did.

    Raises:
        CommandError: as `work`.
    """
    signum: int | None = None
    failure: CommandError | None = None

    async def cancel_at_signal(scope: trio.CancelScope) -> None:
        nonlocal signum
        signum = await first_of(signals)
        scope.cancel()

    with trio.open_signal_receiver(*ENDING) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_at_signal, nursery.cancel_scope)
            try:
                await work()
            except CommandError as error:
                # Raised outside, where no group is made of it
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return signum
