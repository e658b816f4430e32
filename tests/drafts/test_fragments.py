"""Messages part by part: sent as fragments, and received as they come, in every draft."""

from __future__ import annotations

import math
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    DRAFTS,
    Close,
    Codec,
    Draft,
    Event,
    Fragment,
    LocalProtocolError,
    Ping,
    RemoteProtocolError,
    Role,
)

from .helpers import ROLES, encoded, in_turn, split_at

WITH = [draft for draft in DRAFTS if draft.fragments]
WITHOUT = [draft for draft in DRAFTS if not draft.fragments]

each_row = pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
with_fragments = pytest.mark.parametrize("draft", WITH, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)
ANY_ROLE = st.sampled_from(ROLES)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def other(role: Role) -> Role:
    return "client" if role == "server" else "server"


def streamed(codec: Codec, chunks: list[bytes], *, after: int) -> list[Event]:
    """What `codec` tells where its messages are to be streamed from the chunk `after` on."""
    events: list[Event] = []
    for number, chunk in enumerate(chunks):
        events += codec.decode(chunk)
        if number >= after and not (events and is_part(events[-1])):
            begun = codec.stream()
            if begun is not None:
                events.append(begun)
    return events


def is_part(event: Event) -> bool:
    return isinstance(event, Fragment) and not event.final


def joined(events: list[Event]) -> list[Event]:
    """The same with the fragments of each message put together."""
    whole: list[Event] = []
    parts: list[str] | list[bytes] = []
    for event in events:
        if not isinstance(event, Fragment):
            whole.append(event)
            continue
        parts.append(event.data)  # type: ignore[arg-type]
        if event.final:
            whole.append(parts[0][:0].join(parts))  # type: ignore[arg-type]
            parts = []
    assert not parts
    return whole


@pytest.mark.parametrize("draft", WITHOUT, ids=lambda draft: draft.name)
def test_drafts_without_fragments_say_so(draft: Draft) -> None:
    with pytest.raises(LocalProtocolError, match=f"{draft.name} has no fragments"):
        draft.codec("client", 0).encode(Fragment("x"))


@with_fragments
@given(
    role=ANY_ROLE,
    parts=st.lists(texts, min_size=1, max_size=5)
    | st.lists(st.binary(max_size=300), min_size=1, max_size=5),
    between=st.booleans(),
    cuts=st.lists(st.integers(0, 300), max_size=5),
)
def test_fragments_are_one_message(
    draft: Draft,
    role: Role,
    parts: list[str] | list[bytes],
    between: bool,
    cuts: list[int],
) -> None:
    sender = draft.codec(other(role), 0)
    wire = b""
    for part in parts:
        wire += encoded(sender, Fragment(part))
        if between:
            wire += encoded(sender, Ping(b"x"))
    wire += encoded(sender, Fragment(parts[0][:0], final=True), "next")
    codec = draft.codec(role, math.inf)
    events = [event for chunk in split_at(wire, cuts) for event in codec.decode(chunk)]
    pings = [Ping(b"x")] * (len(parts) * between)
    assert events == [*pings, parts[0][:0].join(parts), "next"]  # type: ignore[arg-type]


@with_fragments
def test_a_message_is_of_one_type(draft: Draft) -> None:
    """And one that was not said changes nothing."""
    codec = draft.codec("server", 0)
    wire = encoded(codec, Fragment("a"))
    with pytest.raises(LocalProtocolError, match="text or binary in all its fragments"):
        codec.encode(Fragment(b"b"))
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        codec.encode(Fragment("\ud800"))
    wire += encoded(codec, Fragment("c", final=True))
    assert draft.codec("client", 10).decode(wire) == ["ac"]


@each_row
@given(role=ANY_ROLE, data=st.data())
def test_streaming_tells_the_same(draft: Draft, role: Role, data: st.DataObject) -> None:
    """However the wire is cut, and from wherever on it is streamed; what follows is whole."""
    sender = draft.codec(other(role), 0)
    binary = st.binary(max_size=200) if draft.binary else texts
    messages: list[Event] = list(data.draw(st.lists(texts | binary, min_size=1, max_size=4)))
    if draft.closing_handshake:
        messages.append(Close(1000) if draft.close_status else Close())
    wire = encoded(sender, *messages)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    chunks = split_at(wire, cuts)
    after = data.draw(st.integers(0, len(chunks)))
    events = streamed(draft.codec(role, math.inf), chunks, after=after)
    expected = draft.codec(role, math.inf).decode(wire)
    assert joined(events) == expected


@each_row
def test_bad_utf8_that_is_streamed(draft: Draft) -> None:
    """U+FFFD or a violation, as for a message that comes whole."""
    sender = draft.codec("server", 0)
    wire = encoded(sender, "abcd\x7f\x7fefgh")
    for bad in (b"\xfe\x80", b"\xed\xa0", b"\xe2\x82"):
        damaged = wire.replace(b"\x7f\x7f", bad)
        whole = tell(draft.codec("client", 100), [damaged], after=1)
        for cut in range(len(damaged) - 9, len(damaged)):
            chunks = split_at(damaged, [cut])
            assert tell(draft.codec("client", 100), chunks, after=0)[-1] == whole[-1]


def tell(codec: Codec, chunks: list[bytes], *, after: int) -> list[Event | int | None]:
    """Its events, and the code of a violation."""
    told: list[Event | int | None] = []
    try:
        told += joined(streamed(codec, chunks, after=after))
        codec.decode(b"")
    except RemoteProtocolError as violation:
        return [violation.close_code]
    return told


@each_row
def test_the_limit_is_for_all_that_is_streamed(draft: Draft) -> None:
    wire = encoded(draft.codec("server", 0), "x" * 101)
    codec = draft.codec("client", 100)
    with pytest.raises(RemoteProtocolError) as caught:
        streamed(codec, split_at(wire, range(1, len(wire))), after=0)
    assert caught.value.close_code in (None, 1004, 1009)
    assert codec.stream() is None


@each_row
def test_what_was_handed_on_takes_no_memory(draft: Draft) -> None:
    codec = draft.codec("client", math.inf)
    wire = encoded(draft.codec("server", 0), "x" * 5_000_000)
    told = 0
    tracemalloc.start()
    try:
        for begin in range(0, len(wire), 10_000):
            for event in codec.decode(wire[begin : begin + 10_000]):
                assert isinstance(event, Fragment)
                told += len(event.data)
            if begin == 0:
                begun = codec.stream()
                assert begun is not None
                told += len(begun.data)
                # Up to here memory was reserved for it, to which nobody has written.
                tracemalloc.reset_peak()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told == 5_000_000
    assert peak < 200_000


@each_row
def test_nothing_has_begun(draft: Draft) -> None:
    codec = draft.codec("client", 100)
    assert codec.stream() is None
    assert codec.decode(encoded(draft.codec("server", 0), "whole")) == ["whole"]
    assert codec.stream() is None


@with_fragments
def test_a_close_within_a_message(draft: Draft) -> None:
    """What was begun is never told as if it were whole."""
    sender = draft.codec("server", 0)
    codec = draft.codec("client", 100)
    assert codec.decode(encoded(sender, Fragment("begun"))) == []
    assert codec.stream() == Fragment("begun")
    events = codec.decode(encoded(sender, Fragment(" and"), Close(1000)))
    assert [type(event) for event in events] == [Close]
    assert codec.stream() is None
