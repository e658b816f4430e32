"""Compression: what both sides agree on, and one message sent uncompressed."""

from functools import partial

import trio

from trio_draftws import (
    Compression,
    Connection,
    Server,
    open_websocket,
    serve_websocket,
)


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    thrifty = Compression(server_no_context_takeover=True, threshold=1000)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, echo, 0, host="127.0.0.1", compression=thrifty)
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            print(connection.compression)
            await connection.send("over and over, " * 100)
            # Random bytes or a picture: compressing them gains nothing.
            await connection.send(bytes(range(256)) * 8, compress=False)
            print(len(await connection.receive()), len(await connection.receive()))
        async with open_websocket(url, draft="rfc6455", compression=None) as connection:
            print(connection.compression)
        await server.aclose()


trio.run(main)
