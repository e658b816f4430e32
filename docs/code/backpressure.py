"""A producer waits in `send`, so it is no faster than its slowest consumer."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket

MESSAGES = 400
SIZE = 100_000


async def main() -> None:
    sent = 0

    async def produce(connection: Connection, state: object) -> None:
        nonlocal sent
        for _ in range(MESSAGES):
            await connection.send(bytes(SIZE), compress=False)
            sent += 1

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, produce, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            before = -1
            while sent != before:
                before = sent
                await trio.sleep(0.2)
            print("send waits, with most still to come:", sent < MESSAGES / 2)
            received = 0
            async for message in connection:
                received += len(message)
            print("all arrived:", received == MESSAGES * SIZE)
        await server.aclose()


trio.run(main)
