"""Merges many connections into one stream: a task for each, one channel for all."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def count(connection: Connection, state: object) -> None:
    for number in range(3):
        await connection.send(f"{connection.request.path} {number}")


async def listen(url: str, said: trio.MemorySendChannel[str]) -> None:
    async with said, open_websocket(url, draft="rfc6455") as connection:
        async for message in connection.text:
            await said.send(message)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, count, 0, host="127.0.0.1")
        )
        said, heard = trio.open_memory_channel[str](0)
        async with said:
            for place in ["north", "south", "west"]:
                url = f"ws://127.0.0.1:{server.port}/{place}"
                nursery.start_soon(listen, url, said.clone())
        # Ends when all of them have ended.
        messages = [message async for message in heard]
        print(len(messages), sorted(messages)[:2])
        await server.aclose()


trio.run(main)
