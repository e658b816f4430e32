"""Echoes messages: trio-websocket; or sends each to all."""

from __future__ import annotations

from functools import partial
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


async def tell_all(request: Any, everybody: set[Any]) -> None:
    connection = await request.accept()
    everybody.add(connection)
    try:
        while True:
            message = await connection.get_message()
            for other in list(everybody):
                await other.send_message(message)
    except trio_websocket.ConnectionClosed:
        pass
    finally:
        everybody.remove(connection)


async def serve(chosen: Options) -> None:
    handler = partial(tell_all, everybody=set()) if chosen.broadcast else echo
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            trio_websocket.serve_websocket, handler, "127.0.0.1", 0, chosen.ssl_context
        )
        listening(server.port)


if __name__ == "__main__":
    trio.run(serve, options())
