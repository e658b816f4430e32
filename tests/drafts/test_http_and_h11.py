"""Heads through our parser and through h11: the rules that say why the two differ are all needed.

60,000 heads are those that clients and servers send, changed in a few places. What no rules
explain fails the test, and so does a rule that explains nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest

from fuzzing.with_h11 import (
    IN_REQUESTS,
    IN_RESPONSES,
    Parsed,
    Rule,
    explanation,
    h11_request,
    h11_response,
    our_request,
    our_response,
    up_to_blank_line,
)
from trio_draftws.drafts import DRAFTS, BadHead, Reject, Request, draft_named

from .helpers import KEYS, UPGRADE, head, identify

TODAY = head(
    b"GET /a?b HTTP/1.1",
    *UPGRADE,
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    "Origin: http://example.com",
)
SEEDS = [
    head(b"GET /demo HTTP/1.1", *UPGRADE, "Origin: http://example.com", "Cookie: a=b; c=\xe9"),
    head(b"GET /a?b HTTP/1.1", *KEYS, *UPGRADE, "Sec-WebSocket-Protocol: sample other"),
    head(b"GET /a b/\xc3\xa9//c HTTP/1.1", *UPGRADE, *KEYS),
    head(b"POST / HTTP/1.0", "Host: h", "Content-Length: 8", "Transfer-Encoding: chunked", "A:b"),
    head(b"GET / HTTP/1.1", "Host: h", *[f"N{number}: v" for number in range(98)]),
]
ANSWERS = [
    head("HTTP/1.1 101 Web Socket Protocol Handshake", *UPGRADE[:2], "WebSocket-Origin: http://o"),
    head("HTTP/1.1 404 Not Found", "Content-Length: 0", "Connection: close", "A:b", "A: \xe9"),
    head("HTTP/1.0 200", "Transfer-Encoding: chunked", "Content-Length: 5"),
    head("HTTP/1.1 599 High", "A: b", " c", "\td"),
    head("HTTP/1.1 600 Higher"),
    head("HTTP/1.0 101 Early", *UPGRADE[:2]),
    head("HTTP/1.1 200 OK", *[f"N{number}: v" for number in range(99)]),
]
SPICES = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\x01", b"\x0b", b"\x7f", b"\x85"),
    *(b"\xff", b",", b"/", b"0", b"1", b"2", b"a", b"\r\n ", b"\r\nA: b", b"\r\nHost: x"),
    b"\r\nContent-Length: 8",
]


def mutated(seeds: list[bytes], luck: random.Random) -> bytes:
    """One of `seeds`, changed in one to three places, up to its first blank line."""
    data = bytearray(luck.choice(seeds)[:-4])
    for _ in range(luck.choice((1, 1, 2, 3))):
        # Half of the changes go where the first line is.
        reach = luck.choice((min(len(data), 20), len(data)))
        place = luck.randint(0, reach)
        kind = luck.randrange(5)
        if kind == 0:
            data[place : place + luck.randint(1, 3)] = b""
        elif kind == 1:
            data[place : place + 1] = bytes([luck.randrange(256)])
        elif kind == 2:
            data[place : place + 1] = luck.choice(SPICES)
        elif kind == 3:
            data[place:place] = luck.choice(SPICES)
        else:
            lines = data.split(b"\r\n")
            line = lines.pop(luck.randrange(len(lines)))
            if luck.random() < 0.5:
                lines[place % (len(lines) + 1) : 0] = [line, line]
            data = bytearray(b"\r\n".join(lines))
    return up_to_blank_line(bytes(data) + b"\r\n\r\n")


def differences(
    heads: Iterable[bytes],
    rules: Sequence[Rule],
    ours: Callable[[bytes], Parsed | None],
    theirs: Callable[[bytes], Parsed | None],
) -> Counter[str]:
    """How often each rule explains a difference; one that none explains is an error."""
    seen: Counter[str] = Counter()
    for raw in heads:
        we, they = ours(raw), theirs(raw)
        if we == they:
            seen["both refuse" if we is None else "both agree"] += 1
            continue
        why = explanation(raw, rules, ours, theirs)
        assert why, (raw, we, they)
        seen.update(why)
    return seen


@pytest.mark.parametrize("seed", range(4))
def test_requests(seed: int) -> None:
    """Of 10,000 heads, four times, both make the same, or rules say why not."""
    luck = random.Random(seed)
    heads = (mutated(SEEDS, luck) for _ in range(10_000))
    seen = differences(heads, IN_REQUESTS, our_request, h11_request)
    assert {rule.__name__ for rule in IN_REQUESTS} | {"both refuse", "both agree"} == set(seen)
    assert min(seen["both refuse"], seen["both agree"]) > 1000


@pytest.mark.parametrize("seed", range(2))
def test_what_is_taken_for_a_request_of_today(seed: int) -> None:
    """From hybi-04 on we take nothing that h11 does not, and it makes the same of the target."""
    luck = random.Random(seed)
    seen: Counter[str] = Counter()
    for _ in range(10_000):
        raw = mutated([TODAY], luck)
        try:
            request = Request.parse(raw)
            draft = identify(request, draft_named("rfc6455"), DRAFTS)
            if draft.version is None:
                continue
            draft.opening.answer(request)
        except (BadHead, Reject):
            seen["refused"] += 1
            continue
        theirs = h11_request(raw)
        assert theirs is not None, raw
        assert theirs.line == (b"GET", request.raw_target, request.line[-3:])
        seen["taken"] += 1
    assert min(seen["refused"], seen["taken"]) > 500


@pytest.mark.parametrize("seed", range(2))
def test_responses(seed: int) -> None:
    """So too of 10,000 answers, twice."""
    luck = random.Random(seed)
    heads = (mutated(ANSWERS, luck) for _ in range(10_000))
    seen = differences(heads, IN_RESPONSES, our_response, h11_response)
    assert {rule.__name__ for rule in IN_RESPONSES} | {"both refuse", "both agree"} == set(seen)
    assert min(seen["both refuse"], seen["both agree"]) > 1000
