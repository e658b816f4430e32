"""What is done for a connection on which nobody receives, in every draft, over every stream."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Close,
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
)
from trio_draftws.testing import connected_pair

from .pairs import (
    connected,
    frames,
    mute,
    stream_pair,
    unmute,
)
from .turns import each_draft, in_turn, over_streams

# How often, in seconds, those are looked at that nobody receives on
ROUND = 0.25


async def echo(connection: Connection) -> None:
    async for message in connection:
        await connection.send(message)


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
