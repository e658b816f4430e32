"""Several messages at once: `send_many` and `receive_many`, in every draft."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_draftws import Close, Connection, Draft, LocalProtocolError, PeerClosed, PeerViolation

from .pairs import connected, frames, send_bytes
from .turns import each_draft, over_streams


async def received(connection: Connection, count: int) -> list[str | bytes]:
    messages: list[str | bytes] = []
    while len(messages) < count:
        batch = await connection.receive_many()
        assert batch
        messages += batch
    return messages


@over_streams()
async def test_all_come_in_order(transport: str, draft: Draft) -> None:
    texts = [f"{number} " + "x" * (number % 700) for number in range(1000)]
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            await client.send("first")
            await client.send_many(texts)
            await client.send_many([])
            await client.send_many(text for text in ["second", "last"])

        assert await received(server, 1003) == ["first", *texts, "second", "last"]


@each_draft
async def test_one_read_is_one_batch(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server):
        await client.send_many(["a", "", "b"])
        assert await server.receive_many() == ["a", "", "b"]
        await client.send_many(["c", "d", "e"])
        assert await server.receive() == "c"
        assert await server.receive_many() == ["d", "e"]


@over_streams()
async def test_an_end_comes_in_its_turn(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            await client.send_many(["a", "b"])
            await client.aclose()

        assert await received(server, 2) == ["a", "b"]
        for _ in range(2):
            with pytest.raises(PeerClosed):
                await server.receive_many()
        await server.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await server.receive_many()
        with pytest.raises(trio.ClosedResourceError):
            await server.send_many(["late"])


@each_draft
async def test_a_close_in_the_same_bytes(draft: Draft) -> None:
    if not draft.closing_handshake:
        return  # this draft has no closing frame
    async with connected("tcp", draft) as (client, server):
        close = Close(1000) if draft.close_status else Close()
        await send_bytes(client, frames(client, "a", "b", close))
        assert await server.receive_many() == ["a", "b"]
        with pytest.raises(PeerClosed):
            await server.receive_many()


@each_draft
async def test_a_violation_comes_in_its_turn(draft: Draft) -> None:
    async with connected("tcp", draft, max_message_size=10) as (client, server):
        await client.send_many(["a", "b", "x" * 11])
        assert await server.receive_many() == ["a", "b"]
        with pytest.raises(PeerViolation):
            await server.receive_many()


@over_streams()
async def test_one_that_cannot_be_said(transport: str, draft: Draft) -> None:
    """Those before it were sent, and the connection is as good as before."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(LocalProtocolError):
                await client.send_many(["a", "\ud800", "b"])
            await client.send("c")

        assert await received(server, 2) == ["a", "c"]


@each_draft
async def test_nobody_elses_between(draft: Draft) -> None:
    """Also where all have to wait for room."""
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(client.send_many, [name * 100_000] * 5)
        got = [str(message)[0] for message in await received(server, 15)]
        assert sorted(got) == sorted("abc" * 5)
        assert all(got[begin : begin + 5] == [got[begin]] * 5 for begin in (0, 5, 10))


@over_streams()
async def test_cancelled_none_was_sent(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.send_many(["a", "b"])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, "c")
            assert await server.receive_many() == ["c"]
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.receive_many()
            nursery.start_soon(client.send, "d")
            assert await server.receive_many() == ["d"]


@each_draft
async def test_a_receiver_is_one(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.receive_many)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await server.receive_many()
        await client.send("a")
        await trio.testing.wait_all_tasks_blocked()
        await client.send("b")
        async with server.receive_stream():
            with pytest.raises(trio.BusyResourceError):
                await server.receive_many()


@each_draft
async def test_answers_that_are_sent_together_wait_for_the_rest(draft: Draft) -> None:
    """While `receive` has more to hand out, they are written with what follows."""
    async with connected("tcp", draft) as (client, server):
        await client.send_many(["one", "two"])
        assert await server.receive() == "one"
        written = server.statistics().bytes_sent
        await server.send_many(["1", "and"])
        assert server.statistics().bytes_sent == written
        assert await server.receive() == "two"
        await server.send("2")
        assert await received(client, 3) == ["1", "and", "2"]
