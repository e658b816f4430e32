"""`echo`: a server that sends back each message."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trio_draftws import Connection

from ._command import Command
from ._serving import add_serving_options, serve


async def echo(
    *,
    host: str,
    port: int,
    framing_mode: str,
    drafts: Sequence[str] | None,
    tls: tuple[str, str] | None,
) -> int:
    """Serves until SIGINT or SIGTERM, closes every connection, and returns 0.

    Raises:
        CommandError: it cannot listen, or an option is invalid.
    """
    await serve(
        _send_back,
        host=host,
        port=port,
        framing_mode=framing_mode,
        drafts=drafts,
        tls=tls,
        subprotocols=lambda request: next(iter(request.subprotocols), None),
    )
    return 0


async def _send_back(connection: Connection, state: object) -> None:
    try:
        async for message in connection:
            await connection.send(message)
    except trio.BrokenResourceError:
        pass  # the client has gone without a closing handshake


COMMAND = Command(
    name="echo",
    help="run a server that sends back each message",
    description="Runs a server that sends back each message, until SIGINT or SIGTERM.",
    add_options=add_serving_options,
    run=echo,
)
