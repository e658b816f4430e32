"""Closing a server while a client is connected: the client sees a proper end."""

from functools import partial

import trio

from trio_draftws import Connection, PeerClosed, Server, open_websocket, serve_websocket


async def wait_for_ever(connection: Connection, state: object) -> None:
    try:
        await trio.sleep_forever()
    finally:
        print("handler: cleaning up")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, wait_for_ever, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            nursery.start_soon(server.aclose)
            try:
                await connection.receive()
            except PeerClosed:
                print("client: the server closed the connection")


trio.run(main)
