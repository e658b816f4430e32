"""A page that is logged in: the cookie says who, the origin says whose page it is."""

import secrets
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
    same_host,
    serve_websocket,
)

# What the rest of the site does when somebody logs in
session = secrets.token_urlsafe()
SESSIONS = {session: "Ada"}


async def by_cookie(request: Request) -> tuple[HeaderFields, str]:
    user = SESSIONS.get(request.cookies.get("session", ""))
    if user is None:
        raise Reject(403, body="Log in first.\n")
    return {}, user


async def greet(connection: Connection, user: str) -> None:
    await connection.send(f"hello {user}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket,
            greet,
            0,
            host="127.0.0.1",
            conn_headers=by_cookie,
            origins=same_host,
        )
        server: Server = await nursery.start(serve)
        url = f"ws://127.0.0.1:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        cookie = {"Cookie": f"session={session}"}
        async with connect(
            headers=cookie, origin=f"http://127.0.0.1:{server.port}"
        ) as connection:
            print(await connection.receive())
        for headers, origin in [
            ({}, f"http://127.0.0.1:{server.port}"),
            (cookie, "https://evil.example"),
        ]:
            try:
                async with connect(headers=headers, origin=origin):
                    pass
            except Rejected as refused:
                print(refused.status, refused.body.decode().strip())
        await server.aclose()


trio.run(main)
