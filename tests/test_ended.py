"""How a connection ended, and waiting for that beside a task that receives."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Connection,
    ConnectionLost,
    Draft,
    Instrument,
    MessageTooBig,
    PeerClosed,
    PeerViolation,
)
from trio_draftws.drafts import Close, draft_named

from .pairs import (
    by_raw_client,
    by_raw_server,
    connected,
    cut,
    mute,
    send_bytes,
)
from .turns import each_draft, in_turn, in_turn_over_streams

RFC6455 = draft_named("rfc6455")
FRAMED = [draft for draft in DRAFTS if draft.closing_handshake]


def how(connection: Connection) -> tuple[int | None, str | None]:
    return connection.close_code, connection.close_reason


def as_sent(draft: Draft, code: int, reason: str) -> tuple[int, str]:
    """What the draft can say of it; RFC 6455 section 7.1.5 has 1005 for a close without a code."""
    return (code, reason) if draft.close_status else (1005, "")


# The code and the reason


@in_turn("closer", ["client", "server"])
@in_turn_over_streams()
async def test_both_sides_know_the_code(
    transport: str, draft: Draft, closer: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The answer repeats the code, but not the reason."""
    async with connected(transport, draft) as pair:
        closing, other = pair if closer == "client" else pair[::-1]
        assert how(closing) == how(other) == (None, None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(closing.aclose, 4001, "so be it")
            with pytest.raises(PeerClosed):
                await other.receive()
            assert how(other) == as_sent(draft, 4001, "so be it")
            await other.aclose()
        assert how(closing) == as_sent(draft, 4001, "")
        assert how(other) == as_sent(draft, 4001, "so be it")


@each_draft
async def test_an_end_behind_unread_messages_is_not_yet_one(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Until it is reached, or answered."""
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        await server.send("unread")
        nursery.start_soon(server.aclose, 4001)
        await trio.sleep(1)
        assert how(client) == (None, None)
        await client.send("still good")
        await trio.sleep(3)
        assert how(client) == as_sent(draft, 4001, "")
        assert await client.receive() == "unread"


@in_turn("with_code", [True, False])
@in_turn("draft", FRAMED)
async def test_both_close_at_once(draft: Draft, with_code: bool) -> None:
    """What the peer said counts (RFC 6455 section 7.1.5), and each had said something else."""
    said = Close(4002, "theirs") if with_code and draft.close_status else Close()
    async with by_raw_server(draft) as (client, raw), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose, 4001, "ours")
        await raw.expect_close()
        await raw.send_frame(said)
        await raw.send_eof()
    assert how(client) == (said.code or 1005, said.reason)
    assert client.closed_by == "client"
    assert client.close_sent == (Close(4001, "ours") if draft.close_status else Close())


@in_turn_over_streams()
async def test_a_peer_that_never_answers(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Over a stream that cannot end one side, hixie-75 has nothing to wait for."""
    async with connected(transport, draft, close_timeout=3) as (client, server):
        mute(client)
        await server.send_close()
        assert how(server) == (None, None)
        await server.aclose()
        assert how(server) == ((1006, "") if draft.closing_handshake else (1005, ""))


@in_turn_over_streams()
async def test_a_stream_that_breaks(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Also in the middle of a message, where no draft takes it for a close."""
    async with connected(transport, draft) as (client, server):
        mute(client)
        await send_bytes(client, b"\x00half" if not draft.binary else b"\x81")
        await cut(client)
        with pytest.raises(ConnectionLost):
            await server.receive()
        assert how(server) == (1006, "")


@each_draft
async def test_a_peer_that_is_given_up(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected("tcp", draft, idle_timeout=5, close_timeout=1) as (client, server):
        mute(client)
        with pytest.raises(ConnectionLost):
            await server.receive()
        assert how(server) == (1006, "")
        await server.wait_closed()


@each_draft
async def test_a_message_that_is_too_long(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """We closed with 1009, and heard of no close: `close_sent` says that."""
    async with connected("tcp", draft, max_message_size=10) as (client, server):
        await client.send("x" * 11)
        with pytest.raises(MessageTooBig):
            await server.receive()
        assert how(server) == (1006, "")
        if draft.close_status:
            assert server.close_sent is not None
            assert server.close_sent.code in (1004, 1009)
        with pytest.raises((PeerClosed, ConnectionLost)) as caught:
            await client.receive()
        told = caught.value
        if isinstance(told, PeerClosed):
            assert told.code is not None or not draft.close_status
            assert how(client) == (told.code or 1005, told.reason)
        else:
            assert how(client) == (1006, "")


@in_turn("draft", [draft for draft in DRAFTS if draft.compression])
async def test_a_peer_that_breaks_its_draft(draft: Draft) -> None:
    async with by_raw_client(draft) as (raw, server):
        await raw.send(b"\xff" * 14)
        with pytest.raises(PeerViolation):
            await server.receive()
        assert how(server) == (1006, "")


class Closings(Instrument):
    """Notes each call, with what the connection says by then."""

    def __init__(self) -> None:
        self.seen: list[tuple[int | None, str | None]] = []

    def connection_closed(self, connection: Connection) -> None:
        self.seen.append(how(connection))


@in_turn("by_handler", [False, True])
@in_turn_over_streams()
async def test_an_instrument_is_told_once(
    transport: str, draft: Draft, by_handler: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """With the code, also where the handler has closed before the server does."""
    seen = Closings()
    async with by_raw_client(draft, transport, instruments=[seen]) as (raw, server):
        if draft.closing_handshake:
            await raw.send_frame(Close(4001, "bye") if draft.close_status else Close())
        else:
            await trio.aclose_forcefully(raw)
        with pytest.raises(PeerClosed):
            await server.receive()
        if by_handler:
            await server.aclose()
    assert seen.seen == [as_sent(draft, 4001, "bye")]


# Waiting for the end


@in_turn("receiving", [True, False])
@in_turn("closer", ["client", "server"])
@in_turn_over_streams()
async def test_a_peer_that_closes_ends_it(
    transport: str,
    draft: Draft,
    closer: str,
    receiving: bool,
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Though nobody here closes; whoever receives is not disturbed."""
    async with connected(transport, draft) as pair, trio.open_nursery() as nursery:
        closing, waiting = pair if closer == "client" else pair[::-1]
        received: list[str | bytes] = []

        async def receive() -> None:
            received.extend([message async for message in waiting])
            await trio.sleep_forever()

        if receiving:
            nursery.start_soon(receive)
        with trio.move_on_after(100) as scope:
            await waiting.wait_closed()
        assert scope.cancelled_caught
        await closing.send("hello")
        nursery.start_soon(closing.aclose, 4001, "bye")
        with trio.fail_after(8):
            await waiting.wait_closed()
        assert how(waiting) == as_sent(draft, 4001, "bye")
        if not receiving:
            received.append(await waiting.receive())
        assert received == ["hello"]
        nursery.cancel_scope.cancel()


@in_turn_over_streams()
async def test_a_connection_that_is_lost_has_ended(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(transport, draft) as (client, server):
        mute(client)
        await send_bytes(client, b"\x00half" if not draft.binary else b"\x81")
        await cut(client)
        with trio.fail_after(8):
            await server.wait_closed()
        assert how(server) == (1006, "")


@in_turn_over_streams()
async def test_any_number_of_tasks_wait(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """From before the end, and in the middle of it; one that is cancelled takes nothing away."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        mute(client)
        for _ in range(3):
            nursery.start_soon(server.wait_closed)
        with trio.move_on_after(1) as scope:
            await server.wait_closed()
        assert scope.cancelled_caught
        closing = trio.Event()

        async def close() -> None:
            closing.set()
            await server.aclose()

        nursery.start_soon(close)
        await closing.wait()
        await server.wait_closed()
        assert server.close_code is not None
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.child_tasks
        with trio.testing.assert_checkpoints():
            await server.wait_closed()


@in_turn("draft", FRAMED)
async def test_unread_messages_hide_the_end(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing is read behind 64 KiB of them."""
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        for _ in range(3):
            await client.send("x" * 50_000)
        nursery.start_soon(client.aclose)
        with trio.move_on_after(60) as scope:
            await server.wait_closed()
        assert scope.cancelled_caught
        for _ in range(3):
            assert await server.receive() == "x" * 50_000
        with trio.fail_after(8):
            await server.wait_closed()
