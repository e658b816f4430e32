"""What the tests of drafts/ share."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import pairwise
from typing import Any, TypeAlias, get_args

import attrs

from trio_draftws.drafts import (
    Codec,
    Draft,
    Event,
    Headers,
    RemoteProtocolError,
    Request,
    Role,
    WebSocketURL,
)
from trio_draftws.drafts import identify as identify_by

ROLES: tuple[Role, ...] = get_args(Role)
URL = WebSocketURL.parse("ws://example.com/demo")
UPGRADE = ("Upgrade: WebSocket", "Connection: Upgrade", "Host: example.com")
KEYS = ("Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00")

Test: TypeAlias = Callable[..., None]


def in_turn(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, for what only multiplies: the values, or rows of them, are one
    case, and an error says which of them it came up with.
    """
    keys = (names,) if isinstance(names, str) else names
    rows = [(value,) if isinstance(names, str) else value for value in values]

    def decorate(test: Test) -> Test:
        @wraps(test)
        def each(*args: Any, **kwargs: Any) -> None:
            for row in rows:
                given = dict(zip(keys, row, strict=True))
                with naming(**given):
                    test(*args, **kwargs, **given)

        # What pytest is to fill in, and hypothesis has its own ways with.
        signature = inspect.signature(test)
        asked = [each for each in signature.parameters.values() if each.name not in keys]
        each.__signature__ = signature.replace(parameters=asked)  # type: ignore[attr-defined]
        return each

    return decorate


@contextmanager
def naming(**what: object) -> Iterator[None]:
    """An error says what it came up with."""
    try:
        yield
    except BaseException as error:
        note = "with " + ", ".join(f"{name} = {value!r:.200}" for name, value in what.items())
        # As `add_note` does, which Python has from 3.11 on; pytest shows it on all.
        error.__dict__.setdefault("__notes__", []).append(note)
        raise


@attrs.frozen
class Outcome:
    """All that a codec made of some bytes."""

    events: list[Event]
    violation: tuple[int | None, str] | None = None
    """Close code and reason."""


def outcome(codec: Codec, chunks: Iterable[bytes]) -> Outcome:
    """Feed all of `chunks`, and ask at the end whether a violation is due."""
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += codec.decode(chunk)
        while codec.has_more_output:
            events += codec.decode(b"")
        assert codec.decode(b"") == []
    except RemoteProtocolError as violation:
        return Outcome(events, (violation.close_code, violation.reason))
    return Outcome(events)


def decoded(draft: Draft, role: Role, *chunks: bytes, limit: float = math.inf) -> Outcome:
    """What a fresh codec makes of `chunks`."""
    return outcome(draft.codec(role, limit), chunks)


def encoded(codec: Codec, *events: Event) -> bytes:
    """The bytes that say `events`."""
    return b"".join(bytes(part) for event in events for part in codec.encode(event))


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` in pieces, cut at each of `cuts`; positions past its end cut nothing."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def bytewise(data: bytes) -> list[bytes]:
    """`data` one byte at a time."""
    return split_at(data, range(1, len(data)))


def head(*lines: str | bytes) -> bytes:
    """A head of these lines."""
    raw = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*raw, b"", b""])


def get(*fields: str | bytes, target: str = "/demo", draft: Draft | None = None) -> Request:
    """A GET request with these fields."""
    request = Request.parse(head(f"GET {target} HTTP/1.1", *fields))
    return attrs.evolve(request, draft=draft)


def with_fields(request: Request, *fields: tuple[str, bytes]) -> Request:
    """The request with these fields as well, whatever their values: nobody parses them."""
    more = [(name.encode(), value) for name, value in fields]
    return attrs.evolve(request, headers=Headers([*request.headers.raw, *more]))


def identify(request: Request, mode: Draft, drafts: tuple[Draft, ...]) -> Draft:
    """Which draft a request speaks, under one mode for all."""
    return identify_by(request, lambda request: mode, drafts)


def pairs(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields in an order of their own, for drafts where theirs means nothing."""
    return sorted((name.lower(), value) for name, value in headers.raw)
