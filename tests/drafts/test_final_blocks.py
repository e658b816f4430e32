"""Final blocks: legal, and dear: how they are inflated, and how many of them are too many."""

from __future__ import annotations

import math
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import Deflate, Draft, Event, Fragment, Role
from trio_draftws.drafts._framing.codec import MOST_AT_ONCE
from trio_draftws.drafts._framing.compression import Window
from trio_draftws.drafts._framing.deflate import Inflater

from .helpers import Outcome, bytewise, in_turn, outcome, split_at
from .test_deflate import (
    ANY_ROLE,
    FULL,
    RFC6455,
    codec_of,
    each_kind,
    each_role,
    each_row,
    final_block,
    other,
    payloads,
)
from .test_inflating import portions

EMPTY = b"\x03\x00"


def compressed_with_final_blocks(messages: list[bytes], size: int) -> list[bytes]:
    """Each message in final blocks of `size` bytes: RFC 7692 section 7.2.3.4."""
    return [
        b"".join(
            zlib.compressobj(9, zlib.DEFLATED, -15).flush()
            if not message
            else final_block(message[begin : begin + size])
            for begin in range(0, max(1, len(message)), size)
        )
        + b"\x00"
        for message in messages
    ]


@given(
    st.lists(payloads, min_size=1, max_size=4),
    st.integers(5, 700),
    st.lists(st.integers(0, 3000), max_size=6),
    st.booleans(),
)
def test_final_blocks(messages: list[bytes], size: int, cuts: list[int], takeover: bool) -> None:
    inflater = Inflater(Window(15, takeover))
    for message, wire in zip(messages, compressed_with_final_blocks(messages, size), strict=True):
        *parts, last = split_at(wire, cuts)
        told = b"".join(inflater.inflate(part, math.inf, ends=False) for part in parts)
        assert told + inflater.inflate(last, math.inf, ends=True) == message


@in_turn("closing", [b"\x00", b""])
def test_the_window_outlives_a_final_block(closing: bytes) -> None:
    """A block may refer to what stands before a final one; not everyone ends with an empty one."""
    before = bytes(random.Random(1).randbytes(1000))
    inflater = Inflater(FULL)
    assert inflater.inflate(final_block(before) + closing, math.inf, ends=True) == before
    compress = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=before)
    referring = compress.compress(before) + compress.flush(zlib.Z_SYNC_FLUSH)
    assert len(referring) < 100
    assert inflater.inflate(referring[:-4], math.inf, ends=True) == before


def test_a_window_that_is_kept_short() -> None:
    """What stands further back than the window is forgotten, behind a final block too; and no more
    than that.
    """
    far = random.Random(2).randbytes(600)
    inflater = Inflater(Window(9, takeover=True))
    for piece in (far[:300], far[300:], far[:300], far[300:]):
        assert inflater.inflate(final_block(piece) + b"\x00", math.inf, ends=True) == piece
    assert len(inflater._history) <= 2 * 512
    compress = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=(far + far)[-500:])
    said = (far + far)[-500:-400]
    referring = compress.compress(said) + compress.flush(zlib.Z_SYNC_FLUSH)
    assert len(referring) < 50
    assert inflater.inflate(referring[:-4], math.inf, ends=True) == said


@in_turn("cut", range(12))
def test_a_stored_block_behind_a_final_one(cut: int) -> None:
    """Its first byte is a zero, as that of the empty one which ends a message."""
    wire = final_block(b"a") + b"\x00\x05\x00\xfa\xffhello" + b"\x00"
    inflater = Inflater(FULL)
    told = inflater.inflate(wire[:cut], math.inf, ends=False)
    assert told + inflater.inflate(wire[cut:], math.inf, ends=True) == b"ahello"


@in_turn("most", [1, 7, 256])
@in_turn("ends", [True, False])
def test_so_many_final_blocks_at_once(most: int, ends: bool) -> None:
    """What is behind them is left, and is given again."""
    pieces = [random.Random(at).randbytes(at % 40) for at in range(300)]
    wire = b"".join(map(final_block, pieces)) + b"\x00"
    inflater = Inflater(FULL)
    told, calls = b"", 0
    while wire:
        calls += 1
        told += inflater.inflate(wire, math.inf, ends=ends, most_blocks=most)
        assert inflater.blocks <= most
        wire = wire[len(wire) - inflater.left :]
    assert told == b"".join(pieces)
    # What is behind the last one is the end of the message, if there is one.
    assert calls == len(range(0, 300 if ends else 301, most))


@pytest.mark.parametrize(
    ("block", "longest"),
    [(b"\x03\x00", 1334), (b"\x01\x00\x00\xff\xff", 2667), (final_block(b"a"), 1601)],
    ids=["empty", "empty and stored", "a byte each"],
)
def test_final_blocks_with_next_to_nothing_in_them(block: bytes, longest: int) -> None:
    """Wherever they are cut there may be as many of them."""
    for size in (len(block), 7, 1000, len(block) * longest):
        inflater = Inflater(FULL)
        wire = block * longest
        for begin in range(0, len(wire), size):
            assert not inflater.is_wasteful
            inflater.inflate(wire[begin : begin + size], math.inf, ends=False)
        assert inflater.is_wasteful


def test_final_blocks_that_are_long_make_up_for_short_ones() -> None:
    inflater = Inflater(FULL)
    for _ in range(10):
        inflater.inflate(
            b"\x03\x00" * 1300 + final_block(random.Random(3).randbytes(9000)), 10_000, ends=False
        )
        assert not inflater.is_wasteful


# In frames


def marked(role: Role, payload: bytes, first: int = 0xC2) -> bytes:
    """A frame for `role` that says of itself that it is compressed, and begins as it is told."""
    frame = bytearray().join(map(bytes, RFC6455.codec(other(role), 0).encode(payload)))
    frame[0] = first
    return bytes(frame)


@each_role
@each_row
@in_turn(("pieces", "step"), [(1, 1000), (7, 29), (1400, 3)])
def test_too_many_for_what_they_say(draft: Draft, role: Role, pieces: int, step: int) -> None:
    """However the wire is cut, the same is said before, and the same is wrong."""
    blocks = final_block(b"a") * pieces
    wire = marked(role, final_block(b"before") + b"\0") + marked(role, blocks, 0x42)
    wire += marked(role, blocks, 0) * (5000 // pieces)
    violation = (
        1008 if draft.name == "rfc6455" else 1002,
        "too many final blocks have next to nothing in them",
    )
    expected = Outcome([b"before"], violation if pieces > 1 else None)
    for chunks in ([wire], split_at(wire, range(0, len(wire), step))):
        assert outcome(codec_of(role, draft=draft), chunks) == expected


@each_role
@each_kind
def test_one_a_frame_is_never_too_many(role: Role, deflate: Deflate) -> None:
    """Nor are some short ones: a sender may know no other way to flush."""
    hi = final_block(b"H") + final_block(b"i") + b"\0"
    wire = marked(role, hi) + marked(role, EMPTY) + marked(role, EMPTY + b"\0")
    codec = codec_of(role, deflate)
    found: list[Event] = []
    for _ in range(200):
        for each in portions(codec, wire * 20):
            found += each
    assert found == [b"Hi", b"", b""] * 4000


@each_role
def test_nor_one_a_fragment(role: Role) -> None:
    wire = marked(role, final_block(b"a"), 0x42)
    wire += marked(role, final_block(b"a"), 0) * 5000 + marked(role, b"\0", 0x80)
    [message] = [event for each in portions(codec_of(role), wire) for event in each]
    assert message == b"a" * 5001


@each_role
@each_kind
def test_blocks_are_work(role: Role, deflate: Deflate) -> None:
    """One call takes so many and stops in the middle of a frame; the rest waits as it came."""
    pieces = [random.Random(at).randbytes(20) for at in range(1000)]
    payload = b"".join(map(final_block, pieces)) + b"\0"
    codec = codec_of(role, deflate)
    wire = marked(role, payload)
    given = portions(codec, wire)
    assert len(given) == -(-1000 // MOST_AT_ONCE)
    assert [event for each in given for event in each] == [b"".join(pieces)]
    # Frames and blocks count alike.
    short = marked(role, b"".join(map(final_block, pieces[:50])) + b"\0")
    given = portions(codec, short * 20)
    assert len(given) >= 1000 // MOST_AT_ONCE
    assert max(map(len, given)) <= MOST_AT_ONCE // 50 + 1
    assert [event for each in given for event in each] == [b"".join(pieces[:50])] * 20
    assert codec.between_messages


@each_role
def test_part_by_part_from_the_middle_of_a_frame(role: Role) -> None:
    """Whoever asks for the parts gets what was inflated, and the rest as it is asked for."""
    pieces = [b"%8d" % at for at in range(1000)]
    codec = codec_of(role)
    assert codec.decode(marked(role, b"".join(map(final_block, pieces)) + b"\0")) == []
    parts = [codec.stream()]
    while codec.has_more_output:
        parts += codec.decode(b"")  # type: ignore[arg-type]
    assert [type(part) for part in parts] == [Fragment] * len(parts)
    assert b"".join(part.data for part in parts if part) == b"".join(pieces)  # type: ignore[misc]


@each_kind
@given(
    role=ANY_ROLE,
    blocks=st.lists(st.binary(max_size=30), max_size=40),
    frames=st.integers(1, 30),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
)
def test_any_split(
    role: Role, deflate: Deflate, blocks: list[bytes], frames: int, cuts: list[int]
) -> None:
    payload = b"".join(map(final_block, blocks)) + b"\0"
    wire = marked(role, payload) * frames
    expected = Outcome([b"".join(blocks)] * frames)
    for chunks in ([wire], split_at(wire, cuts), [*bytewise(wire[:500]), wire[500:]]):
        assert outcome(codec_of(role, deflate), chunks) == expected


@each_role
def test_a_long_compressed_frame_is_looked_at_in_pieces(role: Role) -> None:
    """Much of it at once is inflated as a little at a time is."""
    text = random.Random(5).randbytes(100_000)
    wire = b"".join(map(bytes, codec_of(other(role)).encode(text, True)))
    for chunks in ([wire], split_at(wire, range(0, len(wire), 1000))):
        assert outcome(codec_of(role), chunks) == Outcome([text])
