"""conn_headers sees each request first: it adds fields, sets the state, or refuses."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    Reject,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)


async def conn_headers(request: Request) -> tuple[list[tuple[str, str]], str]:
    if request.path != "/chat":
        raise Reject(404, body=b"there is only /chat here\n")
    return [("X-Room", "kitchen")], "kitchen"


async def greet(connection: Connection, state: object) -> None:
    await connection.send(f"welcome to the {state}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket, greet, 0, host="127.0.0.1", conn_headers=conn_headers
            )
        )
        base = f"ws://127.0.0.1:{server.port}"
        async with open_websocket(f"{base}/chat", draft="rfc6455") as connection:
            print(await connection.receive())
        try:
            async with open_websocket(f"{base}/other", draft="rfc6455"):
                pass
        except Rejected as error:
            print(error.status, error.body)
        await server.aclose()


trio.run(main)
