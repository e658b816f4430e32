"""Long payloads that are put where they will stay: the same events as from `decode`."""

from __future__ import annotations

import mmap
import random
from pathlib import Path

import pytest

from trio_draftws.drafts import (
    DRAFTS,
    HAS_SPEEDUPS,
    Close,
    Codec,
    Draft,
    Event,
    Fragment,
    NegotiatedParameters,
    Ping,
    RemoteProtocolError,
    Role,
    draft_named,
)

from .helpers import in_turn

# A length stands before the payload.
WITH_LENGTHS = [draft for draft in DRAFTS if draft.fragments or draft.name == "whatwg-2010-08"]
WORTH_A_BUFFER = 16384
# So many times what came is room taken for, and no more: C takes memory, and does not clear it.
RESERVED_AHEAD = 64 if HAS_SPEEDUPS else 4
FRAGMENTING = [draft for draft in DRAFTS if draft.fragments]
RFC6455 = draft_named("rfc6455")
STATM = Path("/proc/self/statm")
TEXTS = ["x" * 70_000, "é" * 40_000, "ab€" * 30_000 + "🙂" * 10_000, "short", "x" * 16_500]


def codec(draft: Draft, role: Role, limit: float = 2**20) -> Codec:
    return draft.codec(role, limit, NegotiatedParameters())


def wire_of(sender: Codec, events: list[Event]) -> bytes:
    return b"".join(bytes(buffer) for event in events for buffer in sender.encode(event))


def read(receiver: Codec, wire: bytes, dice: random.Random, into_buffer: float = 1) -> list[Event]:
    """Reads as a connection does: into the codec's place where it has one, now and then not."""
    events: list[Event] = []
    position = 0
    while position < len(wire):
        size = dice.choice([1, 7, 1000, 16_384, 50_000])
        buffer = receiver.get_buffer()
        if buffer is not None and dice.random() < into_buffer:
            size = min(size, len(buffer), len(wire) - position)
            buffer[:size] = wire[position : position + size]
            events += receiver.buffer_updated(size)
        else:
            size = min(size, len(wire) - position)
            events += receiver.decode(wire[position : position + size])
        position += size
    return events


def read_bytewise(receiver: Codec, wire: bytearray, dice: random.Random) -> list[Event]:
    events: list[Event] = []
    for byte in wire:
        buffer = receiver.get_buffer()
        if buffer is not None and dice.random() < 0.9:
            buffer[0] = byte
            events += receiver.buffer_updated(1)
        else:
            events += receiver.decode(bytes((byte,)))
    return events


def resident() -> int:
    """How many bytes of memory the process has."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE


def has_buffer(receiver: Codec) -> bool:
    return receiver.get_buffer() is not None


@in_turn("role", ["client", "server"])
@in_turn("into_buffer", [1, 0.5])
@pytest.mark.parametrize("draft", WITH_LENGTHS, ids=lambda draft: draft.name)
def test_the_same_events(draft: Draft, into_buffer: float, role: Role) -> None:
    sent: list[Event] = [*TEXTS, "last"]
    if draft.binary:
        sent[-1:] = [*(text.encode() for text in TEXTS), Ping(b"?"), "last"]
    for seed in range(8):
        sender = codec(draft, "server" if role == "client" else "client")
        receiver = codec(draft, role)
        found = read(receiver, wire_of(sender, sent), random.Random(seed), into_buffer)
        assert found == sent
        assert not receiver.mid_message
        assert not has_buffer(receiver)


def test_there_is_a_place_for_what_is_long_only() -> None:
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server")
    for missing, expected in ((WORTH_A_BUFFER - 1, False), (WORTH_A_BUFFER, True)):
        wire = wire_of(sender, ["x" * 65_000])
        assert receiver.decode(wire[:-missing]) == []
        assert has_buffer(receiver) is expected
        assert receiver.mid_message
        assert receiver.decode(wire[-missing:]) == ["x" * 65_000]
        assert not has_buffer(receiver)
        assert not receiver.mid_message


def test_a_length_alone_takes_no_place() -> None:
    """There is never more than so many times what has come, and less where that is much."""
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server", 2**62)
    wire = wire_of(sender, [b"x" * 10_000_000])
    came = 6000
    assert receiver.decode(wire[: 14 + came]) == []
    while came < 10_000_000:
        buffer = receiver.get_buffer()
        assert buffer is not None
        assert came + len(buffer) <= max(min(RESERVED_AHEAD * came, 2**24), 2 * came)
        came += len(buffer)
        buffer[:] = wire[14 + came - len(buffer) : 14 + came]
        events = receiver.buffer_updated(len(buffer))
    assert events == [b"x" * 10_000_000]


@pytest.mark.skipif(not STATM.exists(), reason="the system does not say what is resident")
@pytest.mark.parametrize("draft", WITH_LENGTHS, ids=lambda draft: draft.name)
def test_what_is_reserved_takes_no_memory(draft: Draft) -> None:
    """Of 200 messages of a megabyte, of each of which 16 KiB come, or a little more."""
    wire = wire_of(codec(draft, "client"), ["x" * 2**20])
    receivers = [codec(draft, "server") for _ in range(200)]
    before = resident()
    for receiver in receivers:
        assert receiver.decode(wire[:16_384]) == []
        buffer = receiver.get_buffer()
        assert buffer is not None
        buffer[:100] = wire[16_384:16_484]
        assert receiver.buffer_updated(100) == []
    assert resident() - before < 200 * 2**17


@pytest.mark.parametrize("draft", FRAGMENTING, ids=lambda draft: draft.name)
def test_in_fragments(draft: Draft) -> None:
    """Each long one has a place of its own, and all of them make one message."""
    for seed in range(4):
        sender, receiver = codec(draft, "client"), codec(draft, "server")
        fragments: list[Event] = [
            Fragment("é" * 30_000),
            Ping(b"between"),
            Fragment("x" * 20_000),
            Fragment("", final=True),
        ]
        found = read(receiver, wire_of(sender, fragments), random.Random(seed))
        assert found == [Ping(b"between"), "é" * 30_000 + "x" * 20_000]


@pytest.mark.no_cover
@in_turn("at", [0, 1, 16_384, 40_000, 69_998])
def test_bad_utf8_is_found_where_it_is(at: int) -> None:
    """At the same byte as without a place, whatever is cut where."""
    text = bytearray(b"x" * 70_000)
    text[at] = 0xFF
    for seed in range(3):
        sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server")
        wire = bytearray(wire_of(sender, [bytes(text)]))
        wire[0] = 0x81  # a text, all of a sudden
        dice = random.Random(seed)
        before = 14 + at
        assert read_bytewise(receiver, wire[:before], dice) == []
        with pytest.raises(RemoteProtocolError, match="not UTF-8") as raised:
            read_bytewise(receiver, wire[before : before + 1], dice)
        assert raised.value.close_code == 1007
        assert receiver.has_more_output
        assert not has_buffer(receiver)
        with pytest.raises(RemoteProtocolError, match="not UTF-8"):
            receiver.decode(b"more")


def test_a_character_that_never_ends() -> None:
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server")
    wire = bytearray(wire_of(sender, [b"x" * 69_999 + b"\xc3"]))
    wire[0] = 0x81
    with pytest.raises(RemoteProtocolError, match="not UTF-8"):
        read(receiver, bytes(wire), random.Random(1))


def test_what_is_too_long_gets_no_place() -> None:
    """The header is refused before any memory is taken."""
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server", 60_000)
    with pytest.raises(RemoteProtocolError, match="longer than 60000"):
        receiver.decode(wire_of(sender, ["x" * 60_001])[:20])
    assert not has_buffer(receiver)


@in_turn("filled", [0, 1, 20_000])
def test_to_be_given_part_by_part_after_all(filled: int) -> None:
    """What was put there comes first, the rest as it comes, and nothing twice."""
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server")
    text = "aé" * 30_000
    wire = wire_of(sender, [text, "next"])
    assert receiver.decode(wire[:8000]) == []
    buffer = receiver.get_buffer()
    assert buffer is not None
    if filled:
        buffer[:filled] = wire[8000 : 8000 + filled]
        assert receiver.buffer_updated(filled) == []
    first = receiver.stream()
    assert first is not None
    assert not has_buffer(receiver)
    events = read(receiver, wire[8000 + filled :], random.Random(filled))
    assert events[-1] == "next"
    parts = [first, *(event for event in events if isinstance(event, Fragment))]
    assert "".join(str(part.data) for part in parts) == text
    assert [part.final for part in parts].count(True) == 1


def test_a_close_within_a_message_ends_it() -> None:
    sender, receiver = codec(RFC6455, "client"), codec(RFC6455, "server")
    wire = wire_of(sender, [Fragment("x" * 50_000), Close(1000)])
    assert read(receiver, wire, random.Random(3)) == [Close(1000)]
    assert not has_buffer(receiver)


@pytest.mark.parametrize(
    "draft", [draft for draft in DRAFTS if draft not in WITH_LENGTHS], ids=lambda draft: draft.name
)
def test_drafts_without_one(draft: Draft) -> None:
    """Where text ends at a byte there is no telling how much is to come."""
    sender, receiver = codec(draft, "client"), codec(draft, "server")
    wire = wire_of(sender, ["x" * 100_000])
    assert receiver.decode(wire[:50_000]) == []
    assert not has_buffer(receiver)
    with pytest.raises(NotImplementedError):
        receiver.buffer_updated(1)
    assert receiver.decode(wire[50_000:]) == ["x" * 100_000]
