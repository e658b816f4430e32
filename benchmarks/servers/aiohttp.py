"""Echoes messages: aiohttp; or sends each to all, with the loop of its documentation."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import WSMsgType, web

from .common import Options, listening, run_asyncio


async def serve(chosen: Options) -> None:
    everybody: set[Any] = set()

    async def echo(request: Any) -> Any:
        # True is the default.
        connection = web.WebSocketResponse(compress=chosen.compress)
        await connection.prepare(request)
        async for message in connection:
            if message.type is WSMsgType.TEXT:
                await connection.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
        return connection

    async def tell_all(request: Any) -> Any:
        connection = web.WebSocketResponse(compress=chosen.compress)
        await connection.prepare(request)
        everybody.add(connection)
        try:
            async for message in connection:
                for other in set(everybody):
                    await other.send_str(message.data)
        finally:
            everybody.remove(connection)
        return connection

    application = web.Application()
    application.router.add_get("/", tell_all if chosen.broadcast else echo)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=chosen.ssl_context).start()
    listening(runner.addresses[0][1])
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_asyncio(serve)
