"""Echoes messages: trio-websocket."""

from __future__ import annotations

from typing import Any

import trio
import trio_websocket

from .common import Options, listening, options


async def echo(request: Any) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except trio_websocket.ConnectionClosed:
        pass


async def serve(chosen: Options) -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            trio_websocket.serve_websocket, echo, "127.0.0.1", 0, chosen.ssl_context
        )
        listening(server.port)


if __name__ == "__main__":
    trio.run(serve, options())
