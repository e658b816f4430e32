"""The state has a type: what conn_headers returns is what the handler gets."""

from functools import partial

import attrs
import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)


@attrs.define
class User:
    name: str
    messages: int = 0


async def sign_in(request: Request) -> tuple[HeaderFields, User]:
    return {}, User(request.path.strip("/"))


async def count(connection: Connection[User], user: User) -> None:
    async for _ in connection:
        user.messages += 1
        # Type checkers know that `connection.state` is a `User`, too.
        await connection.send(f"{user.name}: {connection.state.messages}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        # They compare what `sign_in` returns with what `count` takes.
        server: Server = await nursery.start(
            partial(serve_websocket, count, 0, host="127.0.0.1", conn_headers=sign_in)
        )
        url = f"ws://127.0.0.1:{server.port}/ada"
        async with open_websocket(url, draft="rfc6455") as connection:
            for _ in range(2):
                await connection.send("hello")
                print(await connection.receive())
        await server.aclose()


trio.run(main)
