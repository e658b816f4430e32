"""The TCP stream that yields only when it must."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import StreamFactory, ssl_stream_factory
from trio_draftws._transport import tls

# The stream is tested by itself, with Trio's own checks for streams; no connection shows it.
from trio_draftws._transport.sockets import (
    MAX_GATHERED,
    MAX_UNSENT,
    RECEIVE_SIZE,
    DirectStream,
    TCPStream,
    take_over,
)
from trio_draftws._transport.tls import is_secure

from .pairs import tls_contexts

KINDS = ("tcp", "unix")


async def socket_streams(kind: str) -> tuple[trio.SocketStream, trio.SocketStream]:
    if kind == "unix":
        made = [
            trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
        ]
        return made[0], made[1]
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        client = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return client, await listener.accept()


async def direct_streams(kind: str) -> tuple[TCPStream, TCPStream]:
    made = [take_over(stream) for stream in await socket_streams(kind)]
    assert isinstance(made[0], TCPStream)
    assert isinstance(made[1], TCPStream)
    return made[0], made[1]


async def tls_streams() -> tuple[Any, Any]:
    """A client's and a server's end of our own TLS, over sockets that take as much each time."""
    client_context, server_context = tls_contexts()
    ends: dict[str, Any] = {}

    async def dress(end: str, stream: trio.abc.Stream, factory: StreamFactory) -> None:
        ends[end] = await factory(stream)

    a, b = await direct_streams("unix")
    as_client = ssl_stream_factory(client_context, server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dress, "client", a, as_client)
        nursery.start_soon(dress, "server", b, ssl_stream_factory(server_context))
    return ends["client"], ends["server"]


@asynccontextmanager
async def tls_pair() -> AsyncIterator[tuple[Any, Any]]:
    client, server = await tls_streams()
    try:
        yield client, server
    finally:
        client.close()
        server.close()


def clog(stream: DirectStream) -> int:
    """Writes until the kernel takes no more; says how much that was."""
    total = 0
    # A smaller piece at the end fills what the big ones left.
    for size in (65536, 1):
        while sent := stream.send_nowait([b"x" * size]):
            total += sent
    return total


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


class Scheduled(trio.abc.Stream):
    """A `DirectStream` with a schedule point in each call.

    That it has none when the kernel is ready is the one thing in which it differs from what
    Trio's own checks demand of a stream.
    """

    def __init__(self, inner: DirectStream) -> None:
        self.inner = inner

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return await self.inner.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


class ScheduledTCP(Scheduled, trio.abc.HalfCloseableStream):
    inner: TCPStream

    async def send_eof(self) -> None:
        await self.inner.send_eof()


class TestAsAStream:
    """Trio's own checks, as they are for `trio.SocketStream`."""

    @pytest.mark.parametrize("clogged", [False, True])
    @pytest.mark.parametrize(
        "check", [trio.testing.check_two_way_stream, trio.testing.check_half_closeable_stream]
    )
    async def test_trio_is_content(
        self,
        check: Callable[..., Coroutine[Any, Any, None]],
        clogged: bool,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        async def make() -> tuple[ScheduledTCP, ScheduledTCP]:
            a, b = await direct_streams("unix")
            return ScheduledTCP(a), ScheduledTCP(b)

        async def make_clogged() -> tuple[ScheduledTCP, ScheduledTCP]:
            made = await make()
            for end in made:
                clog(end.inner)
            return made

        # Where a stream waits in place of raising, the clock jumps here.
        autojump_clock.autojump_threshold = 0.1
        with trio.fail_after(20):
            await check(make, make_clogged if clogged else None)

    async def test_wait_send_all_might_not_block_when_closed(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with b:
            await a.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await a.wait_send_all_might_not_block()
            with pytest.raises(trio.ClosedResourceError):
                await a.wait_readable()

    async def test_sending_after_send_eof(self, kind: str) -> None:
        """It was us who ended it, and no fault of the peer's."""
        a, b = await direct_streams(kind)
        async with a, b:
            await a.send_eof()
            await a.send_eof()
            with pytest.raises(trio.ClosedResourceError):
                await a.send_all(b"more")
            assert await b.receive_some() == b""
            await b.send_all(b"the other way")
            assert await a.receive_some() == b"the other way"

    @pytest.mark.parametrize("max_bytes", [0, -1])
    async def test_how_much_to_receive(self, kind: str, max_bytes: int) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            with pytest.raises(ValueError, match=f"at least 1, not {max_bytes}"):
                await a.receive_some(max_bytes)

    async def test_a_number_of_bytes_is_an_int(
        self, kind: str, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Told at once, and not when the first bytes come."""
        a, b = await direct_streams(kind)
        async with a, b:
            with trio.fail_after(1), pytest.raises(TypeError):
                await a.receive_some(1.5)  # type: ignore[arg-type]


class TestTakeOver:
    async def test_the_callers_object_is_dead(self, kind: str) -> None:
        theirs, far = await socket_streams(kind)
        fd = theirs.socket.fileno()
        ours = take_over(theirs)
        assert isinstance(ours, DirectStream)
        assert ours.socket.fileno() == fd
        assert theirs.socket.fileno() == -1
        assert not ours.socket.getblocking()
        with pytest.raises(trio.ClosedResourceError):
            await theirs.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await theirs.receive_some(1)
        await theirs.aclose()
        await ours.send_all(b"alive")
        assert await far.receive_some() == b"alive"
        await ours.aclose()
        await far.aclose()

    async def test_nothing_read_so_far_is_lost(self, kind: str) -> None:
        theirs, far = await socket_streams(kind)
        await far.send_all(b"early")
        ours = take_over(theirs)
        async with ours, far:
            assert await ours.receive_some() == b"early"

    async def test_taken_twice_is_taken_once(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            assert take_over(a) is a

    async def test_what_someone_built_of_one_is_left_alone(self, kind: str) -> None:
        """What another stream does with its bytes, nobody else can know."""
        a, b = await socket_streams(kind)
        stapled = trio.StapledStream(a, a)
        async with stapled, b:
            assert take_over(stapled) is stapled
            await stapled.send_all(b"x")
            assert await b.receive_some() == b"x"

    async def test_other_streams_are_left_alone(self) -> None:
        for stream in (*trio.testing.memory_stream_pair(), *trio.testing.lockstep_stream_pair()):
            assert take_over(stream) is stream

    async def test_of_a_stream_that_is_closed(self, kind: str) -> None:
        theirs, far = await socket_streams(kind)
        await theirs.aclose()
        with pytest.raises((OSError, ValueError, trio.ClosedResourceError)):
            take_over(theirs)
        await far.aclose()


class TestScheduling:
    async def test_no_pass_while_the_kernel_is_ready(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            with trio.testing.assert_no_checkpoints():
                # No schedule point; still a cancellation point each
                assert a.send_nowait([b"one"]) == 3
            passes = Passes()
            trio.lowlevel.add_instrument(passes)
            await a.send_all(b"two")
            b.may_have_more = True
            assert await b.receive_some() == b"onetwo"
            trio.lowlevel.remove_instrument(passes)
            assert passes.count == 0

    async def test_always_a_cancellation_point(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            await b.send_all(b"kept")
            with trio.CancelScope() as scope:
                scope.cancel()
                await a.send_all(b"not sent")
            assert scope.cancelled_caught
            a.may_have_more = True
            with trio.CancelScope() as scope:
                scope.cancel()
                await a.receive_some()
            assert scope.cancelled_caught
            assert await a.receive_some() == b"kept"
            assert b.receive_nowait() is None

    async def test_after_a_short_read_straight_to_waiting(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            more = [a.may_have_more]
            await b.send_all(b"12345")
            assert await a.receive_some(4) == b"1234"
            more.append(a.may_have_more)
            assert await a.receive_some(4) == b"5"
            more.append(a.may_have_more)
            a.may_have_more = True
            assert a.receive_nowait() is None
            more.append(a.may_have_more)
            assert more == [False, True, False, False]

    async def test_ready_to_read_but_nothing_there(self, kind: str) -> None:
        """`receive_some` goes back to waiting when someone else was faster."""
        a, b = await direct_streams(kind)
        async with a, b, trio.open_nursery() as nursery:
            got: list[bytes] = []

            async def receive() -> None:
                got.append(await a.receive_some())

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            b.send_nowait([b"stolen"])
            assert a.receive_nowait() == b"stolen"
            await trio.testing.wait_all_tasks_blocked()
            a.may_have_more = True
            await b.send_all(b"left")
        assert got == [b"left"]


class Passes(trio.abc.Instrument):
    """Counts the scheduler's passes."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


class TestSending:
    @pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
    async def test_each_kind_of_buffer(self, kind: str, make: Callable[[bytes], Any]) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            await a.send_all(make(b"hello"))
            assert await b.receive_some() == b"hello"
            assert a.send_nowait([make(b"hel"), b"lo", bytearray(b"!")]) == 6
            assert await b.receive_some() == b"hello!"

    async def test_large_buffers_go_in_parts(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        sent = bytes(range(256)) * 20_000
        received = bytearray()

        async def send() -> None:
            await a.send_all(sent)
            await a.send_eof()

        async with a, b, trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            while data := await b.receive_some():
                assert len(data) <= RECEIVE_SIZE
                received += data
        assert received == sent

    async def test_no_more_buffers_than_the_kernel_gathers(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            assert a.send_nowait([b"x"] * 3000) == MAX_GATHERED

    async def test_nothing_is_taken_by_a_full_kernel(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            clogged = clog(a)
            assert a.send_nowait([b"x"]) == a.send_nowait([b"x", b"y"]) == 0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.send_all, b"last")
                received = bytearray()
                while len(received) < clogged + 4:
                    received += await b.receive_some()
            assert received.endswith(b"xlast")

    async def test_cancelled_while_it_waits(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            clog(a)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.send_all, b"y")
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught


class TestEnds:
    async def test_end_of_stream(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            await b.send_all(b"last")
            await b.aclose()
            assert await a.receive_some() == b"last"
            assert await a.receive_some() == b""
            assert await a.receive_some() == b""

    async def test_reset(self) -> None:
        a, b = await direct_streams("tcp")
        async with a:
            reset(b)
            with pytest.raises(trio.BrokenResourceError, match="reset by peer") as caught:
                await a.receive_some()
            assert isinstance(caught.value.__cause__, ConnectionResetError)
            with pytest.raises(trio.BrokenResourceError, match="Broken pipe"):
                await a.send_all(b"x")
            with pytest.raises(trio.BrokenResourceError):
                a.send_nowait([b"x", b"y"])
            with pytest.raises(trio.BrokenResourceError):
                a.end_sending()
            assert not a.closed

    async def test_reset_while_both_wait(self) -> None:
        a, b = await direct_streams("tcp")
        clog(a)

        async def broken(call: Callable[..., Any], *args: Any) -> None:
            with pytest.raises(trio.BrokenResourceError):
                await call(*args)

        async with a, trio.open_nursery() as nursery:
            nursery.start_soon(broken, a.send_all, b"x")
            nursery.start_soon(broken, receive_twice, a)
            await trio.testing.wait_all_tasks_blocked()
            reset(b)

    async def test_the_peer_is_gone(self) -> None:
        a, b = await direct_streams("unix")
        async with a:
            await b.aclose()
            with pytest.raises(trio.BrokenResourceError) as caught:
                await a.send_all(b"x")
            assert isinstance(caught.value.__cause__, BrokenPipeError)
            assert caught.value.__cause__.errno == errno.EPIPE


async def receive_twice(stream: DirectStream) -> None:
    """A socket tells of an error once; the next read says the end."""
    if not await stream.receive_some():
        await stream.send_all(b"x")


def reset(stream: DirectStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


class TestClosing:
    async def test_again_and_again(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        was_closed = [a.closed]
        a.close()
        was_closed.append(a.closed)
        a.close()
        await a.aclose()
        assert was_closed == [False, True]
        for call in (
            a.receive_nowait,
            lambda: a.send_nowait([b"x"]),
            lambda: a.send_nowait([b"x", b"y"]),
            a.end_sending,
        ):
            with pytest.raises(trio.ClosedResourceError):
                call()
        with pytest.raises(trio.ClosedResourceError):
            await a.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await a.send_all(b"")
        with pytest.raises(trio.ClosedResourceError):
            await a.send_eof()
        b.close()

    async def test_wakes_whoever_waits(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        clog(a)
        woken: list[str] = []

        async def closed(name: str, call: Callable[..., Any], *args: Any) -> None:
            with pytest.raises(trio.ClosedResourceError):
                await call(*args)
            woken.append(name)

        async with b, trio.open_nursery() as nursery:
            nursery.start_soon(closed, "receive", a.receive_some)
            nursery.start_soon(closed, "send", a.send_all, b"x")
            await trio.testing.wait_all_tasks_blocked()
            a.close()
        assert sorted(woken) == ["receive", "send"]

    async def test_cancelled_it_closes_all_the_same(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.aclose()
        assert scope.cancelled_caught
        assert a.closed
        b.close()


class TestInterrupting:
    async def test_wakes_a_reader_and_leaves_the_stream_open(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b, trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await a.wait_readable()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            a.interrupt()
            await trio.testing.wait_all_tasks_blocked()
            assert not a.closed
            await b.send_all(b"for the next")
            assert await a.receive_some() == b"for the next"
            await a.send_all(b"and back")
            assert await b.receive_some() == b"and back"

    async def test_does_not_end_a_writers_wait(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            clogged = clog(a)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.send_all, b"last")
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(3):
                    a.interrupt()
                    await trio.testing.wait_all_tasks_blocked()
                assert len(nursery.child_tasks) == 1
                received = bytearray()
                while len(received) < clogged + 4:
                    received += await b.receive_some()
            assert received.endswith(b"xlast")

    async def test_with_nobody_waiting_nothing_happens(self, kind: str) -> None:
        a, b = await direct_streams(kind)
        async with a, b:
            a.interrupt()
            await b.send_all(b"x")
            assert await a.receive_some() == b"x"


class TestSocket:
    async def test_options(self) -> None:
        a, b = await direct_streams("tcp")
        async with a, b:
            for on in (1, 0):
                a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, on)
                assert a.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == on

    async def test_no_delay_is_kept(self) -> None:
        """Trio sets it on every TCP stream; small messages would otherwise wait for each other."""
        for end in await direct_streams("tcp"):
            assert end.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            end.close()


class TestTLS:
    async def test_over_a_direct_stream(
        self, kind: str, client_ssl: ssl.SSLContext, server_ssl: ssl.SSLContext
    ) -> None:
        a, b = await direct_streams(kind)
        dressed: dict[str, trio.abc.Stream] = {}

        async def dress(name: str, stream: trio.abc.Stream, factory: Any) -> None:
            dressed[name] = await factory(stream)

        async with trio.open_nursery() as nursery:
            client_factory = ssl_stream_factory(client_ssl, server_hostname="localhost")
            nursery.start_soon(dress, "client", a, client_factory)
            nursery.start_soon(dress, "server", b, ssl_stream_factory(server_ssl))
        assert [is_secure(end) for end in dressed.values()] == [True, True]
        assert not is_secure(a)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dressed["client"].send_all, b"x" * 300_000)
            received = bytearray()
            while len(received) < 300_000:
                received += await dressed["server"].receive_some()
        # Without TLS's own goodbye, the end of TCP is the end.
        a.close()
        assert await dressed["server"].receive_some() == b""
        b.close()


def most_unsent(stream: DirectStream) -> int:
    return stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)


async def test_the_kernel_takes_more_of_what_is_large() -> None:
    """And of what comes behind that as much as before."""
    ours, theirs = await direct_streams("tcp")
    async with ours, theirs:
        before = most_unsent(ours)
        assert before == 2**14  # as Trio sets it
        large = b"x" * 2**18
        clog(ours)
        assert ours.send_large_nowait([large]) == len(large)
        assert most_unsent(ours) == before
        # The kernel may fill what it had begun.
        assert ours.send_nowait([large]) < 2**16


@pytest.mark.parametrize("chosen", [0, 2**13, MAX_UNSENT, 2 * MAX_UNSENT])
async def test_what_its_owner_chose_stays(chosen: int) -> None:
    ours, theirs = await direct_streams("tcp")
    async with ours, theirs:
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, chosen)
        assert ours.send_large_nowait([b"ab", b"c"]) == 3
        assert most_unsent(ours) == chosen
        assert await theirs.receive_some() == b"abc"


async def test_what_is_large_where_there_is_no_such_option(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket of the Unix domain, and a system that has none."""
    ours, theirs = await direct_streams(kind)
    if kind == "tcp":
        monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT")
    async with ours, theirs:
        assert ours.send_large_nowait([b"ab", b"c"]) == 3
        assert await theirs.receive_some() == b"abc"
    with pytest.raises(trio.ClosedResourceError):
        ours.send_large_nowait([b"x"])


async def test_both_ends_send_more_than_fits_before_either_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What they sent and the kernel has not taken does not keep them from reading."""
    # Four records are more than the bound only where the kernel takes nothing of them.
    monkeypatch.setattr(tls, "MAX_OUTPUT", 100)
    data = bytes(range(256)) * 8000

    async def expect(stream: trio.abc.ReceiveStream) -> None:
        received = bytearray()
        while len(received) < len(data):
            received += await stream.receive_some()
        assert received == data

    async with tls_pair() as (client, server), trio.open_nursery() as nursery:
        for end in (client, server):
            nursery.start_soon(end.send_all, data)
        await trio.testing.wait_all_tasks_blocked()
        for end in (client, server):
            assert end.unsent > tls.MAX_OUTPUT
            assert not end.blocked_by_output
            nursery.start_soon(expect, end)
