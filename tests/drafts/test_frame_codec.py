"""Frames from hybi-01 to RFC 6455: published vectors, every rule, any split, both sides."""

from __future__ import annotations

import array
import ctypes
import hashlib
import json
import math
import re
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, TypeAlias, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    Buffer,
    Close,
    Event,
    LocalProtocolError,
    NegotiatedParameters,
    Ping,
    Pong,
    Role,
    draft_named,
)

from .helpers import ROLES, Outcome, bytewise, encoded, in_turn, naming, outcome, split_at
from .test_limits import every_split
from .test_split import traced, work

Vector: TypeAlias = dict[str, Any]

MAX_EMPTY_FRAGMENTS = 1000
# Payloads of so many bytes are in one buffer with their header.
JOIN_UP_TO = 4096
# The first draft with frames of each kind
FIRST = ("hybi-01", "hybi-04", "hybi-05", "hybi-06", "hybi-07", "hybi-08", "rfc6455")
FACTORIES = {name: draft_named(name).codec for name in FIRST}
SPEAKS = {
    "hybi-02": "hybi-01",
    "hybi-03": "hybi-01",
    **{f"hybi-{number:02}": "hybi-08" for number in range(9, 13)},
    **{f"hybi-{number}": "rfc6455" for number in range(13, 18)},
    "RFC 6455": "rfc6455",
}
EARLY = ["hybi-01", "hybi-04", "hybi-05", "hybi-06"]
LATE = ["hybi-07", "hybi-08", "rfc6455"]
WITH_STATUS = ["hybi-06", *LATE]
REPLACES = [*EARLY, "hybi-07"]
FAILS = ["hybi-08", "rfc6455"]
KEY = bytes.fromhex("37fa213d")
CONNECTION_KEY = bytes.fromhex("6322a2adc02bc433e3896d34410b74bb7739f960")
OTHER: dict[Role, Role] = {"client": "server", "server": "client"}
OPCODES = {
    "early": {"continuation": 0, "close": 1, "ping": 2, "pong": 3, "text": 4, "binary": 5},
    "late": {"continuation": 0, "text": 1, "binary": 2, "close": 8, "ping": 9, "pong": 10},
}
LIMIT = 300

each_name = pytest.mark.parametrize("name", FACTORIES)
each_role = in_turn("role", ROLES)
ANY_ROLE = st.sampled_from(ROLES)


def codec_of(
    name: str,
    role: Role,
    limit: float = math.inf,
    *,
    key: bytes = KEY,
    connection_key: bytes = CONNECTION_KEY,
) -> Any:
    """A codec that masks everything with the same key."""
    codec: Any = FACTORIES[name](role, limit, NegotiatedParameters(masking_key=connection_key))
    if codec._encoder.new_key is not None:
        codec._encoder.new_key = lambda: key
    return codec


def decoded(name: str, role: Role, *chunks: bytes, limit: float = math.inf) -> Outcome:
    return outcome(codec_of(name, role, limit), chunks)


def opcode(name: str, kind: str) -> int:
    return OPCODES["early" if name in EARLY else "late"][kind]


def xor(data: bytes, key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, cycle(key), strict=False))


def raw(name: str, sender: Role, first: int, length: bytes, payload: bytes = b"") -> bytes:
    """A frame of exactly this, masked as `sender` masks."""
    clear = bytes([first]) + length + payload
    if sender == "server" or name == "hybi-01":
        return clear
    if name in LATE:
        marked = bytes([first, length[0] | 0x80]) + length[1:]
        return marked + KEY + xor(payload, KEY)
    key = hashlib.sha1(KEY + CONNECTION_KEY).digest() if name == "hybi-04" else KEY
    return KEY + xor(clear, key)


def first_byte(name: str, kind: str, *, final: bool = True) -> int:
    return opcode(name, kind) | (0x80 if final is (name != "hybi-01") else 0)


def frame(name: str, sender: Role, kind: str, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A frame as the draft asks for it."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return raw(name, sender, first_byte(name, kind, final=final), length, payload)


def up_to_key(name: str, reader: Role, empty: bytes) -> bytes:
    """A frame without payload as far as its header is checked."""
    return empty[:-4] if name in LATE and reader == "server" else empty


def refuses(
    name: str, role: Role, wire: bytes, reason: str, *, code: int = 1002, limit: float = LIMIT
) -> None:
    """`wire` is a violation in every split, with its last byte; what came before is kept."""
    before = frame(name, OTHER[role], "text", b"ok")
    after = frame(name, OTHER[role], "text", b"never")
    for chunks in every_split(before + wire + after):
        result = decoded(name, role, *chunks, limit=limit)
        assert result.events == ["ok"]
        assert result.violation is not None
        assert result.violation[0] == code
        assert reason in result.violation[1]
    assert decoded(name, role, wire, limit=limit).violation is not None
    assert decoded(name, role, wire[:-1], limit=limit).violation is None


# Vectors

VECTORS: dict[str, list[Vector]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "drafts.json").read_text("utf-8")
)
ROWS = [
    (vector, name, sender)
    for vector in VECTORS["frames"]
    for name in FACTORIES
    for sender in ROLES
    if name in {SPEAKS.get(version, version) for version in vector["versions"]}
    and vector["direction"] in ("both", f"{sender}-to-{OTHER[sender]}")
]
each_vector = pytest.mark.parametrize(
    "vector",
    list({vector["id"]: vector for vector, _, _ in ROWS}.values()),
    ids=lambda vector: vector["id"],
)


def senders(vector: Vector) -> list[tuple[str, Role]]:
    """Who says it: drafts, and their sides."""
    return [(name, sender) for row, name, sender in ROWS if row is vector]


def said(vector: Vector) -> tuple[bytes, Event]:
    """A vector's bytes, with those put back that it leaves out, and what they say."""
    wire, facts = bytes.fromhex(vector["hex"]), vector["decoded"]
    payload = b"x" * facts.get("length", 0)
    if facts["type"] == "close":
        body = facts.get("marker", "").encode()
        return wire, Close(facts.get("code"), facts.get("reason", ""), body)
    if facts["type"] == "text":
        return wire + payload, facts.get("text", payload.decode())
    if facts["type"] == "binary":
        return wire + payload, payload
    body = bytes.fromhex(facts["hex"])
    return wire, Ping(body) if facts["type"] == "ping" else Pong(body)


def codec_for(vector: Vector, name: str, role: Role) -> Any:
    """A codec with the keys of that vector."""
    facts = vector["decoded"]
    return codec_of(
        name,
        role,
        key=bytes.fromhex(facts.get("mask_hex", facts.get("frame_nonce_hex", ""))),
        connection_key=bytes.fromhex(facts.get("connection_masking_key_hex", "")),
    )


def test_every_vector_has_a_row() -> None:
    """The table above leaves out no frame of these drafts, and no draft is without one."""
    families = ("F-MORE", "F-04", "F-05", "F-07")
    frames = [row for row in VECTORS["frames"] if row["framing"].startswith(families)]
    assert {row["id"] for row in frames} == {vector["id"] for vector, _, _ in ROWS}
    assert set(FACTORIES) == {name for _, name, _ in ROWS}


@each_vector
def test_vector_is_decoded(vector: Vector) -> None:
    """It says what it says, cut anywhere."""
    wire, event = said(vector)
    assert vector.get("total_length", len(wire)) == len(wire)
    splits = every_split(wire) if len(wire) < 300 else [[wire], split_at(wire, range(0, 99999, 7))]
    for name, sender in senders(vector):
        with naming(name=name, sender=sender):
            for chunks in splits:
                assert Outcome([event]) == outcome(codec_for(vector, name, OTHER[sender]), chunks)


@each_vector
def test_vector_is_encoded(vector: Vector) -> None:
    """We write the same bytes, fragments too."""
    wire, event = said(vector)
    for name, sender in senders(vector):
        with naming(name=name, sender=sender):
            codec = codec_for(vector, name, sender)
            if "fragments" in vector["decoded"]:
                assert isinstance(event, str)
                assert wire == in_fragments(codec, event, vector["decoded"]["fragments"])
            else:
                assert wire == encoded(codec, event)


def in_fragments(codec: Any, text: str, count: int) -> bytes:
    """A text that begins in Hello, as the vectors cut it."""
    parts = [b"Hel", b"lo", text[5:].encode()][:count]
    kinds = [1] + [0] * len(parts)
    written = [
        codec._encoder.write_frame(kind, part, final=part is parts[-1])
        for kind, part in zip(kinds, parts, strict=False)
    ]
    return b"".join(bytes(buffer) for buffers in written for buffer in buffers)


# Which dialects take a negative for good
TOLERATED = {
    "neg-close-1005": ["hybi-07"],
    "neg-nonminimal-length": ["hybi-07", "hybi-08"],
    "neg-bad-utf8": ["hybi-07"],
}


@pytest.mark.parametrize("vector", VECTORS["frame_negatives"], ids=lambda vector: vector["id"])
def test_negative(vector: Vector) -> None:
    """It is refused by every draft with that rule, and taken by the others."""
    wire = bytes.fromhex(vector["hex"])
    names = LATE if vector["framing"] == "F-07" else ["hybi-01"]
    role: Role = "server" if vector["id"] == "neg-client-unmasked" else "client"
    code = 1007 if vector["id"] == "neg-bad-utf8" else 1002
    for name in names:
        for chunks in every_split(wire):
            violation = decoded(name, role, *chunks).violation
            if name in TOLERATED.get(vector["id"], []):
                assert violation is None
            else:
                assert violation is not None
                assert violation[0] == code


# Headers


@each_role
@each_name
@in_turn("bit", [0x10, 0x20, 0x40])
@in_turn("kind", ["text", "ping", "close"])
def test_reserved_bit(name: str, role: Role, kind: str, bit: int) -> None:
    """No extension was agreed to, so each of the three is refused."""
    wire = raw(name, OTHER[role], first_byte(name, kind) | bit, b"\x00")
    wire = up_to_key(name, role, wire)
    refuses(name, role, wire, "a reserved bit is set, and no extension")


@each_role
@pytest.mark.parametrize("name", EARLY)
def test_fourth_reserved_bit(name: str, role: Role) -> None:
    """It became MASK in hybi-07."""
    refuses(name, role, raw(name, OTHER[role], first_byte(name, "text"), b"\x80"), "a reserved bit")


@each_role
@each_name
@in_turn("final", [False, True])
@in_turn("number", range(16))
def test_reserved_opcode(name: str, role: Role, number: int, final: bool) -> None:
    """It is refused whether more fragments follow or not."""
    if number in OPCODES["early" if name in EARLY else "late"].values():
        return
    wire = raw(name, OTHER[role], 0x80 * final | number, b"\x00")
    wire = up_to_key(name, role, wire)
    refuses(name, role, wire, f"opcode {number:#x} is reserved")


@each_role
@pytest.mark.parametrize("name", LATE)
def test_wrong_masking(name: str, role: Role) -> None:
    """A client has to mask and a server must not; two bytes are enough to tell."""
    wire = frame(name, role, "binary", b"payload")[:2]
    reason = "server's frame is masked" if role == "client" else "client's frame is not masked"
    refuses(name, role, wire, reason)


@each_role
@each_name
@in_turn("kind", ["ping", "pong", "close"])
def test_control_frames_have_no_fragments(name: str, role: Role, kind: str) -> None:
    """Nor do they continue anything."""
    wire = frame(name, OTHER[role], kind, final=False)
    wire = up_to_key(name, role, wire)
    refuses(name, role, wire, "a control frame is fragmented")


@each_role
@each_name
@in_turn("length", [b"\x7e", b"\x7f"])
@in_turn("kind", ["ping", "pong", "close"])
def test_control_frames_are_short(name: str, role: Role, kind: str, length: bytes) -> None:
    """125 bytes at most; a longer form of length is wrong whatever it says."""
    wire = raw(name, OTHER[role], first_byte(name, kind), length)
    wire = up_to_key(name, role, wire)
    refuses(name, role, wire, "a control frame has more than 125 bytes")


@each_role
@each_name
@in_turn("final", [False, True])
def test_nothing_to_continue(name: str, role: Role, final: bool) -> None:
    wire = frame(name, OTHER[role], "continuation", final=final)
    wire = up_to_key(name, role, wire)
    refuses(name, role, wire, "a fragment continues no message")


@each_role
@each_name
@in_turn("kind", ["text", "binary"])
@in_turn("begun", ["text", "binary"])
def test_message_within_another(name: str, role: Role, begun: str, kind: str) -> None:
    """Messages don't interleave, and the one that was cut short is not delivered."""
    sender = OTHER[role]
    wire = frame(name, sender, begun, b"begun", final=False)
    second = frame(name, sender, kind)
    second = up_to_key(name, role, second)
    refuses(name, role, wire + second, "a message begins before another has ended")


@each_role
@each_name
@in_turn("length", [2**63, 2**64 - 1])
def test_top_bit_of_a_length(name: str, role: Role, length: int) -> None:
    """The header is enough, whatever the limit."""
    wire = raw(name, OTHER[role], first_byte(name, "binary"), b"\x7f" + length.to_bytes(8, "big"))
    wire = up_to_key(name, role, wire)
    for limit in (LIMIT, math.inf):
        refuses(name, role, wire, "top bit", limit=limit)


@each_role
@each_name
@in_turn(("form", "size"), [("7e", 2), ("7f", 8)])
@in_turn("length", [0, 125, 126, 65535])
def test_shortest_form(name: str, role: Role, form: str, size: int, length: int) -> None:
    """It is demanded from version 13 only."""
    field = bytes.fromhex(form) + length.to_bytes(size, "big")
    payload = b"x" * length
    wire = raw(name, OTHER[role], first_byte(name, "binary"), field, payload)
    if name == "rfc6455" and (size == 8 or length < 126):
        end = 2 + size
        refuses(name, role, wire[:end], "shortest form", limit=math.inf)
    else:
        for chunks in ([wire], split_at(wire, range(20))):
            assert Outcome([payload]) == decoded(name, role, *chunks)


# Limits


def code_for_too_big(name: str) -> int:
    return 1004 if name in ("hybi-06", "hybi-07", "hybi-08") else 1009


@each_role
@each_name
@in_turn("limit", [0, 1, 125, 126, 4000, 70_000])
def test_limit(name: str, role: Role, limit: int) -> None:
    """A message of that many bytes arrives; one more is refused when its length is known."""
    sender = OTHER[role]
    good = frame(name, sender, "binary", b"x" * limit)
    for chunks in ([good, good], split_at(good + good, range(0, 2 * len(good), 97))):
        assert Outcome([b"x" * limit] * 2) == decoded(name, role, *chunks, limit=limit)
    bad = frame(name, sender, "text", b"x" * (limit + 1))
    header = len(bad) - limit - 1 - (4 if name in LATE and role == "server" else 0)
    for chunks in ([bad], bytewise(bad[:header])):
        assert decoded(name, role, *chunks, limit=limit) == Outcome(
            [], (code_for_too_big(name), f"a message is longer than {limit} bytes")
        )


@each_role
@each_name
def test_limit_is_for_all_fragments(name: str, role: Role) -> None:
    """Their sum counts, and a declared length is compared with what is left."""
    sender = OTHER[role]
    parts = [
        frame(name, sender, "binary", b"x" * 10, final=False),
        frame(name, sender, "continuation", b"x" * 10, final=False),
    ]
    last = frame(name, sender, "continuation", b"x" * 10)
    assert Outcome([b"x" * 30] * 2) == decoded(name, role, *[*parts, last] * 2, limit=30)
    result = decoded(name, role, *parts, last, limit=29)
    assert result == Outcome([], (code_for_too_big(name), "a message is longer than 29 bytes"))
    huge = raw(name, sender, first_byte(name, "continuation"), b"\x7f" + (2**62).to_bytes(8, "big"))
    assert decoded(name, role, *parts, huge, limit=2**40).violation is not None


@each_role
@each_name
def test_memory_is_taken_for_what_came(name: str, role: Role) -> None:
    """A length alone takes none, even if it is allowed."""
    field = b"\x7f" + (2**62).to_bytes(8, "big")
    wire = raw(name, OTHER[role], first_byte(name, "text"), field, b"x" * 100)

    def begin() -> Any:
        codec = codec_of(name, role)
        assert codec.decode(wire) == []
        return codec

    begin()
    assert traced(begin)[1] < 2**16


@pytest.mark.no_cover
@each_role
@each_name
def test_many_small_fragments(name: str, role: Role) -> None:
    """256 KiB in fragments of 64 bytes arrive, and are kept in little more than 256 KiB."""
    sender, size, count = OTHER[role], 2**18, 2**18 // 64
    begin = frame(name, sender, "text", b"x" * 64, final=False)
    middle = frame(name, sender, "continuation", b"x" * 64, final=False)
    chunk = middle * 256
    codec = codec_of(name, role, size)

    def feed() -> Any:
        assert codec.decode(begin) == []
        for _ in range(count // 256 - 1):
            assert codec.decode(chunk) == []
        return codec

    taken, _ = traced(feed)
    assert taken < 1.2 * size
    for _ in range(254):
        codec.decode(middle)
    assert codec.mid_message
    assert codec.decode(frame(name, sender, "continuation", b"x" * 64)) == ["x" * size]
    assert not codec.mid_message


@each_role
@each_name
def test_empty_fragments(name: str, role: Role) -> None:
    """So many in a row, with control frames between them or not, and no more."""
    sender = OTHER[role]
    begin = frame(name, sender, "text", final=False)
    empty = frame(name, sender, "continuation", final=False)
    ping = frame(name, sender, "ping")
    some = frame(name, sender, "continuation", b"x", final=False)
    last = frame(name, sender, "continuation")
    full = begin + ping + empty * (MAX_EMPTY_FRAGMENTS - 1)
    assert decoded(name, role, full + last) == Outcome([Ping(), ""])
    more = empty * MAX_EMPTY_FRAGMENTS
    assert decoded(name, role, full + some + more + some + more + last) == Outcome([Ping(), "xx"])
    expected = Outcome(
        [Ping()],
        (
            1008 if name == "rfc6455" else 1002,
            f"more than {MAX_EMPTY_FRAGMENTS} fragments in a row are empty",
        ),
    )
    assert expected == decoded(name, role, full + empty)
    assert expected == decoded(name, role, *bytewise(full + empty + last))


@pytest.mark.no_cover
@each_role
@each_name
def test_many_empty_messages(name: str, role: Role) -> None:
    """Whole empty messages are no fragments, and are not counted."""
    sender, count = OTHER[role], 2 * MAX_EMPTY_FRAGMENTS
    whole = frame(name, sender, "text")
    in_two = frame(name, sender, "binary", final=False) + frame(name, sender, "continuation")
    assert Outcome([""] * count) == decoded(name, role, whole * count)
    assert Outcome([b""] * count) == decoded(name, role, in_two * count)


@pytest.mark.no_cover
@each_role
@each_name
def test_a_trickle_costs_linear_work(name: str, role: Role) -> None:
    """Four times the bytes, one at a time, are four times the work."""

    def trickle(size: int) -> None:
        codec = codec_of(name, role, size)
        wire = frame(name, OTHER[role], "text", b"x" * size)
        wire += frame(name, OTHER[role], "ping", b"x" * 125) * (size // 200)
        for byte in bytewise(wire):
            codec.decode(byte)

    little, much = (work(lambda: trickle(size)) for size in (2000, 8000))  # noqa: B023
    assert much < 5 * little


@pytest.mark.no_cover
@each_role
@each_name
def test_a_violation_lets_go_of_the_message(name: str, role: Role) -> None:
    """What was kept of it is forgotten, since nobody will get it."""
    wire = frame(name, OTHER[role], "binary", b"x" * 2**20, final=False)
    wrong = frame(name, OTHER[role], "text")

    def violate() -> Any:
        codec = codec_of(name, role)
        codec.decode(wire)
        assert outcome(codec, [wrong]).violation is not None
        return codec

    assert traced(violate)[0] < 2**16


# Messages and control frames


@each_role
@each_name
def test_control_frames_between_fragments(name: str, role: Role) -> None:
    """They arrive in their place, and the message when it ends."""
    sender = OTHER[role]
    text = "\u00e9\u20ac"
    first, second, third = text.encode()[:1], text.encode()[1:3], text.encode()[3:]
    wire = (
        frame(name, sender, "text", first, final=False)
        + frame(name, sender, "ping", b"a")
        + frame(name, sender, "continuation", second, final=False)
        + frame(name, sender, "pong", b"x" * 125)
        + frame(name, sender, "continuation", third)
        + frame(name, sender, "binary", b"\xff")
    )
    expected = Outcome([Ping(b"a"), Pong(b"x" * 125), text, b"\xff"])
    for chunks in every_split(wire):
        assert expected == decoded(name, role, *chunks)


@each_role
@each_name
def test_mid_message(name: str, role: Role) -> None:
    """True from the first byte of a message to its last, and not between messages."""
    sender = OTHER[role]
    codec = codec_of(name, role)
    parts = [
        frame(name, sender, "text", b"a", final=False),
        frame(name, sender, "ping"),
        frame(name, sender, "continuation", b"b"),
    ]
    *most, last = bytewise(b"".join(parts))
    assert not codec.mid_message
    for byte in most:
        codec.decode(byte)
        assert codec.mid_message
    assert codec.decode(last) == ["ab"]
    assert not codec.mid_message


@each_role
@each_name
def test_nothing_after_close(name: str, role: Role) -> None:
    """Whatever follows, right or wrong, is ignored; a message that was cut is gone."""
    sender = OTHER[role]
    wire = frame(name, sender, "text", b"cut", final=False) + frame(name, sender, "close")
    for chunks in every_split(wire + frame(name, sender, "text", b"no") + b"\xff" * 20):
        codec = codec_of(name, role)
        assert Outcome([Close()]) == outcome(codec, chunks)
        assert not codec.mid_message


# Closing


@each_role
@pytest.mark.parametrize("name", EARLY[:3])
@in_turn("body", [b"", b"S", b"C", b"\x03\xe8", b"\xff\xfe", bytes(125)])
def test_close_without_status(name: str, role: Role, body: bytes) -> None:
    """Any body is taken, and means nothing."""
    wire = frame(name, OTHER[role], "close", body)
    assert Outcome([Close(body=body)]) == decoded(name, role, wire)


@each_role
@pytest.mark.parametrize("name", ["hybi-01", "hybi-04"])
def test_close_repeats_a_body(name: str, role: Role) -> None:
    """The answer to a close carries what the close did; a code cannot be said."""
    codec = codec_of(name, role)
    for body in (b"", b"why", bytes(125)):
        assert frame(name, role, "close", body) == encoded(codec, Close(1000, "no", body))
    with pytest.raises(LocalProtocolError, match="a close has 126 bytes, and may have 125"):
        codec.encode(Close(body=bytes(126)))


@each_role
def test_close_with_a_letter(role: Role) -> None:
    """hybi-05: the one who sends it, whatever else was asked."""
    letter = {"server": b"S", "client": b"C"}[role]
    for close in (Close(), Close(1000, "bye"), Close(body=b"S"), Close(body=bytes(200))):
        wire = frame("hybi-05", role, "close", letter)
        assert wire == encoded(codec_of("hybi-05", role), close)


@each_role
@pytest.mark.parametrize("name", WITH_STATUS)
@in_turn(
    ("close", "body"),
    [
        (Close(), b""),
        (Close(body=b"ignored"), b""),
        (Close(1000), b"\x03\xe8"),
        (Close(3000, "\u00e9"), b"\x0b\xb8\xc3\xa9"),
        (Close(4999, "x" * 123), b"\x13\x87" + b"x" * 123),
    ],
)
def test_close_with_status(name: str, role: Role, close: Close, body: bytes) -> None:
    """A code and a reason, both ways."""
    codec = codec_of(name, role)
    assert frame(name, role, "close", body) == encoded(codec, close)
    wire = frame(name, OTHER[role], "close", body)
    for chunks in every_split(wire):
        assert Outcome([attrs.evolve(close, body=b"")]) == decoded(name, role, *chunks)


@each_role
@pytest.mark.parametrize("name", WITH_STATUS)
@in_turn("byte", [b"\x00", b"\x03", b"\xff"])
def test_close_of_one_byte(name: str, role: Role, byte: bytes) -> None:
    wire = frame(name, OTHER[role], "close", byte)
    refuses(name, role, wire, "a close has half a code")


def is_allowed(name: str, code: int) -> bool:
    """The table of codes, spelled out."""
    if name == "rfc6455":
        return code in (1000, 1001, 1002, 1003, *range(1007, 1015)) or 3000 <= code <= 4999
    never = (1005, 1006, 1015) if name == "hybi-08" else ()
    return 1000 <= code <= 4999 and code not in never


@pytest.mark.parametrize("name", WITH_STATUS)
def test_close_codes(name: str) -> None:
    """Those that a draft has room for are sent and taken; all others are neither."""
    for code in [*range(1030), 1999, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535]:
        wire = frame(name, "client", "close", code.to_bytes(2, "big") + b"bye")
        client = codec_of(name, "client")
        result = decoded(name, "server", wire)
        if is_allowed(name, code):
            assert Outcome([Close(code, "bye")]) == result
            assert wire == encoded(client, Close(code, "bye"))
        else:
            expected = (1002, f"a close has the code {code}, which none may have")
            assert Outcome([], expected) == result
            with pytest.raises(LocalProtocolError, match=f"cannot carry the code {code}$"):
                client.encode(Close(code, "bye"))


@pytest.mark.parametrize("name", WITH_STATUS)
@in_turn("code", [-1, 65536, 10**9])
def test_close_codes_that_are_no_codes(name: str, code: int) -> None:
    with pytest.raises(LocalProtocolError, match="cannot carry the code"):
        codec_of(name, "server").encode(Close(code))


@pytest.mark.parametrize("name", WITH_STATUS)
def test_close_that_cannot_be_said(name: str) -> None:
    """It is a fault of ours, and the codec is as good as before."""
    codec = codec_of(name, "server")
    for reason in ("x" * 124, "\u00e9" * 62):
        with pytest.raises(LocalProtocolError, match="reason of a close has 124 bytes"):
            codec.encode(Close(1000, reason))
    with pytest.raises(LocalProtocolError, match="needs a code"):
        codec.encode(Close(reason="why"))
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        codec.encode(Close(1000, "\ud800"))
    assert frame(name, "server", "text", b"ok") == encoded(codec, "ok")


@each_role
@pytest.mark.parametrize("name", WITH_STATUS)
@in_turn("reason", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80"])
def test_bad_utf8_in_a_reason(name: str, role: Role, reason: bytes) -> None:
    """As in a text: refused, or replaced."""
    wire = frame(name, OTHER[role], "close", b"\x03\xe8" + reason)
    if name in FAILS:
        refuses(name, role, wire, "the reason of a close is not UTF-8", code=1007)
    else:
        assert decoded(name, role, wire) == Outcome(
            [Close(1000, reason.decode("utf-8", "replace"))]
        )


# Text

# RFC 3629 section 4, and the beginnings of its characters
_TAIL = "[\x80-\xbf]"
_CHARACTERS = (
    f"[\x00-\x7f]|[\xc2-\xdf]{_TAIL}|\xe0[\xa0-\xbf]{_TAIL}|[\xe1-\xec\xee\xef]{_TAIL}{{2}}"
    f"|\xed[\x80-\x9f]{_TAIL}|\xf0[\x90-\xbf]{_TAIL}{{2}}|[\xf1-\xf3]{_TAIL}{{3}}"
    f"|\xf4[\x80-\x8f]{_TAIL}{{2}}"
)
_BEGINNINGS = (
    f"[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef]{_TAIL}?|\xed[\x80-\x9f]?"
    f"|\xf0(?:[\x90-\xbf]{_TAIL}?)?|[\xf1-\xf3]{_TAIL}{{0,2}}|\xf4(?:[\x80-\x8f]{_TAIL}?)?"
)
CAN_BE_MENDED = re.compile(f"(?:{_CHARACTERS})*(?:{_BEGINNINGS})?".encode("latin-1"))
NEARLY_UTF8 = st.lists(
    st.sampled_from(
        [b"a", b"\xc3", b"\xa9", b"\xe0", b"\xed", b"\xa0", b"\x9f", b"\xbf", b"\xf0", b"\x90"]
        + [b"\x80", b"\xf4", b"\x8f", b"\xc0", b"\xc1", b"\xf5", b"\xff"]
        + [character.encode() for character in "\u00e9\u20ac\ud7ff\ue000\uffff\U0001f600"]
    ),
    max_size=20,
).map(b"".join)


@in_turn("first", range(0x80, 0x100))
def test_every_beginning_of_a_character(first: int) -> None:
    """Each is refused as soon as nothing can come of it."""
    for second in range(0x100):
        text = bytes([first, second])
        codec = codec_of("rfc6455", "client")
        codec.decode(raw("rfc6455", "server", 0x81, b"\x04"))
        first_fails = outcome(codec, [text[:1]]).violation is not None
        assert first_fails is not bool(CAN_BE_MENDED.fullmatch(text[:1]))
        fails = outcome(codec, [text[1:]]).violation is not None
        assert fails is not bool(CAN_BE_MENDED.fullmatch(text))


@pytest.mark.parametrize("name", FAILS)
@given(role=ANY_ROLE, text=NEARLY_UTF8, cuts=st.lists(st.integers(0, 30), max_size=3))
def test_bad_utf8_fails_at_its_first_byte(
    name: str, role: Role, text: bytes, cuts: list[int]
) -> None:
    """However few bytes came, and across fragments with control frames between."""
    sender = OTHER[role]
    codec = codec_of(name, role)
    fed = b""
    for number, part in enumerate(split_at(text, cuts)):
        kind = "continuation" if number else "text"
        ping = frame(name, sender, "ping")
        wire = frame(name, sender, kind, part, final=False)
        head, payload = wire[: len(wire) - len(part)], wire[len(wire) - len(part) :]
        assert Outcome([Ping()]) == outcome(codec, [ping + head])
        for byte in bytewise(payload) if payload else []:
            fed = text[: len(fed) + 1]
            result = outcome(codec, [byte])
            if not CAN_BE_MENDED.fullmatch(fed):
                assert Outcome([], (1007, "a text is not UTF-8")) == result
                return
            assert Outcome([]) == result


@each_name
@given(role=ANY_ROLE, text=NEARLY_UTF8, cuts=st.lists(st.integers(0, 40), max_size=5))
def test_bad_utf8_in_a_text(name: str, role: Role, text: bytes, cuts: list[int]) -> None:
    """The whole message counts, not its fragments; it is refused, or U+FFFD stands for it."""
    sender = OTHER[role]
    parts = split_at(text, cuts)
    fragments = [
        frame(name, sender, "text" if not number else "continuation", part, final=False)
        for number, part in enumerate(parts)
    ]
    fragments.append(frame(name, sender, "continuation"))
    try:
        expected = Outcome([text.decode()])
    except UnicodeDecodeError:
        expected = Outcome([text.decode("utf-8", "replace")])
        if name in FAILS:
            expected = Outcome([], (1007, "a text is not UTF-8"))
    wire = b"".join(fragments)
    for chunks in ([wire], bytewise(wire), [frame(name, sender, "text", text)]):
        assert expected == decoded(name, role, *chunks)


# Out


@each_role
@each_name
@in_turn("event", [Ping, Pong])
def test_ping_and_pong(name: str, role: Role, event: type[Ping | Pong]) -> None:
    """125 bytes fit, and no more; any buffer will do."""
    codec = codec_of(name, role)
    kind = event.__name__.lower()
    for payload in (b"", b"abc", bytes(125)):
        assert frame(name, role, kind, payload) == encoded(codec, event(payload))
    mutable = cast(bytes, bytearray(b"abc"))
    assert frame(name, role, kind, b"abc") == encoded(codec, event(mutable))
    with pytest.raises(LocalProtocolError, match=f"a {kind}'s payload has 126 bytes"):
        codec.encode(event(bytes(126)))


@each_role
@each_name
@in_turn("size", [0, 1, 125, 126, JOIN_UP_TO, JOIN_UP_TO + 1, 65535, 65536])
def test_every_length(name: str, role: Role, size: int) -> None:
    """Text and binary messages have the shortest header that says their length."""
    codec = codec_of(name, role)
    assert frame(name, role, "text", b"x" * size) == encoded(codec, "x" * size)
    assert frame(name, role, "binary", b"x" * size) == encoded(codec, b"x" * size)
    buffers = codec.encode("x" * size)
    assert len(buffers) == (1 if size <= JOIN_UP_TO else 2)


@each_name
@in_turn("kind", [bytes, bytearray, lambda data: memoryview(data)])
def test_the_callers_payload_is_not_copied(name: str, kind: type[bytes]) -> None:
    """A large one that is not masked is handed back behind its header."""
    payload = kind(bytes(JOIN_UP_TO + 1))
    _, handed_back = codec_of(name, "server").encode(payload)
    assert handed_back is payload


@each_role
@each_name
@in_turn("count", [4, 40, 4000])
def test_every_kind_of_buffer(name: str, role: Role, count: int) -> None:
    """Its bytes are sent, whatever its items are and however they lie."""
    numbers = array.array("i", range(count))
    plain = numbers.tobytes()
    views: list[memoryview] = [
        memoryview(numbers),
        memoryview(numbers)[::2],
        memoryview(plain)[::-1],
        memoryview(plain).cast("B", (count, 4)),
        memoryview((ctypes.c_int * count)(*range(count))),
    ]
    for view in views:
        codec = codec_of(name, role)
        assert frame(name, role, "binary", view.tobytes()) == encoded(codec, cast(bytes, view))
        assert all(len(b) == memoryview(b).nbytes for b in codec.encode(cast(bytes, view)))


@each_name
def test_what_is_no_event(name: str) -> None:
    """It is a TypeError, as anywhere."""
    for event in (None, 1, ["a"], Ping):
        with pytest.raises(TypeError, match="a message is a str or bytes, not "):
            codec_of(name, "client").encode(cast(Event, event))


@each_name
def test_lone_surrogate(name: str) -> None:
    """UTF-8 cannot say it, so it is not sent."""
    with pytest.raises(LocalProtocolError, match="lone surrogate"):
        codec_of(name, "client").encode("a\ud800")


@pytest.mark.parametrize("name", [name for name in FACTORIES if name != "hybi-01"])
def test_each_frame_has_a_key_of_its_own(name: str) -> None:
    """They are not those of another frame, nor of another connection."""
    start = 2 if name in LATE else 0
    codecs = [FACTORIES[name]("client", 0) for _ in range(2)]
    frames = [encoded(codec, event) for codec in codecs for event in ("", "a", Ping(), b"a")]
    assert len({wire[start : start + 4] for wire in frames}) == len(frames)


def test_without_a_connection_key() -> None:
    """A codec of hybi-04 whose opening settled none still talks to one like it."""
    client, server = (FACTORIES["hybi-04"](role, 10) for role in ROLES)
    assert Outcome(["a"]) == outcome(server, [encoded(client, "a")])


# Any split, any bytes


@attrs.frozen
class Said:
    """Some frames, and what they say."""

    wire: bytes
    events: Sequence[Event]


@st.composite
def conversations(draw: st.DrawFn, name: str, sender: Role) -> Said:
    """Messages in any number of fragments with control frames between, and perhaps a close."""
    wire, events = b"", list[Event]()
    controls = st.lists(
        st.builds(
            lambda kind, payload: (kind, payload),
            st.sampled_from(["ping", "pong"]),
            st.binary(max_size=125),
        ),
        max_size=2,
    )

    def some_controls() -> bytes:
        said = draw(controls)
        events.extend((Ping if kind == "ping" else Pong)(payload) for kind, payload in said)
        return b"".join(frame(name, sender, kind, payload) for kind, payload in said)

    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    for message in draw(st.lists(texts | st.binary(max_size=LIMIT // 2), max_size=5)):
        payload = message.encode() if isinstance(message, str) else message
        parts = split_at(payload, draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        for number, part in enumerate(parts):
            kind = "continuation"
            if not number:
                kind = "text" if isinstance(message, str) else "binary"
            wire += some_controls()
            wire += frame(name, sender, kind, part, final=number == len(parts) - 1)
        events.append(message)
    if draw(st.booleans()):
        wire += frame(name, sender, "close") + draw(st.binary(max_size=20))
        events.append(Close())
    return Said(wire, events)


CUTS = st.lists(st.integers(0, 900), max_size=12)


@pytest.mark.no_cover
@each_name
@given(role=ANY_ROLE, data=st.data())
def test_any_split_gives_the_same_events(name: str, role: Role, data: st.DataObject) -> None:
    """Wherever the wire is cut, and whatever buffers it comes in."""
    said = data.draw(conversations(name, OTHER[role]))
    wire, expected = said.wire, Outcome(list(said.events))
    for chunks in ([wire], split_at(wire, data.draw(CUTS)), bytewise(wire)):
        assert expected == decoded(name, role, *chunks, limit=LIMIT)
    buffers: list[Buffer] = [bytearray(wire), memoryview(wire)]
    for buffer in buffers:
        assert expected == outcome(codec_of(name, role), [cast(bytes, buffer)])


# Bytes that mean something, and any others; for masked frames, headers and keys of zeros
BYTES = st.lists(
    st.sampled_from([b"\x81", b"\x01", b"\x00", b"\x80", b"\x84", b"\x04", b"\x02", b"\x05"])
    | st.sampled_from([b"\x88\x80", b"\x82\x80", b"\x89\x83", b"\x7e", b"\xfe", b"\x7f", b"\xff"])
    | st.sampled_from([bytes(4), b"\x81\x83" + bytes(4), b"\x03\xe8", b"a", b"\xe6\x97"])
    | st.binary(max_size=4),
    max_size=40,
).map(b"".join)


@pytest.mark.no_cover
@each_name
@given(role=ANY_ROLE, data=st.data(), after=BYTES, cuts=CUTS)
def test_any_split_of_any_bytes(
    name: str, role: Role, data: st.DataObject, after: bytes, cuts: list[int]
) -> None:
    """The same events and the same violation, and never another exception."""
    begin = data.draw(conversations(name, OTHER[role]) | st.just(Said(b"", [])))
    wire = begin.wire + after
    expected = decoded(name, role, wire, limit=LIMIT)
    for chunks in (split_at(wire, cuts), bytewise(wire)):
        assert expected == decoded(name, role, *chunks, limit=LIMIT)


EVENTS = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
    | st.binary(max_size=200)
    | st.binary(max_size=5000)
    | st.builds(Ping, st.binary(max_size=125))
    | st.builds(Pong, st.binary(max_size=125)),
    max_size=8,
)


@each_name
@given(role=ANY_ROLE, events=EVENTS, cuts=CUTS)
def test_round_trip(name: str, role: Role, events: list[Event], cuts: list[int]) -> None:
    """What one side encodes, the other decodes, with keys as they come."""
    agreement = NegotiatedParameters(masking_key=CONNECTION_KEY)
    writer = FACTORIES[name](OTHER[role], 0, agreement)
    reader = FACTORIES[name](role, math.inf, agreement)
    assert Outcome(events) == outcome(reader, split_at(encoded(writer, *events), cuts))
