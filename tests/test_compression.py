"""Compression between two connections, as `compression=` asks for it."""

from __future__ import annotations

import math
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Compression,
    Connection,
    Draft,
    InvalidAnswer,
    PeerClosed,
    PeerViolation,
    open_websocket,
    wait_any,
)
from trio_draftws.drafts import Close, Event, Headers, Ping, Request, draft_named

from .drafts.backends import each_backend, each_two, needs_isal
from .pairs import connected, mute
from .rows import each_row
from .wire import dial, echo, masked, raw_server, read_request, read_until, request_13, serving

ROWS = [draft for draft in DRAFTS if draft.compression]
each_draft = pytest.mark.parametrize("draft", ROWS, ids=lambda draft: draft.name)

TEXT = "a text that is long enough, and says it twice: long enough. " * 20


@attrs.define
class Wire(trio.abc.Stream):
    """A client's stream that notes what comes through it."""

    stream: trio.abc.Stream
    sent: bytearray = attrs.field(factory=bytearray)
    received: bytearray = attrs.field(factory=bytearray)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.stream.receive_some(max_bytes))
        self.received += data
        return data

    async def aclose(self) -> None:
        await self.stream.aclose()

    def forget(self) -> None:
        self.sent.clear()
        self.received.clear()


async def talk(
    draft: Draft, client: Compression | None, server: Compression | None
) -> tuple[str | None, str | None, tuple[int, int], tuple[int, int]]:
    """What each side says that was agreed to, and of one long message, echoed, the first byte and
    the size of what each side sends."""
    agreed: list[str | None] = []

    async def handler(connection: Connection, state: object) -> None:
        agreed.append(connection.compression)
        await echo(connection)

    wires: list[Wire] = []

    async def note(stream: trio.abc.Stream) -> trio.abc.Stream:
        wires.append(Wire(stream))
        return wires[0]

    async with (
        serving(handler, compression=server) as there,
        open_websocket(
            f"ws://127.0.0.1:{there.port}/", draft=draft, compression=client, stream_factory=note
        ) as connection,
    ):
        wires[0].forget()
        await connection.send(TEXT)
        assert await connection.receive() == TEXT
        ours, theirs = wires[0].sent, wires[0].received
        sizes = (ours[0], len(ours)), (theirs[0], len(theirs))
        # Again, both ways, in fragments too, so that a window which was not kept in step shows.
        for compress in (True, False, None):
            await connection.send(TEXT, compress=compress)
            assert await connection.receive() == TEXT
            await connection.send_stream(pieces(TEXT), compress=compress)
            assert await connection.receive() == TEXT
            await connection.send(TEXT.encode(), compress=compress)
            assert await connection.receive() == TEXT.encode()
        agreed.append(connection.compression)
    return agreed[1], agreed[0], *sizes


async def pieces(text: str) -> AsyncIterator[str]:
    for begin in range(0, len(text), 100):
        yield text[begin : begin + 100]


@each_draft
async def test_by_default(draft: Draft) -> None:
    ours, theirs, sent, received = await talk(draft, Compression(), Compression())
    assert ours == theirs
    assert ours == "permessage-deflate; client_max_window_bits=12"
    assert sent[0] == received[0] == 0xC1
    assert max(sent[1], received[1]) < len(TEXT) / 4


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
async def test_the_defaults_are_the_same_as_the_settings_defaults(draft: Draft) -> None:
    """And drafts that have no room for it go without."""
    if draft.announced_by == ("keys",):
        pytest.skip("a server takes its requests for hixie-76")
    async with serving() as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as connection:
            assert (connection.compression is not None) is draft.compression
            await connection.send(TEXT, compress=True)
            assert await connection.receive() == TEXT


@each_draft
@pytest.mark.parametrize(
    ("client", "server"), [(None, Compression()), (Compression(), None), (None, None)]
)
async def test_one_side_does_not_want_it(
    draft: Draft, client: Compression | None, server: Compression | None
) -> None:
    ours, theirs, sent, received = await talk(draft, client, server)
    assert ours is theirs is None
    assert (sent[0], received[0]) == (0x81, 0x81)


@each_draft
@pytest.mark.parametrize("takeover", [True, False])
async def test_the_four_parameters(draft: Draft, takeover: bool) -> None:
    settings = Compression(
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        server_max_window_bits=8,
        client_max_window_bits=9,
    )
    ours, theirs, sent, received = await talk(draft, settings, settings)
    assert ours == theirs
    assert ours is not None
    assert "server_max_window_bits=8; client_max_window_bits=9" in ours
    assert ("no_context_takeover" in ours) is not takeover
    assert sent[0] == received[0] == 0xC1


@each_draft
@each_two
async def test_backends(draft: Draft, backend: Any, inflate_backend: Any) -> None:
    """Each side has its own, and neither notices what the other has."""
    ours = Compression(backend=backend, inflate_backend=inflate_backend)
    for client, server in ((ours, Compression()), (Compression(), ours), (ours, ours)):
        agreed, answered, sent, received = await talk(draft, client, server)
        assert agreed == answered == "permessage-deflate; client_max_window_bits=12"
        assert sent[0] == received[0] == 0xC1
        assert max(sent[1], received[1]) < len(TEXT) / 4


@each_draft
@needs_isal
@pytest.mark.parametrize("bits", [8, 9, 15])
@pytest.mark.parametrize("takeover", [True, False])
async def test_isal_and_the_four_parameters(draft: Draft, bits: int, takeover: bool) -> None:
    settings = Compression(
        backend="isal",
        server_no_context_takeover=not takeover,
        client_no_context_takeover=not takeover,
        server_max_window_bits=bits,
        client_max_window_bits=bits,
    )
    for client, server in (
        (settings, attrs.evolve(settings, backend="zlib")),
        (settings, settings),
    ):
        ours, theirs, sent, received = await talk(draft, client, server)
        assert ours == theirs
        assert sent[0] == received[0] == 0xC1


@each_draft
async def test_webkit(draft: Draft) -> None:
    """Only where it is switched on, and each frame for itself."""
    webkit = Compression(webkit=True)
    ours, theirs, *_ = await talk(draft, webkit, webkit)
    assert ours == theirs
    assert ours is not None
    assert ours.startswith("permessage-deflate")
    agreed = await ask_in(draft, "x-webkit-deflate-frame", webkit)
    assert agreed == "x-webkit-deflate-frame"
    assert await ask_in(draft, "x-webkit-deflate-frame", Compression()) is None


@each_draft
@each_two
async def test_webkit_with_each_backend(draft: Draft, backend: Any, inflate_backend: Any) -> None:
    settings = Compression(webkit=True, backend=backend, inflate_backend=inflate_backend)
    assert await ask_in(draft, "x-webkit-deflate-frame", settings) == "x-webkit-deflate-frame"


async def ask_in(draft: Draft, offer: str, compression: Compression) -> str | None:
    """What a server answers to an offer; and it still echoes."""
    async with serving(compression=compression) as server, await dial(server) as stream:
        fields = {
            "Sec_WebSocket_Extensions": offer,
            "Sec_WebSocket_Version": str(draft.version),
        }
        await stream.send_all(request_13(**fields))
        head = await read_until(stream, lambda received: received.endswith(b"\r\n\r\n"))
        await stream.send_all(masked(0x81, b"Hello"))
        assert await stream.receive_some() == b"\x81\x05Hello"
        if b"deflate-frame" in head:
            # Each of two fragments is compressed, and marked, for itself.
            for first, part in ((0x41, b"Hel"), (0xC0, b"lo")):
                await stream.send_all(masked(first, deflated(part)))
            assert await stream.receive_some() == b"\x81\x05Hello"
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b": ")
            if name.lower() == b"sec-websocket-extensions":
                return value.decode()
    return None


def deflated(data: bytes) -> bytes:
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compress.compress(data) + compress.flush(zlib.Z_SYNC_FLUSH))[:-4]


@each_draft
@each_row(
    "offer, answer",
    [
        ("permessage-deflate;;", None),
        ("permessage-deflate; server_max_window_bits=99", None),
        ("permessage-deflate; x=1", None),
        ("", None),
        ("deflate-stream", None),
        ("bogus, permessage-deflate; server_max_window_bits=10", True),
        ("permessage-deflate; y, permessage-deflate", True),
    ],
)
async def test_a_bad_offer_is_declined(draft: Draft, offer: str, answer: bool | None) -> None:
    """And the connection is as good as without it."""
    agreed = await ask_in(draft, offer, Compression())
    assert (agreed is not None) is (answer is not None)


@each_draft
@pytest.mark.parametrize(
    "answer",
    ["x-webkit-deflate-frame", "permessage-deflate; y", "permessage-deflate, permessage-deflate"],
)
async def test_a_server_that_answers_what_was_not_offered(draft: Draft, answer: str) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        head, _ = await read_request(stream, body=0)
        offered = Request.parse(head).headers["Sec-WebSocket-Extensions"]
        assert offered == "permessage-deflate; client_max_window_bits"
        accepted, _ = draft.opening.answer(Request.parse(head)).accept(
            Headers([(b"Sec-WebSocket-Extensions", answer.encode())]), None
        )
        await stream.send_all(accepted)

    async with raw_server(behave) as port:
        with pytest.raises(InvalidAnswer, match="Sec-WebSocket-Extensions field"):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                pass


@each_draft
@each_backend
async def test_a_bomb(draft: Draft, backend: Any) -> None:
    """A hundred megabytes in a few hundred kilobytes: told with the code for what is too big."""
    caught: list[PeerViolation] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await connection.receive()
        except PeerViolation as violation:
            caught.append(violation)

    async with (
        serving(
            handler, max_message_size=2**20, compression=Compression(inflate_backend=backend)
        ) as server,
        open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as connection,
    ):
        await connection.send(b"\0" * 100_000_000)
        with pytest.raises(PeerClosed) as closed:
            await connection.receive()
    code = 1009 if draft.version == 13 else 1004
    assert closed.value.code == caught[0].close_code == code


def test_webkit_is_off() -> None:
    assert not Compression().webkit


# What inflates to much, one portion after the other

PORTION = 70_000
each_transport = pytest.mark.parametrize("transport", ["tcp", "memory"])


@asynccontextmanager
async def compressing(transport: str) -> AsyncIterator[tuple[Connection, Connection]]:
    draft = draft_named("rfc6455")
    settings = {"offer": Compression(), "compression": Compression()}
    async with connected(transport, draft, **settings, ping_interval=math.inf) as pair:
        with trio.fail_after(10):
            yield pair


def wire_of(sender: Connection, *events: Event) -> bytes:
    return b"".join(
        bytes(part) for event in events for part in sender._protocol.codec.encode(event)
    )


def numbered(count: int, size: int = PORTION) -> list[str]:
    return [f"{number:03}" + "x" * size for number in range(count)]


@each_transport
async def test_what_a_read_brings_is_inflated_bit_by_bit(transport: str) -> None:
    """Each way to receive goes on with what is kept back before it waits for more."""
    texts = numbered(12)
    async with compressing(transport) as (client, server):
        await client._endpoint.stream.send_all(
            wire_of(client, *texts[:10], Ping(b"behind"), *texts[10:])
        )
        assert await server.receive() == texts[0]
        assert (server._protocol.codec.has_more_output, server._protocol.unread) == (True, [])
        await server.wait_readable()
        assert len(server._protocol.unread) == 1
        assert await server.receive() == texts[1]
        assert server.readable
        assert await wait_any(server) is server
        assert await server.receive_many() == [texts[2]]
        async with server.receive_stream() as parts:
            assert [part async for part in parts] == [texts[3]]
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.receive()
        assert scope.cancelled_caught
        assert [await server.receive() for _ in range(8)] == texts[4:]
        assert (server._protocol.codec.has_more_output, server.readable) == (False, False)
        # What stands behind them is reached in its turn.
        await client._endpoint.stream.send_all(wire_of(client, *texts, "end", Close(1000)))
        assert [text async for text in server] == [*texts, "end"]


@each_transport
async def test_what_is_inflated_counts_as_read_ahead(
    transport: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Of messages that nobody receives no more are inflated behind 64 KiB, however they come."""
    texts = numbered(10, 50_000)
    async with compressing(transport) as (client, server):
        for text in texts:
            await client.send(text)
        await trio.sleep(3)
        assert len(server._protocol.unread) == 2
        assert [await server.receive() for _ in texts] == texts
        await client._endpoint.stream.send_all(wire_of(client, *texts))
        await trio.sleep(3)
        assert len(server._protocol.unread) == 2
        assert [await server.receive() for _ in range(2)] == texts[:2]
        # Nobody waits, but what has come is looked at before anything else is.
        assert server._protocol.codec.has_more_output
        await trio.sleep(3)
        assert len(server._protocol.unread) == 2
        assert [await server.receive() for _ in texts[2:]] == texts[2:]


@each_transport
async def test_a_violation_behind_much(transport: str) -> None:
    texts = numbered(3)
    async with compressing(transport) as (client, server):
        await client._endpoint.stream.send_all(wire_of(client, *texts) + b"\x83\x80\0\0\0\0")
        assert [await server.receive() for _ in texts] == texts
        assert server.readable
        with pytest.raises(PeerViolation, match="reserved"):
            await server.receive()


@each_transport
async def test_a_violation_is_looked_for(transport: str) -> None:
    """It stands behind a message that nobody receives, and whoever waits for a pong is told."""
    async with compressing(transport) as (client, server):
        mute(client)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def ping() -> None:
                with pytest.raises(PeerViolation, match="reserved"):
                    await server.ping()

            await trio.testing.wait_all_tasks_blocked(0.01)
            await client._endpoint.stream.send_all(wire_of(client, "first") + b"\x83\x80\0\0\0\0")
        assert await server.receive() == "first"
        with pytest.raises(PeerViolation, match="reserved"):
            await server.receive()


@each_transport
async def test_closing_in_front_of_much(transport: str) -> None:
    """The peer's close is found behind what nobody will receive."""
    async with compressing(transport) as (client, server):
        await client._endpoint.stream.send_all(wire_of(client, *numbered(30), Close(1000, "bye")))
        assert await server.receive() == numbered(1)[0]
        await server.aclose()
        assert server.close_received == Close(1000, "bye", b"")
