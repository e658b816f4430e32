"""Whatever a peer sends, the work for it grows as its bytes do: no pattern goes back and forth.

The work is measured by the processor's time, the least of several runs; a pattern that takes
quadratic time takes sixteen times as long for four times the bytes, and these are given eight.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
import time
from collections.abc import Callable, Iterator

import pytest

import trio_draftws
from trio_draftws.drafts import (
    COMPRESSION,
    BadHead,
    Headers,
    Reject,
    Request,
    Response,
    ResponseBody,
    draft_named,
    is_ws_url,
)

SIZE = 20_000
# Seconds: what takes less for all of the bytes is quick enough, however it grows.
QUICK = 0.001


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Every compiled pattern of the package."""
    for module in pkgutil.walk_packages(trio_draftws.__path__, "trio_draftws."):
        if not module.name.endswith("__main__"):
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{name}", value


PATTERNS = dict(patterns())
# Of what the patterns are made: runs that may be taken by one part of them or by the next
RUNS = [
    *(" ", "\t", "a", "A", "0", "é", "\x00", "\r", "%", "-", ".", "/", "\\", '"'),
    *(
        ";",
        ";a",
        "; a",
        ';a="',
        ';a="\\',
        ",",
        ":",
        "::",
        "=",
        "==",
        "A=",
        "AAAA",
        "[",
        "[:",
        "[::",
    ),
]
ENDS = ["", "!", "\x00", "\n", "]", '"', " ", "="]


def least(action: Callable[[], object]) -> float:
    """The processor's seconds that it takes: the least of three times, or the first `QUICK`."""
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        action()
        best = min(best, time.process_time() - started)
        if best < QUICK:
            break
    return best


def grows_linearly(act: Callable[[int], Callable[[], object]]) -> bool:
    """Whether four times the bytes take less than eight times the time."""
    for _ in range(3):
        much = least(act(4 * SIZE))
        if much < QUICK or much < 8 * least(act(SIZE)):
            return True
    return False


def filled(start: str, run: str, end: str, size: int) -> str:
    return start + run * (size // len(run)) + end


def test_there_are_patterns() -> None:
    assert len(PATTERNS) >= 10


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns(name: str) -> None:
    """Each, wherever it may begin."""
    pattern = PATTERNS[name]
    for run in RUNS:
        for end in ENDS:

            def act(size: int, run: str = run, end: str = end) -> Callable[[], object]:
                text = filled("", run, end, size)
                data = text.encode("latin-1")

                def apply() -> None:
                    for method in ("match", "fullmatch"):
                        look = getattr(pattern, method)
                        look(data if isinstance(pattern.pattern, bytes) else text)

                return apply

            assert grows_linearly(act), (name, run, end)


def head(fields: str) -> bytes:
    return f"GET / HTTP/1.1\r\n{fields}\r\n\r\n".encode("latin-1")


def parse(kind: type[Request | Response], raw: bytes) -> None:
    try:
        kind.parse(raw)
    except BadHead:
        pass


def answer(draft: str, fields: str) -> None:
    """As a server does that takes every offer."""
    raw = head(f"Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}")
    try:
        draft_named(draft).opening.answer(Request.parse(raw)).accept(Headers(), None, COMPRESSION)
    except (BadHead, Reject):
        pass


def keyed(key: str) -> None:
    answer("hixie-76", f"Sec-WebSocket-Key1: {key}\r\nSec-WebSocket-Key2: 1 2")


def offered(extensions: str) -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    versions = f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13"
    answer("rfc6455", f"{versions}\r\nSec-WebSocket-Extensions: {extensions}")


def take_body(text: str, fields: str = "Transfer-Encoding: chunked") -> None:
    response = Response.parse(f"HTTP/1.1 401 No\r\n{fields}\r\n\r\n".encode("latin-1"))
    ResponseBody.of(response, 65536).feed(text.encode("latin-1"))


READERS: dict[str, Callable[[str], object]] = {
    "a request line": lambda text: parse(
        Request, f"GET /{text} HTTP/1.1\r\n\r\n".encode("latin-1")
    ),
    "a field": lambda text: parse(Request, head(f"Name: {text}")),
    "a field's name": lambda text: parse(Request, head(f"{text}: value")),
    "a status line": lambda text: parse(Response, f"HTTP/1.1 200 {text}\r\n\r\n".encode("latin-1")),
    "a folded field": lambda text: parse(
        Response, f"HTTP/1.1 200 OK\r\nA: b\r\n {text}\r\n\r\n".encode("latin-1")
    ),
    "a chunk's line": take_body,
    "a chunk's line, behind a chunk": lambda text: take_body(f"1\r\nx\r\n1{text}\r\n"),
    "a key": keyed,
    "a key of digits": lambda text: keyed(f"1 {text}2"),
    "a key of today": lambda text: answer(
        "rfc6455", f"Sec-WebSocket-Key: {text}\r\nSec-WebSocket-Version: 13"
    ),
    "extensions": offered,
    "parameters": lambda text: offered(f"permessage-deflate{text}"),
    "a URL": lambda text: is_ws_url(f"ws://{text}"),
    "a path": lambda text: is_ws_url(f"ws://a/{text}"),
    "subprotocols": lambda text: draft_named("hixie-76").subprotocols.asked([text]),
    "subprotocols of today": lambda text: draft_named("rfc6455").subprotocols.asked([text]),
}

MANY: dict[str, Callable[[int], object]] = {
    "folds": lambda size: parse(
        Response, b"HTTP/1.1 200 OK\r\nA: " + b"\r\n b" * (size // 4) + b"\r\n\r\n"
    ),
    "chunks": lambda size: take_body("1;a\r\nx\r\n" * (size // 8)),
}


@pytest.mark.parametrize("reader", READERS)
def test_readers(reader: str) -> None:
    """What reads a peer's head, or what somebody wants to dial."""
    for run in RUNS:

        def act(size: int, run: str = run) -> Callable[[], object]:
            text = filled("", run, "!", size)
            return lambda: READERS[reader](text)

        assert grows_linearly(act), (reader, run)


@pytest.mark.parametrize("what", MANY)
def test_many(what: str) -> None:
    assert grows_linearly(lambda size: lambda: MANY[what](size))


def test_the_measure_sees_what_is_not_linear() -> None:
    bad = re.compile(r"(?:a+)+b|a*a*c")

    def act(size: int) -> Callable[[], object]:
        # Far fewer, since this is worse than quadratic
        text = "a" * (size // 4000)
        return lambda: bad.match(text)

    assert not grows_linearly(act)
