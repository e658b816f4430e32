"""What every row from hybi-01 on does with any split, any buffer, and after the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    DRAFTS,
    Buffer,
    Close,
    Draft,
    Event,
    NegotiatedParameters,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)

from .helpers import ROLES, Outcome, bytewise, encoded, in_turn, outcome, split_at
from .test_frame_codec import FACTORIES, SPEAKS
from .test_opening_hybi import FAMILIES
from .test_split import traced

LIMIT = 300
# Only hybi-04 has one, and both sides know it from the opening.
AGREEMENT = NegotiatedParameters(masking_key=bytes(range(20)))
OTHER: dict[Role, Role] = {"client": "server", "server": "client"}

FRAMED = [draft for draft in DRAFTS if hasattr(draft.codec("client", 0), "header_format")]
each_draft = pytest.mark.parametrize("draft", FRAMED, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)
ANY_ROLE = st.sampled_from(ROLES)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
CONTROLS = st.builds(Ping, st.binary(max_size=125)) | st.builds(Pong, st.binary(max_size=125))
EVENTS = st.lists(TEXTS | st.binary(max_size=LIMIT) | CONTROLS, max_size=6)
CUTS = st.lists(st.integers(0, 900), max_size=12)
JUNK = st.binary(max_size=40)


def codec_of(draft: Draft, role: Role, limit: float = LIMIT) -> Any:
    return draft.codec(role, limit, AGREEMENT)


def said_to(draft: Draft, role: Role, *events: Event) -> bytes:
    """What a connection in `role` gets from a peer that says this."""
    return encoded(codec_of(draft, OTHER[role]), *events)


def wrong_for(draft: Draft, role: Role) -> bytes:
    """A fragment that continues nothing."""
    return b"".join(map(bytes, codec_of(draft, OTHER[role])._encoder.write_frame(0, b"x")))


def test_every_row_is_looked_at() -> None:
    """The rows with frames of this kind are those that can send one message in several."""
    assert [draft for draft in DRAFTS if draft.fragments] == FRAMED


@each_draft
def test_the_rules_of_the_row_are_tested(draft: Draft) -> None:
    """Its codec is one of those whose every rule is tested elsewhere, and so is its opening."""
    name = draft.name if draft.name in FACTORIES else SPEAKS[draft.name]
    tested: Any = FACTORIES[name]("client", LIMIT, AGREEMENT)
    codec = codec_of(draft, "client")
    assert (type(tested), tested.header_format) == (type(codec), codec.header_format)
    if draft.version is not None:
        assert draft.opening in FAMILIES.values()


@each_draft
@given(role=ANY_ROLE, events=EVENTS, cuts=CUTS, junk=JUNK)
def test_nothing_is_decoded_after_close(
    draft: Draft, role: Role, events: Sequence[Event], cuts: list[int], junk: bytes
) -> None:
    """Close is the last event, whatever follows and wherever the wire is cut."""
    wire = said_to(draft, role, *events, Close()) + junk + wrong_for(draft, role)
    for chunks in ([wire], split_at(wire, cuts), bytewise(wire)):
        *before, last = outcome(codec_of(draft, role), chunks).events
        assert list(events) == before
        assert isinstance(last, Close)


@each_draft
@given(role=ANY_ROLE, events=EVENTS, cuts=CUTS, junk=JUNK)
def test_any_split_gives_the_same_violation(
    draft: Draft, role: Role, events: Sequence[Event], cuts: list[int], junk: bytes
) -> None:
    """What came before a violation is delivered, wherever the wire is cut."""
    wire = said_to(draft, role, *events) + wrong_for(draft, role) + junk
    expected = Outcome(list(events), (1002, "a fragment continues no message"))
    for chunks in ([wire], split_at(wire, cuts), bytewise(wire)):
        assert expected == outcome(codec_of(draft, role), chunks)


@each_role
@each_draft
def test_a_violation_is_raised_for_ever(draft: Draft, role: Role) -> None:
    """Every call after a violation raises it again, also with bytes that would be a message."""
    message, wrong = said_to(draft, role, "a"), wrong_for(draft, role)
    codec = codec_of(draft, role)
    assert codec.decode(message + wrong + message) == ["a"]
    for data in (b"", message, b"", wrong):
        with pytest.raises(RemoteProtocolError):
            codec.decode(data)


@each_role
@each_draft
def test_a_violation_without_events_is_raised_at_once(draft: Draft, role: Role) -> None:
    """Where no event came first, the call that met the violation raises it."""
    with pytest.raises(RemoteProtocolError) as caught:
        codec_of(draft, role).decode(wrong_for(draft, role))
    assert (caught.value.close_code, caught.value.reason) == (1002, str(caught.value))


# Buffers


@each_role
@each_draft
def test_the_callers_buffer_is_let_go(draft: Draft, role: Role) -> None:
    """After `decode` a bytearray may be resized, wherever it was cut and if it was wrong."""
    wire = said_to(draft, role, "a", b"b" * 200, Ping(b"c"), Close())
    for data in (*(wire[:end] for end in range(len(wire) + 1)), wire + b"more"):
        buffer = bytearray(data)
        codec_of(draft, role).decode(buffer)
        buffer.clear()
    codec = codec_of(draft, role)
    buffer = bytearray(said_to(draft, role, "a") + wrong_for(draft, role))
    assert codec.decode(buffer) == ["a"]
    buffer.clear()
    buffer = bytearray(b"ignored")
    with pytest.raises(RemoteProtocolError):
        codec.decode(buffer)
    buffer.clear()


@each_role
@each_draft
def test_the_callers_buffer_may_be_used_again(draft: Draft, role: Role) -> None:
    """What came out of it, or is kept of it, does not change with it."""
    events: list[Event] = [b"x" * 10, "\u00e9", Ping(b"x"), b"x" * LIMIT, b"", Pong(b"y")]
    wire = said_to(draft, role, *events)
    for size in (1, 7, 64, len(wire)):
        codec = codec_of(draft, role)
        buffer = bytearray(size)
        received: list[Event] = []
        for start in range(0, len(wire), size):
            piece = wire[start : start + size]
            buffer[: len(piece)] = piece
            with memoryview(buffer) as view:
                received += codec.decode(view[: len(piece)])
            buffer[:] = b"\xff" * size
        assert events == received
        assert [type(event) for event in events] == [type(event) for event in received]


@each_draft
@given(role=ANY_ROLE, wire=st.binary(max_size=60))
def test_any_buffer_will_do(draft: Draft, role: Role, wire: bytes) -> None:
    """A bytearray or a memoryview means what its bytes mean."""
    results: list[object] = []
    buffers: list[Buffer] = [wire, bytearray(wire), memoryview(wire)]
    for buffer in buffers:
        try:
            results.append(codec_of(draft, role, math.inf).decode(buffer))
        except RemoteProtocolError as violation:
            results.append((violation.close_code, violation.reason))
    assert [results[0]] * 3 == results


# Work and memory


@each_role
@each_draft
def test_a_trickle_is_not_copied(draft: Draft, role: Role) -> None:
    """A buffer that is made anew for each byte would exist twice at a time."""
    size = 200_000
    codec = codec_of(draft, role, size)
    wire = said_to(draft, role, "x" * size)
    codec.decode(wire[:-4000])
    # Looked at near the end, where each copy would be as long as the message
    pieces = bytewise(wire[-4000:-1])

    def feed() -> None:
        for piece in pieces:
            codec.decode(piece)

    _, peak = traced(feed)
    assert peak < 1.5 * size


@each_role
@each_draft
def test_nothing_is_kept_after_close(draft: Draft, role: Role) -> None:
    """A megabyte behind a close costs nothing for long."""
    wire = said_to(draft, role, "a", Close()) + bytes(2**20)

    def close() -> Any:
        codec = codec_of(draft, role)
        assert len(codec.decode(wire)) == 2
        return codec

    close()
    assert traced(close)[0] < 2**14


# The row's columns


@each_role
@each_draft
def test_the_row_says_what_its_codec_can(draft: Draft, role: Role) -> None:
    """Binary messages, pings, and a code and a reason to close with where there is one."""
    assert (draft.binary, draft.ping, draft.closing_handshake) == (True, True, True)
    closing = Close(1000, "bye")
    *messages, close = outcome(
        codec_of(draft, role), [said_to(draft, role, b"", Ping(), Pong(), closing)]
    ).events
    assert messages == [b"", Ping(), Pong()]
    assert isinstance(close, Close)
    assert draft.close_status is (close == closing)
    assert draft.close_status is (close.code is not None)
