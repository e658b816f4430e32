"""The signals that end a command: the first one cleanly, the second one at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from ._stdio import CommandError

ENDING = (signal.SIGINT, signal.SIGTERM)


async def first_of(signals: AsyncIterator[int]) -> int:
    """Waits for one of the `ENDING` signals and returns it. After that, another kills the process.

    The second one means that the user does not want to wait for the peers any longer.
    """
    signum = await anext(signals)
    for ending in ENDING:
        signal.signal(ending, signal.SIG_DFL)
    return signum


async def until_signal(work: Callable[[], Awaitable[object]]) -> int | None:
    """Runs `work`, which SIGINT and SIGTERM cancel. Returns the signal that did, or None.

    Raises:
        CommandError: `work` raised it.
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
                # Raised outside the nursery, so that no ExceptionGroup is made of it
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return signum
