"""What looks after connections that nobody receives on: turns, the watch, deadlines."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import DRAFTS, Connection, ConnectionLost, Draft, PeerClosed
from trio_draftws.drafts import Close, Ping, Pong
from trio_draftws.testing import RawClient, served_on_port

from .pairs import by_raw_client, connected, frames, mute, tcp_stream, unmute
from .turns import FRAMINGS, each_draft, in_turn

# How many bytes are read that nobody takes, and how often one is looked at that nobody receives on
LOOK_AHEAD = 65_536
ROUND = 0.25
SLOW_ROUND = 2.0
PINGING = [draft for draft in DRAFTS if draft.ping]


def without_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(select, "epoll", fail)


class TestWithoutAnEpoll:
    @in_turn("draft", PINGING)
    async def test_a_ping_is_answered_where_nobody_receives(
        self,
        draft: Draft,
        monkeypatch: pytest.MonkeyPatch,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        without_descriptors(monkeypatch)
        async with by_raw_client(draft) as (raw, server):
            await trio.sleep(10)
            await raw.send_frame(Ping(b"hello"))
            await raw.expect(frames(server, Pong(b"hello")))

    @each_draft
    async def test_what_stands_before_the_end_is_received(
        self,
        draft: Draft,
        monkeypatch: pytest.MonkeyPatch,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        without_descriptors(monkeypatch)
        async with by_raw_client(draft) as (raw, server):
            text = "x" * (LOOK_AHEAD // 8)
            for _ in range(16):
                await raw.send_frame(text)
            await trio.sleep(10)
            assert server.statistics().bytes_received >= LOOK_AHEAD
            await trio.aclose_forcefully(raw)
            await trio.sleep(10)
            for _ in range(16):
                assert await server.receive() == text
            with pytest.raises((ConnectionLost, PeerClosed)):
                await server.receive()


class TestFull:
    @each_draft
    async def test_a_peer_that_goes_is_noticed_behind_what_nobody_takes(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with by_raw_client(draft) as (raw, server):
            text = "x" * (LOOK_AHEAD // 4)
            for _ in range(4):
                await raw.send_frame(text)
            await trio.sleep(2 * SLOW_ROUND)
            assert server.statistics().bytes_received >= LOOK_AHEAD
            await trio.aclose_forcefully(raw)
            await trio.sleep(1)
            assert server._receiver.hung_up
            for _ in range(4):
                assert await server.receive() == text
            with pytest.raises((ConnectionLost, PeerClosed)):
                await server.receive()

    @each_draft
    async def test_what_a_peer_that_reset_held_is_free_in_time(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Where nobody takes what it sent: its descriptor, and its place on a server."""
        async with by_raw_client(draft) as (raw, server):
            text = "x" * (LOOK_AHEAD // 4)
            for _ in range(4):
                await raw.send_frame(text)
            await trio.sleep(2 * SLOW_ROUND)
            assert server.statistics().bytes_received >= LOOK_AHEAD
            assert isinstance(raw.stream, trio.SocketStream)
            # Closing resets it then.
            raw.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await trio.aclose_forcefully(raw)
            told: list[float] = []
            server._endpoint.when_transport_over(lambda: told.append(trio.current_time()))
            since = trio.current_time()
            await trio.sleep(30)
            assert server.closed
            assert told == []
            await trio.sleep(30)
            assert len(told) == 1
            assert 40 <= told[0] - since <= 45
            # What was read is still there.
            for _ in range(4):
                assert await server.receive() == text
            with pytest.raises(ConnectionLost, match="reset"):
                await server.receive()


async def test_a_message_with_the_opening_was_all_that_was_received(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A close that comes long after it is answered at once: nobody has received since."""
    text = "hello"

    async def handler(connection: Connection, state: Any) -> None:
        assert await connection.receive() == text
        await trio.sleep_forever()

    async with served_on_port(handler) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with RawClient(stream) as raw:
            raw.speak("rfc6455")
            frame = b"\x81\x85\0\0\0\0" + text.encode()
            await raw.send(raw.request("rfc6455") + frame)
            await raw.expect_opened()
            await trio.sleep(5)
            since = trio.current_time()
            await raw.send_frame(Close(1000))
            await raw.expect_close()
            assert trio.current_time() - since < 1


class TestStrangers:
    """Who closes a descriptor that is not theirs."""

    @each_draft
    async def test_a_stream_is_closed(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with by_raw_client(draft) as (raw, server):
            await raw.send_frame("hello")
            assert await server.receive() == "hello"
            tcp_stream(server).close()
            await trio.sleep(2 * ROUND)
            with pytest.raises(ConnectionLost):
                await server.receive()

    @in_turn("nobody_receives", [True, False])
    @each_draft
    async def test_a_socket_is_closed(
        self, draft: Draft, autojump_clock: trio.testing.MockClock, *, nobody_receives: bool
    ) -> None:
        async with by_raw_client(draft) as (raw, server):
            await raw.send_frame("hello")
            assert await server.receive() == "hello"
            tcp_stream(server).socket.close()
            if nobody_receives:
                await trio.sleep(2 * ROUND)
            with pytest.raises(ConnectionLost):
                await server.receive()


@each_draft
async def test_what_comes_when_somebody_else_takes_over_is_left_to_them(draft: Draft) -> None:
    """Both wake in the same pass, in whichever order."""
    for _ in range(10):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            async with by_raw_client(draft) as (raw, server), trio.open_nursery() as nursery:

                async def receive(server: Any = server) -> None:
                    try:
                        while await server.receive_many():
                            pass
                    except trio.ClosedResourceError:
                        pass

                async def close(server: Any = server, ours: socket.socket = ours) -> None:
                    await trio.lowlevel.wait_readable(ours)
                    with trio.CancelScope() as scope:
                        scope.cancel()
                        await server.aclose()

                nursery.start_soon(receive)
                nursery.start_soon(close)
                await trio.testing.wait_all_tasks_blocked()
                theirs.send(b"x")
                await raw.send_frame("hello")
                await trio.aclose_forcefully(raw)


@in_turn("draft", PINGING)
async def test_what_is_behind_many_pings_is_readable(draft: Draft) -> None:
    async with by_raw_client(draft) as (raw, server):
        mute(server)
        await raw.send_frame(*[Ping(b"x")] * 300, "hello")
        unmute(server)
        await tcp_stream(server).wait_readable()
        server._receiver.read_once()
        assert server._protocol.codec.has_more_output
        assert server.readable
        assert await server.receive() == "hello"


@in_turn("draft", FRAMINGS)
async def test_small_messages_fill_the_kernel(draft: Draft) -> None:
    """The one of which a part was taken is sent to its end, behind nothing else."""
    async with connected("tcp", draft) as (client, server):
        mute(server)
        count = 0
        while not client.statistics().bytes_waiting:
            await client.send(f"{count:020d}")
            count += 1
        unmute(server)
        for number in range(count):
            assert await server.receive() == f"{number:020d}"
        # And the next one who receives is let in.
        await client.send("more")
        assert await server.receive() == "more"


@each_draft
async def test_one_whose_transport_is_over_tells_so_at_once(draft: Draft) -> None:
    async with by_raw_client(draft) as (raw, server):
        server._endpoint.abort_slow("too slow")
        told: list[None] = []
        server._endpoint.when_transport_over(lambda: told.append(None))
        assert told == [None]
        await trio.aclose_forcefully(raw)
