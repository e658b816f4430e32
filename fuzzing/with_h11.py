"""Heads through our parser and through h11, and why the two do not make the same of each.

A rule is a difference that is meant: a function that mends what the rule is about, and whose
docstring says why. It explains a difference if both make the same of the head when it is mended.
What no rules explain is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import combinations

import attrs
import h11

from trio_draftws.drafts import BadHead, Request, Response
from trio_draftws.drafts._http.head import MAX_FIELDS

from . import vectors
from .openings import WORDS, split_head
from .oracle import Choices, Finding, Target


def head(*lines: str | bytes) -> bytes:
    """A head of these lines."""
    raw = [line.encode("latin-1") if isinstance(line, str) else line for line in lines]
    return b"\r\n".join([*raw, b"", b""])


def up_to_blank_line(data: bytes) -> bytes:
    return data[: data.index(b"\r\n\r\n") + 4]


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
    # A field that is folded is one.
    first, *fields = re.split(rb"\r\n(?![ \t])", raw[:-4])
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


def status_past_599(raw: bytes) -> bytes:
    """h11 takes any status from 100 on; RFC 9110 knows none past 599."""
    return re.sub(rb"^(HTTP/[0-9]\.[0-9] )[6-9]", rb"\g<1>5", raw)


def bare_line_feed(raw: bytes) -> bytes:
    """h11 takes LF alone as the end of a line; to us it is a control character."""
    return up_to_blank_line(re.sub(rb"\r?\n", b"\r\n", raw))


def folded_line(raw: bytes) -> bytes:
    """h11 unfolds lines that begin in white space; in a request we refuse them, as RFC 9112 lets
    a server.
    """
    return re.sub(rb"[ \t]*\r\n[ \t]+", b" ", raw)


def control_character(raw: bytes) -> bytes:
    """h11 takes most control characters in values and phrases; we take none but the tab."""
    return re.sub(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", b"x", raw)


def another_http(raw: bytes) -> bytes:
    """h11 leaves the version of HTTP to its caller; we speak 1.x."""
    return re.sub(rb"^([^\r]* HTTP/)[02-9](?=\.[0-9]\r\n)", rb"\g<1>1", raw)


def answer_of_another_http(raw: bytes) -> bytes:
    """So too in answers; and HTTP/1.0 has no 101."""
    return re.sub(rb"^HTTP/(?:[02-9]\.[0-9]|1\.0(?= 101))", b"HTTP/1.1", raw)


def many_fields(raw: bytes) -> bytes:
    """h11 limits the size of a head; we also limit the number of fields."""
    others, hosts = without(raw, b"host")
    return raw if len(others) + len(hosts) <= MAX_FIELDS + 1 else head(*others[:50], *hosts)


# In this order, since what looks like the end of a line is the end of one when it is mended.
IN_REQUESTS = [
    *(bare_line_feed, folded_line, control_character, many_fields, framing_of_a_body),
    *(number_of_hosts, wide_target, another_http),
]
IN_RESPONSES = [
    *(bare_line_feed, control_character, many_fields, framing_of_a_body),
    *(status_past_599, answer_of_another_http),
]


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


# The target


def check(data: bytes) -> None:
    """Gives one head, of a request or of an answer, to both."""
    choices = Choices(data)
    rules, ours, theirs = choices.pick(KINDS)
    raw, _ = split_head(choices.rest)
    made = ours(raw), theirs(raw)
    if made[0] != made[1] and not explanation(raw, rules, ours, theirs):
        raise Finding(f"no rule says why: {raw!r}: {made[0]}: {made[1]}")


KINDS = (
    (IN_REQUESTS, our_request, h11_request),
    (IN_RESPONSES, our_response, h11_response),
)


def seeds() -> Iterator[bytes]:
    for kind, heads in enumerate((vectors.requests(), vectors.answers())):
        for raw in heads:
            yield bytes([kind]) + raw


TARGETS = (Target("h11", "heads, compared with h11", check, seeds, WORDS),)
