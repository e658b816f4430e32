"""A connection as a stream of bytes, and other protocols through it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    ConnectionLost,
    ConnectionStream,
    Draft,
    LocalProtocolError,
    PeerViolation,
)
from trio_draftws.drafts import draft_named

from .pairs import connected, cut, tls_contexts
from .turns import in_turn, over_streams

WITH_BINARY = [draft for draft in DRAFTS if draft.binary]
each_draft = in_turn("draft", WITH_BINARY)
THREE = [draft_named(name) for name in ("hybi-01", "hybi-05", "rfc6455")]
NEWEST = draft_named("rfc6455")


class EachPassTakesTime(trio.abc.Instrument):
    """Lets time pass where no task ever waits."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def before_io_wait(self, timeout: float) -> None:
        self._clock.jump(0.001)


@over_streams(THREE, ["memory", "lockstep", "tcp", "tls", "foreign"])
async def test_it_is_what_trio_calls_a_stream(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """By Trio's own checks. Some of them send without a pause until the other side gives up."""
    async with AsyncExitStack() as stack:
        passes = EachPassTakesTime(autojump_clock)
        trio.lowlevel.add_instrument(passes)
        stack.callback(trio.lowlevel.remove_instrument, passes)

        async def make() -> tuple[ConnectionStream, ConnectionStream]:
            pair = connected(transport, draft, close_timeout=1)
            client, server = await stack.enter_async_context(pair)
            return client.as_stream(), server.as_stream()

        async def make_clogged() -> tuple[ConnectionStream, ConnectionStream]:
            ends = await make()
            for end in ends:
                clogged = False
                while not clogged:
                    with trio.move_on_after(5) as scope:
                        await end.send_all(bytes(65536))
                    clogged = scope.cancelled_caught
            return ends

        # Streams in memory take whatever comes.
        clogged = None if transport == "memory" else make_clogged
        await trio.testing.check_half_closeable_stream(make, clogged)


@each_draft
async def test_messages_begin_and_end_anywhere(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        here, there = client.as_stream(), server.as_stream()
        assert isinstance(here, trio.abc.HalfCloseableStream)
        data = bytes(range(256)) * 2000

        @nursery.start_soon
        async def send() -> None:
            await here.send_all(b"")
            await client.send(b"")  # says nothing, and is no end
            await here.send_all(data)
            await here.send_all(memoryview(bytearray(data)).cast("I"))

        assert await there.receive_some(3) == data[:3]
        assert await there.receive_some(1) == data[3:4]
        got = data[:4] + await there.receive_some()
        assert len(got) == 65536
        while len(got) < 2 * len(data):
            some = await there.receive_some(50_000)
            assert 0 < len(some) <= 50_000
            got += some
        assert got == 2 * data


@each_draft
async def test_either_side_goes_on_when_the_other_has_ended(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        here, there = client.as_stream(), server.as_stream()
        await here.send_all(b"question")
        await here.send_eof()
        await here.send_eof()
        for send in (here.send_all(b"more"), here.wait_send_all_might_not_block()):
            with pytest.raises(trio.ClosedResourceError, match="send_eof"):
                await send
        assert await there.receive_some(100) == b"question"
        for _ in range(2):
            assert await there.receive_some(100) == b""
        await there.wait_send_all_might_not_block()
        await there.send_all(b"answer")
        await there.aclose()
        assert await here.receive_some(100) == b"answer"
        assert await here.receive_some(100) == b""
        await here.aclose()
        for use in (here.receive_some(), here.send_all(b""), here.send_eof()):
            with pytest.raises(trio.ClosedResourceError, match="closed"):
                await use


async def test_cancelled_receiving_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with connected("memory", NEWEST) as (client, server):
        here, there = client.as_stream(), server.as_stream()
        await here.send_all(b"abc")
        assert await there.receive_some(1) == b"a"
        with trio.CancelScope() as scope:
            scope.cancel()
            await there.receive_some()
        assert await there.receive_some() == b"bc"
        with trio.move_on_after(1) as scope:
            await there.receive_some()
        assert scope.cancelled_caught
        await here.send_all(b"d")
        assert await there.receive_some() == b"d"


@in_turn("draft", [draft for draft in DRAFTS if not draft.binary])
async def test_a_draft_without_binary_messages(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        with pytest.raises(LocalProtocolError, match="has no binary messages"):
            client.as_stream()
        await client.send("still open")
        assert await server.receive() == "still open"


@each_draft
async def test_text_is_refused(draft: Draft) -> None:
    for text in ("text", ""):
        async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer(server: Any = server) -> None:
                with pytest.raises(trio.EndOfChannel):
                    await server.receive()
                if server.draft.close_status:
                    assert server.close_received.code == 1003

            await server.send(text)
            with pytest.raises(PeerViolation, match="a text message came") as caught:
                await client.as_stream().receive_some()
            assert caught.value.close_code == 1003


@each_draft
async def test_what_is_no_end(draft: Draft) -> None:
    """Bytes may be missing: the peer was lost, or closed with a code that says so."""
    async with connected("tcp", draft) as (client, server):
        await cut(server)
        with pytest.raises(ConnectionLost):
            await client.as_stream().receive_some()
    for code in (1001, 1011, 4000):
        if draft.close_status:
            async with connected("memory", draft) as (client, server):
                await server.send_close(code, "why")
                with pytest.raises(trio.BrokenResourceError, match="why"):
                    await client.as_stream().receive_some()


@over_streams(THREE, ["memory", "tcp"])
async def test_a_cancelled_aclose_waits_for_nobody(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Neither from the beginning, nor from when it is cancelled."""
    for seconds in (0, 2):
        async with connected(transport, draft, close_timeout=1000) as (client, server):
            server.as_stream()  # answers no closing frame
            here = client.as_stream()
            began = trio.current_time()
            with trio.move_on_after(seconds) as scope:
                await here.aclose()
            assert scope.cancelled_caught
            assert trio.current_time() - began < seconds + 1
            with pytest.raises(trio.ClosedResourceError):
                await here.send_all(b"")


@over_streams(THREE, ["memory", "tcp"])
async def test_tls_through_a_tunnel(transport: str, draft: Draft) -> None:
    client_context, server_context = tls_contexts()
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        here = trio.SSLStream(client.as_stream(), client_context, server_hostname="localhost")
        there = trio.SSLStream(server.as_stream(), server_context, server_side=True)
        data = bytes(range(256)) * 1000

        @nursery.start_soon
        async def echo() -> None:
            async for some in there:
                await there.send_all(some)
            await there.aclose()

        nursery.start_soon(here.send_all, data)
        got = b""
        while len(got) < len(data):
            got += await here.receive_some(10_000)
        assert got == data
        await here.aclose()
