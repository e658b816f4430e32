"""Final blocks: legal, and dear: how they are inflated, and how many of them are too many."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import Deflate, Draft, Event, Fragment, Role

from .helpers import Outcome, bytewise, in_turn, outcome, split_at
from .test_deflate import (
    ANY_ROLE,
    RFC6455,
    codec_of,
    each_kind,
    each_role,
    each_row,
    final_block,
    other,
)
from .test_inflating import portions

EMPTY = b"\x03\x00"
# Blocks and frames of any kind, by one call
MOST_AT_ONCE = 256


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
