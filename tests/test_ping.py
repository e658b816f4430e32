"""Pings: answered always, awaited, and sent to those that are silent."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import DRAFTS, Connection, ConnectionLost, Draft, LocalProtocolError, PeerClosed
from trio_draftws.drafts import Close, Ping, Pong

from .pairs import (
    TRANSPORTS,
    Breakable,
    breakable,
    by_raw_client,
    by_raw_server,
    connected,
    cut,
    frames,
    mute,
    send_bytes,
    set_option,
    unmute,
)
from .turns import in_turn, in_turn_over_streams, over_streams

PINGING = [draft for draft in DRAFTS if draft.ping]
# How many bytes may wait to be written before a sender has to
ROOM = 65_536
# How often, in seconds, those are looked at that nobody receives on
ROUND = 0.25
SILENT = [draft for draft in DRAFTS if not draft.ping]
WITHOUT_LOCKSTEP = [name for name in TRANSPORTS if name != "lockstep"]
each_pinging = in_turn("draft", PINGING)


@in_turn("draft", SILENT)
async def test_a_draft_without_pings_says_so(draft: Draft) -> None:
    async with connected("memory", draft) as (client, _):
        with pytest.raises(LocalProtocolError, match=f"{draft.name} has no pings"):
            await client.ping()
        assert client.latency is None


@in_turn("receiving", [True, False])
@over_streams(PINGING)
async def test_ping_returns_the_round_trip(
    transport: str, draft: Draft, receiving: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Whether or not somebody receives, on either side."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        if receiving:
            nursery.start_soon(client.receive)
            nursery.start_soon(server.receive)
            await trio.testing.wait_all_tasks_blocked()
        assert 0 <= await client.ping() <= ROUND
        assert client.latency is not None
        assert 0 <= await server.ping() <= ROUND
        await client.send("for the one")
        await server.send("for the other")


@over_streams(PINGING)
async def test_what_comes_while_waiting_for_a_pong_is_kept(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server):
        await server.send("kept")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.wait_readable)
            await client.ping()
            await client.send("done")
        assert await client.receive() == "kept"


@in_turn("answered", [1, 2, 3])
@each_pinging
async def test_an_answer_stands_for_those_before_it(draft: Draft, answered: int) -> None:
    """RFC 6455 section 5.5.3: a peer may answer only the latest of several pings."""
    async with by_raw_server(draft) as (client, raw), trio.open_nursery() as nursery:
        returned: list[int] = []

        async def ping(number: int) -> None:
            await client.ping()
            returned.append(number)

        payloads = []
        for number in (1, 2, 3):
            nursery.start_soon(ping, number)
            payloads.append(await raw.expect_ping())
        await raw.send_frame(Pong(payloads[answered - 1]))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(returned) == [1, 2, 3][:answered]
        await raw.send_frame(Pong(payloads[-1]))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(returned) == [1, 2, 3]


@each_pinging
async def test_closing_wakes_those_who_wait_for_a_pong(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        ended: list[str] = []

        async def ping() -> None:
            try:
                await client.ping()
            except trio.ClosedResourceError:
                ended.append("closed")

        nursery.start_soon(ping)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(client.aclose)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert ended == ["closed"]
        with pytest.raises(trio.ClosedResourceError):
            await client.ping()
        await server.aclose()


@each_pinging
async def test_a_peer_that_goes_wakes_them_too(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        ended: list[str] = []

        async def ping() -> None:
            try:
                await client.ping()
            except trio.BrokenResourceError as error:
                ended.append(type(error).__name__)

        nursery.start_soon(ping)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await cut(server)
        with pytest.raises(ConnectionLost):
            await client.receive()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert ended == ["ConnectionLost"]


@in_turn("how", ["close", "cut"])
@over_streams(PINGING)
async def test_an_end_behind_unread_messages_wakes_them_too(
    transport: str, draft: Draft, how: str, autojump_clock: trio.testing.MockClock
) -> None:
    """There is no answer any more, also where nobody receives what stands before the end."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        ended: list[str] = []

        async def ping() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await client.ping()
            ended.append("while it waited")
            # Nor does it wait for one when all has come already.
            with pytest.raises(trio.BrokenResourceError):
                await client.ping()
            ended.append("at once")

        nursery.start_soon(server.send, "unread")
        nursery.start_soon(ping)
        await trio.sleep(1)
        if how == "close":
            nursery.start_soon(server.aclose)
        else:
            await cut(server)
        await trio.sleep(1)
        assert ended == ["while it waited", "at once"]
        assert await client.receive() == "unread"
        with pytest.raises(PeerClosed if how == "close" else ConnectionLost):
            await client.receive()


@over_streams(PINGING)
async def test_a_ping_is_answered_while_the_handler_sleeps(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(transport, draft) as (client, server):
        await client.send("unread")
        await trio.sleep(10)
        assert await client.ping() <= ROUND
        assert await server.receive() == "unread"


@over_streams(PINGING, WITHOUT_LOCKSTEP)
async def test_a_silent_peer_is_pinged_and_given_up(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    settings: dict[str, Any] = {"ping_interval": 30, "ping_timeout": 10}
    async with connected(transport, draft, **settings) as (client, server):
        started = trio.current_time()
        mute(client)
        with pytest.raises(ConnectionLost, match="no answer to a ping came within 10 s"):
            await server.receive()
        assert trio.current_time() - started == pytest.approx(40, abs=5)


@each_pinging
async def test_one_whose_system_has_not_taken_a_ping_has_more_time_to_answer(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Of a lockstep stream nothing is taken that is not read."""
    settings: dict[str, Any] = {"ping_interval": 30, "ping_timeout": 10, "write_timeout": 60}
    async with connected("lockstep", draft, **settings) as (client, server):
        started = trio.current_time()
        mute(client)
        with pytest.raises(ConnectionLost, match="took nothing of what waits for it for 60 s"):
            await server.receive()
        assert trio.current_time() - started == pytest.approx(90, abs=5)


@over_streams(PINGING)
async def test_one_that_answers_is_never_given_up(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(transport, draft, ping_interval=30, ping_timeout=10) as (client, server):
        await trio.sleep(300)
        assert client.latency is not None
        assert server.latency is not None
        await client.send("still here")
        assert await server.receive() == "still here"


@over_streams(PINGING, WITHOUT_LOCKSTEP)
async def test_a_slow_reader_does_not_get_its_peer_killed(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """The answers stand behind messages that are not read."""
    settings: dict[str, Any] = {"ping_interval": 30, "ping_timeout": 10}
    async with connected(transport, draft, **settings) as (client, server):
        # Its own pings are not answered, since they are not read either.
        mute(client)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for _ in range(300):
                    await client.send("x" * 10_000)

            nursery.start_soon(send)
            await trio.sleep(300)
            for _ in range(300):
                assert await server.receive() == "x" * 10_000


@each_pinging
async def test_a_flood_of_pings_that_nobody_reads_the_answers_of(draft: Draft) -> None:
    """Only the latest answer waits: memory stays where it is."""
    async with connected("tcp", draft, close_timeout=0.05) as (client, server):
        # The kernel is to hold few of the answers, so that it does not take as long to fill it.
        for side, buffer in ((client, socket.SO_RCVBUF), (server, socket.SO_SNDBUF)):
            set_option(side, socket.SOL_SOCKET, buffer, 4096)
        mute(client)
        flood = b"".join(frames(client, Ping(b"%08d" % number * 15)) for number in range(2000))
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for _ in range(5):
                    await send_bytes(client, flood)

            nursery.start_soon(send)
            nursery.start_soon(server.receive)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert ROOM <= server.statistics().bytes_waiting <= ROOM + 200
            nursery.cancel_scope.cancel()
        unmute(client)


@each_pinging
async def test_a_ping_between_our_close_and_its_answer_is_answered(draft: Draft) -> None:
    """RFC 6455 section 5.5.2: unless a Close was received."""
    async with by_raw_client(draft) as (raw, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.aclose)
        await raw.expect_close()
        await raw.send_frame(Ping(b"late"))
        await raw.expect(frames(server, Pong(b"late")))
        await raw.send_frame(Close())
        await raw.expect_end()
    assert server.close_received is not None


@each_pinging
async def test_a_pong_that_nobody_asked_for_is_nothing(draft: Draft) -> None:
    """RFC 6455 section 5.5.3."""
    async with connected("tcp", draft) as (client, server):
        await send_bytes(client, frames(client, Pong(b"hello")))
        await client.send("message")
        assert await server.receive() == "message"
        assert server.latency is None


# With a payload, without waiting, and unasked


@each_pinging
async def test_a_ping_carries_what_it_is_given(draft: Draft) -> None:
    """Its copy: what was given may be changed."""
    async with by_raw_server(draft) as (client, raw), trio.open_nursery() as nursery:
        for payload in (b"", b"x" * 125, bytearray(b"mine"), memoryview(b"a view")):
            nursery.start_soon(client.ping, payload)
            assert await raw.expect_ping() == payload
            await raw.send_frame(Pong(b"of another"))
            await raw.send_frame(Pong(bytes(payload)))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not nursery.child_tasks
        assert client.statistics().pongs_received == 8


@each_pinging
async def test_one_pong_answers_all_pings_with_its_payload(draft: Draft) -> None:
    async with by_raw_server(draft) as (client, raw), trio.open_nursery() as nursery:
        for payload in (b"same", b"between", b"same"):
            nursery.start_soon(client.ping, payload)
            assert await raw.expect_ping() == payload
        await raw.send_frame(Pong(b"same"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not nursery.child_tasks


@in_turn_over_streams(PINGING)
async def test_a_ping_that_nobody_waits_for(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """It has its place between the parts of a message, and its pong counts like any other."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        async def parts() -> AsyncGenerator[str, None]:
            yield "one, "
            await client.send_ping(b"between")
            await client.send_ping()
            assert client.statistics().pings_sent == 2
            yield "two"

        nursery.start_soon(client.send_stream, parts())
        assert await server.receive() == "one, two"
        await trio.sleep(1)
        assert client.latency is not None
        counts = client.statistics()
        assert (counts.pings_sent, counts.pongs_received) == (2, 2)
        assert server.statistics().pings_received == 2


@in_turn_over_streams(PINGING)
async def test_an_unasked_pong(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """RFC 6455 section 5.5.3: a heartbeat in one direction, which the peer does not answer."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(server.wait_readable)
        await client.send_pong()
        await client.send_pong(bytearray(b"x" * 125))
        await trio.sleep(1)
        assert server.statistics().pongs_received == 2
        assert server.latency is None
        assert client.statistics().pings_received == client.statistics().pongs_received == 0
        await client.send("message")


@in_turn("name", ["ping", "send_ping", "send_pong"])
@in_turn("draft", DRAFTS)
async def test_what_no_ping_can_carry(draft: Draft, name: str) -> None:
    """Nothing is sent, and the connection stays good."""
    async with connected("memory", draft) as (client, server):
        method = getattr(client, name)
        for wrong in ("text", 1, ["a"], *[None] * (name == "send_pong")):
            kind = type(wrong).__name__
            with pytest.raises(TypeError, match=f"the payload of {name} is bytes, not {kind}"):
                await method(wrong)
        why = "has 126 bytes, and may have 125" if draft.ping else f"{draft.name} has no p.ngs"
        with pytest.raises(LocalProtocolError, match=why):
            await method(b"x" * 126)
        await client.send("still good")
        assert await server.receive() == "still good"
        received = server.statistics()
        assert (received.pings_received, received.pongs_received) == (0, 0)


@in_turn("name", ["ping", "send_ping", "send_pong"])
@each_pinging
async def test_pings_behind_an_end(draft: Draft, name: str) -> None:
    """They raise what `send` raises."""
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose)
        with pytest.raises(PeerClosed):
            await server.receive()
        with pytest.raises(trio.ClosedResourceError, match="this connection was closed"):
            await getattr(client, name)(b"late")
        with pytest.raises(trio.BrokenResourceError, match="the peer closed"):
            await getattr(server, name)(b"late")


@in_turn("name", ["ping", "send_ping", "send_pong"])
@each_pinging
async def test_a_ping_that_is_cancelled_while_there_is_no_room(draft: Draft, name: str) -> None:
    async with connected("lockstep", draft) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        await client.send("x" * (ROOM + 1))
        with trio.move_on_after(0.01) as scope:
            await getattr(client, name)(b"cancelled")
        assert scope.cancelled_caught
        assert client.statistics().pings_sent == 0
        unmute(server)
        nursery.start_soon(client.send, "behind")
        assert await server.receive() == "x" * (ROOM + 1)
        assert await server.receive() == "behind"
        assert server.statistics().pongs_received == 0


async def lose(server: Connection, stream: Breakable) -> None:
    """Has the server find out that it can write nothing more."""
    stream.breaks_sending = True
    await server.send("into the void")
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(ConnectionLost):
        await server.send("once more")


@each_pinging
async def test_pings_after_we_have_lost_the_peer_are_not_answered(draft: Draft) -> None:
    """What it sent before it went is still received."""
    async with breakable(draft) as (client, server, stream):
        await send_bytes(client, frames(client, "first", Ping(b"x")))
        await lose(server, stream)
        assert await server.receive() == "first"


@each_pinging
async def test_one_that_cannot_be_written_to_is_not_pinged(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Nor does its scope raise, here where an unread message stands before the end."""
    async with breakable(draft) as (client, server, stream):
        await client.send("unread")
        await trio.sleep(5)
        await lose(server, stream)
        await trio.sleep(100)
        assert await server.receive() == "unread"
