"""Echoes messages: websockets, its face for Trio; or sends each to all."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
from websockets.trio import server

from .common import Options, listening, options

# The default
DEFLATE = "deflate"


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


async def tell_all(connection: Any) -> None:
    async for message in connection:
        await server.broadcast(connection.server.connections, message)


async def serve(chosen: Options) -> None:
    async with trio.open_nursery() as nursery:
        running = await nursery.start(
            partial(
                server.serve,
                tell_all if chosen.broadcast else echo,
                0,
                host="127.0.0.1",
                ssl=chosen.ssl_context,
                compression=DEFLATE if chosen.compress else None,
            )
        )
        listening(running.listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(serve, options())
