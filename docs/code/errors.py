"""What a program sees when something is wrong, on either side."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HandshakeError,
    LocalProtocolError,
    PeerClosed,
    Server,
    open_websocket,
    serve_websocket,
)


async def one_word(connection: Connection, state: object) -> None:
    await connection.send("goodbye")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, one_word, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="hixie-76") as connection:
            try:
                await connection.send(b"\x00\x01")
            except LocalProtocolError:
                print("this draft has no binary messages")
            print(await connection.receive())
            try:
                await connection.receive()
            except PeerClosed:
                print("that was all")
        await server.aclose()

    try:
        async with open_websocket(url, draft="rfc6455"):
            pass
    except HandshakeError as error:
        print("nobody there:", type(error.__cause__).__name__)


trio.run(main)
