"""Heads that are read without the parser: what C and Python find is what the parser says."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    COMPRESSION,
    DRAFTS,
    BadHead,
    Draft,
    Headers,
    Reject,
    Request,
    begin_answer,
    identify,
    spoken_today,
)
from trio_draftws.drafts._fast_handshake import (
    TODAY,
    Scanned,
    scan_opening_in_python,
)
from trio_draftws.drafts._http.request import parse_request_head_in_python

from .heads import KEY, PLAIN, PROXIED, TODAYS, head
from .masks import IS_DEMANDED

try:
    from trio_draftws.drafts._http import speedups
except ImportError:
    IS_BUILT = False
else:
    IS_BUILT = True

needs_c = pytest.mark.skipif(
    not IS_BUILT and not IS_DEMANDED, reason="the C part was not built: no compiler, no headers"
)


def in_c(data: bytes) -> Scanned | None:
    return speedups.scan_opening(data)


both_ways = pytest.mark.parametrize(
    "scan",
    [
        pytest.param(scan_opening_in_python, id="in Python"),
        pytest.param(in_c, id="in C", marks=needs_c),
    ],
)


def parsed(data: bytes) -> Request | None:
    """What the parser in Python says of a head; None where it says that it is none."""
    try:
        return Request(*parse_request_head_in_python(data))
    except BadHead:
        return None


def by_the_parser(data: bytes, drafts: tuple[Draft, ...] = DRAFTS) -> tuple[object, object]:
    """The draft of a whole head, and what its answer begins with; or the refusal."""
    try:
        request = Request(*parse_request_head_in_python(data))
        draft = identify(request, lambda _: "hixie-76", drafts)
        return draft, draft.opening.answer(request)
    except BadHead as error:
        return None, error.reason
    except Reject as reject:
        return None, str(reject)


def check(data: bytes) -> Scanned | None:
    """Holds all that reads `data` against each other; returns what is found in it."""
    found = scan_opening_in_python(data)
    if IS_BUILT:
        assert in_c(data) == found
    size = data.find(b"\r\n\r\n") + 4
    if size < 4:
        assert found is None
        if IS_BUILT:
            assert speedups.split_request(data) is None
        return None
    whole = data[:size]
    request = parsed(whole)
    if IS_BUILT:
        split = speedups.split_request(whole)
        assert (split is None) is (request is None)
        if split is not None and request is not None:
            line, raw, values = split
            assert (line, raw) == (request.line, request.headers.raw)
            assert values == request.headers._values
            assert list(values) == list(request.headers)
        if size < len(data):
            assert speedups.split_request(data) is None
    if found is not None:
        assert request is not None
        headers = request.headers
        assert found == (
            size,
            headers["Sec-WebSocket-Key"],
            headers.get("Sec-WebSocket-Protocol"),
            headers.get("Sec-WebSocket-Extensions"),
            "Cookie" in headers,
        )
        assert by_the_parser(whole) == (TODAY, begin_answer(found))
    return found


@both_ways
@pytest.mark.parametrize("name", TODAYS)
def test_what_todays_clients_send(name: str, scan: Callable[[bytes], Scanned | None]) -> None:
    """It is found, also with frames behind it, and is what the parser says."""
    whole = TODAYS[name]
    found = scan(whole)
    assert found is not None
    assert found[:2] == (len(whole), KEY)
    assert scan(whole + b"\x81\x80\0\0\0\0") == found
    assert check(whole) == found
    for size in range(len(whole)):
        assert scan(whole[:size]) is None


@both_ways
def test_what_is_found(scan: Callable[[bytes], Scanned | None]) -> None:
    chrome, proxied, plain = TODAYS["Chrome"], PROXIED, PLAIN
    offer = "permessage-deflate; client_max_window_bits"
    assert scan(chrome) == (len(chrome), KEY, "chat, superchat", offer, True)
    assert scan(proxied) == (len(proxied), KEY, None, None, True)
    assert scan(plain) == (len(plain), KEY, None, None, False)


def changed(old: str, new: str) -> bytes:
    assert old.encode() in PLAIN
    return PLAIN.replace(old.encode(), new.encode("latin-1"), 1)


def with_field(field: str) -> bytes:
    return PLAIN[:-2] + field.encode("latin-1") + b"\r\n\r\n"


STILL_USUAL = {
    "spaces around values": changed("Host: localhost:80", "Host:   localhost:80 \t"),
    "no space before a value": changed("Upgrade: websocket", "Upgrade:websocket"),
    "names in capitals": changed("Sec-WebSocket-Key", "SEC-WEBSOCKET-KEY"),
    "values in capitals": changed("Upgrade: websocket", "Upgrade: WebSocket"),
    "Connection names more": changed("Connection: Upgrade", "Connection: a,, \tUPGRADE , b"),
    "a value of bytes beyond ASCII": with_field("X-Name: J\xfcrgen"),
    "a value with a tab": with_field("X-Name: a\tb"),
    "an empty value": with_field("X-Name:"),
    "any other field twice": with_field("X-Name: a\r\nX-Name: b"),
    "an empty offer": with_field("Sec-WebSocket-Extensions: "),
    "no subprotocol": with_field("Sec-WebSocket-Protocol:"),
    "a host without a port": changed("localhost:80", "localhost"),
    "a host with a colon": changed("localhost:80", "localhost:"),
    "an address": changed("localhost:80", "[2001:db8::1]:80"),
    "a query": changed("GET / ", "GET /?a=b&c#d "),
    "a key whose last bits are set": changed(KEY, "dGhlIHNhbXBsZSBub25jZZ=="),
    "a hundred fields": PLAIN[:-2] + b"a: b\r\n" * 95 + b"\r\n",
}
UNUSUAL = {
    "an empty line before it": b"\r\n" + PLAIN,
    "line feeds alone": PLAIN.replace(b"\r\n", b"\n"),
    "another method": changed("GET", "POST"),
    "lower case": changed("GET", "get"),
    "a URL": changed("GET / ", "GET http://localhost/ "),
    "no slash": changed("GET / ", "GET * "),
    "a space in the target": changed("GET / ", "GET /a b "),
    "two spaces": changed("GET / ", "GET  / "),
    "beyond ASCII": changed("GET / ", "GET /\xe9 "),
    "a control character": changed("GET / ", "GET /\x7f "),
    "a tab": changed("GET / ", "GET\t/ "),
    "HTTP/1.0": changed("HTTP/1.1", "HTTP/1.0"),
    "HTTP/1.2": changed("HTTP/1.1", "HTTP/1.2"),
    "HTTP/2": changed("HTTP/1.1", "HTTP/2.0"),
    "nothing but a version": changed("GET / HTTP/1.1", "HTTP/1.1"),
    "no target": changed("GET / HTTP/1.1", "GET  HTTP/1.1"),
    "a long line": changed("GET / ", f"GET /{'a' * 8192} "),
    "no Host": changed("Host: localhost:80\r\n", ""),
    "two of Host": with_field("Host: localhost:80"),
    "an empty Host": changed("localhost:80", ""),
    "a Host with a user": changed("localhost:80", "me@localhost:80"),
    "a Host with a long port": changed("localhost:80", "localhost:123456"),
    "two hosts": changed("localhost:80", "a, b"),
    "half an address": changed("localhost:80", "[::1"),
    "an empty address": changed("localhost:80", "[]"),
    "an address of letters": changed("localhost:80", "[::g]"),
    "no Upgrade": changed("Upgrade: websocket\r\n", ""),
    "two of Upgrade": with_field("Upgrade: websocket"),
    "Upgrade names more": changed("Upgrade: websocket", "Upgrade: websocket, h2c"),
    "Upgrade to something else": changed("Upgrade: websocket", "Upgrade: h2c"),
    "no Connection": changed("Connection: Upgrade\r\n", ""),
    "two of Connection": with_field("Connection: keep-alive"),
    "Connection without it": changed("Connection: Upgrade", "Connection: keep-alive, Upgrad"),
    "an empty Connection": changed("Connection: Upgrade", "Connection:"),
    "no key": changed(f"Sec-WebSocket-Key: {KEY}\r\n", ""),
    "two keys": with_field(f"Sec-WebSocket-Key: {KEY}"),
    "a short key": changed(KEY, "dGhlIHNhbXBsZSBub25jZQ"),
    "a long key": changed(KEY, "AAAA" + KEY),
    "a key of fifteen bytes": changed(KEY, "dGhlIHNhbXBsZSBub25j"),
    "a key of seventeen bytes": changed(KEY, "dGhlIHNhbXBsZSBub25jZGE="),
    "a key that is no base64": changed(KEY, "dGhlIHNhbXBsZSBub25j_Q=="),
    "no version": changed("Sec-WebSocket-Version: 13\r\n", ""),
    "two versions": with_field("Sec-WebSocket-Version: 13"),
    "an older version": changed("Version: 13", "Version: 8"),
    "a newer version": changed("Version: 13", "Version: 14"),
    "a version with a zero": changed("Version: 13", "Version: 013"),
    "two origins": with_field("Origin: http://a\r\nOrigin: http://b"),
    "two fields of subprotocols": with_field("Sec-WebSocket-Protocol: a\r\n" * 2)[:-2],
    "two fields of extensions": with_field("Sec-WebSocket-Extensions: a\r\n" * 2)[:-2],
    "a body": with_field("Content-Length: 5"),
    "a body of nothing": with_field("Content-Length: 0"),
    "a body in chunks": with_field("Transfer-Encoding: chunked"),
    "a folded field": with_field("X-Name: a\r\n b"),
    "a field without a colon": with_field("X-Name"),
    "a field without a name": with_field(": a"),
    "a space before the colon": with_field("X-Name : a"),
    "a control character in a value": with_field("X-Name: a\x00b"),
    "a carriage return in a value": with_field("X-Name: a\rb"),
    "a line feed in a value": with_field("X-Name: a\nb"),
    "a name beyond ASCII": with_field("X-N\xe4me: a"),
    "too many fields": PLAIN[:-2] + b"a: b\r\n" * 96 + b"\r\n",
    "a player's question": b"<policy-file-request/>\0",
    "a TLS handshake": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    "nothing": b"",
    "line ends alone": b"\r\n\r\n",
}


@both_ways
@pytest.mark.parametrize("name", STILL_USUAL)
def test_what_is_written_otherwise(name: str, scan: Callable[[bytes], Scanned | None]) -> None:
    assert scan(STILL_USUAL[name]) is not None
    check(STILL_USUAL[name])


@both_ways
@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_left_to_the_parser(name: str, scan: Callable[[bytes], Scanned | None]) -> None:
    assert scan(UNUSUAL[name]) is None
    check(UNUSUAL[name])


FIELDS = [
    *{line for whole in TODAYS.values() for line in whole[:-4].split(b"\r\n")},
    b"Host: a, b",
    b"Content-Length: 8",
    b"transfer-encoding: chunked",
    b"Sec-WebSocket-Key1: 1",
    b"Sec-WebSocket-Draft: 2",
    b"Sec-WebSocket-Version: 8",
    b"Sec-WebSocket-Origin: http://a",
    b"Upgrade: h2c",
    b" folded",
    b"no colon",
    b"",
]
FIELDS.sort()
ODD_BYTES = [
    *(bytes([byte]) for byte in b"\0\t\n\r ,:;=/[]@\x7f\x80\xe9\xff"),
    b"\r\n",
    b"\r\n\r\n",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A head of today's, with a few lines and bytes changed."""
    lines = draw(st.sampled_from(sorted(TODAYS.values())))[:-4].split(b"\r\n")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines)))
        change = draw(st.sampled_from(["insert", "drop", "case", "swap"]))
        if change == "insert":
            lines.insert(at, draw(st.sampled_from(FIELDS)))
        elif at < len(lines) and change == "drop":
            del lines[at]
        elif at < len(lines) and change == "case":
            lines[at] = lines[at].swapcase()
        elif 1 < at < len(lines):
            lines[at - 1 : at + 1] = [lines[at], lines[at - 1]]
    data = b"\r\n".join([*lines, b"", b""])
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 2))
        odd = draw(st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=2)))
        data = data[:at] + odd + data[at + size :]
    return data + draw(st.sampled_from([b"", b"\x88\x80\0\0\0\0", b"\r\n\r\n"]))


@given(mutated())
def test_mutated_heads(data: bytes) -> None:
    check(data)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    check(data)
    check(PLAIN[:-2] + data + b"\r\n\r\n")
    check(b"GET " + data + PLAIN[5:])


@given(st.text("abcAB019.:[]%-_~!$&'()*+;=,@/ \t", max_size=12))
def test_any_host(host: str) -> None:
    check(changed("localhost:80", host))


@given(st.text("AaUuPpGgRrDdEe,, \t", max_size=16))
def test_any_connection(value: str) -> None:
    check(changed("Connection: Upgrade", f"Connection: {value}"))
    check(changed("Connection: Upgrade", f"Connection: {value},upgrade"))


@pytest.mark.parametrize("name", TODAYS)
def test_requests_are_what_the_parser_makes(name: str) -> None:
    """Also where they were not parsed in Python."""
    request = Request.parse(TODAYS[name])
    expected = Request(*parse_request_head_in_python(TODAYS[name]))
    assert request.line == expected.line
    assert request.headers.raw == expected.headers.raw
    assert dict(request.headers) == dict(expected.headers)
    assert request.headers.get_raw("Cookie") == expected.headers.get_raw("Cookie")
    assert repr(request) == repr(expected)
    assert dict(Headers(request.headers.raw)) == dict(request.headers)


@pytest.mark.parametrize("name", TODAYS)
def test_answers_are_the_same(name: str) -> None:
    """To the byte, with fields, a subprotocol and compression, and what is agreed to."""
    found = scan_opening_in_python(TODAYS[name])
    assert found is not None
    expected = TODAY.opening.answer(Request(*parse_request_head_in_python(TODAYS[name])))
    fields = Headers([(b"X-Name", b"J\xfcrgen"), (b"Set-Cookie", b"a=b")])
    for arguments in (
        (Headers(), None, None),
        (Headers(), None, COMPRESSION),
        (fields, "chat", COMPRESSION),
        (fields, "chat" * 100, COMPRESSION),
    ):
        answer = begin_answer(found).accept(*arguments)
        assert answer == expected.accept(*arguments)
        # Once more, now that it is remembered
        assert answer == begin_answer(found).accept(*arguments)


def test_an_answer_to_the_byte() -> None:
    found = scan_opening_in_python(TODAYS["Chrome"])
    assert found is not None
    response, agreement = begin_answer(found).accept(
        Headers([(b"X-Name", b"value")]), "chat", COMPRESSION
    )
    # RFC 6455 section 1.3 has the proof
    assert response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=12\r\n"
        b"X-Name: value\r\n"
        b"\r\n"
    )
    assert agreement.subprotocol == "chat"
    assert agreement.deflate is not None
    assert agreement.deflate.settings is COMPRESSION


def test_which_draft_is_found() -> None:
    """The newest, where a server speaks it, and nobody else answers to such requests."""
    assert spoken_today(DRAFTS) is TODAY
    assert spoken_today([TODAY]) is TODAY
    assert spoken_today(DRAFTS[:-1]) is None
    assert spoken_today([*DRAFTS, attrs.evolve(TODAY, name="mine")]) is None
    assert spoken_today([attrs.evolve(TODAY, name="mine")]) is None


# What is in C


@needs_c
def test_wrong_arguments() -> None:
    for function in (speedups.scan_opening, speedups.split_request):
        for wrong in ("", None, bytearray(PLAIN), memoryview(PLAIN)):
            with pytest.raises(TypeError):
                function(wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            function(PLAIN, PLAIN)  # type: ignore[call-arg]


@needs_c
def test_nothing_leaks() -> None:
    """Neither a head nor what is made of it, whether it is a usual one or not."""
    those = [*TODAYS.values(), *UNUSUAL.values(), *STILL_USUAL.values()]

    def use() -> None:
        for _ in range(20):
            for whole in those:
                speedups.scan_opening(whole)
                speedups.split_request(whole)

    use()
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        use()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1000


@pytest.mark.parametrize("pure", ["0", "1"])
def test_c_is_taken_where_it_was_built(pure: str) -> None:
    program = """if True:
        from trio_draftws.drafts import _fast_handshake
        from trio_draftws.drafts._http import request
        print(_fast_handshake.scan_opening is _fast_handshake.scan_opening_in_python)
        print(request.split_request is request.split_request_in_python)
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TRIO_DRAFTWS_PURE_PYTHON": pure},
        capture_output=True,
        text=True,
        check=True,
    )
    is_python = pure == "1" or not IS_BUILT
    assert done.stdout.split() == [str(is_python)] * 2


def test_without_c_nothing_is_split() -> None:
    """So that the parser reads it."""
    from trio_draftws.drafts._http.request import split_request_in_python

    assert split_request_in_python(head("GET / HTTP/1.1")) is None
