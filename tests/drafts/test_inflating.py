"""What one call gives is bounded, however much the bytes that came inflate to."""

from __future__ import annotations

import tracemalloc
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws import Draft
from trio_draftws.drafts import (
    Close,
    Codec,
    Deflate,
    Event,
    Fragment,
    Ping,
    RemoteProtocolError,
    Role,
)

from .helpers import Outcome, encoded, in_turn, outcome, split_at
from .test_deflate import ANY_ROLE, codec_of, each_kind, each_role, each_row, other

ENOUGH = 65536
# As a client's frame and a server's
WRONG: dict[Role, bytes] = {"server": b"\x83\x80\0\0\0\0", "client": b"\x83\x00"}


def portions(codec: Codec, data: bytes) -> list[list[Event]]:
    """What each call gives: that which brings the bytes, and those that ask for the rest."""
    given = [codec.decode(data)]
    while codec.has_more_output:
        given.append(codec.decode(b""))
    return given


@each_kind
@given(
    role=ANY_ROLE,
    sizes=st.lists(st.sampled_from([0, 1, 300, 30_000, 70_000, 200_000]), max_size=8),
    cuts=st.lists(st.integers(0, 1500), max_size=6),
    ending=st.sampled_from(["none", "close", "violation"]),
    compress=st.booleans(),
)
def test_every_split_gives_the_same(
    role: Role, deflate: Deflate, sizes: list[int], cuts: list[int], ending: str, compress: bool
) -> None:
    """With pings, whole messages and such in fragments; and nothing behind a close."""
    sender = codec_of(other(role), deflate)
    said: list[Event] = []
    heard: list[Event] = []
    for number, size in enumerate(sizes):
        said += [Fragment("a" * size), Ping(b"%d" % number), Fragment("b" * size, final=True)]
        heard += [Ping(b"%d" % number), "a" * size + "b" * size, bytes(size)]
        said.append(bytes(size))
    wire = b"".join(bytes(part) for each in said for part in sender.encode(each, compress or None))
    violation = None
    if ending == "close":
        heard.append(Close(1000))
        wire += encoded(sender, Close(1000), "no more")
    elif ending == "violation":
        violation = (1002, "the opcode 0x3 is reserved")
        wire += WRONG[role] + encoded(sender, "no more")
    for chunks in ([wire], split_at(wire, cuts)):
        codec = codec_of(role, deflate)
        assert outcome(codec, chunks) == Outcome(heard, violation)
        assert codec.has_more_output is (violation is not None)
    # Whoever asks only at the end is told no less, and in the same order.
    codec, found = codec_of(role, deflate), []
    with pytest.raises(RemoteProtocolError) if violation else nullcontext():
        for chunk in split_at(wire, cuts):
            found += codec.decode(chunk)
        while codec.has_more_output:
            found += codec.decode(b"")
    assert found == heard


@each_kind
@each_role
@each_row
def test_no_more_than_enough_at_once(draft: Draft, role: Role, deflate: Deflate) -> None:
    """What came before the last frame of a call is less than enough; no event is lost."""
    sizes = [40_000, 10, 30_000, 1_000_000, 1_000_000, 65_536, 65_535, 1, 5] * 3
    sender = codec_of(other(role), deflate, draft=draft)
    wire = b"".join(bytes(part) for n in sizes for part in sender.encode("x" * n, True))
    codec = codec_of(role, deflate, draft=draft)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        first = codec.decode(wire)
        most = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert [len(event) for event in first if isinstance(event, str)] == sizes[:3]
    assert most < 3 * ENOUGH + 2 * len(wire)
    found = [first, *portions(codec, b"")]
    assert [len(event) for each in found for event in each if isinstance(event, str)] == sizes
    for each in found:
        before_last = sum(len(event) for event in each[:-1] if isinstance(event, str))
        assert before_last < ENOUGH
    inflater = codec._inflater  # type: ignore[attr-defined]
    assert inflater.inflated == sum(sizes)
    assert not codec.mid_message


def test_what_is_not_compressed_is_not_kept_back() -> None:
    """It takes no more memory than its bytes did."""
    codec = codec_of("client")
    wire = b"".join(bytes(part) for part in codec_of("server").encode("x" * ENOUGH, False) * 5)
    assert len(portions(codec, wire)) == 1


def test_a_message_in_many_fragments_is_one_message() -> None:
    """A call may give nothing, and owe."""
    sender = codec_of("server")
    parts: list[Event] = [Fragment("x" * ENOUGH)] * 3
    found = portions(codec_of("client"), encoded(sender, *parts, Fragment("", final=True)))
    assert found == [[], [], [], ["x" * 3 * ENOUGH]]


def test_part_by_part_from_the_middle() -> None:
    """Somebody may ask for the parts of a message whose rest is kept back."""
    sender = codec_of("server")
    parts: list[Event] = [Fragment("x" * ENOUGH)] * 3
    codec = codec_of("client")
    wire = encoded(sender, *parts, Fragment("y", final=True), "whole")
    assert codec.decode(wire) == []
    assert codec.stream() == Fragment("x" * ENOUGH)
    rest = [Fragment("x" * ENOUGH)] * 2, [Fragment("y", final=True), "whole"]
    assert portions(codec, b"") == [rest[0][:1], rest[0][1:], rest[1]]


@each_kind
@in_turn("closes", [True, False])
def test_nothing_is_kept_behind_an_end(deflate: Deflate, closes: bool) -> None:
    """Neither behind a close nor behind a violation; nor is anything told then."""
    sender, codec = codec_of("server", deflate), codec_of("client", deflate)
    long = encoded(sender, "x" * ENOUGH)
    ending = encoded(sender, Close(1000)) if closes else WRONG["client"]
    codec.decode(long + ending + long * 9)
    assert is_owing(codec)
    if closes:
        assert codec.decode(long) == [Close(1000)]
        assert codec.decode(long) == []
    for _ in range(0 if closes else 2):
        with pytest.raises(RemoteProtocolError, match="reserved"):
            codec.decode(long)
    assert is_owing(codec) is not closes
    assert codec._kept == b""  # type: ignore[attr-defined]
    assert not codec._later  # type: ignore[attr-defined]


def is_owing(codec: Codec) -> bool:
    return codec.has_more_output


def test_who_never_asks_pays_for_each_byte_once() -> None:
    """What is kept grows then, but each byte of it is moved a few times at most."""
    sender = codec_of("server")
    pieces = [encoded(sender, "x" * ENOUGH) * 20 for _ in range(50)]
    codec = codec_of("client")
    moved = 0
    found: list[Event] = []
    for piece in pieces:
        kept = codec._kept  # type: ignore[attr-defined]
        found += codec.decode(piece)
        if codec._kept is not kept:  # type: ignore[attr-defined]
            moved += len(codec._kept)  # type: ignore[attr-defined]
    while codec.has_more_output:
        found += codec.decode(b"")
    assert found == ["x" * ENOUGH] * 1000
    assert moved <= 2 * sum(map(len, pieces))
