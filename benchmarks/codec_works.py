"""What a server's codec does for a message, to be counted: decoding and encoding."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import attrs

from trio_draftws import DRAFTS, Draft

from .wire import text

# Python rewrites code that was run some times; what it is rewritten to is what counts.
WARM_UP = 16


@attrs.frozen
class Work:
    """Something that a server's codec does, again and again."""

    messages: int
    """So many each time."""
    repeats: int
    prepare: Callable[[Draft], Callable[[], object]]


def decoding(messages: int, size: int) -> Callable[[Draft], Callable[[], object]]:
    def prepare(draft: Draft) -> Callable[[], object]:
        client = draft.codec("client", math.inf)
        message = text(size).decode("ascii")
        wire = b"".join(part for _ in range(messages) for part in client.encode(message))
        server = draft.codec("server", math.inf)

        def decode() -> int:
            events = server.decode(wire)
            assert len(events) == messages
            return messages

        return decode

    return prepare


def encoding(size: int) -> Callable[[Draft], Callable[[], object]]:
    def prepare(draft: Draft) -> Callable[[], object]:
        server = draft.codec("server", math.inf)
        message = text(size).decode("ascii")
        return lambda: server.encode(message)

    return prepare


WORKS = {
    "decode 100 × 32 bytes": Work(100, 50, decoding(100, 32)),
    "encode 32 bytes": Work(1, 5000, encoding(32)),
    "decode 256 KiB": Work(1, 50, decoding(1, 2**18)),
}


def named(name: str) -> Draft:
    for draft in DRAFTS:
        if name in (draft.name, *draft.aliases):
            return draft
    raise argparse.ArgumentTypeError(f"no draft is called {name!r}")


def prepare(draft: str, name: str) -> Callable[[], object]:
    """One piece of work, warmed up."""
    do = WORKS[name].prepare(named(draft))
    for _ in range(WARM_UP):
        do()
    return do
