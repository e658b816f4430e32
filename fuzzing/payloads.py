"""Payloads in pieces, and texts as bytes and back: what C makes of it, Python does too."""

from __future__ import annotations

from collections.abc import Iterator

from trio_draftws.drafts._framing import payload as _payload
from trio_draftws.drafts._framing.payload import (
    Payload,
    PayloadInPython,
    decode_utf8_in_python,
    utf8_of_in_python,
)

from .frames import NO_YES
from .oracle import Choices, Target, expect

KEYS = (b"", b"\x01\x80\xff\x7f", bytes(4), bytes(range(120, 140)), b"\xff")
STEPS = ("put", "add", "check", "pop", "finish")
TEXTS = ("x", "\xe4", "ж", "日", "🙂", "\x80", "\u07ff", "\u0800", "\uffff", "\ud7ff", "\ue000")


def check(data: bytes) -> None:
    choices = Choices(data)
    is_text, is_lenient = choices.pick(NO_YES), choices.pick(NO_YES)
    kinds = (_payload.new_payload, PayloadInPython)
    both = [new(is_text, is_lenient) for new in kinds]
    offset = 0
    while choices.rest:
        step, key = choices.pick(STEPS), choices.pick(KEYS)
        piece = choices.take(choices.byte() % 40) * (1 + choices.byte() % 8)
        said = [taken(payload, step, piece, key, offset) for payload in both]
        expect(said[0] == said[1], "C and Python differ", step, piece, key, *said)
        expect(type(said[0]) is type(said[1]), "C and Python give other types", step, *said)
        if said[0] in (False, None):
            return
        offset += len(piece)
    check_texts(data)


def taken(payload: Payload, step: str, piece: bytes, key: bytes, offset: int) -> object:
    """What a step says; None where it is no text."""
    if step == "put":
        with payload.reserve(len(piece) + offset % 3) as place:
            place[: len(piece)] = piece
            first = len(piece) // 2
            if not payload.take(first, key, offset):
                return False
        # A view that is taken anew begins where the rest goes.
        with payload.reserve(len(piece) - first) as place:
            place[:] = piece[first:]
        return payload.take(len(piece) - first, key, offset + first)
    if step == "add":
        return payload.add(piece, key, offset) and len(payload)
    if step == "check":
        return payload.check(piece) or "no"
    try:
        part = payload.pop(offset % 2 == 0) if step == "pop" else payload.finish()
    except UnicodeDecodeError:
        return None
    return part, len(payload)


def check_texts(data: bytes) -> None:
    """Bytes that are text or not, and their text as bytes again."""
    for errors in ("strict", "replace"):
        said = []
        for decode in (_payload.decode_utf8, decode_utf8_in_python):
            try:
                said.append(decode(data, errors))
            except UnicodeDecodeError:
                said.append("no text")
        expect(said[0] == said[1], "C and Python decode something else", data, *said)
    for text in (said[0], data.decode("latin-1"), data.decode("utf-16", "replace")):
        found = _payload.utf8_of(text)
        expect(found == utf8_of_in_python(text), "C and Python encode something else", text)


def seeds() -> Iterator[bytes]:
    """Each kind of character, long enough to be taken a word at a time, in each of the steps."""
    for number, text in enumerate(TEXTS):
        for step in range(len(STEPS)):
            wire = (text * 9 + "ab" + TEXTS[number - 1]).encode()[:39]
            yield bytes([1, number % 2, step, 0, len(wire), 3]) + wire + bytes([4, 0, 0, 0])


TARGETS = (Target("payloads", "payloads in pieces, C against Python, and texts", check, seeds),)
