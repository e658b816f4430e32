"""wss, with a certificate authority made for the occasion."""

import ssl
from functools import partial

import trio
import trustme

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


async def main() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket, echo, 0, host="127.0.0.1", ssl_context=server_context
            )
        )
        url = f"wss://localhost:{server.port}/"
        async with open_websocket(
            url, draft="rfc6455", ssl_context=client_context
        ) as connection:
            await connection.send("hello")
            print(await connection.receive())

        try:
            # The system does not know our authority.
            async with open_websocket(url, draft="rfc6455"):
                pass
        except HandshakeError as error:
            print(f"refused, because of an {type(error.__cause__).__name__}")
        await server.aclose()


trio.run(main)
