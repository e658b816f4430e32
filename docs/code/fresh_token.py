"""A client whose token is good for one connection: it fetches a new one each time."""

from functools import partial
from itertools import count

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Request,
    Server,
    reconnecting,
    serve_websocket,
)

used: set[str] = set()
numbers = count(1)


async def conn_headers(request: Request) -> tuple[HeaderFields, str]:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not token or token in used:
        raise Reject(401, body="A token that was not used before is needed.\n")
    used.add(token)
    return {}, token


async def greet(connection: Connection, token: str) -> None:
    await connection.send(f"hello, owner of {token}")


async def fresh_token() -> dict[str, str]:
    await trio.sleep(0.01)  # in place of a request to whoever makes the tokens
    return {"Authorization": f"Bearer token-{next(numbers)}"}


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket, greet, 0, host="127.0.0.1", conn_headers=conn_headers
            )
        )
        async with reconnecting(
            f"ws://127.0.0.1:{server.port}/",
            draft="rfc6455",
            headers=fresh_token,
            initial_backoff=0.05,
        ) as connections:
            async for connection in connections:
                async for message in connection:
                    print(message)
                if len(used) == 2:
                    break
        await server.aclose()


trio.run(main)
