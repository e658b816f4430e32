"""Echoes messages: websockets, on asyncio."""

from __future__ import annotations

from typing import Any

import websockets.asyncio.server

from .common import Options, listening, run_asyncio


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


async def serve(chosen: Options) -> None:
    async with websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, ssl=chosen.ssl_context, compression=None
    ) as server:
        listening(server.sockets[0].getsockname()[1])
        await server.serve_forever()


if __name__ == "__main__":
    run_asyncio(serve)
