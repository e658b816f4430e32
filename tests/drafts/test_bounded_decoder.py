"""One call takes so many frames and no more, of whatever kind; the rest waits and is not lost."""

from __future__ import annotations

import tracemalloc

import attrs
import pytest

from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Codec,
    Draft,
    Event,
    Fragment,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)

from .helpers import ROLES, bytewise, encoded, in_turn, naming

LIMIT = 1000
# Of frames of any kind, by one call
MOST_AT_ONCE = 256

each_draft = pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)


def peer_of(draft: Draft, role: Role) -> Codec:
    return draft.codec("client" if role == "server" else "server", LIMIT)


@attrs.frozen
class Frames:
    """More of them than some calls take, and what they mean."""

    wire: bytes
    events: list[Event]

    @classmethod
    def repeated(cls, wire: bytes, events: list[Event], count: int = 1) -> Frames:
        """The same `count` frames over and over."""
        times = 3 * MOST_AT_ONCE // count + 10
        return cls(wire * times, events * times)


def frames_of(draft: Draft, role: Role) -> dict[str, Frames]:
    """Each kind of frame, or some that belong together."""
    sender = peer_of(draft, role)

    def said(*events: Event) -> Frames:
        return Frames.repeated(encoded(sender, *events), list(events), len(events))

    frames = {"messages": said("a"), "long ones": said("é" * 300), "empty ones": said("")}
    if draft.ping:
        frames["pings"] = said(Ping(b""))
        frames["pongs"] = said(Pong(b"abc"))
        frames["pings and messages"] = said(Ping(b"a"), "b", Pong(b"c"), "d" * 200)
    text = encoded(sender, "a")
    repeated = Frames.repeated
    if draft.fragments:
        parts = encoded(sender, *[Fragment("a")] * 5, Fragment("", final=True))
        frames["fragments"] = repeated(parts, ["aaaaa"], 6)
        parts = encoded(sender, *[Fragment("")] * 900, Fragment("", final=True))
        frames["empty fragments"] = Frames(parts, [""])
    elif draft.name == "whatwg-2010-08":
        frames["skipped"] = repeated(b"\x80" + bytes(8), [])
        frames["skipped and not"] = repeated(b"\x80" + bytes(7) + b"\x01x" + text, ["a"], 2)
    else:
        frames["skipped"] = repeated(b"\x80\x00", [])
        frames["skipped up to a byte"] = repeated(b"\x01\xff", [])
        frames["skipped and not"] = repeated(b"\x80\x01x" + text + b"\x01\x00\xff", ["a"], 3)
    return frames


def portions(codec: Codec, data: bytes) -> list[list[Event]]:
    """What each call gives: that which brings the bytes, and those that ask for the rest."""
    given = [codec.decode(data)]
    while codec.has_more_output:
        assert not codec.between_messages
        given.append(codec.decode(b""))
    return given


@each_role
@each_draft
def test_so_many_at_once(draft: Draft, role: Role) -> None:
    """No call gives more events; all of them come, in order, and then the codec is as new."""
    for kind, frames in frames_of(draft, role).items():
        with naming(kind=kind):
            codec = draft.codec(role, LIMIT)
            given = portions(codec, frames.wire)
            assert len(given) >= 3
            assert max(map(len, given)) <= MOST_AT_ONCE
            assert [event for each in given for event in each] == frames.events
            assert (codec.between_messages, codec.mid_message) == (True, False)
            assert codec.decode(encoded(peer_of(draft, role), "next")) == ["next"]


@each_role
@each_draft
def test_what_comes_while_something_is_owed(draft: Draft, role: Role) -> None:
    """It stands behind that, however it is cut, and is not lost."""
    for kind, frames in frames_of(draft, role).items():
        with naming(kind=kind):
            later = encoded(peer_of(draft, role), "later", "still later")
            codec = draft.codec(role, LIMIT)
            found = codec.decode(frames.wire)
            for byte in bytewise(later):
                found += codec.decode(byte)
            while codec.has_more_output:
                found += codec.decode(b"")
            assert found == [*frames.events, "later", "still later"]


@each_role
@each_draft
def test_in_the_middle_of_a_frame(draft: Draft, role: Role) -> None:
    """A frame that had begun before counts as one of a call too."""
    for kind, frames in frames_of(draft, role).items():
        with naming(kind=kind):
            codec = draft.codec(role, LIMIT)
            found: list[Event] = []
            first = encoded(peer_of(draft, role), "b" * 300)
            for piece in (first[:-1], first[-1:] + frames.wire):
                given = portions(codec, piece)
                assert max(map(len, given)) <= MOST_AT_ONCE
                found += [event for each in given for event in each]
            assert found == ["b" * 300, *frames.events]


@each_role
@each_draft
def test_a_violation_is_behind_what_is_owed(draft: Draft, role: Role) -> None:
    """It is found, and raised, only when all before it was given."""
    frames = frames_of(draft, role)["messages"]
    # A length in too many digits or with its top bit set, or reserved bits and opcodes
    wrong = b"\xff" * 20 if draft.fragments else b"\x80" * 20
    codec = draft.codec(role, LIMIT)
    found = codec.decode(frames.wire + wrong + frames.wire)
    while len(found) < len(frames.events):
        found += codec.decode(b"")
    assert found == frames.events
    for data in (b"", frames.wire, b""):
        assert codec.has_more_output
        assert not codec.between_messages
        with pytest.raises(RemoteProtocolError):
            codec.decode(data)
        assert codec._kept == b""  # type: ignore[attr-defined]
        assert codec._later is None  # type: ignore[attr-defined]


@each_role
@pytest.mark.parametrize(
    "draft", [draft for draft in DRAFTS if draft.closing_handshake], ids=lambda draft: draft.name
)
def test_nothing_is_owed_behind_a_close(draft: Draft, role: Role) -> None:
    """What came with it, or while it was owed, is gone; and nothing begins there."""
    frames = frames_of(draft, role)["messages"]
    codec = draft.codec(role, LIMIT)
    found = codec.decode(frames.wire + encoded(peer_of(draft, role), Close()) + frames.wire)
    found += codec.decode(frames.wire)
    while codec.has_more_output:
        found += codec.decode(b"")
    assert found[:-1] == frames.events
    assert type(found[-1]) is Close
    assert not codec.between_messages
    assert not codec.mid_message
    assert codec.decode(frames.wire) == []
    assert not codec.has_more_output


@each_role
@each_draft
def test_between(draft: Draft, role: Role) -> None:
    """True behind each message and before its first byte, and only there."""
    codec = draft.codec(role, LIMIT)
    wire = encoded(peer_of(draft, role), "hello")
    for _ in range(2):
        seen = [codec.between_messages]
        for byte in bytewise(wire):
            codec.decode(byte)
            seen.append(codec.between_messages)
        assert [True, *[False] * (len(wire) - 1), True] == seen


@each_role
@each_draft
def test_what_is_kept_is_what_was_given(draft: Draft, role: Role) -> None:
    """Whoever gives and never asks for the rest pays its bytes, and a copy of them at times."""
    block = encoded(peer_of(draft, role), "a") * 2000
    codec = draft.codec(role, LIMIT)
    given = 0
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(50):
            codec.decode(bytes(block))
            given += len(block)
            # `bytearray` takes an eighth ahead.
            kept = tracemalloc.get_traced_memory()[0] - before
            assert kept <= 1.2 * given + 5000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before <= 2.5 * given + 50_000


@each_draft
def test_bytes_that_wait_are_moved_a_few_times(draft: Draft) -> None:
    """Also where much comes at once and little is taken."""
    wire = encoded(peer_of(draft, "server"), "a")
    codec = draft.codec("server", LIMIT)
    pieces = [wire * 1000] * 50
    moved = 0
    found: list[Event] = []
    for piece in [*pieces, *[b""] * 200]:
        kept = codec._kept  # type: ignore[attr-defined]
        found += codec.decode(piece)
        if codec._kept is not kept:  # type: ignore[attr-defined]
            moved += len(codec._kept)  # type: ignore[attr-defined]
    assert found == ["a"] * 50_000
    assert moved <= 2 * len(wire) * 50_000
