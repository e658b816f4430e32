"""Connects over a Unix socket, and over a stream that already exists."""

import tempfile
from functools import partial
from pathlib import Path

import trio
import trio.testing

from trio_draftws import Connection, Server, accept, open_websocket, serve_websocket


async def echo(connection: Connection, state: object = None) -> None:
    async for message in connection:
        await connection.send(message)


async def over_a_unix_socket(path: Path) -> None:
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    await socket.bind(str(path))
    socket.listen()
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, echo, listeners=[trio.SocketListener(socket)])
        )
        async with open_websocket(
            "ws://localhost/", draft="rfc6455", unix_socket=path
        ) as connection:
            await connection.send("over a Unix socket")
            print(await connection.receive())
        await server.aclose()


async def over_memory() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        async with accept(theirs) as connection:
            await echo(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_websocket(
            "ws://localhost/", draft="rfc6455", stream=ours
        ) as connection:
            await connection.send("over memory")
            print(await connection.receive())


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await over_a_unix_socket(Path(folder) / "socket")
    await over_memory()


trio.run(main)
