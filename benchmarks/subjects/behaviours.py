"""What a program does with an open connection, as a server's handler or in a client's block."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import trio

from trio_draftws import Connection


async def sleep(connection: Connection) -> None:
    await trio.sleep_forever()


async def receive(connection: Connection) -> None:
    async for _ in connection:
        pass


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


async def ping(connection: Connection) -> None:
    while True:
        await connection.ping()


async def send(connection: Connection) -> None:
    """Every 10 ms."""
    while True:
        await connection.send("tick")
        await trio.sleep(0.01)


async def answer_one(connection: Connection) -> None:
    """Receives one message, answers it, and then sleeps."""
    await connection.send(await connection.receive())
    await trio.sleep_forever()


BEHAVIOURS: Mapping[str, Callable[[Connection], Awaitable[None]]] = {
    behaviour.__name__: behaviour for behaviour in (sleep, receive, echo, ping, send, answer_one)
}
