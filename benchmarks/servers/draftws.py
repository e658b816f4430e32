"""Echoes messages: trio_draftws, with the loop of its tutorial."""

from __future__ import annotations

from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket, use_framing_mode

from .common import Options, options, run_trio


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def serve(
    chosen: Options, *, task_status: trio.TaskStatus[int | None] = trio.TASK_STATUS_IGNORED
) -> None:
    serve_echo = partial(
        serve_websocket, echo, 0, host="127.0.0.1", ssl_context=chosen.ssl_context, compression=None
    )
    with use_framing_mode(chosen.mode):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve_echo)
            task_status.started(server.port)


if __name__ == "__main__":
    run_trio(partial(serve, options()))
