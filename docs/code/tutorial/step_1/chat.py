"""A chat: so far it sends back what it receives."""

from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket


async def chat(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, chat, port, host="127.0.0.1")
        server: Server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)


trio.run(main, 8080)
