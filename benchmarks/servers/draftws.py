"""Echoes messages: trio_draftws, with the loop of its tutorial; or sends each to all."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from trio_draftws import (
    Compression,
    Connection,
    Server,
    broadcast,
    serve_websocket,
    use_framing_mode,
)

from .common import Options, options, run_trio


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def serve(
    chosen: Options, *, task_status: trio.TaskStatus[int | None] = trio.TASK_STATUS_IGNORED
) -> None:
    async def tell_all(connection: Connection, state: object) -> None:
        async for message in connection:
            await broadcast(server.connections, message)

    serve_it = partial(
        serve_websocket,
        tell_all if chosen.broadcast else echo,
        0,
        host="127.0.0.1",
        ssl_context=chosen.ssl_context,
        **compression(chosen),
    )
    with use_framing_mode(chosen.mode):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve_it)
            task_status.started(server.port)


def compression(chosen: Options) -> dict[str, Any]:
    """The setting; an empty one is the default."""
    if not chosen.compress:
        return {"compression": None}
    if chosen.backend is None:
        return {}
    # Other checkouts, which may be measured too, may know no backends.
    setting: dict[str, Any] = {"backend": chosen.backend}
    return {"compression": Compression(**setting)}


if __name__ == "__main__":
    run_trio(partial(serve, options()))
