"""Connections, a page and a health check on one port, each at its own path."""

import urllib.request
from functools import partial

import trio

from trio_draftws import (
    Connection,
    HTTPResponse,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def room(connection: Connection, state: object) -> None:
    await connection.send(f"welcome to {connection.path_params['room']}")


async def room_page(request: Request) -> HTTPResponse:
    return HTTPResponse.html(
        f"<!doctype html><title>{len(request.path_params['room'])} letters</title>"
    )


async def day_page(request: Request) -> HTTPResponse:
    return HTTPResponse.json(request.path_params)


def fetch(url: str) -> str:
    with urllib.request.urlopen(url) as response:
        return f"{response.status} {response.read().decode().rstrip()}"


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                {"/echo": echo, "/rooms/{room}": room},
                0,
                host="127.0.0.1",
                http_handler={
                    "/health": HTTPResponse(body="ok\n"),
                    "/rooms/{room}": room_page,
                    "/log/{year:int}/{month:int}": day_page,
                },
            )
        )
        here = f"127.0.0.1:{server.port}"
        for path in ("/health", "/rooms/blue", "/log/2010/08"):
            print(path, await trio.to_thread.run_sync(fetch, f"http://{here}{path}"))

        url = f"ws://{here}/rooms/blue"
        async with open_websocket(url, draft="rfc6455") as connection:
            print("/rooms/blue", await connection.receive())
        try:
            async with open_websocket(f"ws://{here}/echo/", draft="rfc6455"):
                pass
        except Rejected as error:
            print("/echo/", error)
        await server.aclose()


trio.run(main)
