"""Request and response heads, read and written; test_http_and_h11.py compares them with h11."""

from __future__ import annotations

from http import HTTPStatus

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    DRAFTS,
    BadHead,
    HeaderFields,
    Headers,
    Request,
    Response,
    checked_fields,
    find_head_end,
    shown,
    write_head,
    write_response,
)

from .helpers import UPGRADE, bytewise, get, head, in_turn

MAX_FIELDS = 100
# RFC 9110 section 15.5.15; Python had an older phrase until 3.13.
REASON_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {414: "URI Too Long"}


# Where a head ends


@in_turn(
    ("data", "end"),
    [
        (b"", -1),
        (b"GET / HTTP/1.1\r\n", -1),
        (b"GET / HTTP/1.1\r\n\r", -1),
        (b"a\n\n", -1),
        (b"a\n\r\n", -1),
        (b"a\r\r", -1),
        (b"a\r\n\r\n", 5),
        (b"a\r\n\r\nb\r\n\r\n", 5),
        (b"\r\n\r\n", 4),
        (b"a\r\n\r\r\n\r\n", 8),
    ],
)
def test_head_end(data: bytes, end: int) -> None:
    """Behind the first CR LF CR LF, and nothing else ends a head."""
    assert end == find_head_end(bytearray(data), 0)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"a"]), max_size=12).map(b"".join), st.binary())
def test_head_end_in_a_trickle(before: bytes, after: bytes) -> None:
    """It is found as soon as it is there, although no byte is searched twice."""
    data = before + b"\r\n\r\n" + after
    expected = data.index(b"\r\n\r\n") + 4
    buffer = bytearray()
    searched = 0
    for byte in bytewise(data[:expected]):
        assert find_head_end(buffer, searched) == -1
        searched = len(buffer)
        buffer += byte
    assert expected == find_head_end(buffer, searched)


def test_head_end_searches_only_what_is_new() -> None:
    """What was searched before is not looked at again, but for three bytes."""
    assert find_head_end(bytearray(b"a\r\n\r\n" + b"x" * 20), 20) == -1


# Requests


@in_turn(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"G@T / HTTP/1.1",
        b"G\xc9T / HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\n HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"GET /\t HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\r",
        b"HTTP/1.1 101 Switching Protocols\n",
    ],
)
def test_bad_request_line(line: bytes) -> None:
    """It is refused with 400."""
    with pytest.raises(BadHead, match=r"^expected a request line as `GET /path") as caught:
        Request.parse(head(line, "Host: h"))
    assert caught.value.status == 400


@in_turn(
    "version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.12", b"http/1.1", b"HTTP/1.1x", b""]
)
def test_other_versions_of_http(version: bytes) -> None:
    """They are refused with 505; the drafts are HTTP/1."""
    with pytest.raises(BadHead, match=r"^expected HTTP/1\.1") as caught:
        Request.parse(head(b"GET / " + version))
    assert caught.value.status == 505


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_versions_of_http(version: str) -> None:
    """HTTP/1.0 is as good as 1.1."""
    assert Request.parse(head(f"GET / {version}")).raw_target == b"/"


def test_an_empty_target() -> None:
    """Two spaces with nothing between them ask for nothing."""
    with pytest.raises(BadHead):
        Request.parse(head("GET  HTTP/1.1", "Host: h"))


@pytest.mark.parametrize(
    ("raw", "path", "query"),
    [
        (b"/", "/", ""),
        (b"*", "*", ""),
        (b"/a?b=c?d", "/a", "b=c?d"),
        (b"/?", "/", ""),
        (b"/a%20b?c%20d", "/a b", "c%20d"),
        (b"/a b/\xc3\xa9//c", "/a b/\u00e9//c", ""),
        (b"/a HTTP/1.1 b", "/a HTTP/1.1 b", ""),
        (b"/%C3%A9\xc3\xa9", "/\u00e9\u00e9", ""),
        (b"/%zz%2", "/%zz%2", ""),
        (b"/a%3Fb?c", "/a?b", "c"),
        (b"/\xff%ff", "/\ufffd\ufffd", ""),
        (b"/?\xc3\xa9", "/", "\xc3\xa9"),
        (b"http://h/a", "/a", ""),
        (b"http://h/a%20b?c", "/a b", "c"),
        (b"WSS://h", "/", ""),
        (b"http://h?c/d", "/", "c/d"),
        (b"/http://h/a", "/http://h/a", ""),
        (b"*?a://b/c", "*", "a://b/c"),
    ],
)
def test_target(raw: bytes, path: str, query: str) -> None:
    """Racket's client sends spaces and UTF-8 as they are; the target has every byte of them."""
    request = Request.parse(head(b"GET " + raw + b" HTTP/1.1"))
    assert raw == request.raw_target == request.target.encode("latin-1")
    assert (path, query) == (request.path, request.query)


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        (b"/", "example.com"),
        (b"/http://other/", "example.com"),
        (b"http://other:81/a", "other:81"),
        (b"ws://other", "other"),
        (b"http://other?a", "other"),
        (b"http:///a", ""),
        (b"*", "example.com"),
    ],
)
def test_the_host_of_a_whole_url_goes_first(raw: bytes, host: str) -> None:
    """RFC 9112 section 3.2.2: a server must ignore the Host field then."""
    request = Request.parse(head(b"GET " + raw + b" HTTP/1.1", b"Host: example.com"))
    assert request.host == host
    assert request.headers["Host"] == "example.com"


@in_turn("method", ["GET", "POST", "get", "M-SEARCH", "!#$%&'*+-.^_`|~"])
def test_method(method: str) -> None:
    """Any token is a method."""
    assert method == Request.parse(head(f"{method} / HTTP/1.1")).method


def test_line() -> None:
    """The line is kept as it came."""
    assert Request.parse(b"GET /a  b HTTP/1.0\r\n\r\n").line == b"GET /a  b HTTP/1.0"


def test_request_before_its_draft_is_known() -> None:
    """Host and Origin are there from the start, and subprotocols are not."""
    request = get(*UPGRADE, "Origin: http://o", "Sec-WebSocket-Protocol: chat")
    assert (request.host, request.origin, request.subprotocols) == ("example.com", "http://o", ())


def test_request_without_fields() -> None:
    """What did not come is None."""
    request = get()
    assert (request.host, request.origin) == (None, None)
    assert request.location == "ws:///demo"


@in_turn("draft", DRAFTS)
def test_a_draft_names_its_fields(draft: object) -> None:
    """Origin and subprotocols come from the fields that the row names."""
    row = next(row for row in DRAFTS if row is draft)
    row = attrs.evolve(row, origin_fields=("X-Origin",), subprotocol_field="X-Protocol")
    request = get("X-Origin: http://o", "X-Protocol: chat", draft=row)
    assert (request.origin, request.subprotocols) == ("http://o", ("chat",))


@pytest.mark.parametrize(("secure", "scheme"), [(False, "ws"), (True, "wss")])
def test_location(secure: bool, scheme: str) -> None:
    """Scheme by our own TLS, then Host and target as they came."""
    request = attrs.evolve(get("Host: H:80", target="/a?b"), secure=secure)
    assert f"{scheme}://H:80/a?b" == request.location


# Fields


@in_turn(
    "line",
    [
        b"no colon",
        b": no name",
        b"Name : value",
        b"Na me: value",
        b"Na\x00me: value",
        b"Na\nme: value",
        b"Na\rme: value",
        b"N\xe9me: value",
        b"(Name): value",
        b"Name\n: value",
    ],
)
def test_bad_field(line: bytes) -> None:
    """A name is a token with the colon right behind it."""
    with pytest.raises(BadHead, match=r"^expected a field as `Name: value`") as caught:
        get("Host: h", line)
    assert caught.value.status == 400


@in_turn("byte", [*range(0x09), *range(0x0A, 0x20), 0x7F])
def test_control_character_in_a_value(byte: int) -> None:
    """Bare LF, bare CR, NUL and their like are refused, and the field is named."""
    with pytest.raises(BadHead, match="`Name` has a control character in its value") as caught:
        get(b"Name: a" + bytes([byte]) + b"b")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("line", "raw", "value"),
    [
        (b"Name:", b"", ""),
        (b"Name: ", b"", ""),
        (b"Name:v", b"v", "v"),
        (b"Name: v", b"v", "v"),
        (b"Name:  v", b" v", "v"),
        (b"Name: v  ", b"v  ", "v"),
        (b"Name:\tv\t", b"\tv\t", "v"),
        (b"Name: a\tb", b"a\tb", "a\tb"),
        (b"Name: \xe9\x85\xa0", b"\xe9\x85\xa0", "\u00e9\x85\xa0"),
        (b"Name: a:b: c", b"a:b: c", "a:b: c"),
    ],
)
def test_value(line: bytes, raw: bytes, value: str) -> None:
    """Raw, all spaces but one belong to it; read as text, none around it; bytes are Latin-1."""
    headers = get(line).headers
    assert ([raw], value) == (headers.get_raw("name"), headers["name"])


def test_too_many_fields() -> None:
    """One field too many is refused with 431."""
    fields = [f"N{number}: v" for number in range(MAX_FIELDS)]
    assert len(get(*fields).headers) == MAX_FIELDS
    with pytest.raises(BadHead, match="101 fields, more than 100") as caught:
        get(*fields, "One: more")
    assert caught.value.status == 431


HEADERS = Headers([(b"A", b" 1 "), (b"b", b"2"), (b"a", b"3")])


def test_headers_are_a_mapping_without_case() -> None:
    """Every case of a name finds it; iteration gives each name once, in lower case."""
    assert list(HEADERS) == ["a", "b"]
    assert len(HEADERS) == 2
    assert HEADERS["A"] == HEADERS["a"] == HEADERS.get("A") == "1, 3"
    assert dict(HEADERS) == {"a": "1, 3", "b": "2"}
    assert "B" in HEADERS
    assert "c" not in HEADERS
    others: list[object] = [1, b"a", None]
    assert [other in HEADERS for other in others] == [False] * 3


def test_headers_that_came_several_times() -> None:
    """All values are there, with and without the spaces around them."""
    assert HEADERS.get_all("A") == ["1", "3"]
    assert HEADERS.get_raw("A") == [b" 1 ", b"3"]
    assert HEADERS.raw == ((b"A", b" 1 "), (b"b", b"2"), (b"a", b"3"))


def test_headers_that_did_not_come() -> None:
    """They are a KeyError that names them, or empty lists."""
    with pytest.raises(KeyError, match="'Missing'"):
        HEADERS["Missing"]
    assert (
        HEADERS.get_all("Missing"),
        HEADERS.get_raw("Missing"),
        HEADERS.get("Missing"),
    ) == ([], [], None)


def test_headers_show_what_came() -> None:
    """Their repr has every pair."""
    assert repr(HEADERS) == "Headers([(b'A', b' 1 '), (b'b', b'2'), (b'a', b'3')])"


@in_turn(
    ("fields", "expected"),
    [
        ([], False),
        ([b"upgrade"], True),
        ([b"Upgrade"], True),
        ([b"keep-alive, UPGRADE"], True),
        ([b"keep-alive ,\tUpgrade\t"], True),
        ([b"keep-alive", b"Upgrade"], True),
        ([b"keep-alive,", b",Upgrade,,"], True),
        ([b"up grade"], False),
        ([b"upgrades"], False),
        ([b'"upgrade"'], False),
        ([b"upgrade;q=1"], False),
        ([b""], False),
    ],
)
def test_has_token(fields: list[bytes], expected: bool) -> None:
    """A list's items are compared whole and without case, over all fields of the name."""
    headers = Headers((b"Connection", value) for value in fields)
    assert expected == headers.has_token("connection", "uPgrade")


# Responses


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        (b"HTTP/1.1 101 Web Socket Protocol Handshake", 101, "Web Socket Protocol Handshake"),
        (b"HTTP/1.0 200 OK", 200, "OK"),
        (b"HTTP/1.1 404", 404, ""),
        (b"HTTP/1.1 404 ", 404, ""),
        (b"HTTP/1.1 500 \xe9\t!", 500, "\u00e9\t!"),
        (b"HTTP/1.9 101 OK", 101, "OK"),
        (b"HTTP/1.0 100 Go", 100, "Go"),
        (b"HTTP/1.1 599", 599, ""),
    ],
)
def test_status_line(line: bytes, status: int, reason: str) -> None:
    """The phrase may be anything, or missing."""
    response = Response.parse(head(line, "A: b"))
    assert (line, status, reason) == (response.line, response.status, response.reason)
    assert response.headers["a"] == "b"


@in_turn(
    "line",
    [
        b"",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1 10",
        b"HTTP/1.1 1010",
        b"HTTP/1.1 101Switching",
        b"HTTP/1.1  101 OK",
        b"HTTP/11 101 OK",
        b"http/1.1 101 OK",
        b"HTTP/1.1 1\xb21 OK",
        b"HTTP/1.1 101 a\x00b",
        b"HTTP/1.1 101 a\nb",
        b"HTTP/1.1 101 OK\n",
        b"GET / HTTP/1.1",
        # HTTP/1.0 has no upgrade (RFC 9110 section 7.8), and HTTP/2 no lines.
        *(b"HTTP/1.0 101 OK", b"HTTP/1.0 101", b"HTTP/0.9 101 OK", b"HTTP/2.0 101 OK"),
        *(b"HTTP/0.9 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK", b"HTTP/3.0 404 No"),
        # RFC 9110 section 15: 100 to 599
        *(b"HTTP/1.1 000 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1 999 OK"),
    ],
)
def test_bad_status_line(line: bytes) -> None:
    """What is no HTTP/1 answer is told."""
    with pytest.raises(BadHead, match=r"^expected a status line as `HTTP/1\.1 101"):
        Response.parse(head(line))


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["A: b", " c"], "b c"),
        (["A: b", "\tc"], "b c"),
        (["A: b", "   c"], "b c"),
        (["A:", " b"], "b"),
        (["A: b", " ", " c"], "b  c"),
        (["A: b", " c: d"], "b c: d"),
        (["X: y", "A: b,", " c,", "\t d", "Z: z"], "b, c, d"),
        (["A: b", " "], "b"),
    ],
)
def test_a_folded_field(lines: list[str], value: str) -> None:
    """In an answer it is read as with spaces (RFC 9112 section 5.2)."""
    headers = Response.parse(head("HTTP/1.1 200 OK", *lines)).headers
    assert headers["A"] == value
    assert "c" not in headers


@in_turn(
    "lines",
    [
        [" A: b"],
        [" OK", "A: b"],
        ["A: b", " c", "d"],
        ["A", " : b"],
        ["A: b", " \x00"],
        ["A: b\r c"],
        ["A: b\n c"],
    ],
)
def test_what_is_no_folded_field(lines: list[str]) -> None:
    """A line before all fields goes on with none (RFC 9112 section 2.2)."""
    with pytest.raises(BadHead):
        Response.parse(head("HTTP/1.1 200 OK", *lines))


@pytest.mark.parametrize("line", [" c", "\tc", " Name: folded", " "])
def test_a_folded_field_in_a_request(line: str) -> None:
    """It is refused, as RFC 9112 section 5.2 lets a server."""
    with pytest.raises(BadHead, match="a field goes on in a further line") as caught:
        Request.parse(head("GET / HTTP/1.1", "A: b", line))
    assert caught.value.status == 400


def test_folds_are_not_counted_as_fields() -> None:
    folds = [" c"] * (2 * MAX_FIELDS)
    assert len(Response.parse(head("HTTP/1.1 200 OK", "A: b", *folds)).headers["A"]) == 401
    with pytest.raises(BadHead, match="101 fields"):
        Response.parse(head("HTTP/1.1 200 OK", *["A: b", " c"] * (MAX_FIELDS + 1)))


MARKS = st.lists(st.sampled_from([b"\r\n", b":", b" ", b"a"])).map(b"".join)


@given(st.binary(max_size=60) | MARKS)
def test_any_bytes_are_a_head_or_a_bad_one(data: bytes) -> None:
    """Nothing else than BadHead is raised, and what is read can all be looked at."""
    for prefix in (b"", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 101 ", b"GET "):
        raw = prefix + data + b"\r\n\r\n"
        raw = raw[: raw.index(b"\r\n\r\n") + 4]
        for kind in (Request, Response):
            try:
                parsed = kind.parse(raw)
                for name in dir(parsed):
                    getattr(parsed, name)
                message = repr(parsed)
            except BadHead as error:
                message = str(error)
            assert message.isprintable()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"a", "`a`"),
        (b"\x1b[31m\r\n\x00\xe9\\", r"`\x1b[31m\r\n\x00\xe9\\`"),
        (b"x" * 80, "`" + "x" * 80 + "`"),
        (b"x" * 81, "`" + "x" * 77 + "...`"),
    ],
)
def test_shown(raw: bytes, expected: str) -> None:
    """Nothing that came gets into a message unescaped or at length."""
    assert expected == shown(raw)


# Writing


@pytest.mark.parametrize(
    "fields",
    [
        {"A": "1", "B": "\u00e9"},
        [("A", "1"), ("B", "\u00e9")],
        [(b"A", b"1"), (b"B", b"\xe9")],
        [("A", b"1"), (b"B", "\u00e9")],
        Headers([(b"A", b"1"), (b"B", b"\xe9")]).raw,
    ],
)
def test_fields_of_a_caller(fields: HeaderFields) -> None:
    """A mapping or pairs, str as Latin-1 or bytes."""
    assert checked_fields(fields).raw == ((b"A", b"1"), (b"B", b"\xe9"))


def test_fields_that_were_checked_before() -> None:
    """Headers given again come out as they went in: each value by itself, each name in its case."""
    fields = Headers([(b"Set-Cookie", b"a"), (b"Set-Cookie", b" b")])
    assert fields.raw == checked_fields(fields).raw


@in_turn("name", ["", "a b", "a:", "a\r\nb", "a\n", "a\x00", "\u00e9", b"a\r\nb", b"a:"])
def test_injection_by_a_name(name: str | bytes) -> None:
    """A name is a token."""
    with pytest.raises(ValueError, match="a header field's name must be a token"):
        checked_fields([(name, "v")])


@in_turn("value", ["a\r\nEvil: 1", "a\n", "\r", "a\x00", "\x1b", "\x7f", b"a\r\nEvil: 1", b"\n"])
def test_injection_by_a_value(value: str | bytes) -> None:
    """A value holds no control character but a tab."""
    with pytest.raises(ValueError, match="Name has a control character in its value"):
        checked_fields([("Name", value)])


def test_values_that_may_be_sent() -> None:
    """Tabs and bytes from 0x80 on are legal, and so is nothing at all."""
    assert checked_fields({"A": "a\tb", "B": "\x80", "C": ""}).get_all("a") == ["a\tb"]


@pytest.mark.parametrize(
    ("fields", "what"), [({"\u20ac": "v"}, "name"), ({"N": "\u20ac"}, "value")]
)
def test_fields_beyond_latin_1(fields: dict[str, str], what: str) -> None:
    """A str that bytes could say in two ways is refused."""
    with pytest.raises(ValueError, match=f"a header field's {what} given as str must be Latin-1"):
        checked_fields(fields)


@pytest.mark.parametrize("name", ["Host", "HOST", b"host"])
def test_forbidden_fields(name: str | bytes) -> None:
    """What the handshake writes itself no caller may write, in any case."""
    with pytest.raises(ValueError, match=r"(?i)field host is written by the handshake"):
        checked_fields([(name, "v")], forbidden=["hOsT"])


def test_write_head() -> None:
    """A line, a line for each field, and the blank line."""
    assert write_head(b"L", [(b"A", b" 1"), (b"B", b"")]) == b"L\r\nA:  1\r\nB: \r\n\r\n"


def test_write_response_without_body() -> None:
    """Length and close are told, and no type of nothing."""
    expected = head("HTTP/1.1 403 Forbidden", "A: b", "Content-Length: 0", "Connection: close")
    assert expected == write_response(403, {"A": "b"})


def test_write_response_with_body() -> None:
    """A body is text unless the caller says what it is."""
    plain = write_response(404, (), b"no")
    lines = ["Content-Type: text/plain; charset=utf-8", "Content-Length: 2", "Connection: close"]
    assert head("HTTP/1.1 404 Not Found", *lines) + b"no" == plain
    lines = ["content-type: a/b", "Content-Length: 2", "Connection: close"]
    other = write_response(404, {"content-type": "a/b"}, b"no")
    assert head("HTTP/1.1 404 Not Found", *lines) + b"no" == other


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_write_response_frames_the_body_itself(name: str) -> None:
    """Nobody else says where it ends."""
    with pytest.raises(ValueError, match="is written by the handshake"):
        write_response(403, {name: "1"})


@in_turn("status", [*REASON_PHRASES, 299, 599])
def test_write_response_is_http(status: int) -> None:
    """Our own parser reads the status back, with a phrase or without one."""
    response = Response.parse(write_response(status))
    assert (status, REASON_PHRASES.get(status, "")) == (response.status, response.reason)


@pytest.mark.parametrize(
    ("fields", "cookies"),
    [
        ([], {}),
        (["Cookie: a=1"], {"a": "1"}),
        (["Cookie: a=1; b=2=3;c=", "Cookie: d=4"], {"a": "1", "b": "2=3", "c": "", "d": "4"}),
        (['Cookie: a="x y"; ; bare; a=2;\te = 5 '], {"a": '"x y"', "e": "5"}),
    ],
)
def test_cookies(fields: list[str], cookies: dict[str, str]) -> None:
    """Of several with one name, the first; a value is what stands there."""
    assert get(*fields).cookies == cookies
