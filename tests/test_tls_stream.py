"""Our own TLS on a socket: records and plain text, and what the kernel does not take."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import ssl_stream_factory

from .pairs import tls_contexts
from .test_streams import Scheduled, clog, direct_streams, tls_pair, tls_streams

# How much is encrypted at once
RECORDS_AT_ONCE = 65536


async def read(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = await stream.receive_some()
        assert data, f"it ended after {len(received)} bytes"
        received += data
    return bytes(received)


@pytest.mark.parametrize("clogged", [False, True])
async def test_trio_is_content(clogged: bool, autojump_clock: trio.testing.MockClock) -> None:
    async def make() -> tuple[Scheduled, Scheduled]:
        return tuple(map(Scheduled, await tls_streams()))  # type: ignore[return-value]

    async def make_clogged() -> tuple[Scheduled, Scheduled]:
        made = await make()
        for end in made:
            while end.inner.send_nowait([bytes(100_000)]):
                pass
        return made

    autojump_clock.autojump_threshold = 0.1
    with trio.fail_after(20):
        await trio.testing.check_two_way_stream(make, make_clogged if clogged else None)


async def test_many_records_come_in_one_read() -> None:
    async with tls_pair() as (client, server):
        for number in range(50):
            client.ssl_object.write(b"%d." % number)
        client._write_records()
        await server.wait_readable()
        assert server.receive_nowait() == b"".join(b"%d." % number for number in range(50))
        assert server.receive_nowait() is None


async def test_a_read_of_less_than_a_record_leaves_the_rest() -> None:
    async with tls_pair() as (client, server):
        await client.send_all(b"0123456789")
        await server.wait_readable()
        assert server.receive_nowait(4) == b"0123"
        assert server.may_have_more
        assert server.has_buffered
        # The kernel has none of it, so there will be no event.
        server.may_have_more = False
        await server.wait_readable()
        assert server.receive_nowait(4) == b"4567"
        assert server.receive_nowait(4) == b"89"
        assert not server.may_have_more
        assert not server.has_buffered


async def test_records_that_come_byte_by_byte() -> None:
    """Also where a read ends within a header."""
    words = [b"one", b"", b"two", bytes(20_000), b"three"]
    received = b""
    async with tls_pair() as (client, server):
        server.receive_nowait()
        for word in words:
            client.ssl_object.write(word)
        wire = client._outgoing.read()
        for position in range(len(wire)):
            client.socket.send(wire[position : position + 1])
            received += server.receive_nowait() or b""
            assert not server.has_buffered
        assert received == b"".join(words)


async def test_data_that_comes_with_the_end_of_the_handshake() -> None:
    """A whole record and the beginning of another."""
    client_context, server_context = tls_contexts()
    a, b = await direct_streams("unix")

    async def speak() -> None:
        client: Any
        client = await ssl_stream_factory(client_context, server_hostname="localhost")(a)
        # Nobody has run since the handshake's last words went out.
        client.ssl_object.write(b"early")
        client.ssl_object.write(b"later")
        client.socket.send(client._outgoing.read()[:-1])

    async with a, b, trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        server: Any = await ssl_stream_factory(server_context)(b)
        assert server.may_have_more
        assert server.has_buffered
        assert server.receive_nowait() == b"early"
        assert server.receive_nowait() is None
        assert not server.has_buffered


async def test_a_goodbye_is_an_end_though_tcp_goes_on() -> None:
    async with tls_pair() as (client, server):
        client.ssl_object.write(b"last words")
        with pytest.raises(ssl.SSLError):
            client.ssl_object.unwrap()  # for it wants to read the other's
        client._write_records()
        await server.wait_readable()
        assert server.receive_nowait() == b"last words"
        assert server.may_have_more
        assert await server.receive_some() == b""
        assert await server.receive_some() == b""


async def test_a_stream_without_tls_has_nothing_inside() -> None:
    a, b = await direct_streams("unix")
    async with a, b:
        clog(a)
        b.receive_nowait()
        a.flush_nowait()
        for end in (a, b):
            assert (end.unsent, end.has_buffered, end.blocked_by_output) == (0, False, False)


async def test_what_the_kernel_does_not_take_is_kept_and_not_counted() -> None:
    """The same bytes are offered again, in other pieces, and arrive once."""
    data = bytes(range(256)) * 40_000
    async with tls_pair() as (client, server):
        taken = client.send_nowait([data[:10], memoryview(data)[10:]])
        assert 0 < taken < len(data)
        assert client.send_nowait([memoryview(data)[taken:]]) == 0
        assert len(client._unsent) <= RECORDS_AT_ONCE + 200
        received = bytearray()

        async def receive() -> None:
            while len(received) < len(data):
                received.extend(await server.receive_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            while taken < len(data):
                await client.wait_writable()
                rest = memoryview(data)[taken:]
                taken += client.send_nowait([rest[:7], rest[7:100_000], rest[100_000:]])
        assert received == data


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_with_trios_own_at_the_other_end(version: ssl.TLSVersion) -> None:
    client_context, server_context = tls_contexts.__wrapped__()
    client_context.maximum_version = version
    client, server = await direct_streams("tcp")
    as_server = ssl_stream_factory(server_context)
    theirs = trio.SSLStream(client, client_context, server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.do_handshake)
        ours = await as_server(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send_all, b"x" * 200_000)
        assert await read(ours, 200_000) == b"x" * 200_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send_all, b"y" * 200_000)
        assert await read(theirs, 200_000) == b"y" * 200_000
    # It says goodbye as TLS demands: Trio's would raise here without it.
    await ours.aclose()
    assert await theirs.receive_some() == b""
    await trio.aclose_forcefully(theirs)


async def test_a_client_that_only_sends_is_heard_to_the_end() -> None:
    """Session tickets that it never reads would make the kernel reset the connection."""
    async with tls_pair() as (client, server):
        await client.send_all(b"last words")
        await client.aclose()
        assert await read(server, 10) == b"last words"
        assert await server.receive_some() == b""
        assert await server.receive_some() == b""


async def test_garbage_breaks_it_and_not_more() -> None:
    async with tls_pair() as (client, server):
        client.socket.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises(trio.BrokenResourceError, match="TLS broke"):
            await server.receive_some()
        with pytest.raises(trio.BrokenResourceError, match="TLS broke"):
            server.send_nowait([b"no"])


async def test_an_end_within_the_handshake_has_its_cause() -> None:
    _, server_context = tls_contexts()
    client, server = await direct_streams("tcp")
    await client.aclose()
    async with server:
        with pytest.raises(trio.BrokenResourceError) as raised:
            await ssl_stream_factory(server_context)(server)
    assert isinstance(raised.value.__cause__, ssl.SSLError)


async def test_a_failed_handshake_tells_the_peer_why() -> None:
    """With an alert, so that it need not guess."""
    client_context, server_context = tls_contexts.__wrapped__()
    client, server = await direct_streams("tcp")
    causes: dict[str, BaseException | None] = {}

    async def dress(end: str, stream: trio.abc.Stream, hostname: str | None) -> None:
        context = client_context if hostname else server_context
        with pytest.raises(trio.BrokenResourceError) as raised:
            await ssl_stream_factory(context, server_hostname=hostname)(stream)
        causes[end] = raised.value.__cause__
        await trio.aclose_forcefully(stream)

    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dress, "client", client, "elsewhere.example")
        nursery.start_soon(dress, "server", server, None)
    assert isinstance(causes["client"], ssl.SSLCertVerificationError)
    assert "alert" in str(causes["server"]).lower()
