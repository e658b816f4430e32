"""What goes over the wire: the text "Hello" and a close, byte by byte, in each framing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import attrs

from trio_draftws import DRAFTS, Close, Draft

from .svg import box, figure, hatched, line, text

VECTORS = Path(__file__).parents[2] / "tests/vectors/drafts.json"
Kind: TypeAlias = Literal["type", "length", "key", "payload"]
LEFT, BYTE, HIGH, ROW = 180, 38, 28, 64


@attrs.frozen
class Part:
    """Some bytes of a frame, and what they are."""

    called: str
    size: int
    kind: Kind
    masked: bool = False


@attrs.frozen
class Frame:
    """One of the frames that a text becomes; `vector` names its bytes in tests/vectors."""

    drafts: str
    way: str
    vector: str
    parts: tuple[Part, ...]


TYPE, TEXT = Part("type", 1, "type"), Part("text", 5, "payload")
HEADER = (Part("type", 1, "type"), Part("length", 1, "length"))
MASKED_HEADER = tuple(attrs.evolve(part, masked=True) for part in HEADER)
KEY, MASKED_TEXT = Part("key", 4, "key"), attrs.evolve(TEXT, masked=True)

FRAMES = (
    Frame(
        "hixie-75, hixie-76", "both ways", "sentinel-hello", (TYPE, TEXT, Part("end", 1, "type"))
    ),
    Frame("whatwg-2010-08", "both ways", "len64-hello", (TYPE, Part("length", 8, "length"), TEXT)),
    Frame("hybi-01 to hybi-03", "both ways", "more-text", (*HEADER, TEXT)),
    Frame(
        "hybi-04",
        "from the client",
        "h04-client-text",
        (Part("a part of the key", 4, "key"), *MASKED_HEADER, MASKED_TEXT),
    ),
    Frame(
        "hybi-05, hybi-06",
        "from the client",
        "h05-client-text-rfcmask",
        (KEY, *MASKED_HEADER, MASKED_TEXT),
    ),
    Frame("hybi-04 to hybi-06", "from the server", "h04-server-text", (*HEADER, TEXT)),
    Frame(
        "hybi-07 to RFC 6455",
        "from the client",
        "rfc-text-masked",
        (*HEADER, KEY, MASKED_TEXT),
    ),
    Frame("hybi-07 to RFC 6455", "from the server", "rfc-text", (*HEADER, TEXT)),
)


def draw_frames() -> str:
    vectors = {one["id"]: one for one in json.loads(VECTORS.read_text(encoding="utf-8"))["frames"]}
    parts: list[str] = []
    for number, frame in enumerate(FRAMES):
        wire = bytes.fromhex(vectors[frame.vector]["hex"])
        assert vectors[frame.vector]["decoded"]["text"] == "Hello"
        parts += drawn(frame.drafts, frame.way, wire, frame.parts, 4 + number * ROW)
    return figure(LEFT + 14 * BYTE + 4, len(FRAMES) * ROW, "The text Hello in each framing", parts)


def drawn(drafts: str, way: str, wire: bytes, parts: tuple[Part, ...], y: float) -> Iterator[str]:
    yield text(0, y + 14, drafts, "strong")
    yield text(0, y + 30, way, "soft")
    assert sum(part.size for part in parts) == len(wire), drafts
    x: float = LEFT
    place = 0
    for part in parts:
        width = part.size * BYTE - 3
        yield box(x, y, width, HIGH, f"{part.kind} pale")
        if part.masked:
            yield hatched(x, y, width, HIGH)
        yield box(x, y, width, HIGH, "edge")
        for byte in wire[place : place + part.size]:
            yield text(x + BYTE / 2 - 1.5, y + 18, f"{byte:02x}", "byte middle")
            x += BYTE
            place += 1
        yield text(x - BYTE * part.size / 2 - 1.5, y + HIGH + 14, part.called, "soft middle")


def closings() -> list[tuple[str, bytes]]:
    """How a server closes, with the code 1000 where there are codes; drafts that do so alike."""
    alike: dict[bytes, list[Draft]] = {}
    for draft in DRAFTS:
        wire = (
            b"".join(draft.codec("server", 1024).encode(Close(1000)))
            if draft.closing_handshake
            else b""
        )
        alike.setdefault(wire, []).append(draft)
    return [
        (" to ".join(dict.fromkeys((drafts[0].name, drafts[-1].name))), wire)
        for wire, drafts in alike.items()
    ]


def close_parts(wire: bytes) -> tuple[Part, ...]:
    if len(wire) == 9:
        return Part("type", 1, "type"), Part("length", 8, "length")
    if wire[0] == 0xFF:
        return Part("type", 1, "type"), Part("length", 1, "length")
    body = len(wire) - 2
    called = {0: "", 1: "server", 2: "1000"}[body]
    return (*HEADER, *([Part(called, body, "payload")] if body else []))


def draw_closings() -> str:
    parts: list[str] = []
    for number, (drafts, wire) in enumerate(closings()):
        y = 4 + number * ROW
        if wire:
            parts += drawn(drafts, "the server closes", wire, close_parts(wire), y)
        else:
            parts.append(text(0, y + 14, drafts, "strong"))
            parts.append(text(LEFT, y + 18, "nothing: the end of TCP"))
    height = len(closings()) * ROW
    return figure(LEFT + 14 * BYTE + 4, height, "The closing frame of each draft", parts)


BITS = (
    ("1", 1, "type", "first bit"),
    ("0 0 0", 3, "key", "reserved"),
    ("0 0 0 1", 4, "type", "opcode"),
    ("1", 1, "key", "mask"),
    ("0 0 0 0 1 0 1", 7, "length", "length, or 126, or 127"),
)


def draw_header() -> str:
    """The two bytes that all hybi drafts begin with, as bits: here of RFC 6455's client."""
    bit, left, y = 36, 2, 24
    parts = [text(left, 12, "first byte", "soft"), text(left + 8 * bit, 12, "second byte", "soft")]
    x: float = left
    for bits, size, kind, called in BITS:
        width = size * bit - 3
        parts.append(box(x, y, width, HIGH, f"{kind} pale"))
        parts.append(box(x, y, width, HIGH, "edge"))
        for number, value in enumerate(bits.split()):
            parts.append(text(x + (number + 0.5) * bit - 1.5, y + 18, value, "byte middle"))
        parts.append(text(x + width / 2, y + HIGH + 14, called, "soft middle"))
        x += size * bit
    parts.append(line(left + 8 * bit - 1.5, 4, left + 8 * bit - 1.5, y + HIGH + 4))
    return figure(x + 2, y + HIGH + 24, "The header of two bytes, bit by bit", parts)
