"""One message part by part: `send_stream` and `receive_stream`, in every draft."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    ConnectionLost,
    Draft,
    LocalProtocolError,
    PeerClosed,
    PeerViolation,
)
from trio_draftws.drafts import Fragment

from .pairs import connected, cut, frames, send_bytes
from .turns import FRAMINGS, each_draft, in_turn, over_streams

FRAGMENTING = [draft for draft in DRAFTS if draft.fragments]
with_fragments = in_turn("draft", FRAGMENTING)

PARTS = ["one ", "", "zwei € ", "x" * 100_000, "", "end"]


async def parts_of(*parts: str) -> AsyncIterator[str]:
    for part in parts:
        await trio.lowlevel.checkpoint()
        yield part


async def bytes_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def stream_of(connection: Connection) -> str | bytes:
    """A message that is received part by part, put together."""
    async with connection.receive_stream() as stream:
        parts = [part async for part in stream]
        assert all(parts)
        assert {type(part) for part in parts} <= {str if stream.is_text else bytes}
    return "".join(parts) if stream.is_text else b"".join(parts)  # type: ignore[arg-type]


# Sending


@over_streams()
async def test_parts_are_one_message(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        async def send() -> None:
            await client.send_stream(parts_of(*PARTS))
            await client.send_stream(parts_of())
            await client.send_stream(parts_of("", ""))
            await client.send("next")

        nursery.start_soon(send)
        assert [await server.receive() for _ in range(3)] == ["".join(PARTS), "", "next"]


@with_fragments
async def test_bytes(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        await client.send_stream(bytes_of(b"\xff", b"", b"\x00"))
        assert await server.receive() == b"\xff\x00"


@over_streams(FRAGMENTING)
async def test_a_part_goes_as_soon_as_it_is_there(transport: str, draft: Draft) -> None:
    """Others wait for the message's end; a ping does not."""
    give, parts = trio.open_memory_channel[str](0)
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_stream, parts)
        nursery.start_soon(give.send, "first")
        async with server.receive_stream() as stream:
            assert await anext(stream) == "first"
            nursery.start_soon(client.send, "behind it")
            nursery.start_soon(client.ping)
            nursery.start_soon(give.send, "second")
            assert await anext(stream) == "second"
            await give.aclose()
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
        assert await server.receive() == "behind it"


@each_draft
async def test_without_fragments_one_frame_is_sent_at_the_end(draft: Draft) -> None:
    """So others need not wait."""
    if draft.fragments:
        return  # this draft has fragments
    give, parts = trio.open_memory_channel[str](0)
    async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_stream, parts)
        await give.send("a")
        await client.send("meanwhile")
        assert await server.receive() == "meanwhile"
        await give.send("b")
        await give.aclose()
        assert await server.receive() == "ab"


@over_streams(FRAGMENTING)
async def test_a_message_that_is_never_finished(transport: str, draft: Draft) -> None:
    """The peer does not take it for whole, and nothing more can be sent."""

    async def breaks_off() -> AsyncIterator[str]:
        yield "begun"
        raise KeyError("source")

    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            assert await server.receive() == "before"
            with pytest.raises(PeerClosed) as caught:
                await server.receive()
            if draft.close_status:
                assert caught.value.code == 1011

        await client.send("before")
        with pytest.raises(KeyError, match="source"):
            await client.send_stream(breaks_off())
        with pytest.raises(trio.ClosedResourceError, match="send nothing more"):
            await client.send("after")
        assert client.closed_by == "client"


@each_draft
async def test_nothing_was_begun(draft: Draft) -> None:
    async def breaks_at_once() -> AsyncIterator[str]:
        raise KeyError("source")
        yield ""  # type: ignore[unreachable]

    async with connected("memory", draft) as (client, server):
        with pytest.raises(KeyError, match="source"):
            await client.send_stream(breaks_at_once())
        with pytest.raises(LocalProtocolError):
            await client.send_stream(parts_of("\ud800"))
        await client.send("good")
        assert await server.receive() == "good"


@each_draft
async def test_parts_of_two_types(draft: Draft) -> None:
    async def mixed() -> AsyncIterator[str]:
        yield "text"
        yield b"bytes"  # type: ignore[misc]

    async with connected("memory", draft) as (client, server):
        with pytest.raises(LocalProtocolError, match="text or binary"):
            await client.send_stream(mixed())
        # Without fragments, nothing was begun.
        assert client.closed is draft.fragments
        if draft.fragments:
            with pytest.raises(PeerClosed):
                await server.receive()


@with_fragments
async def test_parts_that_are_none(draft: Draft) -> None:
    """Nothing was begun, so nothing is broken; and a buffer may be changed as soon as it went."""

    async def numbers() -> AsyncIterator[str]:
        yield 5  # type: ignore[misc]

    async def one_buffer() -> AsyncIterator[bytes]:
        buffer = bytearray(b"x" * 10_000)
        for letter in (b"x", b"y"):
            buffer[:] = letter * len(buffer)
            yield buffer  # type: ignore[misc]

    async with connected("memory", draft) as (client, server):
        with pytest.raises(TypeError, match="a message is a str or bytes, not int"):
            await client.send_stream(numbers())
        await client.send_stream(one_buffer())
        assert await server.receive() == b"x" * 10_000 + b"y" * 10_000


@over_streams()
async def test_closed_while_it_is_sent(transport: str, draft: Draft) -> None:
    give, parts = trio.open_memory_channel[str](0)
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        ended: list[str] = []

        @nursery.start_soon
        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.send_stream(parts)
            ended.append("closed")

        await give.send("begun")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(client.aclose)
        with pytest.raises(PeerClosed):
            await server.receive()
        await server.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["closed"]
        # Nobody takes what comes late.
        with pytest.raises(trio.WouldBlock):
            give.send_nowait("late")


# Receiving


@over_streams()
async def test_whole_messages_as_streams(transport: str, draft: Draft) -> None:
    messages = ["", "short", "ä€😀" * 50_000, "x"]
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for message in messages:
                await client.send(message)

        for message in messages:
            assert await stream_of(server) == message


@over_streams()
async def test_the_rest_is_dropped(transport: str, draft: Draft) -> None:
    """Whether it has come when the block ends, or not."""
    long = "x" * 300_000
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for message in (long, "1", long, "2", "short", "3"):
                await client.send(message)

        async with server.receive_stream() as stream:
            async for part in stream:
                assert part
                break
        assert await server.receive() == "1"
        async with server.receive_stream():
            pass
        assert await server.receive() == "2"
        async with server.receive_stream():
            pass
        assert await server.receive() == "3"


@each_draft
async def test_nobody_else_receives_meanwhile(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        await client.send("a")
        async with server.receive_stream() as stream:
            for attempt in (
                server.receive,
                server.wait_readable,
                server.receive_stream().__aenter__,
            ):
                with pytest.raises(trio.BusyResourceError, match="part by part"):
                    await attempt()
            assert [part async for part in stream] == ["a"]
        await client.send("b")
        assert await server.receive() == "b"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="another task"):
                await server.receive_stream().__aenter__()
            await client.send("c")


@over_streams()
async def test_it_is_entered_when_a_message_has_begun(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        wire = frames(client, "x" * 1000)
        has_begun = trio.Event()

        @nursery.start_soon
        async def send() -> None:
            await send_bytes(client, wire[:500])
            await has_begun.wait()
            await send_bytes(client, wire[500:])

        async with server.receive_stream() as stream:
            assert stream.is_text
            begun = await anext(stream)
            has_begun.set()
            rest = [part async for part in stream]
        assert begun + "".join(map(str, rest)) == "x" * 1000  # type: ignore[operator]


@over_streams()
async def test_what_was_read_ahead_is_not_lost(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """The beginning of a message, read while nobody received."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        wire = frames(client, "x" * 1000)
        nursery.start_soon(send_bytes, client, wire[:500])
        await trio.sleep(10)
        async with server.receive_stream() as stream:
            begun = await anext(stream)
            assert set(str(begun)) == {"x"}
            nursery.start_soon(send_bytes, client, wire[500:])
            await trio.sleep(10)
            rest = "".join([str(part) async for part in stream])
        assert len(begun) + len(rest) == 1000


@each_draft
async def test_a_wait_that_is_cancelled_has_changed_nothing(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        with trio.move_on_after(0):
            async with server.receive_stream():
                raise AssertionError("nothing has come")
        await client.send("a")
        assert await server.receive() == "a"
        wire = frames(client, "y" * 100)
        await send_bytes(client, wire[:50])
        async with server.receive_stream() as stream:
            begun = str(await anext(stream))
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(stream)
            await send_bytes(client, wire[50:])
            assert begun + "".join([str(part) async for part in stream]) == "y" * 100


@over_streams()
async def test_a_message_that_is_cut(transport: str, draft: Draft) -> None:
    """The iterator raises: what was begun is never taken for whole."""
    async with connected(transport, draft, close_timeout=0.1) as (client, server):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                await send_bytes(client, frames(client, "x" * 1000)[:500])
                await cut(client)

            with pytest.raises(ConnectionLost):
                await stream_of(server)
        with pytest.raises(ConnectionLost):
            await stream_of(server)


@with_fragments
async def test_a_close_within_a_message(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        for event in (Fragment("begun"), Close(1000)):
            await send_bytes(client, frames(client, event))
        with pytest.raises(PeerClosed):
            await stream_of(server)


@each_draft
async def test_a_message_that_is_too_long(draft: Draft) -> None:
    async with connected("tcp", draft, max_message_size=1000) as (client, server):
        await send_bytes(client, frames(client, "x" * 1001)[:800])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_bytes, client, frames(client, "x" * 1001)[800:])
            with pytest.raises(PeerViolation, match="longer than 1000 bytes"):
                await stream_of(server)


@over_streams()
async def test_no_message_comes_any_more(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        with pytest.raises(PeerClosed):
            await stream_of(server)
        await server.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream_of(server)


@each_draft
async def test_closing_ends_the_iterator(draft: Draft) -> None:
    async with connected("tcp", draft, close_timeout=0.1) as (client, server):
        await send_bytes(client, frames(client, "x" * 1000)[:500])
        async with trio.open_nursery() as nursery, server.receive_stream() as stream:
            assert await anext(stream)
            nursery.start_soon(server.aclose)
            with pytest.raises(trio.ClosedResourceError):
                await anext(stream)


@in_turn("draft", FRAMINGS)
async def test_a_slow_reader_of_a_long_message(draft: Draft) -> None:
    """TCP's backpressure holds within a message too: no more is kept than one read brings."""
    size = 20_000_000
    async with connected("tcp", draft, max_message_size=2 * size) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, "x" * size)
            told = 0
            async with server.receive_stream() as stream:
                async for part in stream:
                    assert len(part) <= 2**17
                    told += len(part)
                    await trio.lowlevel.checkpoint()
            assert told == size


@with_fragments
@in_turn("ending", ["its end", "a close"])
async def test_what_was_read_ahead_of_a_message_that_is_dropped(
    draft: Draft, ending: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Several parts stand there when the block ends, and behind them the message's end or not."""
    async with connected("tcp", draft) as (client, server):
        last = Fragment("end", final=True) if ending == "its end" else Close(1000)
        await say(client, Fragment("begun"))
        async with server.receive_stream() as stream:
            assert await anext(stream) == "begun"
            for event in (Fragment("more"), Fragment("and more"), last):
                await say(client, event)
                await trio.sleep(10)
        if ending == "its end":
            await client.send("next")
            assert await server.receive() == "next"
        else:
            with pytest.raises(PeerClosed):
                await server.receive()


@with_fragments
async def test_a_close_instead_of_what_is_dropped(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server):
        await say(client, Fragment("begun"))
        async with server.receive_stream():
            pass
        for event in (Fragment("more"), Close(1000)):
            await say(client, event)
        with pytest.raises(PeerClosed):
            await server.receive()


async def say(client: Connection, event: Fragment | Close) -> None:
    await send_bytes(client, frames(client, event))
