"""Serves a page and the connections that it opens on one port."""

import urllib.request
from functools import partial

import trio

from trio_draftws import (
    Connection,
    HTTPResponse,
    Reject,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)

PAGE = "<!doctype html><script>new WebSocket('ws://' + location.host)</script>"


async def pages(request: Request) -> HTTPResponse:
    if request.path != "/":
        raise Reject(404, body="no such page\n")
    return HTTPResponse.html(PAGE)


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return f"{response.status} {response.reason}: {response.read().decode()}"


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, echo, 0, host="127.0.0.1", http_handler=pages)
        )
        print(await trio.to_thread.run_sync(fetch, f"http://127.0.0.1:{server.port}/"))

        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            await connection.send("hello")
            print(f"101 {connection.response.reason}: {await connection.receive()!r}")
        await server.aclose()


trio.run(main)
