"""How a connection ends, in every draft, over every kind of stream: closed, lost, or in breach."""

from __future__ import annotations

import math
from functools import partial

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
    PeerViolation,
    accept,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

from .pairs import (
    breakable,
    by_raw_client,
    connected,
    cut,
    frames,
    mute,
    open_client,
    reset,
    send_bytes,
    stream_is_closed,
    stream_pair,
    unmute,
)
from .turns import each_draft, in_turn, over_streams

WITH_CLOSING_FRAME = [draft for draft in DRAFTS if draft.closing_handshake]


def code_of(close: Close | None) -> int | None:
    assert close is not None
    return close.code


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


class TestClosing:
    @in_turn("first", ["client", "server"])
    @over_streams()
    async def test_the_other_side_is_told_and_answers(
        self, transport: str, draft: Draft, first: str
    ) -> None:
        async with connected(transport, draft) as sides, trio.open_nursery() as nursery:
            closer, other = sides if first == "client" else reversed(sides)
            await closer.send("last words")
            nursery.start_soon(closer.aclose)
            assert await other.receive() == "last words"
            with pytest.raises(PeerClosed) as caught:
                await other.receive()
            assert caught.value.code == (1000 if draft.close_status else None)
            assert other.closed
            with pytest.raises(trio.BrokenResourceError, match="the peer closed the connection"):
                await other.send("too late")
            with pytest.raises(PeerClosed):
                await other.receive()
            await other.wait_readable()
            await other.aclose()
        for side in sides:
            assert repr(side).endswith("closed>")
            assert side.closed_by == first
            if draft.closing_handshake:
                code = 1000 if draft.close_status else None
                assert code_of(side.close_sent) == code_of(side.close_received) == code
            else:
                assert side.close_sent is side.close_received is None

    @over_streams()
    async def test_both_at_once(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as sides, trio.open_nursery() as nursery:
            for side in sides:
                nursery.start_soon(side.aclose)
        for side in sides:
            assert side.closed
            # As each saw it
            assert side.closed_by == side.role
            with pytest.raises(trio.ClosedResourceError):
                await side.receive()
            with pytest.raises(trio.ClosedResourceError):
                await side.send("too late")
            with pytest.raises(trio.ClosedResourceError):
                await side.send_close()
            await side.aclose()

    @over_streams()
    async def test_a_receive_elsewhere_is_woken_at_once(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Also where the peer never answers the close: the receiver need not wait for that."""
        autojump_clock.autojump_threshold = math.inf
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await client.receive()
                    await server.aclose()

                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked(0.01)
                await client.aclose()
            assert trio.current_time() == 0

    @over_streams()
    async def test_messages_before_the_close_are_received_first(
        self, transport: str, draft: Draft
    ) -> None:
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            for text in ("one", "two", "three"):
                await client.send(text)
            nursery.start_soon(client.aclose)
            assert [message async for message in server] == ["one", "two", "three"]
            await server.aclose()

    @over_streams()
    async def test_half_closed_the_answers_still_come(self, transport: str, draft: Draft) -> None:
        """`send_close` ends our sending; what the peer has to say is received until its end."""
        if transport == "tls" and not draft.closing_handshake:
            return  # hixie-75 ends its side of TCP, which TLS cannot
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            await client.send("one")
            await client.send("two")
            await client.send_close()
            assert client.closed
            with pytest.raises(trio.ClosedResourceError, match="send nothing more"):
                await client.send("three")

            async def answer() -> None:
                await echo(server)
                await server.aclose()

            nursery.start_soon(answer)
            assert [message async for message in client] == ["one", "two"]
            # Nor because the peer has answered
            for refused in (partial(client.send, "three"), client.send_close):
                with pytest.raises(trio.ClosedResourceError, match="send nothing more"):
                    await refused()

    @over_streams()
    async def test_nothing_is_sent_behind_our_answer_to_an_unread_close(
        self, transport: str, draft: Draft
    ) -> None:
        """We have said so, whoever closed first."""
        async with connected(transport, draft) as (client, server):
            await client.send("unread")
            await client.send_close()
            await server.wait_readable()
            await server.send_close()
            for refused in (partial(server.send, "late"), server.send_close):
                with pytest.raises(trio.ClosedResourceError, match="send nothing more"):
                    await refused()
            assert await server.receive() == "unread"

    @over_streams()
    async def test_a_close_behind_unread_messages_is_answered_by_aclose(
        self, transport: str, draft: Draft
    ) -> None:
        """A handler that returns after the first of several messages."""
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            await client.send("one")
            await client.send("two")
            nursery.start_soon(client.aclose)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await server.receive() == "one"
            await server.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await server.receive()
        if draft.closing_handshake:
            assert code_of(server.close_received) == code_of(client.close_received)

    async def test_all_who_close_wait_until_it_is_done(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Also the end of a block that was left by an error, which nothing cancels."""
        client_stream, server_stream = await stream_pair("memory")
        draft = draft_named("rfc6455")
        done: list[float] = []

        async def close(server: Connection) -> None:
            await server.aclose()
            done.append(trio.current_time() - started)

        async with trio.open_nursery() as nursery:

            async def fail(scope: trio.CancelScope) -> None:
                async with accept(server_stream, close_timeout=3) as server:
                    for _ in range(3):
                        nursery.start_soon(close, server)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
                    raise ValueError("mine")

            async def serve() -> None:
                with trio.CancelScope() as scope, pytest.raises(ValueError, match="mine"):
                    await fail(scope)
                done.append(trio.current_time() - started)
                hung.set()

            hung = trio.Event()
            started = trio.current_time()
            nursery.start_soon(serve)
            async with open_client(client_stream, draft) as client:
                mute(client)
                await hung.wait()
                unmute(client)
        assert done == pytest.approx([3, 3, 3, 3])

    @over_streams()
    async def test_a_silent_peer_is_waited_for_no_longer_than_close_timeout(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        client_stream, server_stream = await stream_pair(transport)
        async with trio.open_nursery() as nursery:
            hung = trio.Event()

            async def serve() -> None:
                with use_framing_mode(draft.name):
                    async with accept(server_stream) as server:
                        # Below the connection, so that nothing looks after it
                        mute(server)
                        await hung.wait()

            nursery.start_soon(serve)
            async with open_client(client_stream, draft, close_timeout=3) as client:
                started = trio.current_time()
                await client.aclose()
                waited = trio.current_time() - started
            hung.set()
        half_close = transport != "tls" or draft.closing_handshake
        assert waited == pytest.approx(3 if half_close else 0)
        assert client.close_received is None

    @each_draft
    async def test_aclose_waits_for_the_one_that_was_first(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            mute(server)
            finished: list[str] = []

            async def close(name: str) -> None:
                await client.aclose()
                finished.append(name)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(close, "a")
                nursery.start_soon(close, "b")
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert finished == []
                await server.aclose()
            assert sorted(finished) == ["a", "b"]

    @over_streams()
    async def test_cancelled_aclose_still_closes_in_order(
        self, transport: str, draft: Draft
    ) -> None:
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(echo, server)
            with trio.CancelScope() as scope:
                scope.cancel()
                await client.aclose()
            assert scope.cancelled_caught
            assert client.closed
            with pytest.raises(trio.ClosedResourceError):
                await client.send("too late")


class TestLoss:
    @over_streams(WITH_CLOSING_FRAME)
    async def test_end_of_stream_without_a_goodbye(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server):
            await cut(client)
            with pytest.raises(ConnectionLost, match="without closing the connection"):
                await server.receive()
            with pytest.raises(ConnectionLost):
                await server.send("anybody there?")
            assert server.close_received is None
            assert server.closed_by is None

    @each_draft
    async def test_end_of_stream_within_a_message(self, draft: Draft) -> None:
        """It is a loss in every draft, hixie-75 included, where the end of TCP is a close."""
        async with connected("tcp", draft) as (client, server):
            frame = frames(client, "cut off")
            await send_bytes(client, frame[:-3])
            await cut(client)
            with pytest.raises(ConnectionLost):
                await server.receive()

    @each_draft
    async def test_a_reset_is_a_loss_with_its_cause(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            reset(client)
            with pytest.raises(ConnectionLost, match="reset by peer") as caught:
                await server.receive()
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)

    @each_draft
    async def test_a_reset_is_noticed_where_nobody_receives(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            reset(client)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert server.closed
            assert stream_is_closed(server)
            with pytest.raises(ConnectionLost, match="reset by peer") as caught:
                await server.send("anybody there?")
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)

    @each_draft
    async def test_a_write_that_fails_says_so(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            mute(server)
            reset(client)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await server.send("into the void")
            with pytest.raises(ConnectionLost) as caught:
                await server.send("once more")
            assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
            assert server.closed

    @each_draft
    async def test_a_foreign_stream_that_breaks(self, draft: Draft) -> None:
        async with breakable(draft) as (client, server, stream):
            stream.breaks_receiving = True
            with pytest.raises(ConnectionLost, match="the stream broke"):
                await server.receive()
            await client.aclose()

    @each_draft
    async def test_a_stream_closed_under_us(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (_, server), trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(ConnectionLost, match="the stream was closed"):
                    await server.receive()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await cut(server)


class TestViolation:
    @over_streams()
    async def test_a_message_over_the_limit(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft, max_message_size=100) as (client, server):
            await client.send("x" * 100)
            await client.send("y" * 101)
            assert await server.receive() == "x" * 100
            with pytest.raises(PeerViolation, match="longer than 100 bytes"):
                await server.receive()
            with pytest.raises(PeerViolation):
                await server.send("no")
            with pytest.raises(PeerViolation):
                await server.receive()
            if draft.close_status:
                assert server.closed_by == "server"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.aclose)
                with pytest.raises((PeerClosed, ConnectionLost)):
                    await client.receive()
                await client.aclose()

    @each_draft
    async def test_answers_to_earlier_messages_leave_first(self, draft: Draft) -> None:
        """Message and violation come in the same bytes."""
        async with connected("tcp", draft, max_message_size=100) as (client, server):
            await send_bytes(client, frames(client, "first", "y" * 101))
            with pytest.raises(PeerViolation):
                await echo(server)
            assert await client.receive() == "first"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.aclose)
                nursery.start_soon(client.aclose)

    @each_draft
    async def test_what_follows_a_violation_is_not_looked_at(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with by_raw_client(draft, "memory", max_message_size=100) as (raw, server):
            await raw.send_frame("first", "y" * 101, "in the same read")
            await trio.sleep(1)
            await raw.send_frame("in another")
            await trio.sleep(10)
            assert await server.receive() == "first"
            for _ in range(2):
                with pytest.raises(PeerViolation, match="longer than 100 bytes"):
                    await server.receive()

    @over_streams()
    async def test_found_while_closing(self, transport: str, draft: Draft) -> None:
        """A side that is closing does not care, and ends in order."""
        async with connected(transport, draft, max_message_size=100) as (client, server):
            await client.send("y" * 101)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.aclose)
                with pytest.raises((PeerClosed, ConnectionLost)):
                    await client.receive()
                await client.aclose()
