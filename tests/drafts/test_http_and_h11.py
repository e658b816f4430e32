"""Heads through our parser and through h11, and why the two do not make the same of each.

60,000 heads are those that clients and servers send, changed in a few places. A rule is a
difference that is meant: a function that mends what the rule is about, and whose docstring says
why. It explains a difference if both make the same of the head when it is mended. What no rules
explain fails the test, and so does a rule that explains nothing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import combinations

import attrs
import h11
import pytest

from trio_draftws.drafts import BadHead, Request, Response
from trio_draftws.drafts._http import MAX_FIELDS

from .helpers import KEYS, UPGRADE, head

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
    head("HTTP/1.1 099 Low"),
    head("HTTP/1.1 200 OK", *[f"N{number}: v" for number in range(99)]),
]
SPICES = [
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\x01", b"\x0b", b"\x7f", b"\x85"),
    *(b"\xff", b",", b"/", b"0", b"1", b"2", b"a", b"\r\n ", b"\r\nA: b", b"\r\nHost: x"),
    b"\r\nContent-Length: 8",
]


def up_to_blank_line(data: bytes) -> bytes:
    return data[: data.index(b"\r\n\r\n") + 4]


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


@attrs.frozen
class Parsed:
    """What both must agree on: the first line's parts, and each field as it came."""

    line: tuple[object, ...]
    fields: list[tuple[bytes, bytes]]


def fields_of(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """h11 takes the white space round a value away; we, when it is asked for as text."""
    return [(name, value.strip(b" \t")) for name, value in pairs]


def our_request(raw: bytes) -> Parsed | None:
    try:
        request = Request.parse(raw)
    except BadHead:
        return None
    version = request.line[-3:]
    line = (request.method.encode(), request.raw_target, version)
    return Parsed(line, fields_of(request.headers.raw))


def h11_request(raw: bytes) -> Parsed | None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, h11.Request), event
    line = (event.method, event.target, event.http_version)
    return Parsed(line, fields_of(event.headers.raw_items()))


def our_response(raw: bytes) -> Parsed | None:
    try:
        response = Response.parse(raw)
    except BadHead:
        return None
    line = (response.line[5:8], response.status, response.reason.encode("latin-1"))
    return Parsed(line, fields_of(response.headers.raw))


def h11_response(raw: bytes) -> Parsed | None:
    connection = h11.Connection(h11.CLIENT)
    fields = [("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
    connection.send(h11.Request(method="GET", target="/", headers=fields))
    connection.receive_data(raw)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    assert isinstance(event, (h11.Response, h11.InformationalResponse)), event
    line = (event.http_version, event.status_code, event.reason)
    return Parsed(line, fields_of(event.headers.raw_items()))


# The rules

Rule = Callable[[bytes], bytes]


def without(raw: bytes, *names: bytes) -> tuple[list[bytes], list[bytes]]:
    """A head's lines but for the fields of these names, and those fields."""
    first, *fields = raw[:-4].split(b"\r\n")
    named = [field for field in fields if field.partition(b":")[0].lower() in names]
    return [first, *(field for field in fields if field not in named)], named


def number_of_hosts(raw: bytes) -> bytes:
    """h11 wants one Host in HTTP/1.1; we look when we answer."""
    others, hosts = without(raw, b"host")
    return raw if len(hosts) == 1 else head(*others[:MAX_FIELDS], "Host: h")


def framing_of_a_body(raw: bytes) -> bytes:
    """h11 reads how a body is framed, and tidies what says so; to us, no opening has a body."""
    others, _ = without(raw, b"content-length", b"transfer-encoding")
    return head(*others)


def wide_target(raw: bytes) -> bytes:
    """We take a target with spaces or UTF-8, as Racket's client sends; h11 wants visible ASCII."""
    line, rest = raw.split(b"\r\n", 1)
    method, _, more = line.partition(b" ")
    target, _, version = more.rpartition(b" ")
    target = re.sub(rb"[^\x21-\x7e]", b"x", target)
    return b"%b %b %b\r\n%b" % (method, target, version, rest)


def status_below_100(raw: bytes) -> bytes:
    """h11 looks whether a status is one; to us, all but 101 are alike."""
    return re.sub(rb"^(HTTP/[0-9]\.[0-9] )0", rb"\g<1>2", raw)


def bare_line_feed(raw: bytes) -> bytes:
    """h11 takes LF alone as the end of a line; to us it is a control character."""
    return up_to_blank_line(re.sub(rb"\r?\n", b"\r\n", raw))


def folded_line(raw: bytes) -> bytes:
    """h11 unfolds lines that begin in white space; we refuse them, as RFC 9112 lets us."""
    return re.sub(rb"[ \t]*\r\n[ \t]+", b" ", raw)


def control_character(raw: bytes) -> bytes:
    """h11 takes most control characters in values and phrases; we take none but the tab."""
    return re.sub(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", b"x", raw)


def another_http(raw: bytes) -> bytes:
    """h11 leaves the version of HTTP to its caller; we speak 1.x."""
    return re.sub(rb"^([^\r]* HTTP/)[02-9](?=\.[0-9]\r\n)", rb"\g<1>1", raw)


def many_fields(raw: bytes) -> bytes:
    """h11 limits the size of a head; we also limit the number of fields."""
    others, hosts = without(raw, b"host")
    return raw if len(others) + len(hosts) <= MAX_FIELDS + 1 else head(*others[:50], *hosts)


# In this order, since what looks like the end of a line is the end of one when it is mended.
EVERYWHERE = [bare_line_feed, folded_line, control_character, many_fields, framing_of_a_body]
IN_REQUESTS = [*EVERYWHERE, number_of_hosts, wide_target, another_http]
IN_RESPONSES = [*EVERYWHERE, status_below_100]


def explanation(
    raw: bytes,
    rules: Sequence[Rule],
    ours: Callable[[bytes], Parsed | None],
    theirs: Callable[[bytes], Parsed | None],
) -> tuple[str, ...]:
    """The names of the rules, as few as will do, by which the two differ; none if none do."""
    for count in range(1, len(rules) + 1):
        for some in combinations(rules, count):
            mended = reduce(lambda head, rule: rule(head), some, raw)
            made = ours(mended)
            if made is not None and made == theirs(mended):
                return tuple(rule.__name__ for rule in some)
    return ()


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
def test_responses(seed: int) -> None:
    """So too of 10,000 answers, twice."""
    luck = random.Random(seed)
    heads = (mutated(ANSWERS, luck) for _ in range(10_000))
    seen = differences(heads, IN_RESPONSES, our_response, h11_response)
    assert {rule.__name__ for rule in IN_RESPONSES} | {"both refuse", "both agree"} == set(seen)
    assert min(seen["both refuse"], seen["both agree"]) > 1000
