"""Text as its UTF-8: sent from bytes, and received as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Compression,
    Connection,
    Draft,
    Instrument,
    LocalProtocolError,
    PeerClosed,
    PeerViolation,
    broadcast,
)
from trio_draftws.drafts import draft_named
from trio_draftws.testing import connected_pair

from .pairs import connected, mute, unmute
from .turns import each_draft, in_turn, over_streams

# Around the lengths at which something else is done, and beyond each
TEXTS = [
    "", "a", "é日本😀", *("ä" * (size // 2) + "x" * (size % 2) for size in (125, 126, 255, 256)),
    "y" * 4095, "y" * 4096, "é" * 2048, "日" * 30_000, "z" * 300_000,
]  # fmt: skip
# RFC 3629 sections 3 and 4: what ends a frame before hybi-01, no beginning, too long a form, a
# surrogate, beyond U+10FFFF, and characters without an end
WRONG = [
    b"\xff", b"a\xffb", b"\x80", b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xc3", b"\xe6\x97", b"\xf0\x9f\x98",
]  # fmt: skip


def kinds_of(data: bytes) -> list[Any]:
    """The same bytes as each type that may be sent; the last two are not contiguous bytes."""
    apart = memoryview(bytes(2 * len(data)))[::2]
    spread = bytearray(2 * len(data))
    spread[::2] = data
    assert len(apart) == len(data)
    return [data, bytearray(data), memoryview(data), memoryview(spread)[::2]]


@over_streams()
async def test_each_type_of_bytes_arrives_as_text(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for text in TEXTS:
                await client.send(text, text=True)
                for data in kinds_of(text.encode()):
                    await client.send(data, text=True)

        for text in TEXTS:
            for _ in range(5):
                assert await server.receive() == text


@each_draft
async def test_what_is_no_utf8_is_not_sent(draft: Draft) -> None:
    """Nothing of it, however long, and the connection stays as it was."""
    async with connected("tcp", draft) as (client, server):
        before = server.statistics().bytes_sent
        for wrong in WRONG:
            for padding in (b"", b"p" * 5000):
                for data in kinds_of(padding + wrong):
                    with pytest.raises(LocalProtocolError, match=r"must be UTF-8: .* position"):
                        await server.send(data, text=True)
                with pytest.raises(LocalProtocolError, match="must be UTF-8"):
                    await server.send_many([b"good", padding + wrong], text=True)
                with pytest.raises(LocalProtocolError, match="must be UTF-8"):
                    await broadcast([server], padding + wrong, text=True)
        assert server.statistics().bytes_sent == before
        with pytest.raises(LocalProtocolError, match="lone surrogate"):
            await server.send("\ud800", text=True)
        for no_message in (1, None, [b"a"]):
            with pytest.raises(TypeError, match="a message is a str or bytes"):
                await server.send(no_message, text=True)  # type: ignore[arg-type]
        await server.send(b"good", text=True)
        assert await client.receive() == "good"


@each_draft
async def test_several_at_once_and_to_many(draft: Draft) -> None:
    long = "日" * 3000
    async with connected("memory", draft) as (client, server):
        await server.send_many([b"a", "b", long.encode(), bytearray(b"c")], text=True)
        assert [await client.receive() for _ in range(4)] == ["a", "b", long, "c"]
        for message in (b"d", "e", bytearray(long.encode())):
            assert (await broadcast([server], message, text=True)).sent == (server,)
        assert [await client.receive() for _ in range(3)] == ["d", "e", long]


@in_turn("compression", [Compression(), Compression(server_no_context_takeover=True)])
async def test_compressed(compression: Compression) -> None:
    text = "日本 " * 2000
    pair = connected("tcp", draft_named("rfc6455"), offer=compression, compression=compression)
    async with pair as (client, server):
        for end, other in ((client, server), (server, client)):
            await end.send(text.encode(), text=True)
            assert await other.receive() == text
            assert end.statistics().bytes_sent < 2000
            await end.send(text.encode(), text=True, compress=False)
            assert await other.receive_bytes() == text.encode()
            assert end.statistics().bytes_sent > 2000
        await broadcast([server], text.encode(), text=True)
        assert await client.receive() == text


async def test_it_may_be_changed_as_soon_as_it_was_sent() -> None:
    """Also where it waits to be written, and behind messages that were not handed out yet."""
    async with connected("lockstep", draft_named("rfc6455")) as (client, server):
        data = bytearray(b"a" * 10_000)
        for _ in range(3):
            await client.send(data, text=True)
            data[:] = bytes(byte + 1 for byte in data)
        assert [(await server.receive())[:1] for _ in range(3)] == ["a", "b", "c"]


async def in_parts(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


@each_draft
async def test_a_part_may_end_inside_of_a_character(draft: Draft) -> None:
    text = "é日😀" * 3
    data = text.encode()
    async with connected("memory", draft) as (client, server):
        await client.send_stream(in_parts(*(data[i : i + 1] for i in range(len(data)))), text=True)
        assert await server.receive() == text
        await client.send_stream(in_parts(memoryview(data)[:4], bytearray(data[4:])), text=True)
        assert await server.receive() == text
        await client.send_stream(in_parts("é", "日"), text=True)
        assert await server.receive() == "é日"
        await client.send_stream(in_parts(), text=True)
        with pytest.raises(TypeError, match="a message is a str or bytes, not int"):
            await client.send_stream(in_parts(3), text=True)
        await client.send("last")
        assert await server.receive() == "last"


@each_draft
async def test_parts_that_are_no_utf8(draft: Draft) -> None:
    """A message that was begun cannot be taken back, so that the connection closes."""
    for parts in ([b"a\xff"], [b"\xed\xa0", b"\x80"], [b"a", b"\xc3"], [b"\xc3", "\xa4"]):
        async with connected("memory", draft) as (client, server):
            with pytest.raises(LocalProtocolError, match="must be UTF-8"):
                await client.send_stream(in_parts(*parts), text=True)
            if len(parts) == 1 or not draft.fragments:
                await client.send("good")
                assert await server.receive() == "good"
            else:
                with pytest.raises(PeerClosed) as closed:
                    await server.receive()
                assert closed.value.code == (1011 if draft.close_status else None)


@over_streams()
async def test_received_as_bytes(transport: str, draft: Draft) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def send() -> None:
            for text in TEXTS:
                await client.send(text)
                if draft.binary:
                    await client.send(b"\xff" + text.encode())
                await client.send(text)

        for text in TEXTS:
            assert await server.receive_bytes() == text.encode()
            if draft.binary:
                assert await server.receive_bytes() == b"\xff" + text.encode()
            got = await server.receive_text()
            assert got == text
            assert type(got) is str


@each_draft
async def test_binary_where_text_is_expected_closes(draft: Draft) -> None:
    if not draft.binary:
        return  # this draft has no binary messages
    async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            with pytest.raises(PeerClosed) as closed:
                await server.receive()
            if draft.close_status:
                assert (closed.value.code, closed.value.reason) == (1003, "text only")

        await server.send(b"hello")
        with pytest.raises(PeerViolation, match="binary message came") as caught:
            await client.receive_text()
        assert caught.value.close_code == 1003


@each_draft
async def test_at_the_end(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        with trio.move_on_after(0) as scope:
            await client.receive_bytes()
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.aclose)
            with pytest.raises(PeerClosed):
                await client.receive_bytes()
            with pytest.raises(PeerClosed):
                await client.receive_text()
        await client.aclose()
        for receive in (client.receive_bytes, client.receive_text):
            with pytest.raises(trio.ClosedResourceError):
                await receive()


async def test_instruments_are_told_of_text() -> None:
    class Told(Instrument):
        def __init__(self) -> None:
            self.sent: list[object] = []

        def message_sent(self, connection: Connection, message: object) -> None:
            self.sent.append(message)

    told = Told()
    async with connected_pair("rfc6455", client={"instruments": [told]}) as (client, server):
        for text in ("é", "日" * 3000):
            await client.send(text.encode(), text=True)
            assert await server.receive() == text
    assert told.sent == ["é", "日" * 3000]


async def test_it_is_sent_in_turn() -> None:
    """Those that wait are checked when they have their turn: they may have been changed."""
    async with connected("lockstep", draft_named("rfc6455")) as (client, server):
        mute(server)
        await client.send(b"x" * 70_000)
        data = bytearray(b"good")
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                with pytest.raises(LocalProtocolError):
                    await client.send(data, text=True)

            await trio.testing.wait_all_tasks_blocked()
            data[0] = 0xFF
            unmute(server)
            assert await server.receive() == b"x" * 70_000
        await client.send("next")
        assert await server.receive() == "next"
