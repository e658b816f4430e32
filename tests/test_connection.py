"""What every connection does, in every draft, over every kind of stream."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    LocalProtocolError,
    PeerClosed,
    PeerViolation,
    accept,
    wait_any,
)
from trio_draftws.drafts import draft_named

from .pairs import (
    connected,
    frames,
    mute,
    reset,
    send_bytes,
    unmute,
)
from .turns import each_draft, in_turn, over_streams

TEXTS = ["", "hello", "é日本😀", "x" * 70_000, "y" * 300_000, "\0 \n"]
# How many bytes may wait to be written before a sender has to
ROOM = 65_536


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

    @each_draft
    async def test_a_read_that_finds_nothing(self, draft: Draft) -> None:
        """In the middle of a long message: as a system may say that there is more, and err."""
        text = "x" * 100_000
        async with connected("tcp", draft) as (client, server):
            wire = frames(client, text)
            await send_bytes(client, wire[:50_000])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.receive)
                await trio.testing.wait_all_tasks_blocked(0.01)
                nursery.cancel_scope.cancel()
            server._receiver.read_once()
            await send_bytes(client, wire[50_000:])
            assert await server.receive() == text


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

    @pytest.mark.no_cover
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
