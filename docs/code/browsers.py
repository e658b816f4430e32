"""What a server for browsers checks: the page's origin, cookies, the subprotocol."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)


async def greet(request: Request) -> tuple[HeaderFields, str]:
    visitor = request.cookies.get("visitor", "nobody")
    return [("Set-Cookie", "seen=yes; Secure; HttpOnly")], visitor


async def chat(connection: Connection, visitor: str) -> None:
    await connection.send(f"hello {visitor}, this is {connection.subprotocol}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                chat,
                0,
                host="127.0.0.1",
                origins=["https://example.com"],
                subprotocols=["chat.v2", "chat.v1"],
                conn_headers=greet,
            )
        )
        connect = partial(
            open_websocket,
            f"ws://127.0.0.1:{server.port}/",
            draft="rfc6455",
            subprotocols=["chat.v1"],
            headers={"Cookie": "theme=dark; visitor=Ada"},
        )
        async with connect(origin="https://example.com") as connection:
            print(await connection.receive())
            print(connection.headers["Set-Cookie"])
        try:
            async with connect(origin="https://evil.example"):
                pass
        except Rejected as refused:
            print(refused)
        await server.aclose()


trio.run(main)
