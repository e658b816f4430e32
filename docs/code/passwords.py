"""A server that asks for a password, and a client that has one."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Rejected,
    Request,
    Server,
    basic_auth,
    open_websocket,
    serve_websocket,
)

authenticate = basic_auth("chat", {"ann": "secret"})


async def conn_headers(request: Request) -> tuple[HeaderFields, object]:
    _, user = await authenticate(request)
    return {"Set-Cookie": "room=lobby; Secure; HttpOnly"}, (
        user,
        request.cookies.get("room"),
    )


async def greet(connection: Connection, state: tuple[str, str | None]) -> None:
    user, room = state
    await connection.send(f"hello {user}, back in {room}" if room else f"hello {user}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                greet,
                0,
                host="127.0.0.1",
                conn_headers=conn_headers,
                # No browsers: they send the password for any site's page.
                origins=[None],
            )
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(
            url, draft="rfc6455", auth=("ann", "secret")
        ) as connection:
            print(await connection.receive())
            cookies = connection.response.cookies

        with_user = f"ws://ann:secret@127.0.0.1:{server.port}/"
        async with open_websocket(
            with_user, draft="rfc6455", cookies=cookies
        ) as connection:
            print(await connection.receive())

        try:
            async with open_websocket(url, draft="rfc6455", auth=("ann", "a guess")):
                pass
        except Rejected as error:
            print(error.status, error.headers["WWW-Authenticate"])
        await server.aclose()


trio.run(main)
