"""A receive that takes too long is cancelled; the next one gets the message."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def think_first(connection: Connection, state: object) -> None:
    async for message in connection:
        await trio.sleep(0.2)
        await connection.send(f"about {message!r}: yes")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, think_first, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            await connection.send("is it so?")
            with trio.move_on_after(0.01) as scope:
                print(await connection.receive())
            print("cancelled:", scope.cancelled_caught)
            print(await connection.receive())
        await server.aclose()


trio.run(main)
