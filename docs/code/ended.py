"""A task that waits for the end of a connection, beside the one that receives."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def greet(connection: Connection, state: object) -> None:
    await connection.send("welcome")
    if await connection.receive() == "enough":
        await connection.aclose(4000, "as you wish")


async def watch(connection: Connection) -> None:
    await connection.wait_closed()
    print("ended:", connection.close_code, repr(connection.close_reason))


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, greet, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            nursery.start_soon(watch, connection)
            async for message in connection:
                print("received:", message)
                await connection.send("enough")
        async with open_websocket(url, draft="rfc6455") as connection:
            nursery.start_soon(watch, connection)
            print("received:", await connection.receive())
            connection.abort()
        await server.aclose()


trio.run(main)
