"""A server that connects each client to another server, chosen by the path."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    Server,
    bridge,
    open_websocket,
    serve_websocket,
)

rooms: dict[str, str] = {}


async def greet(name: str, connection: Connection, state: object) -> None:
    async for message in connection.text:
        await connection.send(f"{name} got {message}")


async def join(connection: Connection, state: object) -> None:
    async with open_websocket(
        rooms[connection.request.path], draft="rfc6455"
    ) as behind:
        await bridge(connection, behind)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        servers: list[Server] = []
        for name in ("kitchen", "cellar"):
            serve = partial(serve_websocket, partial(greet, name), 0, host="127.0.0.1")
            servers.append(await nursery.start(serve))
            rooms[f"/{name}"] = f"ws://127.0.0.1:{servers[-1].port}/"
        front = await nursery.start(partial(serve_websocket, join, 0, host="127.0.0.1"))
        for name in ("kitchen", "cellar"):
            url = f"ws://127.0.0.1:{front.port}/{name}"
            async with open_websocket(url, draft="old") as connection:
                await connection.send("hello")
                print(await connection.receive())
        for server in (front, *servers):
            await server.aclose()


trio.run(main)
