"""Echoes messages: websockets, on asyncio; or sends each to all."""

from __future__ import annotations

from typing import Any

from websockets.asyncio import server

from .common import Options, listening, run_asyncio

# The default
DEFLATE = "deflate"


async def echo(connection: Any) -> None:
    async for message in connection:
        await connection.send(message)


async def tell_all(connection: Any) -> None:
    async for message in connection:
        server.broadcast(connection.server.connections, message)


async def serve(chosen: Options) -> None:
    async with server.serve(
        tell_all if chosen.broadcast else echo,
        "127.0.0.1",
        0,
        ssl=chosen.ssl_context,
        compression=DEFLATE if chosen.compress else None,
    ) as running:
        listening(running.sockets[0].getsockname()[1])
        await running.serve_forever()


if __name__ == "__main__":
    run_asyncio(serve)
