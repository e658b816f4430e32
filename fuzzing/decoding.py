"""The oracle of codecs: events, or the one error, and the same for every split."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FunctionType
from typing import Any, TypeAlias

import attrs

from trio_draftws.drafts import (
    Close,
    Codec,
    Event,
    Fragment,
    Ping,
    Pong,
    RemoteProtocolError,
)
from trio_draftws.drafts._framing.payload import RESERVED_AHEAD, new_payload

from .oracle import Finding, expect, splits

MakeCodec: TypeAlias = Callable[[], Codec]

EVENTS = (str, bytes, Ping, Pong, Close)
# The start of a header or of a control frame, keys, and a settled extension's field
HELD_BESIDE = 256
# U+FFFD, where one byte is not UTF-8
REPLACED = 3
# The class of what a message is put together in
PAYLOAD: Any = new_payload
NO_DEFLATE = "what is compressed cannot be inflated"
CLOSE_CODES = (None, 1002, 1004, 1007, 1008, 1009)


@attrs.frozen
class Outcome:
    """All that a codec made of some bytes."""

    events: list[Event]
    violation: tuple[int | None, str] | None


def outcome(codec: Codec, chunks: Iterable[bytes], puts: int = 0) -> Outcome:
    """Feeds all of `chunks`, and asks at the end whether a violation is due.

    Anything but the one error is left to the caller, who will not expect it. A bit of `puts` tells
    of a chunk, and of each eighth after it, whether it is put where it will stay.
    """
    events: list[Event] = []
    try:
        for number, chunk in enumerate(chunks):
            for found in taken(codec, chunk, puts >> number % 8 & 1):
                has_control = any(isinstance(event, (Ping, Pong)) for event in found)
                expect(codec.decoded_control is has_control, "`decoded_control` is wrong", found)
                events += found
        expect(codec.decode(b"") == [], "something is said of nothing", codec)
    except RemoteProtocolError as error:
        return Outcome(events, (error.close_code, error.reason))
    return Outcome(events, None)


def taken(codec: Codec, chunk: bytes, puts: int) -> Iterator[list[Event]]:
    """What is made of a chunk; where the codec has a buffer for it, it is put there if `puts`."""
    while puts and chunk and (buffer := codec.get_buffer()) is not None:
        size = min(len(chunk), len(buffer))
        buffer[:size] = chunk[:size]
        chunk = chunk[size:]
        yield codec.buffer_updated(size)
    if chunk:
        yield codec.decode(chunk)
        yield from owed(codec)


def owed(codec: Codec) -> Iterator[list[Event]]:
    """What was kept back of a chunk; a violation is left for later."""
    while codec.has_more_output:
        try:
            yield codec.decode(b"")
        except RemoteProtocolError:
            return


def check_decoding(
    make: MakeCodec,
    wire: bytes,
    *,
    seed: int = 0,
    limit: float = math.inf,
    kept: int = 0,
    stream_from: int = 0,
) -> Outcome:
    """Decodes `wire` in every way, and returns what all of them gave.

    Args:
        seed: of the places to cut at, and of what is put where it will stay.
        limit: the most bytes that `make`'s codecs take for a message.
        kept: how many bytes such a codec may keep beside a message.
        stream_from: after how many chunks a message is asked for part by part.

    Raises:
        Finding: two ways differ, or too much was held, or the events are not what they may be.
    """
    message = limit if math.isfinite(limit) else len(wire) * (1 + RESERVED_AHEAD)
    most = kept + HELD_BESIDE + message
    whole = None
    for chunks in splits(wire, seed):
        codec = make()
        found = outcome(codec, looked_at(codec, chunks, most), puts=seed)
        if whole is None:
            whole = found
            check_outcome(whole, limit)
        expect_same("another split", whole, found)
        check_violation(codec, whole)
        expect_same("part by part", whole, streamed(make(), chunks, stream_from, seed))
    assert whole is not None
    return whole


def looked_at(codec: Codec, chunks: Sequence[bytes], most: float) -> Iterator[bytes]:
    """The chunks, one after the other; meanwhile a look at what the codec holds of them."""
    for number, chunk in enumerate(chunks):
        yield chunk
        if number % 64 == 0 or number == len(chunks) - 1:
            expect(held(codec) <= most, "it holds more than a message", held(codec), most)


def expect_same(how: str, whole: Outcome, other: Outcome) -> None:
    expect(
        whole == other or is_broken_twice(whole, other), f"{how} gives something else", whole, other
    )


def is_broken_twice(one: Outcome, other: Outcome) -> bool:
    """Whether zlib found something to be broken, which was not the first thing wrong with it.

    It tells so without what it had inflated, so nobody has looked at that.
    """
    reasons = [each.violation and each.violation[1] for each in (one, other)]
    return one.events == other.events and None not in reasons and NO_DEFLATE in reasons


def check_outcome(whole: Outcome, limit: float) -> None:
    for event in whole.events:
        expect(type(event) in EVENTS, "an event is of another type", type(event))
        if isinstance(event, (str, bytes)):
            expect(size_of(event) <= limit, "a message is over the limit", limit, event)
    closes = [place for place, event in enumerate(whole.events) if isinstance(event, Close)]
    if closes:
        expect(closes == [len(whole.events) - 1], "something comes after a close", whole)
        expect(whole.violation is None, "a violation comes after a close", whole)
    if whole.violation is not None:
        code, reason = whole.violation
        expect(code in CLOSE_CODES and reason, "a violation has another code", whole.violation)


def size_of(message: str | bytes) -> float:
    """Of how many bytes it was made, at least."""
    if isinstance(message, bytes):
        return len(message)
    replaced = message.count("\ufffd")
    return len(message.encode()) - replaced * REPLACED + replaced


def held(thing: object) -> int:
    """How many bytes of payload a codec, or a part of one, holds."""
    if isinstance(thing, (str, bytes, bytearray, PAYLOAD)):
        return len(thing)
    if isinstance(thing, list):
        return sum(map(held, thing))
    # Tuples are tables, the same for all.
    kind: Any = type(thing)
    return sum(map(held, [getattr(thing, name, None) for name in parts_of(kind)]))


@functools.cache
def parts_of(kind: type) -> tuple[str, ...]:
    """The names of what things of a kind hold; of code there is nothing to be told."""
    if issubclass(kind, (type, FunctionType)):
        return ()
    return tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))


def check_violation(codec: Codec, whole: Outcome) -> None:
    """Looks whether a violation, if there was one, is raised for ever."""
    expect(
        codec.has_more_output is (whole.violation is not None), "`has_more_output` is wrong", whole
    )
    for more in (b"", b"\x00a\xff", b"\x81\x01a") if codec.has_more_output else ():
        try:
            codec.decode(more)
        except RemoteProtocolError as error:
            again = Outcome(whole.events, (error.close_code, error.reason))
            expect_same("a violation met again", whole, again)
        else:
            raise Finding(f"a violation is forgotten: {whole}")


def streamed(codec: Codec, chunks: Iterable[bytes], stream_from: int, puts: int) -> Outcome:
    """As `outcome`, but from a chunk on messages are asked for part by part, and put together."""
    joined: list[Event] = []
    parts: list[str | bytes] = []

    def take(event: Event) -> None:
        if isinstance(event, Fragment):
            parts.append(event.data)
            if event.final:
                joined.append(type(parts[0])().join(parts))  # type: ignore[arg-type]
                parts.clear()
            return
        expect(
            not (parts and isinstance(event, (str, bytes))), "a message is within another", event
        )
        joined.append(event)

    try:
        for number, chunk in enumerate(chunks):
            for found in taken(codec, chunk, puts >> number % 8 & 1):
                for event in found:
                    take(event)
                if number >= stream_from and not parts and (begun := codec.stream()) is not None:
                    take(begun)
        codec.decode(b"")
    except RemoteProtocolError as error:
        return Outcome(joined, (error.close_code, error.reason))
    return Outcome(joined, None)
