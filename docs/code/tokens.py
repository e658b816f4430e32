"""Who is it? A token in a field of the request, or, for pages, in the first message."""

import hmac
from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)

TOKENS = {"Ada": "5f2b0c66", "Bob": "90a1e7d3"}


def owner_of(token: str) -> str | None:
    """Takes as long for a nearly correct token as for any other."""
    owner = None
    for name, known in TOKENS.items():
        if hmac.compare_digest(known.encode(), token.encode()):
            owner = name
    return owner


async def by_field(request: Request) -> tuple[HeaderFields, str | None]:
    """A program can send its own fields. A page cannot, and is asked later."""
    field = request.headers.get("Authorization", "")
    if not field:
        return {}, None
    user = owner_of(field.removeprefix("Bearer "))
    if user is None:
        raise Reject(401, body="That token is nobody's.\n")
    return {}, user


async def by_message(connection: Connection) -> str | None:
    with trio.move_on_after(5):
        return owner_of(await connection.text.receive())
    return None


async def greet(connection: Connection, user: str | None) -> None:
    user = user or await by_message(connection)
    if user is None:
        await connection.aclose(4001, "who are you?")
        return
    await connection.send(f"hello {user}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, greet, 0, host="127.0.0.1", conn_headers=by_field)
        )
        url = f"ws://127.0.0.1:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect(headers={"Authorization": "Bearer 5f2b0c66"}) as connection:
            print("program:", await connection.receive())
        async with connect() as connection:
            await connection.send("90a1e7d3")
            print("page:", await connection.receive())
        async with connect() as connection:
            await connection.send("a guess")
            async for message in connection:
                print(message)
            print("page:", connection.close_received)
        try:
            async with connect(headers={"Authorization": "Bearer stolen"}):
                pass
        except Rejected as refused:
            print("program:", refused.status)
        await server.aclose()


trio.run(main)
