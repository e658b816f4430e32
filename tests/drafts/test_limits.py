"""Limits hold before memory is taken, and what is only skipped has none that honest peers meet."""

from __future__ import annotations

import math

import pytest

from trio_draftws.drafts import Close, Draft, Role, draft_named

from .helpers import ROLES, Outcome, bytewise, decoded, encoded, in_turn, outcome, split_at
from .test_split import TEXT_ONLY, traced

LIMIT = 10
LENGTH_DIGITS = 9
CLOSING = "hixie-76"
NOT_CLOSING = "hixie-75"
SENTINEL = [NOT_CLOSING, CLOSING]
LENGTH64 = "whatwg-2010-08"

each_draft = pytest.mark.parametrize("draft", TEXT_ONLY, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)


def every_split(wire: bytes) -> list[list[bytes]]:
    """The whole, every cut in two, and one byte at a time."""
    return [[wire], *(split_at(wire, [cut]) for cut in range(1, len(wire))), bytewise(wire)]


@each_role
@each_draft
@in_turn("text", ["x" * LIMIT, "\u00e9" * (LIMIT // 2)])
def test_text_at_the_limit(draft: Draft, role: Role, text: str) -> None:
    """A message of exactly that many bytes arrives, in every split."""
    for chunks in every_split(encoded(draft.codec(role, 0), text)):
        assert Outcome([text]) == decoded(draft, role, *chunks, limit=LIMIT)


@each_role
@each_draft
@in_turn("text", ["x" * (LIMIT + 1), "\u00e9" * (LIMIT // 2) + "x", "x" * 300])
def test_text_over_the_limit(draft: Draft, role: Role, text: str) -> None:
    """One byte more is a violation, in every split; what came before is delivered."""
    codec = draft.codec(role, 0)
    wire = encoded(codec, "ok", text, "never")
    whole = decoded(draft, role, wire, limit=LIMIT)
    assert whole.events == ["ok"]
    assert whole.violation is not None
    assert f"longer than {LIMIT} bytes" in whole.violation[1]
    for chunks in every_split(wire):
        assert whole == decoded(draft, role, *chunks, limit=LIMIT)


@each_role
@each_draft
def test_the_limit_is_for_one_message(draft: Draft, role: Role) -> None:
    """Many messages at the limit are no message over it."""
    messages = ["x" * LIMIT] * 20
    wire = encoded(draft.codec(role, 0), *messages)
    for chunks in every_split(wire):
        assert Outcome(list(messages)) == decoded(draft, role, *chunks, limit=LIMIT)


@each_role
@each_draft
def test_no_message_but_the_empty_one(draft: Draft, role: Role) -> None:
    """With a limit of 0 the empty message still arrives."""
    codec = draft.codec(role, 0)
    assert decoded(draft, role, encoded(codec, ""), limit=0).events == [""]
    assert decoded(draft, role, encoded(codec, "x"), limit=0).violation is not None


@each_role
@each_draft
def test_the_violation_comes_with_the_byte_that_is_too_much(draft: Draft, role: Role) -> None:
    """Nobody waits for the end of a message that is too long already."""
    wire = encoded(draft.codec(role, 0), "x" * (LIMIT + 1))
    unfinished = wire[: wire.index(b"x") + LIMIT + 1]
    assert decoded(draft, role, unfinished, limit=LIMIT).violation is not None


@each_draft
def test_limits_do_not_bind_what_is_sent(draft: Draft) -> None:
    """`max_message_size` is for what is received."""
    text = "x" * 1000
    assert Outcome([text]) == decoded(draft, "server", encoded(draft.codec("client", 1), text))


# Sentinel framing


@each_role
@pytest.mark.parametrize("name", SENTINEL)
def test_too_big_has_a_code(name: str, role: Role) -> None:
    """1009 says what happened, to whoever asks; these drafts have no way to send it."""
    result = decoded(draft_named(name), role, b"\x00" + b"x" * (LIMIT + 1), limit=LIMIT)
    assert result.violation == (1009, f"a message is longer than {LIMIT} bytes")


@each_role
@pytest.mark.parametrize("name", SENTINEL)
def test_an_unended_text_is_not_stored_past_the_limit(name: str, role: Role) -> None:
    """Bytes that never come to an ff cost no more than the limit."""
    draft = draft_named(name)

    def flood() -> object:
        codec = draft.codec(role, 1024)
        assert outcome(codec, [b"\x00", *[b"x" * 100] * 1000]).violation is not None
        return codec

    flood()
    taken, peak = traced(flood)
    assert taken < 16384
    assert peak < 32768


@each_role
@in_turn("kind", [0x80, 0xAA, 0xFE, 0xFF])
@pytest.mark.parametrize("name", SENTINEL)
def test_a_run_of_length_bytes_ends(name: str, kind: int, role: Role) -> None:
    """A length of too many digits is a violation, even if all of them are zero."""
    draft = draft_named(name)
    for digit in (b"\x80", b"\xff", b"\x81"):
        wire = encoded(draft.codec(role, 0), "ok") + bytes([kind]) + digit * LENGTH_DIGITS
        assert decoded(draft, role, wire[:-1]) == Outcome(["ok"])
        assert decoded(draft, role, wire).violation is not None
        for chunks in every_split(wire + digit * 100):
            assert decoded(draft, role, *chunks) == Outcome(
                ["ok"],
                (None, f"a reserved frame's length has more than {LENGTH_DIGITS} digits"),
            )


@each_role
@pytest.mark.parametrize("name", SENTINEL)
@in_turn("digits", range(1, LENGTH_DIGITS + 1))
def test_leading_zero_digits(name: str, digits: int, role: Role) -> None:
    """A length may begin in zero digits, up to as many digits as any may have."""
    wire = b"\x85" + b"\x80" * (digits - 1) + b"\x03" + b"abc" + b"\x00ok\xff"
    for chunks in every_split(wire):
        assert Outcome(["ok"]) == decoded(draft_named(name), role, *chunks)


@each_role
@in_turn("wire", [b"\xff\x00", b"\xff\x80\x00", b"\xff" + b"\x80" * 8 + b"\x00"])
def test_every_zero_length_closes(wire: bytes, role: Role) -> None:
    """`ff 80 00` says length zero in two digits, and is a close like `ff 00`."""
    for chunks in every_split(wire + b"\x00junk\xff"):
        assert Outcome([Close()]) == decoded(draft_named(CLOSING), role, *chunks)


@each_role
@in_turn("wire", [b"\xff\x01\x00", b"\xff\x81\x00" + bytes(128)])
def test_a_length_that_is_not_zero_closes_nothing(wire: bytes, role: Role) -> None:
    """A frame of type ff with bytes in it is skipped."""
    for chunks in every_split(wire + b"\x00ok\xff"):
        assert Outcome(["ok"]) == decoded(draft_named(CLOSING), role, *chunks)


@each_role
@in_turn("wire", [b"\xff\x00", b"\xff\x80\x00", b"\xff\x02\x00\xff"])
def test_hixie_75_has_no_close(wire: bytes, role: Role) -> None:
    """Before hixie-76, `ff 00` is a reserved frame like any other."""
    for chunks in every_split(wire + b"\x00ok\xff"):
        assert Outcome(["ok"]) == decoded(draft_named(NOT_CLOSING), role, *chunks)


@each_role
@pytest.mark.parametrize("name", SENTINEL)
@in_turn("kind", [0x80, 0xFF])
def test_a_long_skipped_frame_is_consumed(name: str, kind: int, role: Role) -> None:
    """A reserved frame may be longer than any message; its bytes are not taken for frames."""
    chunk = b"\x00no\xff" * 4096
    length = bytes([0x80 | len(chunk) * 8 >> 14, 0x80 | len(chunk) * 8 >> 7 & 0x7F, 0])
    wire = [bytes([kind]) + length, *[chunk] * 8, b"\x00ok\xff"]
    assert Outcome(["ok"]) == decoded(draft_named(name), role, *wire, limit=LIMIT)


@each_role
@pytest.mark.parametrize("name", SENTINEL)
def test_the_longest_length(name: str, role: Role) -> None:
    """Nine digits say up to 2**63 - 1 bytes; they are skipped as they come."""
    longest = b"\x80" + b"\xff" * (LENGTH_DIGITS - 1) + b"\x7f"
    assert Outcome([]) == decoded(draft_named(name), role, longest, b"\x00no\xff" * 1000)


# Type and 64-bit length


@each_role
@in_turn("length", [LIMIT + 1, 2**31, 2**32, 2**40, 2**63 - 1])
def test_a_huge_length_is_refused_at_once(length: int, role: Role) -> None:
    """The header alone is enough, so no memory is ever taken; the draft has no code for it."""
    header = b"\xff" + length.to_bytes(8, "big")
    for chunks in every_split(header):
        assert decoded(draft_named(LENGTH64), role, *chunks, limit=LIMIT) == Outcome(
            [], (None, f"a message of {length} bytes is longer than {LIMIT} bytes")
        )


@each_role
def test_a_huge_length_within_the_limit_takes_no_memory(role: Role) -> None:
    """With no limit, memory is taken for the bytes that came, not for those announced."""

    def begin() -> object:
        codec = draft_named(LENGTH64).codec(role, math.inf)
        codec.decode(b"\xff" + (2**62).to_bytes(8, "big") + b"x" * 100)
        return codec

    begin()
    assert traced(begin)[1] < 4096


@each_role
@in_turn("kind", [0x00, 0x01, 0x80, 0xFE, 0xFF])
@in_turn("length", [2**63, 2**64 - 1])
def test_top_bit_of_a_length(kind: int, length: int, role: Role) -> None:
    """It is refused whatever the frame's type and the limit."""
    header = bytes([kind]) + length.to_bytes(8, "big")
    for chunks in every_split(header):
        assert decoded(draft_named(LENGTH64), role, *chunks) == Outcome(
            [], (None, "a frame's length has its top bit set")
        )


@each_role
@in_turn("kind", [0x00, 0x01, 0x80, 0xFE])
def test_other_types_are_consumed(kind: int, role: Role) -> None:
    """A frame that is skipped may be longer than any message; type 00 with bytes is no close."""
    chunk = b"\xff" + (2).to_bytes(8, "big") + b"no"
    header = bytes([kind]) + (len(chunk) * 5000).to_bytes(8, "big")
    wire = [header, *[chunk * 50] * 100, b"\xff" + (2).to_bytes(8, "big") + b"ok"]
    assert Outcome(["ok"]) == decoded(draft_named(LENGTH64), role, *wire, limit=LIMIT)


@each_role
@in_turn("kind", [0x01, 0x80, 0xFE])
def test_empty_frames_of_other_types(kind: int, role: Role) -> None:
    """An empty frame of a type that means nothing is skipped; only type 00 closes."""
    wire = bytes([kind, *bytes(8)]) + b"\xff" + (2).to_bytes(8, "big") + b"ok"
    for chunks in every_split(wire):
        assert Outcome(["ok"]) == decoded(draft_named(LENGTH64), role, *chunks)


@each_role
def test_the_longest_length_that_is_skipped(role: Role) -> None:
    """2**63 - 1 bytes are skipped as they come."""
    header = b"\x80" + (2**63 - 1).to_bytes(8, "big")
    assert Outcome([]) == decoded(draft_named(LENGTH64), role, header, bytes(100_000))
