"""An instrument that prints what happens on the wire."""

from functools import partial

import trio

from trio_draftws import (
    Close,
    Connection,
    Instrument,
    Ping,
    Pong,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
)


class Trace(Instrument):
    def connection_opened(self, connection: Connection) -> None:
        print(f"open: {connection.draft.name}")

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        print(f"  received {message!r}")

    def control_received(
        self, connection: Connection, frame: Ping | Pong | Close
    ) -> None:
        print(f"  received a {type(frame).__name__}")

    def bytes_sent(self, connection: Connection, size: int) -> None:
        print(f"  sent {size} bytes")

    def connection_closed(self, connection: Connection) -> None:
        print("closed")

    def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
        print(f"refused with {status}")


async def echo(connection: Connection, state: None) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, echo, 0, host="127.0.0.1")
        server: Server = await nursery.start(
            partial(serve, drafts=["rfc6455"], instruments=[Trace()])
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            await connection.send("hello")
            await connection.receive()
            await connection.ping()
        try:
            async with open_websocket(url, draft="hixie-76"):
                pass
        except Rejected:
            pass
        await server.aclose()


trio.run(main)
