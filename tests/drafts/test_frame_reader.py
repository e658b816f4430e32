"""Frames for people: each frame of each draft, however it is cut, and whatever comes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import in_turn
from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Codec,
    Draft,
    Event,
    Fragment,
    FrameReader,
    NegotiatedParameters,
    Ping,
    Pong,
    Role,
    draft_named,
    frame_reader,
)

KEY = bytes(range(20))
WITH_HEADERS = [draft for draft in DRAFTS if draft.fragments]
ROLES = pytest.mark.parametrize("sender", ["client", "server"])


def wire_of(draft: Draft, sender: Role, *events: Event) -> list[bytes]:
    """Each event as it goes over the wire."""
    codec: Codec = draft.codec(sender, 2**20, NegotiatedParameters(masking_key=KEY))
    return [b"".join(codec.encode(event)) for event in events]


def read(draft: Draft, sender: Role, *chunks: bytes) -> list[Any]:
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
    (frame,) = read(draft_named(name), "server", wire)
    assert frame.meaning == meaning


def test_a_length_of_which_a_part_has_come() -> None:
    """Frames of hixie-75 with a length, which no draft uses for anything."""
    assert read(DRAFTS[0], "client", b"\x80\x81") == []
    [frame] = read(DRAFTS[0], "client", b"\x80\x81", b"\x01" + bytes(129))
    assert frame.start.startswith(b"\x80\x81\x01")
    assert frame.cut
    # And of RFC 6455, in both of its longer forms
    for wire in (
        b"\x82\x7e\x01\x00" + bytes(256),
        b"\x82\x7f" + bytes(6) + b"\x01\x00" + bytes(256),
    ):
        assert read(DRAFTS[-1], "server", wire[:2], wire[2:3]) == []
        [frame] = read(DRAFTS[-1], "server", wire[:2], wire[2:3], wire[3:])
        assert frame.start.startswith(wire[:10])


def unknown() -> FrameReader:
    """For a framing of somebody's own."""
    codec: Any = lambda *_: object()  # noqa: E731
    return frame_reader(attrs.evolve(DRAFTS[0], codec=codec), "client")


def test_every_framing_is_known() -> None:
    assert not any(type(frame_reader(draft, "client")) is type(unknown()) for draft in DRAFTS)


def test_of_an_unknown_framing_the_bytes_are_shown() -> None:
    reader = unknown()
    assert [str(frame) for frame in reader.feed(b"ab")] == ["61 62  2 bytes"]
    (long,) = reader.feed(bytes(100))
    assert str(long) == f"{'00 ' * 31}00 …  100 bytes"
