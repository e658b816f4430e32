"""Opening handshakes: keys, what is asked and answered, and what is refused."""

from __future__ import annotations

import random
import string
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    DRAFTS,
    ClientOpening,
    Draft,
    HandshakeError,
    HandshakeRequest,
    HeaderFields,
    Headers,
    InvalidAnswer,
    NegotiatedParameters,
    Reject,
    Request,
    Response,
    WebSocketURL,
    checked_fields,
    draft_named,
    find_head_end,
    write_response,
)

from .helpers import KEYS, UPGRADE, URL, get, head, identify, in_turn, with_fields

each_draft = pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
UNPROVEN = draft_named("hixie-75")
# From two keys and eight bytes behind the request's head
PROVEN = [draft for draft in DRAFTS if draft.opening.request_body]
KEY_FIELDS = ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")
MAX_NUMBER = 2**32 - 1
ONE_SUBPROTOCOL = UNPROVEN.subprotocols
SPACE_SEPARATED = draft_named("hybi-01").subprotocols
each_proven = pytest.mark.parametrize("draft", PROVEN, ids=lambda draft: draft.name)
# The fields that repeat what the client said
REPEATED = {
    UNPROVEN: ("WebSocket-Origin", "WebSocket-Location"),
    **dict.fromkeys(PROVEN, ("Sec-WebSocket-Origin", "Sec-WebSocket-Location")),
}
each_repeating = pytest.mark.parametrize("draft", REPEATED, ids=lambda draft: draft.name)


def split(data: bytes) -> tuple[bytes, bytes]:
    """A head, and what is behind it."""
    end = find_head_end(bytearray(data), 0)
    return data[:end], data[end:]


def client(draft: Draft, **wishes: Any) -> ClientOpening:
    """The client's side of an opening to the usual URL."""
    wish = attrs.evolve(HandshakeRequest(URL), **wishes)
    return draft.opening.ask(wish, draft.subprotocols)


def request_of(draft: Draft, **wishes: Any) -> Request:
    """What that client sends, without the bytes behind it."""
    return Request.parse(split(client(draft, **wishes).request())[0])


def asking(draft: Draft, *fields: str | bytes, target: str = "/demo") -> Request:
    """A request that is in order for the draft."""
    keys = KEYS if draft in PROVEN else ()
    return get(*UPGRADE, *keys, *fields, target=target, draft=draft)


def answer_to(draft: Draft, *fields: str | bytes, **said: Any) -> Response:
    """The server's head for such a request; `said` is what `accept` is told."""
    server = draft.opening.answer(asking(draft, *fields))
    arguments: dict[str, Any] = {"fields": Headers(), "subprotocol": None, **said}
    return Response.parse(server.accept(**arguments)[0])


def answered(draft: Draft, *lines: str, **wishes: Any) -> str | None:
    """What a client makes of an answer with these fields, rightly proven."""
    opening = client(draft, **wishes)
    raw, body = split(opening.request())
    proof = draft.opening.answer(attrs.evolve(Request.parse(raw), draft=draft)).prove(body)
    return opening.verify(Response.parse(head("HTTP/1.1 101 OK", *lines)), proof).subprotocol


# Keys


def keys_of(count: int) -> list[bytes]:
    """Those of so many clients, two each."""
    openings: list[Any] = [client(PROVEN[0]) for _ in range(count)]
    return [key for opening in openings for key in (opening.key1, opening.key2)]


def number_in(key: bytes) -> int:
    """What a server finds in a key.

    Raises:
        Reject: there is no number.
    """
    request = with_fields(get(*UPGRADE, KEYS[1]), (KEY_FIELDS[0], key))
    server: Any = PROVEN[0].opening.answer(request)
    return int(server.number1)


@pytest.mark.no_cover
def test_keys_are_as_the_draft_says() -> None:
    """Each hides a number of 32 bits, and has 1 to 12 spaces and 1 to 12 letters."""
    letters = {*range(0x21, 0x30), *range(0x3A, 0x7F)}
    for key in keys_of(5_000):
        others = [byte for byte in key if byte in letters]
        assert 0 <= number_in(key) <= MAX_NUMBER
        assert 1 <= key.count(b" ") <= 12
        assert 1 <= len(others) <= 12
        assert set(key) <= letters | set(b"0123456789 ")
        assert key == key.strip(b" ")


@pytest.mark.no_cover
def test_keys_are_of_every_kind() -> None:
    """Every number of spaces comes up, every letter, and numbers from all over the range."""
    keys = keys_of(5_000)
    assert {key.count(b" ") for key in keys} == set(range(1, 13))
    assert len(set(b"".join(keys))) == len({*range(0x20, 0x7F)})
    assert {number_in(key) * 10 // 2**32 for key in keys if key.count(b" ") == 1} == set(range(10))


def test_keys_come_from_the_operating_system() -> None:
    """What proves a server cannot be foreseen, nor do two requests share it."""
    seeded = []
    for _ in range(2):
        random.seed(76)
        seeded += keys_of(1)
    assert len(set(seeded)) == 4
    openings = [client(draft) for draft in PROVEN for _ in range(50)]
    for name in ("key1", "key2", "key3"):
        assert len({getattr(opening, name) for opening in openings}) == len(openings)


@in_turn(
    ("key", "number"),
    [
        (b"0 ", 0),
        (b" 7", 7),
        (b"1 0", 10),
        (b"x4294967295 y", MAX_NUMBER),
        (b" 1 2 ", 4),
        (b"8589934590  ", MAX_NUMBER),
        (b"6q1 7b2 5c ", 20575),
        (b"000000000000000000000000000007 ", 7),
        (b"0" * 100_000 + b"7 ", 7),
        (b"0" + b" " * 100_000, 0),
        (b"1\t0 \xb2\xff", 10),
    ],
)
def test_number_in_a_key(key: bytes, number: int) -> None:
    """Digits without the rest, divided by the number of spaces, wherever they are."""
    assert number == number_in(key)


@in_turn(
    ("key", "why"),
    [
        (b"", "it has no digits"),
        (b"   ", "it has no digits"),
        (b"abc def", "it has no digits"),
        (b"\xb2 ", "it has no digits"),
        (b"12998", "it has no spaces"),
        (b"12998\t", "it has no spaces"),
        (b"12998\xa0", "it has no spaces"),
        (b"1 3 5", "its digits, 135, are no multiple of its 2 spaces"),
        (b"4294967296 ", "4294967296 / 1 spaces is past 32 bits"),
        (b"8589934592  ", "8589934592 / 2 spaces is past 32 bits"),
        (b"99999999999 ", "`99999999999` / 1 spaces is past 32 bits"),
        (b"9" * 100_000 + b" ", "`" + "9" * 77 + "...` / 1 spaces is past 32 bits"),
        (b"9" * 20 + b" " * 1000, "`" + "9" * 20 + "` / 1000 spaces is past 32 bits"),
    ],
)
def test_a_key_that_hides_no_number(key: bytes, why: str) -> None:
    """The error says why; that a number is too long shows in its length, without reading it."""
    with pytest.raises(Reject, match=r"^400: Sec-WebSocket-Key1 `") as caught:
        number_in(key)
    assert str(caught.value).endswith(f": {why}.")


@given(number=st.integers(0, MAX_NUMBER), spaces=st.integers(1, 50), data=st.data())
def test_any_key_gives_its_number_back(number: int, spaces: int, data: st.DataObject) -> None:
    """Wherever spaces and letters are put."""
    key = list(b"%d" % (number * spaces))
    for byte in b" " * spaces + data.draw(st.binary(max_size=20)).translate(None, b"0123456789 "):
        key.insert(data.draw(st.integers(0, len(key))), byte)
    assert number == number_in(bytes(key))


# What a client asks


@pytest.mark.parametrize(
    ("wishes", "lines"),
    [
        ({}, ["Origin: http://example.com"]),
        ({"origin": "HTTP://Example.COM"}, ["Origin: http://example.com"]),
        (
            {"subprotocols": ("my chat",)},
            ["Origin: http://example.com", "WebSocket-Protocol: my chat"],
        ),
        (
            {"subprotocols": ("a",), "headers": Headers([(b"Cookie", b"x"), (b"A", b" b")])},
            ["Origin: http://example.com", "WebSocket-Protocol: a", "Cookie: x", "A:  b"],
        ),
    ],
)
def test_hixie_75_request_byte_for_byte(wishes: dict[str, Any], lines: list[str]) -> None:
    """Its order is fixed, it has an Origin always, and the caller's fields come last."""
    expected = head("GET /demo HTTP/1.1", *UPGRADE, *lines)
    assert expected == client(UNPROVEN, **wishes).request()


@pytest.mark.parametrize(
    ("url", "host", "origin"),
    [
        ("ws://H:80", "h", "http://h"),
        ("wss://h:444", "h:444", "https://h:444"),
        ("ws://[::1]:81", "[::1]:81", "http://[::1]:81"),
    ],
)
def test_hixie_75_default_origin(url: str, host: str, origin: str) -> None:
    """It is that of a page on the same server."""
    request = request_of(UNPROVEN, url=WebSocketURL.parse(url))
    assert (host, origin) == (request.host, request.origin)


@each_proven
def test_hixie_76_request(draft: Draft) -> None:
    """No Origin by default, the keys, a number where the draft has one, and eight bytes behind."""
    opening: Any = client(draft)
    family: Any = draft.opening
    raw, body = split(opening.request())
    keys = zip(KEY_FIELDS, (opening.key1, opening.key2), strict=True)
    lines = [*UPGRADE, *[f"{name}: {key.decode()}" for name, key in keys]]
    if family.draft_number is not None:
        lines.append(f"Sec-WebSocket-Draft: {family.draft_number}")
    expected = head("GET /demo HTTP/1.1", *sorted(lines))
    first, *fields = raw[:-4].split(b"\r\n")
    assert expected == head(first, *sorted(fields))
    assert (opening.key3, 8) == (body, len(body))


@each_proven
def test_hixie_76_request_with_everything(draft: Draft) -> None:
    """Origin in lower case, the subprotocol, and the caller's fields."""
    headers = Headers([(b"Cookie", b"x")])
    request = request_of(draft, origin="HTTP://A", subprotocols=("chat",), headers=headers)
    assert {"origin": "http://a", "sec-websocket-protocol": "chat", "cookie": "x"}.items() <= dict(
        request.headers
    ).items()


@each_proven
def test_hixie_76_fields_have_no_order(draft: Draft) -> None:
    """The draft shuffles them, so that no server comes to depend on one."""
    orders = {tuple(request_of(draft).headers) for _ in range(100)}
    assert len(orders) > 10


@each_draft
def test_the_resource_is_what_is_asked_for(draft: Draft) -> None:
    """Path and query, escaped."""
    request = request_of(draft, url=WebSocketURL.parse("ws://h/a b?\u00e9"))
    assert request.line == b"GET /a%20b?%C3%A9 HTTP/1.1"


@each_draft
def test_no_caller_writes_what_the_handshake_writes(draft: Draft) -> None:
    """Every field of a request is one that callers may not give."""
    request = request_of(draft, origin="http://o", subprotocols=("a",))
    written = {name.lower() for name in draft.opening.written_fields}
    assert set(request.headers) <= written
    for name in draft.opening.written_fields:
        with pytest.raises(ValueError, match="is written by the handshake"):
            checked_fields({name: "x"}, forbidden=draft.opening.written_fields)


@each_draft
@in_turn("origin", ["http://a\r\nEvil: 1", "http://a\n", "\r", "http://a\x00", "http://a\x1b[31m"])
def test_injection_by_the_origin(draft: Draft, origin: str) -> None:
    """An origin is checked like any other value, before anything is dialled."""
    with pytest.raises(ValueError, match="control character"):
        client(draft, origin=origin)


@each_draft
def test_an_origin_that_cannot_be_sent(draft: Draft) -> None:
    """What is not Latin-1 is refused before anything is dialled, too."""
    with pytest.raises(ValueError, match="Latin-1"):
        client(draft, origin="http://\u0436")


@each_draft
@in_turn("origin", ["\t", " http://a", "http://a "])
def test_an_origin_with_white_space_around_it(draft: Draft, origin: str) -> None:
    """No server could repeat it."""
    with pytest.raises(ValueError, match="white space around it"):
        client(draft, origin=origin)


# Subprotocols


@pytest.mark.parametrize(
    ("syntax", "names", "value"),
    [
        (ONE_SUBPROTOCOL, ["chat"], "chat"),
        (ONE_SUBPROTOCOL, ["a b, c~!"], "a b, c~!"),
        (SPACE_SEPARATED, ["chat"], "chat"),
        (SPACE_SEPARATED, ["b", "a,c", "~!"], "b a,c ~!"),
    ],
)
def test_subprotocols_written(syntax: Any, names: list[str], value: str) -> None:
    """One string, or names with spaces between them."""
    assert value == syntax.write(names)


@in_turn(
    ("syntax", "names", "why"),
    [
        (ONE_SUBPROTOCOL, ["a", "b"], r"asked for \['a', 'b'\]: it can ask for one"),
        (ONE_SUBPROTOCOL, [""], "'' is no subprotocol in this draft: it can ask for one"),
        (ONE_SUBPROTOCOL, ["a\r\nEvil: 1"], "is no subprotocol"),
        (ONE_SUBPROTOCOL, ["a\t"], "is no subprotocol"),
        (ONE_SUBPROTOCOL, ["a\x7f"], "is no subprotocol"),
        (ONE_SUBPROTOCOL, ["\u00e9"], "is no subprotocol"),
        (SPACE_SEPARATED, ["a b"], "'a b' is no subprotocol in this draft: names are separated"),
        (SPACE_SEPARATED, ["a", ""], "'' is no subprotocol"),
        (SPACE_SEPARATED, ["a", "b\r\nEvil: 1"], "is no subprotocol"),
        (SPACE_SEPARATED, ["\u00e9"], "is no subprotocol"),
    ],
)
def test_subprotocols_that_cannot_be_asked_for(syntax: Any, names: list[str], why: str) -> None:
    """The error says what the draft can ask for."""
    with pytest.raises(ValueError, match=why):
        syntax.write(names)


@each_draft
def test_subprotocols_are_checked_before_anything_is_dialled(draft: Draft) -> None:
    """Beginning the opening is enough to be told."""
    with pytest.raises(ValueError, match="is no subprotocol"):
        client(draft, subprotocols=("a\r\nEvil: 1",))


@in_turn(
    ("syntax", "values", "asked"),
    [
        (ONE_SUBPROTOCOL, [], ()),
        (ONE_SUBPROTOCOL, [""], ()),
        (ONE_SUBPROTOCOL, ["chat"], ("chat",)),
        (ONE_SUBPROTOCOL, ["a b"], ("a b", "a", "b")),
        (ONE_SUBPROTOCOL, ["a, b"], ("a, b", "a,", "b", "a")),
        (ONE_SUBPROTOCOL, ["b", "a"], ("b", "a")),
        (SPACE_SEPARATED, [], ()),
        (SPACE_SEPARATED, [""], ()),
        (SPACE_SEPARATED, ["b a"], ("b", "a")),
        (SPACE_SEPARATED, ["b  a b"], ("b", "a")),
        (SPACE_SEPARATED, ["a,b c", "d"], ("a,b", "c", "d")),
    ],
)
def test_subprotocols_read(syntax: Any, values: list[str], asked: tuple[str, ...]) -> None:
    """Each name once, the favourite first; of one string, also the parts that clients meant."""
    assert asked == syntax.asked(values)


@in_turn(
    ("syntax", "asked", "received", "agreed"),
    [
        (ONE_SUBPROTOCOL, ["chat"], ["chat"], "chat"),
        (ONE_SUBPROTOCOL, [], [], None),
        (ONE_SUBPROTOCOL, [], ["chat"], None),
        (SPACE_SEPARATED, ["a", "b"], ["b"], "b"),
        (SPACE_SEPARATED, ["a", "b"], [], None),
        (SPACE_SEPARATED, [], ["a"], None),
    ],
)
def test_subprotocol_agreed_on(
    syntax: Any, asked: list[str], received: list[str], agreed: str | None
) -> None:
    """The one that the server named; whatever it named if none was asked for is ignored."""
    assert agreed == syntax.verify(asked, received)


@in_turn(
    ("syntax", "asked", "received", "shown"),
    [
        (ONE_SUBPROTOCOL, ["chat"], [], "expected 'chat', received None"),
        (ONE_SUBPROTOCOL, ["chat"], ["Chat"], "expected 'chat', received 'Chat'"),
        (ONE_SUBPROTOCOL, ["chat"], ["chat", "chat"], "received 'chat, chat'"),
        (ONE_SUBPROTOCOL, ["a b"], ["a"], "expected 'a b', received 'a'"),
        (SPACE_SEPARATED, ["a", "b"], ["c"], "expected 'a or b', received 'c'"),
        (SPACE_SEPARATED, ["a", "b"], ["a b"], "expected 'a or b', received 'a b'"),
        (SPACE_SEPARATED, ["a", "b"], ["a", "b"], "expected 'a or b', received 'a, b'"),
        (SPACE_SEPARATED, ["a"], [""], "expected 'a', received None"),
    ],
)
def test_subprotocol_not_agreed_on(
    syntax: Any, asked: list[str], received: list[str], shown: str
) -> None:
    """Another one, several, or none where there must be one."""
    with pytest.raises(InvalidAnswer) as caught:
        syntax.verify(asked, received)
    assert str(caught.value).startswith("the subprotocol: ")
    assert shown in str(caught.value)


@each_draft
@in_turn("name", ["chat", "~", "a,b", "a;b", "a b", " a", "a ", "  "])
def test_what_can_be_asked_for_can_be_agreed_on(draft: Draft, name: str) -> None:
    """A name that the draft can write reaches the server, and comes back the same."""
    try:
        opening = client(draft, subprotocols=(name,))
    except ValueError:
        return
    raw, body = split(opening.request())
    request = attrs.evolve(Request.parse(raw), draft=draft)
    server = draft.opening.answer(request)
    assert name in request.subprotocols
    answer, proof = split(server.accept(Headers(), name)[0] + server.prove(body))
    assert name == opening.verify(Response.parse(answer), proof).subprotocol


# What a server makes of a request


@each_draft
@in_turn(
    ("line", "why"),
    [
        ("Upgrade: WebSocket", "`Upgrade: WebSocket` is missing"),
        ("Connection: Upgrade", "`Connection: Upgrade` is missing"),
        ("Host: example.com", "Expected one Host field"),
    ],
)
def test_a_field_that_is_missing(draft: Draft, line: str, why: str) -> None:
    """It is refused with 400, and named."""
    lines = [other for other in (*UPGRADE, *KEYS) if other != line]
    with pytest.raises(Reject) as caught:
        draft.opening.answer(get(*lines, draft=draft))
    assert (caught.value.status, why in caught.value.body.decode()) == (400, True)


@each_draft
@in_turn("line", ["Upgrade: h2c", "Connection: close"])
def test_a_field_that_says_something_else(draft: Draft, line: str) -> None:
    """It is refused as if it were missing."""
    name = line.partition(":")[0]
    lines = [other for other in (*UPGRADE, *KEYS) if not other.startswith(name)]
    with pytest.raises(Reject, match=f"^400: The field `{name}: .*` is missing"):
        draft.opening.answer(get(*lines, line, draft=draft))


@each_draft
def test_two_hosts(draft: Draft) -> None:
    """Which of them was meant cannot be told."""
    with pytest.raises(Reject, match=r"^400: Expected one Host field"):
        draft.opening.answer(asking(draft, "Host: example.com"))


@each_proven
@in_turn("name", KEY_FIELDS)
@in_turn("count", [0, 2])
def test_a_key_comes_once(draft: Draft, name: str, count: int) -> None:
    """No key, or two of a name, are refused with 400."""
    others = [line for line in KEYS if not line.startswith(name)]
    with pytest.raises(Reject, match=f"^400: Expected one {name}, got {count}"):
        draft.opening.answer(get(*UPGRADE, *others, *[f"{name}: 1 "] * count, draft=draft))


@each_proven
@in_turn("key", ["12998", "abc ", "1 3 5", "99999999999 ", "", "9" * 9999 + " "])
@in_turn("name", KEY_FIELDS)
def test_a_key_that_cannot_be_read(draft: Draft, name: str, key: str) -> None:
    """It is refused with 400 before a byte of the answer is written; the message stays short."""
    others = [line for line in KEYS if not line.startswith(name)]
    with pytest.raises(Reject, match=f"^400: {name} `") as caught:
        draft.opening.answer(get(*UPGRADE, *others, f"{name}: {key}", draft=draft))
    assert len(caught.value.body) < 300


@each_proven
def test_a_message_about_a_key_is_escaped(draft: Draft) -> None:
    """What the client sent gets nowhere unescaped."""
    with pytest.raises(Reject, match=r"^400: Sec-WebSocket-Key1 `\\xe9\\t`: it has no digits"):
        draft.opening.answer(get(*UPGRADE, KEY_FIELDS[0] + ": \xe9\t", KEYS[1], draft=draft))


def test_hixie_75_answer_byte_for_byte() -> None:
    """The first three lines are compared by browsers; origin, location, protocol follow."""
    server = UNPROVEN.opening.answer(asking(UNPROVEN, "Origin: http://o"))
    fields = Headers([(b"Set-Cookie", b"a=b")])
    expected = head(
        "HTTP/1.1 101 Web Socket Protocol Handshake",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        "WebSocket-Origin: http://o",
        "WebSocket-Location: ws://example.com/demo",
        "WebSocket-Protocol: chat",
        "Set-Cookie: a=b",
    )
    assert (expected, NegotiatedParameters("chat")) == server.accept(fields, "chat")
    assert server.prove(b"") == b""


@each_proven
def test_hixie_76_answer(draft: Draft) -> None:
    """One word less apart in its status line, and names that begin in Sec-."""
    answer = answer_to(draft, "Origin: http://o", subprotocol="chat")
    assert answer.line == b"HTTP/1.1 101 WebSocket Protocol Handshake"
    assert dict(answer.headers) == {
        "upgrade": "WebSocket",
        "connection": "Upgrade",
        "sec-websocket-origin": "http://o",
        "sec-websocket-location": "ws://example.com/demo",
        "sec-websocket-protocol": "chat",
    }


@each_draft
def test_bodies_are_as_long_as_announced(draft: Draft) -> None:
    """What is known of the family before a request is in order holds for its two sides."""
    opening = client(draft)
    raw, body = split(opening.request())
    server = draft.opening.answer(attrs.evolve(Request.parse(raw), draft=draft))
    assert draft.opening.request_body == server.request_body == len(body)
    assert opening.response_body == len(server.prove(body))


@each_repeating
def test_no_origin_no_answer_to_it(draft: Draft) -> None:
    """Where the client named no origin, none is repeated; nor is a subprotocol made up."""
    headers = answer_to(draft).headers
    assert set(headers) == {"upgrade", "connection", REPEATED[draft][1].lower()}


@each_repeating
def test_an_application_says_origin_and_location_itself(draft: Draft) -> None:
    """Its own fields stand alone."""
    origin, location = REPEATED[draft]
    fields = checked_fields({origin.upper(): "http://mine", location.lower(): "ws://mine/"})
    headers = answer_to(draft, "Origin: http://o", fields=fields).headers
    assert (
        headers.get_all(origin),
        headers.get_all(location),
    ) == (["http://mine"], ["ws://mine/"])


@each_repeating
def test_location_is_host_and_target_verbatim(draft: Draft) -> None:
    """Neither case nor port nor the bytes of the target are touched."""
    keys = KEYS if draft in PROVEN else ()
    raw = head(b"GET /A b/\xc3\xa9\xff?q HTTP/1.1", *UPGRADE[:2], "Host: H:80", *keys)
    request = attrs.evolve(Request.parse(raw), draft=draft, secure=True)
    answer = Response.parse(draft.opening.answer(request).accept(Headers(), None)[0])
    assert answer.headers.get_raw(REPEATED[draft][1]) == [b"wss://H:80/A b/\xc3\xa9\xff?q"]


@each_repeating
def test_location_has_the_bytes_of_the_host(draft: Draft) -> None:
    """A Host beyond ASCII is repeated verbatim too, like the origin."""
    keys = KEYS if draft in PROVEN else ()
    raw = head(b"GET / HTTP/1.1", *UPGRADE[:2], b"Host: \xe9", b"Origin: http://\xe9", *keys)
    request = attrs.evolve(Request.parse(raw), draft=draft)
    answer = Response.parse(draft.opening.answer(request).accept(Headers(), None)[0])
    origin, location = REPEATED[draft]
    assert answer.headers.get_raw(origin) == [b"http://\xe9"]
    assert answer.headers.get_raw(location) == [b"ws://\xe9/"]


# What a client makes of an answer


@each_repeating
@in_turn(
    "lines",
    [
        ("Upgrade: WebSocket", "Connection: Upgrade"),
        ("upgrade: websocket", "connection: keep-alive, UPGRADE"),
    ],
)
def test_an_answer_without_origin_and_location(draft: Draft, lines: tuple[str, str]) -> None:
    """Racket's server leaves them out; case doesn't matter, as Netty shows."""
    assert answered(draft, *lines, origin="http://o") is None


@each_repeating
def test_an_answer_with_origin_and_location(draft: Draft) -> None:
    """They say what the client said, the origin in lower case."""
    origin, location = REPEATED[draft]
    lines = [*UPGRADE[:2], f"{origin}: http://o", f"{location}: ws://example.com/demo"]
    assert answered(draft, *lines, origin="HTTP://O") is None


@each_draft
@in_turn(
    ("lines", "shown"),
    [
        ([], "the Upgrade field: expected 'websocket', received None"),
        (["Connection: Upgrade"], "the Upgrade field: expected 'websocket', received None"),
        (["Upgrade: h2c", "Connection: Upgrade"], "expected 'websocket', received 'h2c'"),
        (["Upgrade: WebSocket"], "the Connection field: expected 'upgrade', received None"),
        (["Upgrade: WebSocket", "Connection: close"], "expected 'upgrade', received 'close'"),
    ],
)
def test_an_answer_that_upgrades_nothing(draft: Draft, lines: list[str], shown: str) -> None:
    """Status 101 alone is not enough; the error shows both values."""
    with pytest.raises(InvalidAnswer) as caught:
        answered(draft, *lines)
    assert shown in str(caught.value)


@each_repeating
@in_turn("which", [0, 1])
@in_turn("values", [["x"], ["right", "right"], ["right", "x"], [""]])
def test_an_answer_that_repeats_wrongly(draft: Draft, which: int, values: list[str]) -> None:
    """Origin and location, where they are there, are there once and equal."""
    name = REPEATED[draft][which]
    right = ["http://o", "ws://example.com/demo"][which]
    received = [value.replace("right", right) for value in values]
    with pytest.raises(InvalidAnswer) as caught:
        answered(draft, *UPGRADE[:2], *[f"{name}: {v}" for v in received], origin="http://o")
    expected = (f"the {name} field", right, ", ".join(received))
    assert expected == (caught.value.what, caught.value.expected, caught.value.received)


@each_proven
def test_an_origin_that_answers_none(draft: Draft) -> None:
    """Where the client named no origin, what the server repeats is of no matter."""
    assert answered(draft, *UPGRADE[:2], f"{REPEATED[draft][0]}: http://x") is None


@each_repeating
def test_a_subprotocol_in_the_answer(draft: Draft) -> None:
    """It is told which was agreed on."""
    lines = [*UPGRADE[:2], f"{draft.subprotocol_field}: chat"]
    assert answered(draft, *lines, subprotocols=("chat",)) == "chat"
    with pytest.raises(InvalidAnswer, match="expected 'other', received 'chat'"):
        answered(draft, *lines, subprotocols=("other",))


@each_proven
@in_turn("wrong", [b"", bytes(15), bytes(16), bytes(17)])
def test_a_wrong_proof(draft: Draft, wrong: bytes) -> None:
    """The error shows the 16 bytes that were expected and what came."""
    opening = client(draft)
    with pytest.raises(InvalidAnswer, match=r"^the 16 bytes that prove the server: ") as caught:
        opening.verify(Response.parse(head("HTTP/1.1 101 OK", *UPGRADE[:2])), wrong)
    assert (16, wrong) == (len(caught.value.expected), caught.value.received)  # type: ignore[arg-type]
    assert repr(wrong) in str(caught.value)


def test_an_invalid_answer_is_a_failed_handshake() -> None:
    """It keeps both values and shows them."""
    error = InvalidAnswer("the colour", "red", b"blue")
    assert isinstance(error, HandshakeError)
    assert str(error) == "the colour: expected 'red', received b'blue'"
    assert (error.what, error.expected, error.received) == ("the colour", "red", b"blue")


# Both sides


TOKENS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=8)
PATHS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="#"), max_size=9)
VALUES = st.binary(max_size=10).map(lambda value: value.translate(None, bytes(range(32)) + b"\x7f"))


@each_draft
@given(
    path=PATHS,
    origin=st.none() | TOKENS.map("http://{}".format),
    subprotocols=st.lists(TOKENS, max_size=1).map(tuple),
    fields=st.lists(st.tuples(TOKENS.map("X-{}".format), VALUES), max_size=3),
)
def test_client_and_server_agree(
    draft: Draft,
    path: str,
    origin: str | None,
    subprotocols: tuple[str, ...],
    fields: list[tuple[str, bytes]],
) -> None:
    """Whatever a client asks, our server understands, and the client takes its answer."""
    url = WebSocketURL.parse(f"ws://example.com/{path.rstrip(' ')}")
    headers = checked_fields(fields, forbidden=draft.opening.written_fields)
    wish = HandshakeRequest(url, headers, origin, subprotocols)
    opening = draft.opening.ask(wish, draft.subprotocols)
    raw, body = split(opening.request())
    request = attrs.evolve(Request.parse(raw), draft=draft)
    assert draft is identify(request, draft, DRAFTS)
    assert set(headers.raw) <= set(request.headers.raw)
    assert (url.resource, url.location) == (request.target, request.location)
    server = draft.opening.answer(request)
    agreed = next(iter(request.subprotocols), None)
    answer, proof = split(server.accept(headers, agreed)[0] + server.prove(body))
    assert len(proof) == opening.response_body
    assert (
        next(iter(subprotocols), None) == opening.verify(Response.parse(answer), proof).subprotocol
    )


# Refusals


@in_turn("status", [-1, 0, 100, 101, 200, 299, 304, 600, 1000])
def test_a_status_that_refuses_nothing(status: int) -> None:
    """A refusal is 300 to 599, and no 304."""
    why = f"a refusal's status is 300 to 599, except 304, not {status}"
    with pytest.raises(ValueError, match=why):
        Reject(status)


@pytest.mark.parametrize("fields", [{"A": "b\r\nEvil: 1"}, {"A\r\nB": "c"}, [(b"", b"")]])
def test_injection_by_a_refusal(fields: HeaderFields) -> None:
    """Its fields are checked where it is made, so that the mistake shows there."""
    with pytest.raises(ValueError, match="header field"):
        Reject(403, fields)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_a_refusal_that_cannot_be_sent(name: str) -> None:
    """The fields that frame the answer are refused where it is made, not where it is sent."""
    with pytest.raises(ValueError, match="is written by the handshake"):
        Reject(403, {name: "1"})


@in_turn("status", [400, 418, 599])
@in_turn("body", ["n\u00f6\n", "n\u00f6\n".encode()])
def test_a_refusal(status: int, body: str | bytes) -> None:
    """It has status, fields and body, and can be sent and shown."""
    reject = Reject(status, {"A": "b"}, body)
    assert (status, b"n\xc3\xb6\n") == (reject.status, reject.body)
    assert reject.headers.raw == ((b"A", b"b"),)
    assert f"{status}: n\u00f6" == str(reject)
    sent, body = split(write_response(reject.status, reject.headers.raw, reject.body))
    assert (status, reject.body) == (Response.parse(sent).status, body)


@pytest.mark.parametrize(
    ("body", "shown"), [(b"", "403"), (b" \n", "403"), (b"\xff", "403: \ufffd")]
)
def test_a_refusal_is_shown(body: bytes, shown: str) -> None:
    """Without words it is its status; bytes that are no text do no harm."""
    assert shown == str(Reject(403, body=body))


def test_a_refusal_sends_its_fields_as_they_were_given() -> None:
    """Two cookies stay two, under their own name."""
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    reject = Reject(403, cookies)
    sent, _ = split(write_response(reject.status, reject.headers, reject.body))
    assert sent.startswith(b"HTTP/1.1 403 Forbidden\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
