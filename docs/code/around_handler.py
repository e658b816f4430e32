"""An instrument that is around each handler: who asks is known wherever it calls."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

from trio_draftws import Connection, Instrument, PeerClosed
from trio_draftws.testing import served

client: ContextVar[str] = ContextVar("client")


class NameClients(Instrument):
    @contextmanager
    def around_handler(self, connection: Connection) -> Generator[None, None, None]:
        token = client.set(connection.request.path.strip("/"))
        try:
            yield
        except LookupError as error:
            print(f"{client.get()} failed: {error}")
            raise
        finally:
            client.reset(token)


def look_up(message: object) -> str:
    print(f"{client.get()} looks up {message!r}")
    if message != "this":
        raise LookupError("nothing is there")
    return "here it is"


async def handler(connection: Connection, state: None) -> None:
    async for message in connection:
        await connection.send(look_up(message))


# The server's log would say it, too.
logging.getLogger("trio_draftws").addHandler(logging.NullHandler())


async def main() -> None:
    async with served(handler, instruments=[NameClients()]) as server:
        async with server.open_websocket("/ada") as connection:
            await connection.send("this")
            print(await connection.receive())
            await connection.send("that")
            try:
                await connection.receive()
            except PeerClosed as closed:
                print("closed with", closed.code)


trio.run(main)
