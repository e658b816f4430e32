"""Sends what one client says to all; a client that does not read delays nobody."""

from functools import partial

import trio

from trio_draftws import Connection, Server, broadcast, open_websocket, serve_websocket


async def main() -> None:
    async def chat(connection: Connection, state: object) -> None:
        async for message in connection:
            result = await broadcast(
                server.connections, message, limit=100_000, slow="close"
            )
            sent, cut = len(result.sent), len(result.cut)
            print(f"{message!r} went to {sent}, and {cut} were too slow")

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, chat, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect() as ada:
            await ada.send("anybody?")
            await ada.receive()
            async with connect() as bob:
                await bob.send("me")
                print("Ada hears:", await ada.receive())
                print("Bob hears:", await bob.receive())
        await server.aclose()


trio.run(main)
