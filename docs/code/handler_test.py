"""Tests of a handler, for pytest with pytest-trio (`trio_mode = true`)."""

import pytest
import trio
from trio.testing import MockClock

from trio_draftws import Connection, PeerClosed, Reject, Rejected, Request
from trio_draftws.testing import connected_pair, served

# The code under test


async def check(request: Request) -> tuple[tuple[()], str]:
    if "name" not in request.cookies:
        raise Reject(401, body="who are you?")
    return (), request.cookies["name"]


async def greeter(connection: Connection, name: str) -> None:
    await connection.send(f"Hello {name}")
    with trio.move_on_after(60):
        async for message in connection:
            await connection.send(str(int(message) * 2))
        return
    await connection.aclose(4000, "a minute is enough")


# The tests


async def test_it_greets() -> None:
    async with served(greeter, conn_headers=check) as server:
        async with server.open_websocket("/", headers={"Cookie": "name=Ada"}) as client:
            assert await client.receive() == "Hello Ada"
            await client.send("21")
            assert await client.receive() == "42"


async def test_it_wants_a_name() -> None:
    async with served(greeter, conn_headers=check) as server:
        with pytest.raises(Rejected, match="401: 'who are you"):
            async with server.open_websocket("/"):
                pass


async def test_what_is_no_number() -> None:
    """A handler that fails closes its own connection with 1011, and no other."""
    async with served(greeter) as server:
        async with server.open_websocket("/", draft="rfc6455") as client:
            await client.receive()
            await client.send("many")
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
            assert caught.value.code == 1011
        [error] = server.errors
        assert isinstance(error, ValueError)


async def test_a_minute_is_enough(autojump_clock: MockClock) -> None:
    """Runs on a mocked clock, so it takes no time."""
    async with connected_pair() as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(greeter, server, "Bob")
            assert await client.receive() == "Hello Bob"
            with pytest.raises(PeerClosed, match="a minute is enough"):
                await client.receive()
    assert trio.current_time() == pytest.approx(60, abs=1)
