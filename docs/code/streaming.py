"""Sends a message while it is being made, and receives it while it is being sent."""

from collections.abc import AsyncIterator
from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def count_down() -> AsyncIterator[str]:
    for number in ["three ", "two ", "one "]:
        yield number


async def count_for(connection: Connection, state: object) -> None:
    await connection.send_stream(count_down())
    await connection.send("lift-off")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, count_for, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            async with connection.receive_stream() as parts:
                async for part in parts:
                    print(part, end="")
            print(await connection.receive())
        await server.aclose()


trio.run(main)
