"""What `connect --verbose` says of the wire: each frame of each draft, however it is cut.

Its reader of frames is imported from where it is: it is given other bytes than a connection of ours
would send, and in other pieces.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    Draft,
    Rejected,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.cli._stdio import CommandError
from trio_draftws.cli._target import Target
from trio_draftws.cli._trace import Trace
from trio_draftws.drafts import Codec, Event, Fragment, NegotiatedParameters, Ping, Pong, Role
from trio_draftws.drafts._frame_reader import Frame, UnknownFrames, frame_reader

from .rows import in_turn
from .wire import raw_server, read_request, read_to_end, serving, take_up

KEY = bytes(range(20))
WITH_HEADERS = [draft for draft in DRAFTS if draft.fragments]
ROLES = pytest.mark.parametrize("sender", ["client", "server"])


def wire_of(draft: Draft, sender: Role, *events: Event) -> list[bytes]:
    """Each event as it goes over the wire."""
    codec: Codec = draft.codec(sender, 2**20, NegotiatedParameters(masking_key=KEY))
    return [b"".join(codec.encode(event)) for event in events]


def read(draft: Draft, sender: Role, *chunks: bytes) -> list[Frame]:
    reader = frame_reader(draft, sender, KEY)
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


def without_mask(meaning: str) -> str:
    return ", ".join(fact for fact in meaning.split(", ") if not fact.startswith("mask "))


@in_turn(sender=("client", "server"))
def test_text_and_close(draft: Draft, sender: Role) -> None:
    """What every draft has; the bytes are those on the wire."""
    events: list[Event] = ["hello", ""]
    if draft.closing_handshake:
        events.append(Close(1000, "bye") if draft.close_status else Close())
    wire = wire_of(draft, sender, *events)
    frames = read(draft, sender, b"".join(wire))
    assert [frame.start for frame in frames] == wire
    assert not any(frame.cut for frame in frames)
    text, empty, *close = [without_mask(frame.meaning) for frame in frames]
    assert text.startswith("text, ")
    assert text.endswith("5 bytes: 'hello'")
    assert empty.startswith("text, ")
    assert empty.endswith("0 bytes")
    assert len(close) == draft.closing_handshake
    assert all(meaning.startswith("close") for meaning in close)
    if draft.close_status:
        assert close[0].endswith("code 1000, reason of 3 bytes: 'bye'")


@in_turn(WITH_HEADERS, sender=("client", "server"))
def test_fragments_and_control_frames(draft: Draft, sender: Role) -> None:
    wire = wire_of(
        draft, sender, Fragment(b"\x01"), Ping(b"?"), Pong(b"!"), Fragment(b"\x02\x03", final=True)
    )
    frames = read(draft, sender, *wire)
    assert [frame.start for frame in frames] == wire
    # hybi-04 turned the first bit round.
    begins, ends = ("no FIN", "FIN") if draft.version else ("MORE", "no MORE")
    assert [without_mask(frame.meaning) for frame in frames] == [
        f"binary, {begins}, 1 byte: 01",
        f"ping, {ends}, 1 byte: 3f",
        f"pong, {ends}, 1 byte: 21",
        f"continuation, {ends}, 2 bytes: 02 03",
    ]


@in_turn(sender=("client", "server"))
def test_masks(draft: Draft, sender: Role) -> None:
    """A client's from hybi-04 on; it is among the bytes that are shown."""
    (wire,) = wire_of(draft, sender, "hello")
    (frame,) = read(draft, sender, wire)
    masks = [fact for fact in frame.meaning.split(", ") if fact.startswith("mask ")]
    assert len(masks) == (sender == "client" and draft.version is not None)
    assert all(bytes.fromhex(mask.removeprefix("mask ")) in wire for mask in masks)


@in_turn(sender=("client", "server"), size=(32, 33, 126, 70_000))
def test_of_long_payloads_the_start_is_shown(draft: Draft, sender: Role, size: int) -> None:
    wire = wire_of(draft, sender, "ä" + "x" * (size - 2), "next")
    long, after = read(draft, sender, *wire)
    assert wire[0].startswith(long.start)
    assert len(long.start) <= 34 + 14
    assert long.cut is (size > 32)
    more = "…" if size > 32 else ""
    assert long.meaning.endswith(f"{size} bytes: 'ä{'x' * 30}'{more}")
    assert (" …  " in str(long)) is long.cut
    assert after.start == wire[1]


@ROLES
@given(data=st.data())
def test_every_split_shows_the_same(sender: Role, data: st.DataObject) -> None:
    draft = data.draw(st.sampled_from(DRAFTS))
    wire = b"".join(wire_of(draft, sender, "one", "ä" * 100, "", "four"))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1))))
    pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert read(draft, sender, *pieces) == read(draft, sender, wire)


@ROLES
@given(data=st.data())
def test_whatever_comes_is_shown(sender: Role, data: st.DataObject) -> None:
    """Never an exception, and never more kept than the start of a frame."""
    reader = frame_reader(data.draw(st.sampled_from(DRAFTS)), sender, KEY)
    for chunk in data.draw(st.lists(st.binary(max_size=40))):
        for frame in reader.feed(chunk):
            assert frame.meaning.isprintable()


@pytest.mark.parametrize(
    ("name", "wire", "meaning"),
    [
        ("hixie-75", b"\xff\x00", "reserved, type 0xff, 0 bytes"),
        (
            "hixie-76",
            b"\x80\x81\x00" + bytes(128),
            f"reserved, type 0x80, 128 bytes: {'00 ' * 31}00…",
        ),
        ("hixie-76", b"\x01ab\xff", "reserved, type 0x01, 2 bytes: 61 62"),
        ("hixie-76", b"\x00\x1b[2J\xff", r"text, 4 bytes: '\x1b[2J'"),
        ("new", b"\x05" + (2).to_bytes(8, "big") + b"ab", "reserved, type 0x05, 2 bytes: 61 62"),
        ("rfc6455", b"\x83\x00", "reserved opcode 0x3, FIN, 0 bytes"),
        ("rfc6455", b"\xf1\x00", "text, FIN, RSV1, RSV2, RSV3, 0 bytes"),
        ("rfc6455", b"\xc1\x01a", "text, FIN, RSV1, 1 byte: 61"),
        ("rfc6455", b"\x88\x00", "close, FIN, 0 bytes"),
        ("rfc6455", b"\x88\x02\x03\xe8", "close, FIN, code 1000"),
        ("rfc6455", b"\x81\x02\xff\xfe", r"text, FIN, 2 bytes: '\\xff\\xfe'"),
        ("hybi-05", b"\x81\x01S", "close, FIN, 1 byte: 53"),
    ],
)
def test_what_is_odd_is_shown_as_it_is(name: str, wire: bytes, meaning: str) -> None:
    draft = next(draft for draft in DRAFTS if name in (draft.name, *draft.aliases))
    (frame,) = read(draft, "server", wire)
    assert frame.meaning == meaning


def test_a_length_of_which_a_part_has_come() -> None:
    """Frames of hixie-75 with a length, which no draft uses for anything."""
    assert read(DRAFTS[0], "client", b"\x80\x81") == []
    [frame] = read(DRAFTS[0], "client", b"\x80\x81", b"\x01" + bytes(129))
    assert frame.start.startswith(b"\x80\x81\x01")
    assert frame.cut


def test_every_framing_is_known() -> None:
    assert not any(isinstance(frame_reader(draft, "client"), UnknownFrames) for draft in DRAFTS)


def test_of_an_unknown_framing_the_bytes_are_shown() -> None:
    codec: Any = lambda *_: object()  # noqa: E731
    reader = frame_reader(attrs.evolve(DRAFTS[0], codec=codec), "client")
    assert isinstance(reader, UnknownFrames)
    assert [str(frame) for frame in reader.feed(b"ab")] == ["61 62  2 bytes"]
    (long,) = reader.feed(bytes(100))
    assert str(long) == f"{'00 ' * 31}00 …  100 bytes"


# On a connection


def target(port: int) -> Target:
    return Target(
        url=f"ws://127.0.0.1:{port}/",
        headers=[],
        origin=None,
        subprotocols=[],
        cafile=None,
        insecure=False,
    )


async def test_a_whole_connection(draft: Draft) -> None:
    """Both heads and all frames in both directions, in the order of the wire."""
    lines: list[str] = []

    async def write(line: str) -> None:
        lines.append(line)

    trace = Trace(write=write)
    with use_framing_mode(draft.name):
        async with serving() as server:
            assert server.port is not None
            to = target(server.port)
            async with to.open(draft, trace.watch) as connection:
                trace.opened(connection, to.url)
                await connection.send("hello")
                assert await connection.receive() == "hello"
            await trace.flush()
    assert lines[0] == "-> GET / HTTP/1.1"
    answer = lines.index(next(line for line in lines if line.startswith("<- HTTP/1.1 101")))
    assert 0 < answer < len(lines)
    assert [line[:2] for line in lines if "the handshake's" in line] == (
        ["->", "<-"] if draft.opening.request_body else []
    )
    said = [line for line in lines[answer:] if line.endswith("5 bytes: 'hello'")]
    assert [line[:2] for line in said] == ["->", "<-"]
    closes = [line for line in lines if "  close" in line]
    assert [line[:2] for line in closes] == (["->", "<-"] if draft.closing_handshake else [])
    if not draft.closing_handshake:
        assert lines[-2:] == ["-> end", "<- end"]


async def test_a_refusal() -> None:
    lines: list[str] = []

    async def write(line: str) -> None:
        lines.append(line)

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream, body=0)
        await stream.send_all(b"HTTP/1.1 403 N\xf6\r\nContent-Length: 40\r\n\r\n" + b"n" * 40)

    trace = Trace(write=write)
    async with raw_server(refuse) as port:
        with pytest.raises(Rejected):
            async with target(port).open("rfc6455", trace.watch):
                raise AssertionError("it was refused")
    trace.end()
    await trace.flush()
    assert lines[lines.index("-> GET / HTTP/1.1") + 1] == f"-> Host: 127.0.0.1:{port}"
    assert [line for line in lines if line.startswith("<-")] == [
        r"<- HTTP/1.1 403 N\xf6",
        "<- Content-Length: 40",
        f"<- {'6e ' * 31}6e …  40 bytes",
    ]


async def test_a_trace_that_cannot_be_written_disturbs_nothing() -> None:
    async def write(line: str) -> None:
        raise CommandError("no room")

    trace = Trace(write=write)
    async with serving() as server:
        assert server.port is not None
        to = target(server.port)
        async with to.open("rfc6455", trace.watch) as connection:
            trace.opened(connection, to.url)
            await connection.send("hello")
            assert await connection.receive() == "hello"


async def test_a_trace_that_nobody_reads_holds_the_connection_up() -> None:
    """And not the memory: no more is read before it is written."""
    blocked, go_on = trio.Event(), trio.Event()
    lines: list[str] = []

    async def write(line: str) -> None:
        if "'0'" in line and line.startswith("<-"):
            blocked.set()
            await go_on.wait()
        lines.append(line)

    async def count(connection: Connection, state: object) -> None:
        for number in range(3):
            await connection.send(str(number))
            await connection.receive()

    received: list[str | bytes] = []

    async def receive(connection: Connection) -> None:
        received.append(await connection.receive())

    trace = Trace(write=write)
    async with serving(count) as server:
        assert server.port is not None
        to = target(server.port)
        async with to.open("rfc6455", trace.watch) as connection:
            trace.opened(connection, to.url)
            await receive(connection)
            async with trio.open_nursery() as nursery:
                await connection.send("next")
                nursery.start_soon(receive, connection)
                await blocked.wait()
                await trio.testing.wait_all_tasks_blocked()
                assert received == ["0"]
                go_on.set()
    assert received == ["0", "1"]


TWO_HINTS = b"HTTP/1.1 102 Processing\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


async def test_interim_answers(draft: Draft) -> None:
    """They are shown, and nothing of them is taken for a frame."""
    lines: list[str] = []

    async def write(line: str) -> None:
        lines.append(line)

    trace = Trace(write=write)

    async def tap(stream: trio.abc.Stream) -> trio.abc.Stream:
        return trace.watch(stream)

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        await stream.send_all(TWO_HINTS + take_up(draft, head, key3)[0])
        await read_to_end(stream)

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket(url, draft=draft, stream_factory=tap) as connection:
            trace.opened(connection, url)
            await connection.send("hello")
    await trace.flush()
    came = [line for line in lines if line.startswith("<- ")]
    assert came[:3] == [
        "<- HTTP/1.1 102 Processing",
        "<- HTTP/1.1 103 Early Hints",
        "<- Link: </a>",
    ]
    assert came[3].startswith("<- HTTP/1.1 101")
    assert sum("hello" in line for line in lines) == 1
