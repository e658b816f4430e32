"""Echoes messages: websockets, its face for Trio."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
import websockets.trio.server

from .common import Options, listening, options


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


async def serve(chosen: Options) -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                websockets.trio.server.serve,
                echo,
                0,
                host="127.0.0.1",
                ssl=chosen.ssl_context,
                compression=None,
            )
        )
        listening(server.listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(serve, options())
