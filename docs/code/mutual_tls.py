"""Both sides show a certificate, and the server looks whose the client's is."""

import ssl
from functools import partial

import trio
import trustme

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    Server,
    TLSFailed,
    open_websocket,
    serve_websocket,
)

MEMBERS = {"ada@example.com"}


async def only_members(request: Request) -> tuple[HeaderFields, str]:
    certificate = request.peer_certificate
    assert certificate is not None
    for kind, name in certificate["subjectAltName"]:
        if kind == "email" and name in MEMBERS:
            return {}, name
    raise Reject(403, body="members only")


async def welcome(connection: Connection, name: str) -> None:
    await connection.send(f"welcome, {name}")


async def main() -> None:
    # In production: files, `load_verify_locations` and `load_cert_chain`.
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(ours)
    ours.verify_mode = ssl.CERT_REQUIRED

    def context_of(*emails: str) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if emails:
            authority.issue_cert(*emails).configure_cert(context)
        return context

    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket, welcome, 0, host="127.0.0.1", conn_headers=only_members
        )
        server: Server = await nursery.start(partial(serve, ssl_context=ours))
        url = f"wss://localhost:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect(ssl_context=context_of("ada@example.com")) as connection:
            print(await connection.receive())
        try:
            async with connect(ssl_context=context_of("eve@example.com")):
                pass
        except Rejected as error:
            print("eve is refused:", error.status, error.body.decode())
        try:
            async with connect(ssl_context=context_of()):
                pass
        except TLSFailed:
            print("one without a certificate is refused by TLS")
        await server.aclose()


trio.run(main)
