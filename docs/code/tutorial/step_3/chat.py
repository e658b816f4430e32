"""A chat: everybody has a name."""

from functools import partial
from urllib.parse import parse_qs

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Request,
    Server,
    broadcast,
    serve_websocket,
)

everybody: set[Connection] = set()


async def ask_name(request: Request) -> tuple[HeaderFields, str]:
    [name] = parse_qs(request.query).get("name", [""])
    if not name:
        raise Reject(403, body="Say who you are: /?name=Ada\n")
    return {}, name


async def chat(connection: Connection, name: str) -> None:
    everybody.add(connection)
    try:
        await broadcast(everybody, f"{name} is here")
        async for message in connection.text:
            await broadcast(everybody, f"{name}: {message}")
    finally:
        everybody.remove(connection)
        await broadcast(everybody, f"{name} has left")


async def main(port: int) -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket,
            chat,
            port,
            host="127.0.0.1",
            conn_headers=ask_name,
        )
        server: Server = await nursery.start(serve)
        print(f"listening on ws://127.0.0.1:{server.port}/", flush=True)


trio.run(main, 8080)
