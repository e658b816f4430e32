"""A handler for each subprotocol, and one for clients that ask for none."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def chat(connection: Connection, state: object) -> None:
    await connection.send("let us chat")


async def log(connection: Connection, state: object) -> None:
    await connection.send("here is the log")


async def plain(connection: Connection, state: object) -> None:
    await connection.send("you asked for none")


HANDLERS = {"chat": chat, "log": log, None: plain}


async def test(connection: Connection, state: object) -> None:
    await HANDLERS[connection.subprotocol](connection, state)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                {"/test": test},
                0,
                host="127.0.0.1",
                subprotocols=["chat", "log"],
            )
        )
        url = f"ws://127.0.0.1:{server.port}/test"
        for asked in (["log"], ["other", "chat"], []):
            async with open_websocket(
                url, draft="rfc6455", subprotocols=asked
            ) as connection:
                print(asked, await connection.receive())
        await server.aclose()


trio.run(main)
