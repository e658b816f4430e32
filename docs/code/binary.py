"""Sends a picture where the draft has binary messages, and its address elsewhere."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket

PICTURE = bytes.fromhex("89504e470d0a1a0a")


async def show(connection: Connection, state: object) -> None:
    if connection.draft.binary:
        await connection.send(PICTURE)
    else:
        await connection.send("https://example.com/picture.png")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, show, 0, host="127.0.0.1")
        )
        for draft in ["rfc6455", "hixie-76"]:
            async with open_websocket(
                f"ws://127.0.0.1:{server.port}/", draft=draft
            ) as connection:
                print(draft, await connection.receive())
        await server.aclose()


trio.run(main)
