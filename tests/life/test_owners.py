"""Two who receive on one connection: one gets what came, the other is told that it is busy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from itertools import combinations_with_replacement, product

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.pairs import connected
from tests.turns import in_turn
from trio_draftws import Connection, wait_any
from trio_draftws.drafts import draft_named

Message = str | bytes
Receive = Callable[[Connection], Awaitable[list[Message]]]


async def receive(connection: Connection) -> list[Message]:
    return [await connection.receive()]


async def async_for(connection: Connection) -> list[Message]:
    return [await anext(connection)]


async def receive_many(connection: Connection) -> list[Message]:
    return await connection.receive_many()


async def receive_stream(connection: Connection) -> list[Message]:
    async with connection.receive_stream() as parts:
        return ["".join([str(part) async for part in parts])]


async def wait_readable(connection: Connection) -> list[Message]:
    await connection.wait_readable()
    return []


async def waits_for_any(connection: Connection) -> list[Message]:
    assert await wait_any(connection) is connection
    return []


WAYS: list[Receive] = [
    receive,
    async_for,
    receive_many,
    receive_stream,
    wait_readable,
    waits_for_any,
]
each_pair = in_turn(("first", "second"), product(WAYS, WAYS))
each_transport = pytest.mark.parametrize("transport", ["memory", "tcp"])
RFC6455 = draft_named("rfc6455")


@each_pair
async def test_the_second_is_told(first: Receive, second: Receive) -> None:
    """While the first waits for what has not come."""
    async with (
        connected("tcp", RFC6455) as (client, server),
        trio.open_nursery() as nursery,
    ):
        got: list[Message] = []

        async def wait() -> None:
            got.extend(await first(server))

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await second(server)
        await client.send("one")
        await client.send("two")
        await wait_all_tasks_blocked()
        while len(got) < 2:
            got.append(await server.receive())
    assert got == ["one", "two"]


@in_turn(("first", "second"), combinations_with_replacement(WAYS, 2))
async def test_both_find_a_message(first: Receive, second: Receive) -> None:
    """One of them gets it, also where a pass of the scheduler lies between finding and taking.

    Each way of receiving makes such a pass once in 64 times; so that is tried at each of these.
    """
    async with connected("tcp", RFC6455) as (client, server):
        got: list[Message] = []

        async def take(way: Receive) -> None:
            with suppress(trio.BusyResourceError):
                got.extend(await way(server))

        for number in range(80):
            await client.send(str(number))
            for _ in range(58 + number % 8):
                await server.wait_readable()
            with trio.move_on_after(1):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(take, first)
                    nursery.start_soon(take, second)
            if len(got) <= number:
                got.append(await server.receive())
    assert got == [str(number) for number in range(80)]


@each_transport
@in_turn("second", WAYS)
async def test_a_message_that_was_left_half_read(second: Receive, transport: str) -> None:
    """Whoever is inside `receive_stream` receives, also while it does something else."""
    async with connected(transport, RFC6455) as (client, server):

        async def parts() -> AsyncGenerator[str, None]:
            yield "half"
            await trio.sleep(3)
            yield "whole"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_stream, parts())
            async with server.receive_stream() as stream:
                assert await anext(stream) == "half"
                with pytest.raises(trio.BusyResourceError):
                    await second(server)
                assert [part async for part in stream] == ["whole"]
            await client.send("next")
            assert await server.receive() == "next"
