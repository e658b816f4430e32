"""The same echo server and the same client, in both framing modes."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    Server,
    framing_mode,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def talk(url: str) -> None:
    async with open_websocket(url) as connection:
        await connection.send("hello")
        reply = await connection.text.receive()
        print(f"{framing_mode.get()} is {connection.draft.name}: {reply}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        for mode in ["old", "new"]:
            with use_framing_mode(mode):
                server: Server = await nursery.start(
                    partial(serve_websocket, echo, 0, host="127.0.0.1")
                )
                await talk(f"ws://127.0.0.1:{server.port}/")
                await server.aclose()


trio.run(main)
