"""Where a head ends: the same place however it comes, and found without looking twice."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import attrs
import trio

from trio_draftws._transport.head_reader import HeadReader
from trio_draftws.drafts import BadHead, HandshakeError, Request

from . import vectors
from .openings import WORDS
from .oracle import Choices, Target, expect, splits

T = TypeVar("T")


@attrs.define
class Chunks(trio.abc.ReceiveStream):
    """A stream of these, which never makes anyone wait."""

    chunks: Iterator[bytes]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # None is empty: that would be the end.
        return next(filter(None, self.chunks), b"")

    async def aclose(self) -> None:
        pass


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns, having waited for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("it waits")


class Searched(bytearray):
    """A buffer that counts how many of its bytes are searched."""

    searched = 0

    def find(self, what: Any, begin: Any = 0, end: Any = None) -> int:
        self.searched += len(self) - begin
        return super().find(what, begin, end)


def check_head_reader(data: bytes) -> None:
    """The same head, or none, however it comes, and no byte is searched again and again."""
    choices = Choices(data)
    max_size, seed = choices.pick((64, 16, 1024)), choices.byte()
    whole, *others = [read(chunks, max_size) for chunks in splits(choices.rest, seed)]
    for other in others:
        expect(whole == other, "another split gives something else", whole, other)


def read(chunks: list[bytes], max_size: int) -> str | tuple[bytes, bytes]:
    """What is read: the head and what comes behind it, or why there is none.

    What is no HTTP is refused as soon as that can be seen, here or when it is parsed.
    """
    coming, buffer = iter(chunks), Searched()
    reader = HeadReader(Chunks(coming), buffer)  # type: ignore[arg-type]
    try:
        head = at_once(reader.read_head(max_size))
        Request.parse(head)
    except BadHead:
        return "refused"
    except HandshakeError:
        return "ended"
    finally:
        # The end may begin in the last three bytes of what came before.
        most = sum(map(len, chunks)) + 3 * len(chunks)
        expect(buffer.searched <= most, "bytes are searched again", buffer.searched, most)
    expect(len(head) <= max_size, "a head is too long", head)
    return head, reader.rest() + b"".join(coming)


def head_seeds() -> Iterator[bytes]:
    for request in (*vectors.requests(), b"GET / HTTP/1.1\r\n\r\nmore", b"\x16\x03\x01"):
        for size in range(3):
            yield bytes([size, 7]) + request


TARGETS = (Target("head-reader", "the end of a head", check_head_reader, head_seeds, WORDS),)
