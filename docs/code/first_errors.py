"""Errors that a first attempt may run into."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HandshakeError,
    Server,
    open_websocket,
    serve_websocket,
)


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def attempt(url: str, draft: str | None = None) -> None:
    try:
        async with open_websocket(url, draft=draft) as connection:
            print("connected, in", connection.draft.name)
    except ValueError as error:
        print(error)
    except HandshakeError as error:
        print(f"{type(error).__name__}: {error.advice}")


async def main() -> None:
    await attempt("http://example.com/chat")

    async with trio.open_nursery() as nursery:
        # Like most servers today, this one speaks nothing but rfc6455.
        server: Server = await nursery.start(
            partial(serve_websocket, echo, 0, host="127.0.0.1", drafts=["rfc6455"])
        )
        await attempt(f"ws://127.0.0.1:{server.port}/")
        await attempt(f"ws://127.0.0.1:{server.port}/", draft="old")
        await attempt(f"wss://127.0.0.1:{server.port}/")
        await server.aclose()


trio.run(main)
