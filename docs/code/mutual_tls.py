"""Both sides show a certificate; a client without one never reaches the handler."""

import ssl
from functools import partial

import trio
import trustme

from trio_draftws import Connection, Server, TLSFailed, open_websocket, serve_websocket


async def welcome(connection: Connection, state: object) -> None:
    await connection.send("you are one of us")


async def main() -> None:
    # In production: files, `load_verify_locations` and `load_cert_chain`.
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(ours)
    ours.verify_mode = ssl.CERT_REQUIRED

    stranger = ssl.create_default_context()
    authority.configure_trust(stranger)
    member = ssl.create_default_context()
    authority.configure_trust(member)
    authority.issue_cert("ada@example.com").configure_cert(member)

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, welcome, 0, host="127.0.0.1", ssl_context=ours)
        )
        url = f"wss://localhost:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect(ssl_context=member) as connection:
            print(await connection.receive())
        try:
            async with connect(ssl_context=stranger):
                pass
        except TLSFailed:
            print("the stranger is refused")
        await server.aclose()


trio.run(main)
