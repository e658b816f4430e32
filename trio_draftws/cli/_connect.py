"""`connect`: lines from standard input are sent, what comes back is printed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import trio

from trio_draftws import (
    Connection,
    ConnectionLost,
    HandshakeError,
    is_wss_url,
    open_websocket,
)

from ._signals import ENDING, first_of
from ._stdio import CommandError, LineReader, LineWriter

SECONDS_OF_QUIET = 5


async def connect(*, url: str, draft: str, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Talks to `url` until both sides have ended; returns the exit status.

    Raises:
        CommandError: there was no connection, or it broke.
    """
    signum = await _until_signal(partial(_talk, url, draft, headers))
    return 0 if signum is None else 128 + signum


async def _until_signal(work: Callable[[], Awaitable[object]]) -> int | None:
    """Runs `work`, which SIGINT and SIGTERM cancel; returns the signal that did."""
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


async def _talk(url: str, draft: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    stdin, stdout = LineReader.of_stdin(), LineWriter.of_stdout()
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(
                open_websocket(url, draft=draft, headers=headers)
            )
        except (HandshakeError, ValueError) as error:
            raise CommandError(str(error)) from error
        # TLS cannot end one side alone. A draft without a closing frame has then no way to say
        # that it has sent everything; the server is heard out until it has been quiet for a while.
        can_say_so = connection.draft.closing_handshake or not is_wss_url(url)
        await _converse(connection, stdin, stdout, can_end_sending=can_say_so)


async def _converse(
    connection: Connection, stdin: LineReader, stdout: LineWriter, *, can_end_sending: bool
) -> None:
    failure: CommandError | None = None
    patience = math.inf

    async def send_lines() -> None:
        nonlocal failure, patience
        try:
            while (line := await stdin.read_line()) is not None:
                await connection.send(line)
            await connection.send_close()
        except CommandError as error:
            failure = error
            nursery.cancel_scope.cancel()
        except trio.BrokenResourceError:
            return  # whoever receives will say why
        if not can_end_sending:
            patience = SECONDS_OF_QUIET
            nursery.cancel_scope.deadline = trio.current_time() + patience

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_lines)
        try:
            async for message in connection:
                await stdout.write_line(message)
                nursery.cancel_scope.deadline = trio.current_time() + patience
        except CommandError as error:
            failure = error
        except trio.BrokenResourceError as error:
            if not _is_goodbye(error, connection):
                failure = CommandError(str(error))
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _is_goodbye(error: trio.BrokenResourceError, connection: Connection) -> bool:
    """Whether the peer only left its closing frame out, as many servers of the time did.

    A reset is something else: what was on its way may be lost.
    """
    return (
        isinstance(error, ConnectionLost)
        and error.__cause__ is None
        and connection.close_sent is not None
    )
