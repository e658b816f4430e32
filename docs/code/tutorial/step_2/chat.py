"""A chat: what one says, all receive."""

from functools import partial

import trio

from trio_draftws import Connection, Server, broadcast, serve_websocket

everybody: set[Connection] = set()


async def chat(connection: Connection, state: object) -> None:
    everybody.add(connection)
    try:
        await broadcast(everybody, f"{len(everybody)} here")
        async for message in connection:
            await broadcast(everybody, message)
    finally:
        everybody.remove(connection)


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, chat, port, host="127.0.0.1")
        server: Server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)


trio.run(main, 8080)
