"""A server that adds, and a client that sends it what is no JSON in the end."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    PeerClosed,
    Server,
    open_websocket,
    serve_websocket,
)


async def add(connection: Connection, state: object) -> None:
    values = connection.json()
    async for request in values:
        await values.send({"sum": sum(request["add"])})


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, add, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            values = connection.json()
            await values.send({"add": [1, 2, 3]})
            print(await values.receive())
            await connection.send("{")
            try:
                await values.receive()
            except PeerClosed as closed:
                print(closed)
        await server.aclose()


trio.run(main)
