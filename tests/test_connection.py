"""What every connection does, in every draft, over every kind of stream."""

from __future__ import annotations

import math
from typing import Any

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
    accept,
    use_framing_mode,
    wait_any,
)
from trio_draftws.drafts import draft_named
from trio_draftws.testing import connected_pair

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

TEXTS = ["", "hello", "é日本😀", "x" * 70_000, "y" * 300_000, "\0 \n"]
# How many bytes may wait to be written before a sender has to
ROOM = 65_536
# How often, in seconds, those are looked at that nobody receives on
ROUND = 0.25
WITH_CLOSING_FRAME = [draft for draft in DRAFTS if draft.closing_handshake]


def code_of(close: Close | None) -> int | None:
    assert close is not None
    return close.code


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


class TestMessages:
    @over_streams()
    async def test_texts_come_back_whole(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(echo, server)
            for text in TEXTS:
                await client.send(text)
                assert await client.receive() == text
            await client.aclose()

    @over_streams()
    async def test_both_ways_at_once_and_in_order(self, transport: str, draft: Draft) -> None:
        sent = [f"message {number}" for number in range(300)]
        got: dict[str, list[str | bytes]] = {"client": [], "server": []}

        async def send_all(connection: Connection) -> None:
            for text in sent:
                await connection.send(text)

        async def receive_all(connection: Connection) -> None:
            for _ in sent:
                got[connection.role].append(await connection.receive())

        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:
                for connection in (client, server):
                    nursery.start_soon(send_all, connection)
                    nursery.start_soon(receive_all, connection)
        assert got == {"client": sent, "server": sent}

    @each_draft
    async def test_as_a_channel_of_text(self, draft: Draft) -> None:
        async with connected("memory", draft) as (client, server):
            await client.text.send("hello")
            assert await server.text.receive() == "hello"
            with pytest.raises(TypeError, match="sends str, not bytes"):
                await client.text.send(b"no")  # type: ignore[arg-type]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.text.aclose)
                with pytest.raises(trio.EndOfChannel):
                    await server.text.receive()

    @each_draft
    async def test_binary_on_a_text_channel_closes(self, draft: Draft) -> None:
        if not draft.binary:
            return  # this draft has no binary messages
        async with connected("memory", draft) as (client, server):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def answer() -> None:
                    with pytest.raises(PeerClosed) as closed:
                        await server.receive()
                    if draft.close_status:
                        assert (closed.value.code, closed.value.reason) == (1003, "text only")
                    await server.aclose()

                await server.send(b"hello")
                with pytest.raises(PeerViolation, match="binary message") as caught:
                    await client.text.receive()
                assert caught.value.close_code == 1003

    @over_streams()
    async def test_bytes_come_back_whole(self, transport: str, draft: Draft) -> None:
        if not draft.binary:
            return  # this draft has no binary messages
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(echo, server)
            for size in (0, 1, 125, 126, 65_535, 65_536, 300_000):
                payload = bytes(range(256)) * (size // 256 + 1)
                await client.send(payload[:size])
                assert await client.receive() == payload[:size]
            await client.aclose()

    @each_draft
    async def test_what_a_draft_cannot_say_leaves_the_connection_good(self, draft: Draft) -> None:
        async with connected("memory", draft) as (client, server):
            if not draft.binary:
                with pytest.raises(LocalProtocolError, match="no binary messages"):
                    await client.send(b"bytes")
            with pytest.raises(LocalProtocolError, match=r"lone surrogate U\+D800"):
                await client.send("\ud800")
            with pytest.raises(TypeError, match="a message is a str or bytes, not int"):
                await client.send(3)  # type: ignore[arg-type]
            await client.send("still good")
            assert await server.receive() == "still good"


class TestOpening:
    @over_streams()
    async def test_what_the_peer_said_is_kept(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server):
            assert server.line == b"GET / HTTP/1.1"
            assert server.headers["host"] == "localhost"
            assert server.request.draft is draft
            assert server.request.secure is (transport == "tls")
            assert client.line.startswith(b"HTTP/1.1 101 ")
            assert client.headers["Upgrade"].lower() == "websocket"
            assert client.response.status == 101
            assert server.state is None
            with pytest.raises(AttributeError, match="has a response, no request"):
                _ = client.request
            with pytest.raises(AttributeError, match="has a request, no response"):
                _ = server.response
            assert repr(client) == f"<Connection {client.id} client {draft.name} open>"
            assert client.id != server.id

    async def test_bytes_behind_the_handshake_are_the_first_messages(self) -> None:
        """As a client sends them that does not wait for the answer."""
        client, server_stream = trio.testing.memory_stream_pair()
        await client.send_all(
            b"GET /demo HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n"
            b"Upgrade: WebSocket\r\n\r\n\x00early\xff\x00bird\xff"
        )
        async with accept(server_stream) as server:
            assert [await server.receive(), await server.receive()] == ["early", "bird"]
            await client.aclose()


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


class TestConcurrency:
    @over_streams()
    async def test_two_receivers_are_one_too_many(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
            nursery.start_soon(client.receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
                await client.receive()
            with pytest.raises(trio.BusyResourceError):
                await client.wait_readable()
            await server.send("for the first")

    @over_streams()
    async def test_senders_queue_in_order(self, transport: str, draft: Draft) -> None:
        """With no room left, messages leave in the order in which `send` was called."""
        async with connected(transport, draft) as (client, server):
            texts = [f"{number:04}" + "x" * 50_000 for number in range(60)]
            async with trio.open_nursery() as nursery:
                for text in texts:
                    nursery.start_soon(client.send, text)
                    await trio.testing.wait_all_tasks_blocked()
                blocked = len(nursery.child_tasks)
                for text in texts:
                    assert await server.receive() == text
            # A memory stream takes all that it is given.
            assert blocked > 0 or transport == "memory"

    @each_draft
    async def test_closing_wakes_the_senders(self, draft: Draft) -> None:
        async with connected("lockstep", draft, close_timeout=0.01) as (client, server):
            mute(server)
            woken: list[str] = []

            async def send(number: int) -> None:
                try:
                    await client.send("x" * 50_000)
                except trio.ClosedResourceError:
                    woken.append("closed")

            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(send, number)
                await trio.testing.wait_all_tasks_blocked()
                await client.aclose()
            assert woken == ["closed"] * 3

    @each_draft
    async def test_breaking_wakes_the_senders(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            errors: list[Exception] = []

            async def send() -> None:
                try:
                    while True:
                        await client.send("x" * 50_000)
                except trio.BrokenResourceError as error:
                    errors.append(error)

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked(0.01)
                reset(server)
            assert [type(error) for error in errors] == [ConnectionLost] * 3


class TestWaiting:
    @over_streams()
    async def test_readable_on_a_whole_message_only(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server):
            frame = frames(client, "hello")
            whole = frame
            async with trio.open_nursery() as nursery:
                seen = trio.Event()

                async def wait() -> None:
                    await server.wait_readable()
                    seen.set()

                nursery.start_soon(wait)
                await send_bytes(client, whole[:-2])
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert (seen.is_set(), server.readable) == (False, False)
                await send_bytes(client, whole[-2:])
            assert server.readable
            await server.wait_readable()
            assert await server.receive() == "hello"

    async def test_wait_any_returns_the_first_and_consumes_nothing(self, transport: str) -> None:
        old, new = draft_named("old"), draft_named("new")
        async with connected(transport, old) as (a, far_a), connected(transport, new) as (b, far_b):
            async with trio.open_nursery() as nursery:
                winners: list[Connection] = []

                async def wait() -> None:
                    winners.append(await wait_any(a, b))

                nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked(0.01)
                await far_b.send("b")
            assert winners == [b]
            assert await wait_any(a, b) is b
            await far_a.send("a")
            await a.wait_readable()
            assert await wait_any(b, a) is b
            assert await wait_any(a, b) is a
            assert (await a.receive(), await b.receive()) == ("a", "b")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(far_a.aclose)
                assert await wait_any(b, a) is a
                await a.aclose()
                with pytest.raises(trio.ClosedResourceError):
                    await wait_any(a, b)
                nursery.start_soon(far_b.send, "again")
                await b.wait_readable()

    async def test_wait_any_needs_connections_of_its_own(self) -> None:
        with pytest.raises(ValueError, match="one connection at least"):
            await wait_any()
        async with connected("memory", draft_named("old")) as (client, _):
            with pytest.raises(trio.BusyResourceError):
                await wait_any(client, client)

    @each_draft
    async def test_wait_any_cancelled_loses_nothing(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait_any, client)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            await server.send("kept")
            assert await wait_any(client) is client
            assert await client.receive() == "kept"


class TestScheduling:
    @each_draft
    async def test_every_receive_and_send_is_a_cancellation_point(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            for number in range(10):
                await client.send(str(number))
            await server.wait_readable()
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.receive()
            assert scope.cancelled_caught
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.send("no")
            assert scope.cancelled_caught
            assert [await server.receive() for _ in range(10)] == [str(n) for n in range(10)]

    @in_turn("doing", ["receive", "send"])
    @each_draft
    async def test_others_run_at_least_every_64_messages(self, draft: Draft, doing: str) -> None:
        class Passes(trio.abc.Instrument):
            count = 0

            def before_io_wait(self, timeout: float) -> None:
                self.count += 1

        async with connected("tcp", draft) as (client, server):
            await send_bytes(client, frames(client, *["x"] * 640))
            await server.wait_readable()
            passes = Passes()
            trio.lowlevel.add_instrument(passes)
            for _ in range(640):
                if doing == "receive":
                    await server.receive()
                else:
                    await server.send("x")
            trio.lowlevel.remove_instrument(passes)
            assert passes.count >= 10


class TestWriting:
    @each_draft
    async def test_a_sender_that_goes_to_sleep_is_flushed_all_the_same(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            await send_bytes(client, frames(client, *["x"] * 2))
            await server.receive()
            await server.send("answer to the first")
            await server.send("and one more")
            assert server.statistics().bytes_waiting > 0
            # Nobody does anything on the server's side from here on.
            assert await client.receive() == "answer to the first"
            assert await client.receive() == "and one more"
            assert await server.receive() == "x"

    async def test_a_buffer_may_be_changed_when_it_was_sent_behind_others(self) -> None:
        size = 8_000_000
        draft = draft_named("rfc6455")
        async with connected("tcp", draft, max_message_size=size) as (client, server):
            mute(client)
            await server.send(b"x" * size)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def send() -> None:
                    buffer = bytearray(b"y" * size)
                    await server.send(buffer)
                    buffer[:] = b"z" * size

                await trio.testing.wait_all_tasks_blocked()
                unmute(client)
                assert await client.receive() == b"x" * size
                assert await client.receive() == b"y" * size

    @each_draft
    async def test_a_sender_that_waits_for_room_hears_that_we_closed(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with connected("lockstep", draft) as (client, server):
            # Nobody takes it.
            mute(client)
            await server.send("x" * ROOM)
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def send() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await server.send("one more")

                await trio.testing.wait_all_tasks_blocked()
                await server.aclose()

    @in_turn("view", [False, True])
    @in_turn("name", ["hybi-01", "rfc6455"])
    async def test_a_buffer_may_be_changed_when_it_was_sent(
        self, transport: str, name: str, view: bool
    ) -> None:
        """What the kernel did not take, or what waits for more, is a copy."""
        draft = draft_named(name)
        size = 8_000_000
        async with connected(transport, draft, max_message_size=size) as (client, server):
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def send() -> None:
                    buffer = bytearray(b"x" * size)
                    await server.send(memoryview(buffer) if view else buffer)
                    buffer[:] = b"y" * size

                assert await client.receive() == b"x" * size
            # Two in one read, so that the answer to the first waits for the second's.
            await send_bytes(client, frames(client, "a", "a"))
            assert await server.receive() == "a"
            buffer = bytearray(b"x" * 10_000)
            await server.send(memoryview(buffer) if view else buffer)
            buffer[:] = b"y" * len(buffer)
            assert await server.receive() == "a"
            assert await client.receive() == b"x" * 10_000

    @each_draft
    async def test_past_64_kib_it_is_written_while_messages_wait(self, draft: Draft) -> None:
        async with connected("tcp", draft) as (client, server):
            await send_bytes(client, frames(client, *["x"] * 3))
            await server.receive()
            await server.send("small")
            assert server.statistics().bytes_waiting > 0
            before = server.statistics().bytes_sent
            await server.send("x" * 70_000)
            now = server.statistics()
            assert now.bytes_waiting == 0 or now.bytes_sent > before
            assert await client.receive() == "small"
            assert await client.receive() == "x" * 70_000

    @over_streams()
    async def test_at_most_64_kib_and_one_message_wait(self, transport: str, draft: Draft) -> None:
        async with connected(transport, draft) as (client, server):
            most = 0
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for _ in range(200):
                        await client.send("x" * 30_000)

                nursery.start_soon(send)
                await trio.testing.wait_all_tasks_blocked(0.01)
                most = client.statistics().bytes_waiting
                for _ in range(200):
                    await server.receive()
                    most = max(most, client.statistics().bytes_waiting)
            # A memory stream takes all that it is given.
            assert most < 65_536 + 31_000
            assert most >= 65_536 or transport == "memory"


class TestLeftAlone:
    @over_streams()
    async def test_a_close_is_answered_while_the_handler_sleeps(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with connected(transport, draft, close_timeout=100) as (client, server):
            started = trio.current_time()
            await client.aclose()
            # Where the stream cannot end one side, hixie-75 has no way to ask for an answer.
            assert trio.current_time() - started <= 3
            if draft.closing_handshake:
                assert client.close_received is not None
            await trio.sleep(5)
            assert server.closed
            with pytest.raises(PeerClosed):
                await server.receive()

    @over_streams()
    async def test_also_after_a_large_message(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """What was received is no reason to read no more."""
        async with connected(transport, draft, close_timeout=100) as (client, server):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, "x" * 200_000)
                assert await server.receive() == "x" * 200_000
            started = trio.current_time()
            await client.aclose()
            assert trio.current_time() - started <= 5
            if draft.closing_handshake:
                assert client.close_received is not None

    @over_streams()
    async def test_messages_are_left_for_receive(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with connected(transport, draft) as (client, server):
            await client.send("one")
            await trio.sleep(10)
            await client.send("two")
            await trio.sleep(10)
            assert server.readable
            assert [await server.receive(), await server.receive()] == ["one", "two"]

    @in_turn("waits", [0, 1, 1.9])
    @over_streams()
    async def test_a_close_behind_a_message_waits_for_its_turn(
        self, transport: str, draft: Draft, waits: float, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Else the answer to that message could no longer be sent: for two seconds."""
        if transport == "tls" and not draft.closing_handshake:
            return  # hixie-75 ends its side of TCP, which TLS cannot
        async with connected(transport, draft, close_timeout=100) as (client, server):
            await client.send("question")
            await client.send_close()
            await trio.sleep(waits)
            assert not server.closed
            await echo(server)
            assert await client.receive() == "question"
            assert server.closed

    @over_streams()
    async def test_but_not_for_a_handler_that_takes_nothing(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The peer is not left waiting; what it said can be received all the same."""
        if transport == "tls" and not draft.closing_handshake:
            return  # hixie-75 ends its side of TCP, which TLS cannot
        async with connected(transport, draft, close_timeout=100) as (client, server):
            await client.send("question")
            started = trio.current_time()
            await client.aclose()
            assert trio.current_time() - started == pytest.approx(2, abs=ROUND)
            assert server.closed
            assert await server.receive() == "question"
            with pytest.raises(trio.BrokenResourceError, match="the peer closed the connection"):
                await server.send("an answer")
            with pytest.raises(PeerClosed):
                await server.receive()

    @over_streams()
    async def test_each_message_that_is_taken_gives_it_two_seconds_more(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        if transport == "tls" and not draft.closing_handshake:
            return  # hixie-75 ends its side of TCP, which TLS cannot
        questions = [f"question {number}" for number in range(10)]
        async with connected(transport, draft, close_timeout=100) as (client, server):
            await client.send_many(questions)
            await client.send_close()
            async for question in server:
                await trio.sleep(1.9)
                await server.send(question)
            assert [message async for message in client] == questions

    @each_draft
    async def test_a_look_gives_way_to_receive_and_to_aclose(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A foreign stream is read by a task of the scope's, whose result is kept."""
        streams = await stream_pair("memory")

        async def is_read() -> bool:
            """Whether somebody waits for what comes to the server."""
            with pytest.raises(trio.BusyResourceError):
                await streams[1].receive_some()
            return True

        async with connected_pair(draft, streams=streams) as (client, server):
            for _ in range(2):
                await trio.sleep(1)
                assert await is_read()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.send, "for whoever reads")
                    assert await server.receive() == "for whoever reads"
                await trio.sleep(1)
                assert await is_read()
                with trio.move_on_after(1) as scope:
                    await server.receive()
                assert scope.cancelled_caught
            await trio.sleep(1)
            assert await is_read()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.aclose)
                nursery.start_soon(client.aclose)

    @over_streams()
    async def test_no_more_is_read_ahead_than_a_limit(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        settings: dict[str, Any] = {"ping_interval": math.inf, "write_timeout": math.inf}
        async with connected(transport, draft, **settings) as (client, server):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for _ in range(60):
                        await client.send("x" * 10_000)

                nursery.start_soon(send)
                await trio.sleep(100)
                held = server.statistics().bytes_received
                assert 65_536 - 10_000 <= held <= 2 * 65_536
                for _ in range(60):
                    await server.receive()

    @in_turn("receiving", [True, False])
    @over_streams()
    async def test_a_peer_silent_for_too_long_is_given_up(
        self,
        transport: str,
        draft: Draft,
        receiving: bool,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        settings: dict[str, Any] = {"idle_timeout": 50, "ping_interval": math.inf}
        async with connected(transport, draft, **settings) as (client, server):
            # The other side would give this one up as well.
            mute(client)
            started = trio.current_time()
            await trio.sleep(30)
            await client.send("still here")
            assert await server.receive() == "still here"
            if not receiving:
                await trio.sleep(100)
            with pytest.raises(ConnectionLost, match="nothing came from the peer for 50 s"):
                await server.receive()
            if receiving:
                assert trio.current_time() - started == pytest.approx(80, abs=3)
            with pytest.raises(ConnectionLost):
                await server.send("too late")
            unmute(client)
            if transport != "tls" or draft.closing_handshake:
                with pytest.raises(PeerClosed):
                    await client.receive()

    @each_draft
    async def test_unread_messages_are_no_reason_to_give_up_twice(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """The end stands behind what came before it."""
        async with connected("tcp", draft, idle_timeout=50, ping_interval=math.inf) as (
            client,
            server,
        ):
            mute(client)
            await client.send("unread")
            await trio.sleep(200)
            assert await server.receive() == "unread"
            with pytest.raises(ConnectionLost, match="nothing came"):
                await server.receive()

    @in_turn("idle_timeout", [12.3, 20, 47.9])
    @in_turn("heard_after", [0, 12.3, 5000.7])
    @each_draft
    async def test_a_deadline_is_one_moment_however_it_is_computed(
        self,
        draft: Draft,
        idle_timeout: float,
        heard_after: float,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        """A sum may have come when the difference has not: nobody without pings is pinged then."""
        settings: dict[str, Any] = {"idle_timeout": idle_timeout, "ping_interval": math.inf}
        await trio.sleep(heard_after)
        async with connected("memory", draft, **settings) as (client, server):
            mute(client)
            await trio.sleep(2 * idle_timeout)
            with pytest.raises(ConnectionLost, match=f"for {idle_timeout} s"):
                await server.receive()
            assert server.statistics().pings_sent == 0

    @each_draft
    async def test_what_comes_in_the_same_pass_comes_too_late(self, draft: Draft) -> None:
        async with connected("memory", draft) as (client, server):
            mute(client)
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    with pytest.raises(ConnectionLost, match="nothing came"):
                        await server.receive()

                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked()
                assert isinstance(server._endpoint.stream, trio.StapledStream)
                server._endpoint.stream.receive_stream.put_data(frames(client, "late"))
                server._endpoint.give_up("nothing came", Close(1001))

    @each_draft
    async def test_one_that_has_ended_is_left_alone(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with connected("tcp", draft, idle_timeout=50, ping_interval=math.inf) as (
            client,
            server,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.aclose)
                with pytest.raises(PeerClosed):
                    await server.receive()
            await trio.sleep(200)
            with pytest.raises(PeerClosed):
                await server.receive()
