"""Waits for several connections at once."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket, wait_any


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, echo, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with (
            open_websocket(url, draft="rfc6455") as left,
            open_websocket(url, draft="rfc6455") as right,
        ):
            await right.send("from the right")
            first = await wait_any(left, right)
            print("right is ready:", first is right)
            print(await first.receive())
        await server.aclose()


trio.run(main)
