"""`broadcast`: one message to many, and what became of it for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Compression,
    Connection,
    ConnectionLost,
    Draft,
    LocalProtocolError,
    broadcast,
)

from .pairs import by_raw_server, connected, frames
from .turns import each_draft, in_turn

RFC6455 = DRAFTS[-1]
BINARY = [draft for draft in DRAFTS if draft.binary]

Pair = tuple[Connection, Connection]


@asynccontextmanager
async def pairs(
    drafts: list[Draft], transport: str = "tcp", **settings: Any
) -> AsyncIterator[list[Pair]]:
    """A client's and a server's side of one connection for each draft."""
    settings.setdefault("close_timeout", 0.1)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(connected(transport, draft, **settings))
            for draft in drafts
        ]


async def test_everybody_gets_it_in_order(transport: str) -> None:
    async with pairs([*DRAFTS, *DRAFTS], transport) as all_pairs:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                for _, server in all_pairs:
                    nursery.start_soon(server.send, "before")
                await trio.testing.wait_all_tasks_blocked()
                servers = [server for _, server in all_pairs]
                result = await broadcast(servers, "häß€漢😀" * 100)
                assert list(result.sent) == servers
                assert result.dropped == result.cut == result.gone == result.unable == ()
                for _, server in all_pairs:
                    nursery.start_soon(server.send, "after")

            for client, _ in all_pairs:
                got = [await client.receive() for _ in range(3)]
                assert got == ["before", "häß€漢😀" * 100, "after"]


@each_draft
async def test_from_clients_too(draft: Draft) -> None:
    async with pairs([draft] * 3) as all_pairs:
        clients = [client for client, _ in all_pairs]
        assert (await broadcast(clients, "hello")).sent == tuple(clients)
        for _, server in all_pairs:
            assert await server.receive() == "hello"


async def test_what_a_draft_cannot_say() -> None:
    """Bytes go to those that can have them."""
    async with pairs(list(DRAFTS)) as all_pairs:
        buffer = bytearray(b"\xff" * 5000)
        result = await broadcast([server for _, server in all_pairs], buffer)
        buffer[:] = b"\x00" * len(buffer)
        assert [connection.draft for connection in result.sent] == BINARY
        unable = [draft for draft in DRAFTS if not draft.binary]
        assert [connection.draft for connection in result.unable] == unable
        for client, server in all_pairs:
            if server in result.sent:
                assert await client.receive() == b"\xff" * 5000
            await server.send("still good")
            assert await client.receive() == "still good"


@each_draft
async def test_those_that_have_ended(draft: Draft) -> None:
    async with pairs([draft] * 3) as all_pairs:
        (_, first), (_, second), (_, third) = all_pairs
        await first.aclose()
        await second.send_close()
        result = await broadcast([first, second, third], "hello")
        assert (result.gone, result.sent) == ((first, second), (third,))


@pytest.mark.no_cover
@in_turn("slow", ["drop", "close"])
@each_draft
async def test_one_that_stalls(draft: Draft, slow: Any) -> None:
    """The others get two hundred rounds, and its bytes are bounded."""
    limit = 100_000
    async with pairs([draft] * 4, close_timeout=0.1) as all_pairs:
        (_, stalled), *others = all_pairs
        servers = [server for _, server in all_pairs]
        message = "x" * 30_000
        verdicts = []
        for _ in range(200):
            result = await broadcast(servers, message, limit=limit, slow=slow)
            for client, server in others:
                assert server in result.sent
                assert await client.receive() == message
            names = ("sent", "dropped", "cut", "gone")
            verdicts += [name for name in names if stalled in getattr(result, name)]
            assert stalled.statistics().bytes_waiting <= limit
        came = verdicts.count("sent")
        assert 0 < came < 200
        rest = ["dropped"] * (200 - came)
        if slow == "close":
            rest = ["cut", *["gone"] * (199 - came)]
            assert stalled.closed
            with pytest.raises(ConnectionLost, match="more than 100000 bytes would wait"):
                await stalled.receive()
            with pytest.raises(trio.BrokenResourceError):
                await stalled.send("no")
        assert verdicts == ["sent"] * came + rest


async def test_a_handler_that_waits_for_a_slow_peer_is_told() -> None:
    async with pairs([RFC6455], close_timeout=0.1) as [(_, server)]:
        async with trio.open_nursery() as nursery:
            ended: list[str] = []

            @nursery.start_soon
            async def handle() -> None:
                try:
                    while True:
                        await server.send(b"x" * 100_000)
                except trio.BrokenResourceError as error:
                    ended.append(type(error).__name__)

            await trio.testing.wait_all_tasks_blocked()
            result = await broadcast([server], b"x", limit=1, slow="close")
            assert result.cut == (server,)
            await trio.testing.wait_all_tasks_blocked()
            assert ended == ["ConnectionLost"]


@each_draft
async def test_a_message_above_the_limit_goes_where_nothing_waits(draft: Draft) -> None:
    async with pairs([draft]) as [(client, server)]:
        result = await broadcast([server], "x" * 1000, limit=1)
        assert result.sent == (server,)
        assert await client.receive() == "x" * 1000


async def test_within_another_message() -> None:
    """That is being sent part by part: nothing may come between, and nobody waits."""
    give, parts = trio.open_memory_channel[str](0)
    async with pairs([RFC6455] * 2) as [(client, server), (_, other)]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.send_stream, parts)
            await give.send("begun ")
            await trio.testing.wait_all_tasks_blocked()
            result = await broadcast([server, other], "between")
            assert (result.dropped, result.sent) == ((server,), (other,))
            await give.send("and ended")
            await give.aclose()
            assert await client.receive() == "begun and ended"
        assert (await broadcast([server], "behind")).sent == (server,)
        assert await client.receive() == "behind"


async def test_cancelled_nobody_was_sent_anything() -> None:
    async with pairs([RFC6455] * 2) as all_pairs:
        servers = [server for _, server in all_pairs]
        with trio.CancelScope() as scope:
            scope.cancel()
            await broadcast(servers, "never")
        await broadcast(servers, "hello")
        for client, _ in all_pairs:
            assert await client.receive() == "hello"


async def test_a_cancellation_does_not_divide_them() -> None:
    """It comes while others run, in the middle of a long list."""
    async with pairs([RFC6455]) as [(client, server)]:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def cancel() -> None:
                    await trio.lowlevel.checkpoint()
                    scope.cancel()

                result = await broadcast([server] * 500, "hello")
                assert len(result.sent) == 500
        for _ in range(500):
            assert await client.receive() == "hello"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"slow": "wait"}, "slow is 'drop' or 'close', not 'wait'"),
        ({"limit": 0}, "limit must be above 0, not 0"),
    ],
)
async def test_arguments_out_of_range(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        await broadcast([], "x", **arguments)


async def test_what_is_no_message() -> None:
    with pytest.raises(TypeError, match="a message is a str or bytes, not int"):
        await broadcast([], 5)  # type: ignore[arg-type]


async def test_a_text_that_cannot_be_said() -> None:
    async with pairs([RFC6455]) as [(client, server)]:
        with pytest.raises(LocalProtocolError, match="lone surrogate"):
            await broadcast([server], "\ud800")
        await server.send("good")
        assert await client.receive() == "good"


# How often it is encoded

ANEW = Compression(server_no_context_takeover=True)
# What is compressed is then said by each for itself.
TAKEN_OVER = Compression()


@pytest.mark.parametrize(
    ("compression", "compress", "size", "times", "first_byte"),
    [
        (TAKEN_OVER, None, 1000, 1, 0x81),
        (TAKEN_OVER, False, 1000, 1, 0x81),
        (TAKEN_OVER, True, 1000, 5, 0xC1),
        (ANEW, None, 1000, 1, 0xC1),
        (ANEW, None, 10, 1, 0x81),
        (ANEW, True, 10, 1, 0xC1),
        (ANEW, False, 1000, 1, 0x81),
        (None, True, 1000, 1, 0x81),
    ],
)
async def test_it_is_encoded_once(
    compression: Compression | None,
    compress: bool | None,
    size: int,
    times: int,
    first_byte: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pairs([RFC6455] * 5, offer=Compression(), compression=compression) as all_pairs:
        written: list[bytes] = []
        codec = type(all_pairs[0][1]._protocol.codec)
        encode = codec.encode

        def note(*arguments: Any) -> Any:
            buffers = encode(*arguments)
            written.append(bytes(buffers[0]))
            return buffers

        monkeypatch.setattr(codec, "encode", note)
        await broadcast([server for _, server in all_pairs], "x" * size, compress=compress)
        monkeypatch.undo()
        assert len(written) == times
        assert {frame[0] for frame in written} == {first_byte}
        for client, _ in all_pairs:
            assert await client.receive() == "x" * size


@each_draft
async def test_each_client_has_masks_of_its_own(draft: Draft) -> None:
    """RFC 6455 section 10.3; drafts without masks say the same bytes."""
    async with (
        by_raw_server(draft) as (one, to_one),
        by_raw_server(draft) as (another, to_another),
    ):
        await broadcast([one, another], "x" * 100)
        size = len(frames(one, "x" * 100))
        first, second = [await raw.receive_exactly(size) for raw in (to_one, to_another)]
        assert (first == second) is (draft.version is None)
