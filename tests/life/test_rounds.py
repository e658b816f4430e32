"""What many idle connections cost: each for itself, and none for the deadlines of the others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from types import FrameType

import attrs
import trio

from trio_draftws import Connection
from trio_draftws.testing import RawClient, served_on_port

from .peers import answer_pings


@attrs.define
class Calls:
    count: int = 0

    def note(self, frame: FrameType, event: str, arg: object) -> None:
        self.count += event == "call"


@contextmanager
def counted() -> Iterator[Calls]:
    """How many functions of Python were called in the block: what it cost, on any machine."""
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls.note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


async def cost_of_idle(count: int) -> int:
    """That of a minute with so many clients, whose deadlines are not at one time."""

    async def handler(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    async with (
        served_on_port(handler) as server,
        AsyncExitStack() as stack,
        trio.open_nursery() as nursery,
    ):
        assert server.port is not None
        for _ in range(count):
            client = RawClient(await trio.open_tcp_stream("127.0.0.1", server.port))
            stack.push_async_callback(trio.aclose_forcefully, client.stream)
            await client.open("rfc6455")
            nursery.start_soon(answer_pings, client)
            await trio.sleep(20 / count)
        with counted() as calls:
            await trio.sleep(60)
        assert len(server.connections) == count
        assert all(one.statistics().pongs_received >= 2 for one in server.connections)
        nursery.cancel_scope.cancel()
    return calls.count


async def test_idle_connections_cost_nothing_for_each_other() -> None:
    """Four times as many cost four times as much, and not sixteen."""
    few, many = await cost_of_idle(24), await cost_of_idle(96)
    assert many <= 6 * few
