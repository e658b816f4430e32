"""However the wire is cut, and whatever is on it: the same events, one kind of error."""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    DRAFTS,
    Buffer,
    Close,
    Codec,
    Draft,
    Event,
    LocalProtocolError,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)

from .helpers import ROLES, Outcome, bytewise, decoded, encoded, in_turn, split_at

LIMIT = 40


# The frames of all others have a header of two bytes, and tests of their own.
SENTINEL = [draft for draft in DRAFTS if draft.name in ("hixie-75", "hixie-76")]
LENGTH64 = [draft for draft in DRAFTS if draft.name == "whatwg-2010-08"]
TEXT_ONLY = [*SENTINEL, *LENGTH64]
each_draft = pytest.mark.parametrize("draft", TEXT_ONLY, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)
ANY_ROLE = st.sampled_from(ROLES)


@attrs.frozen
class Frame:
    """Some bytes, and what they mean."""

    wire: bytes
    event: Event | None = None
    """None where they are to be skipped."""


# What is skipped, and what breaks a draft, in each framing.


def base128(length: int, padding: int = 0) -> bytes:
    """A sentinel framing's length, with leading zero digits."""
    digits = [length & 0x7F]
    while length := length >> 7:
        digits.append(0x80 | length & 0x7F)
    return b"\x80" * padding + bytes(reversed(digits))


def reserved_sentinel(draft: Draft) -> st.SearchStrategy[Frame]:
    """01 to 7f up to an ff; 80 to ff behind a length, except what closes."""
    to_sentinel = st.builds(
        lambda kind, body: Frame(bytes([kind]) + body.replace(b"\xff", b"") + b"\xff"),
        st.integers(0x01, 0x7F),
        st.binary(max_size=60),
    )
    with_length = st.builds(
        lambda kind, body, padding: Frame(bytes([kind]) + base128(len(body), padding) + body),
        st.integers(0x80, 0xFE),
        st.binary(max_size=300),
        st.integers(0, 5),
    )
    like_close = st.builds(
        lambda body, padding: Frame(b"\xff" + base128(len(body), padding) + body),
        st.binary(min_size=int(draft.closing_handshake), max_size=300),
        st.integers(0, 5),
    )
    return to_sentinel | with_length | like_close


def reserved_length64(draft: Draft) -> st.SearchStrategy[Frame]:
    """Any type but ff, behind a length, except what closes."""
    assert draft.closing_handshake
    return st.builds(
        lambda kind, body: Frame(bytes([kind]) + len(body).to_bytes(8, "big") + body),
        st.integers(0x00, 0xFE),
        st.binary(max_size=300),
    ).filter(lambda frame: frame.wire != bytes(9))


RESERVED: dict[Draft, Callable[[Draft], st.SearchStrategy[Frame]]] = {
    **dict.fromkeys(SENTINEL, reserved_sentinel),
    **dict.fromkeys(LENGTH64, reserved_length64),
}
WRONG: dict[Draft, bytes] = {
    **dict.fromkeys(SENTINEL, b"\x80" + b"\x80" * 9),
    **dict.fromkeys(LENGTH64, b"\x80" + b"\x80" + bytes(7)),
}


def long_skipped(draft: Draft, length: int) -> bytes:
    """The beginning of a frame that is skipped, up to its `length` bytes."""
    return b"\x80" + (base128(length) if draft in SENTINEL else length.to_bytes(8, "big"))


def texts(max_bytes: int) -> st.SearchStrategy[str]:
    """Text that UTF-8 can say in so many bytes."""
    letters = st.characters(exclude_categories=["Cs"])
    return st.text(letters, max_size=max_bytes).filter(lambda t: len(t.encode()) <= max_bytes)


def frames(draft: Draft, role: Role) -> st.SearchStrategy[list[Frame]]:
    """Messages and reserved frames that a connection in `role` may get."""
    peer: Role = "client" if role == "server" else "server"
    text = texts(LIMIT).map(lambda t: Frame(encoded(draft.codec(peer, 0), t), t))
    return st.lists(text | RESERVED[draft](draft), max_size=8)


CUTS = st.lists(st.integers(0, 600), max_size=12)
# Bytes that mean something in some framing, and any others
BYTES = st.lists(
    st.sampled_from([b"\x00", b"\xff", b"\x80", b"\x01", b"\x7f", b"a", b"\xe6\x97", bytes(9)])
    | st.binary(max_size=4),
    max_size=40,
).map(b"".join)


@pytest.mark.no_cover
@each_draft
@given(role=ANY_ROLE, data=st.data())
def test_any_split_gives_the_same_events(draft: Draft, role: Role, data: st.DataObject) -> None:
    """Messages arrive and reserved frames don't, wherever the wire is cut."""
    said = data.draw(frames(draft, role))
    wire = b"".join(frame.wire for frame in said)
    expected = Outcome([frame.event for frame in said if frame.event is not None])
    for chunks in ([wire], split_at(wire, data.draw(CUTS)), bytewise(wire)):
        assert expected == decoded(draft, role, *chunks, limit=LIMIT)


@pytest.mark.parametrize(
    "draft",
    [draft for draft in TEXT_ONLY if draft.closing_handshake],
    ids=lambda draft: draft.name,
)
@given(role=ANY_ROLE, data=st.data())
def test_nothing_is_decoded_after_close(draft: Draft, role: Role, data: st.DataObject) -> None:
    """Close is the last event, whatever follows and wherever the wire is cut."""
    said = data.draw(frames(draft, role))
    peer: Role = "client" if role == "server" else "server"
    junk = data.draw(BYTES) + WRONG[draft]
    wire = b"".join(frame.wire for frame in said) + encoded(draft.codec(peer, 0), Close()) + junk
    messages = [frame.event for frame in said if frame.event is not None]
    for chunks in ([wire], split_at(wire, data.draw(CUTS)), bytewise(wire)):
        assert Outcome([*messages, Close()]) == decoded(draft, role, *chunks, limit=LIMIT)


@pytest.mark.no_cover
@each_draft
@given(role=ANY_ROLE, data=st.data())
def test_any_split_gives_the_same_violation(draft: Draft, role: Role, data: st.DataObject) -> None:
    """What came before a violation is delivered, wherever the wire is cut."""
    said = data.draw(frames(draft, role))
    wire = b"".join(frame.wire for frame in said) + WRONG[draft] + data.draw(BYTES)
    whole = decoded(draft, role, wire, limit=LIMIT)
    assert whole.violation is not None
    assert [frame.event for frame in said if frame.event is not None] == whole.events
    for chunks in (split_at(wire, data.draw(CUTS)), bytewise(wire)):
        assert whole == decoded(draft, role, *chunks, limit=LIMIT)


@each_draft
@given(role=ANY_ROLE, wire=BYTES, cuts=CUTS)
def test_any_split_of_any_bytes(draft: Draft, role: Role, wire: bytes, cuts: list[int]) -> None:
    """Random bytes too give the same whatever the cuts, and raise nothing but one error."""
    whole = decoded(draft, role, wire, limit=LIMIT)
    for chunks in (split_at(wire, cuts), bytewise(wire)):
        assert whole == decoded(draft, role, *chunks, limit=LIMIT)


@each_draft
@given(role=ANY_ROLE, wire=BYTES)
def test_any_buffer_will_do(draft: Draft, role: Role, wire: bytes) -> None:
    """A bytearray or a memoryview means what its bytes mean."""
    codecs = [draft.codec(role, math.inf) for _ in range(3)]
    results: list[object] = []
    buffers: list[Buffer] = [wire, bytearray(wire), memoryview(wire)]
    for codec, buffer in zip(codecs, buffers, strict=True):
        try:
            results.append(codec.decode(buffer))
        except RemoteProtocolError as violation:
            results.append(violation.reason)
    assert [results[0]] * 3 == results


@each_role
@each_draft
def test_a_violation_is_raised_for_ever(draft: Draft, role: Role) -> None:
    """Every call after a violation raises it again, also with bytes that would be a message."""
    codec = draft.codec(role, LIMIT)
    message = encoded(codec, "a")
    assert codec.decode(message + WRONG[draft] + message) == ["a"]
    for data in (b"", message, b"", WRONG[draft]):
        with pytest.raises(RemoteProtocolError):
            codec.decode(data)


@each_role
@each_draft
def test_a_violation_without_events_is_raised_at_once(draft: Draft, role: Role) -> None:
    """Where no event came first, the call that met the violation raises it."""
    codec = draft.codec(role, LIMIT)
    with pytest.raises(RemoteProtocolError) as caught:
        codec.decode(WRONG[draft])
    assert caught.value.reason == str(caught.value)
    assert caught.value.close_code is None


@each_draft
@given(role=ANY_ROLE, messages=st.lists(texts(200), max_size=6), cuts=CUTS)
def test_messages_round_trip(
    draft: Draft, role: Role, messages: list[str], cuts: list[int]
) -> None:
    """What one side encodes the other decodes."""
    peer: Role = "client" if role == "server" else "server"
    wire = encoded(draft.codec(peer, 0), *messages)
    assert Outcome(list(messages)) == decoded(draft, role, *split_at(wire, cuts))


@each_draft
@given(role=ANY_ROLE, payload=st.binary(max_size=60), cuts=CUTS)
def test_bad_utf8_is_replaced(draft: Draft, role: Role, payload: bytes, cuts: list[int]) -> None:
    """U+FFFD stands for what is not UTF-8, as in Python's own decoder, wherever it is cut."""
    payload = payload.replace(b"\xff", b"\xfe")
    blank = encoded(draft.codec(role, 0), "x" * len(payload))
    wire = blank.replace(b"x" * len(payload), payload) if payload else blank
    expected = Outcome([payload.decode("utf-8", "replace")])
    assert expected == decoded(draft, role, *split_at(wire, cuts))


@each_role
@each_draft
def test_mid_message(draft: Draft, role: Role) -> None:
    """It is true from the first byte of a message to its last, and at no other time."""
    codec = draft.codec(role, math.inf)
    wire = encoded(codec, "hello")
    seen = [codec.mid_message]
    for byte in bytewise(wire):
        codec.decode(byte)
        seen.append(codec.mid_message)
    assert [False, *[True] * (len(wire) - 1), False] == seen


@each_draft
def test_what_a_draft_cannot_say(draft: Draft) -> None:
    """Asking for it is an error that says what the draft can, and changes nothing."""
    codec = draft.codec("client", LIMIT)
    unsayable: dict[Event, bool] = {
        b"binary": not draft.binary,
        Ping(): not draft.ping,
        Pong(b"a"): not draft.ping,
        Close(): not draft.closing_handshake,
    }
    for event in [event for event, is_unsayable in unsayable.items() if is_unsayable]:
        with pytest.raises(LocalProtocolError, match="it can send text") as caught:
            codec.encode(event)
        assert str(caught.value).startswith(f"{draft.name} has no ")
    assert draft.codec("server", LIMIT).decode(encoded(codec, "still good")) == ["still good"]


@in_turn("payload", [b"a", bytearray(b"a"), memoryview(b"a")])
@pytest.mark.parametrize(
    "draft", [draft for draft in DRAFTS if not draft.binary], ids=lambda draft: draft.name
)
def test_every_kind_of_binary(draft: Draft, payload: bytes) -> None:
    """A bytearray or memoryview is as binary as bytes, and as little to be sent."""
    with pytest.raises(LocalProtocolError, match=f"so {type(payload).__name__} cannot"):
        draft.codec("client", LIMIT).encode(payload)


@each_draft
@in_turn("event", [None, 1, ["a"]])
def test_what_is_no_event(draft: Draft, event: Event) -> None:
    """Something else is a TypeError that names its type."""
    with pytest.raises(TypeError, match=type(event).__name__):
        draft.codec("client", LIMIT).encode(event)


@each_draft
def test_lone_surrogate(draft: Draft) -> None:
    """Text that UTF-8 cannot say is refused, and where it stands is told."""
    with pytest.raises(LocalProtocolError, match=r"character 2 .* U\+DC80"):
        draft.codec("client", LIMIT).encode("ab\udc80")


# Memory and work


def traced(action: Callable[[], object]) -> tuple[int, int]:
    """How much memory `action` leaves taken, and the most that it had taken, in bytes."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept = action()
        after, peak = tracemalloc.get_traced_memory()
        del kept
    finally:
        tracemalloc.stop()
    return after - before, peak - before


@each_role
@each_draft
def test_skipped_frames_are_not_stored(draft: Draft, role: Role) -> None:
    """A codec that is fed a megabyte of a frame that it skips holds nothing of it."""
    chunk = bytes(1024)
    opening = long_skipped(draft, 2**30)

    def skip() -> Codec:
        codec = draft.codec(role, 2**20)
        assert codec.decode(opening) == []
        for _ in range(1024):
            assert codec.decode(chunk) == []
        return codec

    skip()
    # Other threads of the test run may take a little meanwhile.
    taken, peak = traced(skip)
    assert taken < 2**15
    assert peak < 2**16


@pytest.mark.parametrize(
    "draft",
    SENTINEL,
    ids=lambda draft: draft.name,
)
def test_a_frame_skipped_to_its_sentinel_is_not_stored(draft: Draft) -> None:
    """Nor does it hold what comes behind a type that has no length."""
    chunk = bytes(1024)

    def skip() -> Codec:
        codec = draft.codec("server", 10)
        for part in [b"\x01", *[chunk] * 1024]:
            assert codec.decode(part) == []
        return codec

    skip()
    assert traced(skip)[0] < 2**15


@each_role
@each_draft
def test_no_more_is_held_than_the_limit(draft: Draft, role: Role) -> None:
    """Once a violation is met, the bytes that held it are let go, however many they were."""
    message = encoded(draft.codec(role, 0), "a")
    wrong = WRONG[draft]

    def violate() -> Codec:
        codec = draft.codec(role, LIMIT)
        assert codec.decode(message + wrong + bytes(2**20)) == ["a"]
        return codec

    violate()
    assert traced(violate)[0] < 2**16


@each_role
@each_draft
def test_the_callers_buffer_is_let_go(draft: Draft, role: Role) -> None:
    """After `decode` a bytearray may be resized, also where its bytes were wrong."""
    codec = draft.codec(role, LIMIT)
    buffer = bytearray(encoded(codec, "a") + WRONG[draft])
    assert codec.decode(buffer) == ["a"]
    buffer.clear()
    assert bytearray() == buffer


def trickle(draft: Draft, size: int) -> Codec:
    """A codec that got all but the end of a text of `size` bytes, one byte at a time."""
    codec = draft.codec("server", size)
    wire = encoded(codec, "x" * size)
    for byte in bytewise(wire[:-2]):
        assert codec.decode(byte) == []
    return codec


def work(action: Callable[[], object]) -> int:
    """How many calls `action` makes, each weighed with the bytes that it is called on."""
    counted = 0

    def count(frame: FrameType, what: str, function: object) -> None:
        nonlocal counted
        owner = getattr(function, "__self__", None) if what == "c_call" else None
        counted += 1 + (len(owner) if isinstance(owner, (bytes, bytearray)) else 0)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.no_cover
@each_draft
def test_a_trickle_costs_linear_work(draft: Draft) -> None:
    """Four times the bytes, one at a time, are four times the work."""
    little, much = (work(lambda: trickle(draft, size)) for size in (5000, 20_000))  # noqa: B023
    assert much < 5 * little


@each_draft
def test_a_trickle_is_not_copied(draft: Draft) -> None:
    """A buffer that is made anew for each byte would exist twice at a time."""
    size = 200_000
    codec = draft.codec("server", size)
    wire = encoded(codec, "x" * size)
    codec.decode(wire[:-4000])
    # Looked at near the end, where each copy would be as long as the message
    pieces = bytewise(wire[-4000:-2])

    def feed() -> None:
        for piece in pieces:
            codec.decode(piece)

    _, peak = traced(feed)
    assert peak < 1.5 * size
