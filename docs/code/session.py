"""What conn_headers opens is closed again, whether or not a handler gets it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
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


@asynccontextmanager
async def session_of(user: str) -> AsyncIterator[str]:
    print("begin", user)
    try:
        yield user
    finally:
        print("end", user)


async def conn_headers(
    request: Request,
) -> tuple[list[tuple[str, str]], AsyncExitStack]:
    async with AsyncExitStack() as stack:
        user = request.path.removeprefix("/")
        await stack.enter_async_context(session_of(user))
        # An exception above closes the session. From here on the state owns it.
        return [("X-User", user)], stack.pop_all()
    raise AssertionError("unreachable")


async def handler(connection: Connection, session: AsyncExitStack) -> None:
    async with session:
        await connection.send(f"welcome, {connection.request.path[1:]}")


def chat_only(request: Request) -> str:
    if request.subprotocols != ("chat",):
        raise Reject(400, body="This server speaks chat.\n")
    return "chat"


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                handler,
                0,
                host="127.0.0.1",
                conn_headers=conn_headers,
                subprotocols=chat_only,
            )
        )
        for user, subprotocol in ("ada", "chat"), ("bob", "mail"):
            url = f"ws://127.0.0.1:{server.port}/{user}"
            with suppress(Rejected):
                async with open_websocket(
                    url, draft="rfc6455", subprotocols=[subprotocol]
                ) as connection:
                    async for message in connection:
                        assert message == f"welcome, {user}"
        await server.aclose()


trio.run(main)
