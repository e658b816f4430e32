"""A server that chooses a subprotocol, sends clients elsewhere, and logs answers."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    Response,
    Server,
    open_websocket,
    serve_websocket,
)


async def conn_headers(request: Request) -> tuple[HeaderFields, None]:
    if request.path.startswith("/v1/"):
        raise Reject.redirect("/chat", status=308)
    return {}, None


def choose(request: Request) -> str:
    for name in request.subprotocols:
        if name == "chat.v2" or (name == "chat.v1" and "legacy" in request.query):
            return name
    raise Reject(400, body="This server speaks chat.v2.\n")


def audit(request: Request | None, answer: Response) -> None:
    path = "?" if request is None else request.path
    print(answer.status, path, answer.headers.get("Location", "-"))


async def handler(connection: Connection, state: object) -> None:
    await connection.send(f"we speak {connection.subprotocol}")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                handler,
                0,
                host="127.0.0.1",
                conn_headers=conn_headers,
                subprotocols=choose,
                on_answer=audit,
            )
        )
        for target in "/v1/chat", "/chat?legacy":
            async with open_websocket(
                f"ws://127.0.0.1:{server.port}{target}",
                draft="rfc6455",
                subprotocols=["chat.v1", "chat.v2"],
            ) as connection:
                print(await connection.receive())
        try:
            async with open_websocket(
                f"ws://127.0.0.1:{server.port}/chat", draft="rfc6455"
            ):
                pass
        except Rejected as refused:
            print(refused.body.decode().strip())
        await server.aclose()


trio.run(main)
