"""An echo server and a client, in a program that is written for anyio."""

from functools import partial

import anyio
from anyio.abc import ObjectStream

from trio_draftws import Connection, open_websocket, serve_websocket
from trio_draftws.anyio import ConnectionObjectStream


async def echo(stream: ObjectStream[str | bytes]) -> None:
    async for message in stream:
        await stream.send(message)


async def handler(connection: Connection, state: object) -> None:
    await echo(ConnectionObjectStream(connection))


async def main() -> None:
    async with anyio.create_task_group() as tasks:
        server = await tasks.start(
            partial(serve_websocket, handler, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            stream = ConnectionObjectStream(connection)
            await stream.send("hello")
            print(await stream.receive())
        await server.aclose()


anyio.run(main, backend="trio")
