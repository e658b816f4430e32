"""The opening of hybi-04 to RFC 6455: published examples, what is refused, and both sides."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    HandshakeRequest,
    Headers,
    InvalidAnswer,
    NegotiatedParameters,
    Reject,
    Request,
    Response,
    WebSocketURL,
    checked_fields,
    connection_masking_key,
    draft_named,
    find_head_end,
)

from .helpers import URL, get, head, in_turn, pairs, with_fields

Vector: TypeAlias = dict[str, Any]

DATA = Path(__file__).parent.parent / "vectors"
VECTORS: list[Vector] = json.loads((DATA / "drafts.json").read_text("utf-8"))["handshakes"]
# Version, the field of the origin, whether there is a nonce, and how many bytes a key has to have,
# by the first draft with that opening
FACTS = {
    "hybi-04": (4, "Sec-WebSocket-Origin", True, None),
    "hybi-05": (5, "Sec-WebSocket-Origin", False, None),
    "hybi-06": (6, "Sec-WebSocket-Origin", False, None),
    "hybi-07": (7, "Sec-WebSocket-Origin", False, None),
    "hybi-08": (8, "Sec-WebSocket-Origin", False, None),
    "hybi-11": (8, "Origin", False, None),
    "hybi-13": (13, "Origin", False, 16),
}
FAMILIES: dict[str, Any] = {name: draft_named(name).opening for name in FACTS}
COMMA_SEPARATED = draft_named("hybi-13").subprotocols
OF_04, OF_13 = FAMILIES["hybi-04"], FAMILIES["hybi-13"]
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
NONCE = "H+cNj5elaybfGIQv1esl2w=="
# From the overview of hybi-04, and wrong.
WRONG_ACCEPT = "me89jWimTRKTWwrS3aRrL53YZSo="
KEY_LINE = f"Sec-WebSocket-Key: {KEY}"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade")
ASKING = (*UPGRADE, "Host: example.com", KEY_LINE)
ANSWER = (*UPGRADE, f"Sec-WebSocket-Accept: {ACCEPT}", f"Sec-WebSocket-Nonce: {NONCE}")


def chosen(handshakes: set[str], needs: str) -> list[Any]:
    """The vectors of these handshakes that have what the test is about."""
    return [
        pytest.param(vector, id=vector["id"])
        for vector in VECTORS
        if vector["handshake"] in handshakes and (vector.get(needs) or needs in vector["challenge"])
    ]


with_heads = pytest.mark.parametrize("vector", chosen({"H04", "H05", "H11", "H13"}, "request_hex"))


def family_of(vector: Vector) -> Any:
    return FAMILIES[vector["versions"][0]]


def answer(*lines: str, status: str = "HTTP/1.1 101 Switching Protocols") -> Response:
    return Response.parse(head(status, *lines))


def client(family: Any, key: str = KEY, **wishes: Any) -> Any:
    """The client's side of an opening to the usual URL, with the usual key."""
    opening = family.ask(attrs.evolve(HandshakeRequest(URL), **wishes), COMMA_SEPARATED)
    return attrs.evolve(opening, key=key)


def server(family: Any, request: Request) -> Any:
    """The server's side, with the usual nonce where it has one."""
    opening = family.answer(request)
    return attrs.evolve(opening, nonce=opening.nonce and NONCE)


def client_like(vector: Vector) -> Any:
    """The client that sends the vector's request."""
    family = family_of(vector)
    request = Request.parse(bytes.fromhex(vector["request_hex"]))
    return client(
        family,
        url=WebSocketURL.parse(f"ws://{request.host}{request.target}"),
        origin=request.headers[family.origin_field],
        subprotocols=COMMA_SEPARATED.asked(request.headers.get_all("Sec-WebSocket-Protocol")),
    )


def agreement_of(vector: Vector) -> NegotiatedParameters:
    """What the vector's answer settles."""
    headers = Response.parse(bytes.fromhex(vector["response_hex"])).headers
    masking_key = bytes.fromhex(vector["challenge"].get("connection_masking_key_hex", ""))
    return NegotiatedParameters(headers.get("Sec-WebSocket-Protocol"), masking_key)


def asking_with(key: str) -> Request:
    """A request with that key, whether or not a head could hold it."""
    return with_fields(get(*ASKING[:3]), ("Sec-WebSocket-Key", key.encode("latin-1")))


def bytes_in(key: str) -> int | None:
    """How many bytes a server finds in a key; None if it finds no base64."""
    try:
        OF_13.answer(asking_with(key))
    except Reject as refused:
        said = str(refused)
        if found := re.search(r"it has (\d+) bytes, not 16\.$", said):
            return int(found[1])
        assert said.endswith(": it is no base64.")
        return None
    return 16


# Published examples


@each_family
def test_the_facts_of_each(family: Any) -> None:
    (name,) = (name for name, each in FAMILIES.items() if each is family)
    assert FACTS[name] == (family.version, family.origin_field, family.nonce, family.key_length)


def test_every_family_has_an_example() -> None:
    """And no example is of a draft that has no family here."""
    versions = [parameter.values[0]["versions"][0] for parameter in with_heads.args[1]]
    assert sorted(FAMILIES) == sorted(versions)


@pytest.mark.parametrize("vector", chosen({"H04", "H05", "H11", "H13", "accept-only"}, "accept"))
def test_accept(vector: Vector) -> None:
    """The SHA-1 of the text of the key."""
    key, expected = vector["challenge"]["key"], vector["challenge"]["accept"]
    proven = answer(*UPGRADE, f"Sec-WebSocket-Accept: {expected}")
    assert client(OF_13, key).verify(proven, b"") == NegotiatedParameters()
    raw, _ = FAMILIES["hybi-05"].answer(asking_with(key)).accept(Headers(), None)
    assert Response.parse(raw).headers["Sec-WebSocket-Accept"] == expected


@pytest.mark.parametrize("vector", chosen({"H04"}, "connection_masking_key_hex"))
def test_masking_key(vector: Vector) -> None:
    """Both sides of hybi-04 make it of the texts of key and nonce."""
    challenge = vector["challenge"]
    expected = bytes.fromhex(challenge["connection_masking_key_hex"])
    lines = [*ANSWER[:3], f"Sec-WebSocket-Nonce: {challenge['nonce']}"]
    request, response = asking_with(challenge["key"]), answer(*lines)
    assert expected == connection_masking_key(request.headers, response.headers)
    assert NegotiatedParameters(None, expected) == client(OF_04).verify(response, b"")
    answering = attrs.evolve(OF_04.answer(request), nonce=challenge["nonce"])
    assert NegotiatedParameters(None, expected) == answering.accept(Headers(), None)[1]


@pytest.mark.parametrize("vector", chosen({"H04"}, "published_accept"))
def test_wrong_example(vector: Vector) -> None:
    """The overview of hybi-04 made one of the bytes of key and GUID: it is refused."""
    challenge = vector["challenge"]
    guid = bytes.fromhex("258EAFA5E91447DA95CAC5AB0DC85B11")
    digest = hashlib.sha1(base64.b64decode(challenge["key"]) + guid).digest()
    assert challenge["published_accept"].encode() == base64.b64encode(digest)
    lines = [*UPGRADE, f"Sec-WebSocket-Accept: {challenge['published_accept']}", ANSWER[3]]
    with pytest.raises(InvalidAnswer) as caught:
        client(OF_04, challenge["key"]).verify(answer(*lines), b"")
    expected = ("the Sec-WebSocket-Accept field", challenge["correct_accept"])
    assert expected == (caught.value.what, caught.value.expected)
    assert challenge["published_accept"] == caught.value.received


@with_heads
def test_client_writes_the_request(vector: Vector) -> None:
    """The same fields, and nothing behind them."""
    expected = Request.parse(bytes.fromhex(vector["request_hex"]))
    ours = Request.parse(client_like(vector).request())
    assert (expected.line, pairs(expected.headers)) == (ours.line, pairs(ours.headers))


@with_heads
def test_server_writes_the_answer(vector: Vector) -> None:
    """The same head, byte for byte, though its order means nothing."""
    opening = server(family_of(vector), Request.parse(bytes.fromhex(vector["request_hex"])))
    agreement = agreement_of(vector)
    expected = (bytes.fromhex(vector["response_hex"]), agreement)
    assert expected == opening.accept(Headers(), agreement.subprotocol)
    assert (opening.request_body, opening.prove(b"")) == (0, b"")


@with_heads
def test_client_verifies_the_answer(vector: Vector) -> None:
    """Our client takes it, and knows what was settled."""
    opening = client_like(vector)
    response = Response.parse(bytes.fromhex(vector["response_hex"]))
    assert agreement_of(vector) == opening.verify(response, b"")
    assert opening.response_body == 0


@with_heads
@in_turn("position", range(28))
def test_client_refuses_a_wrong_character(vector: Vector, position: int) -> None:
    """Each character of the proof counts."""
    raw = bytearray.fromhex(vector["response_hex"])
    raw[raw.index(b"s3pPLMB") + position] ^= 0x01
    with pytest.raises(InvalidAnswer, match="the Sec-WebSocket-Accept field") as caught:
        client_like(vector).verify(Response.parse(bytes(raw)), b"")
    assert caught.value.expected == ACCEPT


# Keys


def test_keys_are_random() -> None:
    """Sixteen bytes each, and never the same ones."""
    keys = {OF_13.ask(HandshakeRequest(URL), COMMA_SEPARATED).key for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


def test_each_opening_has_a_key_and_a_nonce_of_its_own() -> None:
    """Neither is remembered."""
    asked = [OF_04.ask(HandshakeRequest(URL), COMMA_SEPARATED) for _ in range(50)]
    answered = [OF_04.answer(get(*ASKING)) for _ in range(50)]
    assert len({opening.key for opening in asked}) == 50
    assert len({opening.nonce for opening in answered}) == 50
    assert {len(base64.b64decode(opening.nonce or "")) for opening in answered} == {16}


@given(st.binary(min_size=1, max_size=40))
def test_bytes_in_a_key(data: bytes) -> None:
    """What base64 writes is read, and its length known."""
    assert len(data) == bytes_in(base64.b64encode(data).decode())


@in_turn(
    ("key", "length"),
    [
        ("AQIDBAUGBwgJCgsMDQ4PEC==", 16),
        ("//==", 1),
        ("+//=", 2),
        ("A" * 16_000, 12_000),
        ("", None),
        ("=", None),
        ("====", None),
        ("A", None),
        ("AA", None),
        ("AAA", None),
        ("A===", None),
        ("AA==AA==", None),
        ("AAAA====", None),
        ("AAAA=", None),
        ("AA A", None),
        ("AA-_", None),
        ("AAA\n", None),
        ("AAA\u00e9", None),
        ("A" * 16_000 + "!", None),
    ],
)
def test_what_is_base64(key: str, length: int | None) -> None:
    """Bits behind the last byte are ignored, as in RFC 6455's own example; nothing else is."""
    assert length == bytes_in(key)


# What a client asks


@each_family
def test_request_byte_for_byte(family: Any) -> None:
    """Everything that can be asked for; the caller's fields come last."""
    headers = Headers([(b"Cookie", b"x"), (b"A", b" b")])
    opening = client(
        family, origin="HTTP://A.example", subprotocols=("b", "a", "b"), headers=headers
    )
    expected = head(
        "GET /demo HTTP/1.1",
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        KEY_LINE,
        f"Sec-WebSocket-Version: {family.version}",
        f"{family.origin_field}: http://a.example",
        "Sec-WebSocket-Protocol: b, a",
        "Cookie: x",
        "A:  b",
    )
    assert expected == opening.request()


@each_family
def test_request_without_wishes(family: Any) -> None:
    """No origin, no subprotocol, and no extension."""
    names = {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}
    url = WebSocketURL.parse("wss://H:444/a b?\u00e9")
    request = Request.parse(client(family, url=url).request())
    assert names == set(request.headers)
    assert (request.line, request.host) == (b"GET /a%20b?%C3%A9 HTTP/1.1", "h:444")


@each_family
def test_no_caller_writes_what_the_handshake_writes(family: Any) -> None:
    """Neither in the request nor in the answer, an extension included."""
    asked = Request.parse(client(family, origin="http://o", subprotocols=("a",)).request())
    head_of_answer, _ = server(family, asked).accept(Headers(), "a")
    names = {*asked.headers, *Response.parse(head_of_answer).headers, "sec-websocket-extensions"}
    assert names <= {name.lower() for name in family.written_fields}


def test_subprotocols_are_checked_before_anything_is_dialled() -> None:
    """Beginning the opening is enough to be told."""
    with pytest.raises(ValueError, match="'a b' is no subprotocol in this draft: names are sep"):
        OF_13.ask(HandshakeRequest(URL, subprotocols=("a b",)), COMMA_SEPARATED)


@in_turn("name", ["", " a", "a,b", "a;b", "a/b", '"a"', "\u00e9", "a\r\nEvil: 1"])
def test_subprotocols_that_are_no_tokens(name: str) -> None:
    """They cannot be asked for."""
    with pytest.raises(ValueError, match="is no subprotocol in this draft"):
        COMMA_SEPARATED.write(["chat", name])


def test_subprotocols_written() -> None:
    """In the order of preference."""
    assert COMMA_SEPARATED.write(["b", "a~!#$%&'*+-.^_`|", "C9"]) == "b, a~!#$%&'*+-.^_`|, C9"


@in_turn(
    ("values", "asked"),
    [
        ([], ()),
        ([""], ()),
        ([" , ,\t"], ()),
        (["chat"], ("chat",)),
        (["chat,superchat"], ("chat", "superchat")),
        (["b ,\ta", "c, b"], ("b", "a", "c")),
    ],
)
def test_subprotocols_read(values: list[str], asked: tuple[str, ...]) -> None:
    """The field may come several times, and have empty places."""
    assert asked == COMMA_SEPARATED.asked(values)


# What a server makes of a request


def refusal(family: Any, request: Request) -> str:
    """What a refused client is told, with the status."""
    with pytest.raises(Reject) as caught:
        family.answer(request)
    return str(caught.value)


@each_family
@in_turn(
    ("left_out", "why"),
    [
        ("Upgrade", "400: The field `Upgrade: WebSocket` is missing."),
        ("Connection", "400: The field `Connection: Upgrade` is missing."),
        ("Host", "400: Expected one Host field."),
        ("Sec-WebSocket-Key", "400: Expected one Sec-WebSocket-Key, got 0."),
    ],
)
def test_a_field_that_is_missing(family: Any, left_out: str, why: str) -> None:
    """It is named."""
    lines = [line for line in ASKING if not line.startswith(f"{left_out}:")]
    assert why == refusal(family, get(*lines))


@each_family
@in_turn(
    ("instead", "why"),
    [
        ("Upgrade: h2c", "400: The field `Upgrade: WebSocket` is missing."),
        ("Connection: close", "400: The field `Connection: Upgrade` is missing."),
    ],
)
def test_a_field_that_says_something_else(family: Any, instead: str, why: str) -> None:
    """It is refused as if it were missing."""
    name = instead.partition(":")[0]
    lines = [line for line in ASKING if not line.startswith(f"{name}:")]
    assert why == refusal(family, get(*lines, instead))


@each_family
@in_turn(
    ("more", "why"),
    [
        ("Host: example.com", "400: Expected one Host field."),
        (KEY_LINE, "400: Expected one Sec-WebSocket-Key, got 2."),
        (KEY_LINE.lower(), "400: Expected one Sec-WebSocket-Key, got 2."),
    ],
)
def test_a_field_that_comes_twice(family: Any, more: str, why: str) -> None:
    """Even if both say the same."""
    assert why == refusal(family, get(*ASKING, more))


@each_family
@in_turn(
    ("key", "shown"),
    [
        ("", "``"),
        ("no base64", "`no base64`"),
        ("AAA", "`AAA`"),
        ("A\xe9\t==", r"`A\xe9\t==`"),
        ("A" * 9999, "`" + "A" * 77 + "...`"),
    ],
)
def test_a_key_that_is_no_base64(family: Any, key: str, shown: str) -> None:
    """It is shown, escaped and short."""
    request = get(*ASKING[:3], f"Sec-WebSocket-Key: {key}")
    assert f"400: Sec-WebSocket-Key {shown}: it is no base64." == refusal(family, request)


@each_family
@in_turn("length", [1, 15, 17, 300])
def test_the_length_of_a_key(family: Any, length: int) -> None:
    """Sixteen bytes are demanded where everybody sends them: ws 0.4 sent 15 to version 8."""
    key = base64.b64encode(bytes(length)).decode()
    request = get(*ASKING[:3], f"Sec-WebSocket-Key: {key}")
    if family is OF_13:
        assert f"it has {length} bytes, not 16." in refusal(family, request)
    else:
        assert key == server(family, request).key


@each_family
@in_turn("key", ["AQIDBAUGBwgJCgsMDQ4PEC==", f"  {KEY}\t"])
def test_a_key_that_looks_odd(family: Any, key: str) -> None:
    """RFC 6455's own example has bits that stand for nothing; space around a value is none."""
    request = get(*ASKING[:3], f"Sec-WebSocket-Key: {key}")
    raw, _ = server(family, request).accept(Headers(), None)
    proven = attrs.evolve(Response.parse(raw), line=answer().line)
    assert client(family, key.strip()).verify(proven, b"").subprotocol is None


@each_family
def test_http_1_0(family: Any) -> None:
    """It knows no upgrade."""
    request = Request.parse(head("GET / HTTP/1.0", *ASKING))
    assert refusal(family, request) == "400: Expected HTTP/1.1, got HTTP/1.0."


@each_family
def test_a_request_as_proxies_and_old_clients_write_it(family: Any) -> None:
    """Case and company don't matter, nor does an extension that we don't have."""
    request = get(
        "upgrade: h2c, WebSocket",
        "connection: keep-alive, UPGRADE",
        "host: h",
        KEY_LINE.lower().replace(KEY.lower(), KEY),
        "sec-websocket-extensions: deflate-stream",
        "sec-websocket-extensions:",
    )
    assert server(family, request).key == KEY


@each_family
def test_answer_byte_for_byte(family: Any) -> None:
    """The application's fields come last; no extension is ever named."""
    nonce = [f"Sec-WebSocket-Nonce: {NONCE}"] if family.nonce else []
    fields = Headers([(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")])
    expected = head(
        "HTTP/1.1 101 Switching Protocols",
        *UPGRADE,
        f"Sec-WebSocket-Accept: {ACCEPT}",
        *nonce,
        "Sec-WebSocket-Protocol: chat",
        "Set-Cookie: a=1",
        "Set-Cookie: b=2",
    )
    opening = server(family, get(*ASKING, "Sec-WebSocket-Extensions: x"))
    assert expected == opening.accept(fields, "chat")[0]


# What a client makes of an answer


@each_family
@in_turn(
    "lines",
    [
        ANSWER,
        ("upgrade: WebSocket", "connection: keep-alive, UPGRADE", *ANSWER[2:]),
        (*UPGRADE, f"SEC-WEBSOCKET-ACCEPT: \t {ACCEPT} \t", ANSWER[3]),
        (*ANSWER, "Sec-WebSocket-Extensions:"),
        (*ANSWER, "Sec-WebSocket-Extensions: , ", "Sec-WebSocket-Extensions:"),
        (*ANSWER, "Sec-WebSocket-Origin: x", "Sec-WebSocket-Location: y", "X: z"),
    ],
)
def test_an_answer_that_is_in_order(family: Any, lines: tuple[str, ...]) -> None:
    """As old servers write it; a nonce that the draft doesn't have is ignored."""
    asked, received = get(*ASKING).headers, answer(*lines).headers
    masking_key = connection_masking_key(asked, received) if family.nonce else b""
    assert NegotiatedParameters(None, masking_key) == client(family).verify(answer(*lines), b"")


@each_family
@in_turn(
    ("lines", "shown"),
    [
        ([], "the Upgrade field: expected 'websocket', received None"),
        (ANSWER[1:], "the Upgrade field: expected 'websocket', received None"),
        (
            ["Upgrade: h2c, websocket", *ANSWER[1:]],
            "the Upgrade field: expected 'websocket', received 'h2c, websocket'",
        ),
        (
            [*UPGRADE, *ANSWER],
            "the Upgrade field: expected 'websocket', received 'websocket, websocket'",
        ),
        (
            [ANSWER[0], *ANSWER[2:]],
            "the Connection field: expected 'upgrade', received None",
        ),
        (
            [ANSWER[0], "Connection: close", *ANSWER[2:]],
            "the Connection field: expected 'upgrade', received 'close'",
        ),
        (
            [*UPGRADE, ANSWER[3]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received None",
        ),
        (
            [*UPGRADE, "Sec-WebSocket-Accept:", ANSWER[3]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received None",
        ),
        (
            [*UPGRADE, "Sec-WebSocket-Accept: \xe9", ANSWER[3]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received '\xe9'",
        ),
        (
            [*UPGRADE, f"Sec-WebSocket-Accept: {WRONG_ACCEPT}", ANSWER[3]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received '{WRONG_ACCEPT}'",
        ),
        (
            [*UPGRADE, f"Sec-WebSocket-Accept: {ACCEPT.lower()}", ANSWER[3]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received '{ACCEPT.lower()}'",
        ),
        (
            [*ANSWER, ANSWER[2]],
            f"the Sec-WebSocket-Accept field: expected '{ACCEPT}', received '{ACCEPT}, {ACCEPT}'",
        ),
        (
            [*ANSWER, "Sec-WebSocket-Extensions: permessage-deflate; x=1"],
            (
                "the Sec-WebSocket-Extensions field: it names what was not offered: "
                "expected None, received 'permessage-deflate; x=1'"
            ),
        ),
        (
            [*ANSWER, "Sec-WebSocket-Extensions:", "Sec-WebSocket-Extensions: a", "x: y"],
            (
                "the Sec-WebSocket-Extensions field: it names what was not offered: "
                "expected None, received 'a'"
            ),
        ),
        (
            [*ANSWER, "Sec-WebSocket-Protocol: chat"],
            "the subprotocol: expected None, received 'chat'",
        ),
    ],
)
def test_an_answer_that_is_not_in_order(family: Any, lines: list[str], shown: str) -> None:
    """The error shows both values."""
    with pytest.raises(InvalidAnswer) as caught:
        client(family).verify(answer(*lines), b"")
    assert shown == str(caught.value)


@pytest.mark.parametrize(
    ("lines", "received"),
    [
        ([], None),
        (["Sec-WebSocket-Nonce: "], None),
        ([ANSWER[3], "Sec-WebSocket-Nonce: x"], f"{NONCE}, x"),
    ],
)
def test_an_answer_without_one_nonce(lines: list[str], received: str | None) -> None:
    """hybi-04 cannot mask without it; its successors don't miss it."""
    response = answer(*ANSWER[:3], *lines)
    with pytest.raises(InvalidAnswer, match=r"^the Sec-WebSocket-Nonce field: ") as caught:
        client(OF_04).verify(response, b"")
    assert ("one value", received) == (caught.value.expected, caught.value.received)
    for family in [family for family in FAMILIES.values() if family is not OF_04]:
        assert client(family).verify(response, b"") == NegotiatedParameters()


def test_a_nonce_of_any_bytes() -> None:
    """It is taken as it came: as text, not for what it stands for."""
    agreement = client(OF_04).verify(answer(*ANSWER[:3], "Sec-WebSocket-Nonce:  \xe9 "), b"")
    guid = b"61AC5F19-FBBA-4540-B96F-6561F1AB40A8"
    assert hashlib.sha1(KEY.encode() + b"\xe9" + guid).digest() == agreement.masking_key


@each_family
@in_turn(("values", "agreed"), [([], None), (["b"], "b"), ([" a\t"], "a")])
def test_a_subprotocol_in_the_answer(family: Any, values: list[str], agreed: str | None) -> None:
    """One of those asked for, or none."""
    lines = [f"Sec-WebSocket-Protocol: {value}" for value in values]
    opening = client(family, subprotocols=("a", "b"))
    assert agreed == opening.verify(answer(*ANSWER, *lines), b"").subprotocol


@each_family
@in_turn("values", [["c"], ["A"], ["a, b"], ["a", "b"], ["a", "a"], [""]])
def test_a_wrong_subprotocol_in_the_answer(family: Any, values: list[str]) -> None:
    """Another one, several, or nothing in the field."""
    lines = [f"Sec-WebSocket-Protocol: {value}" for value in values]
    with pytest.raises(InvalidAnswer, match=r"^the subprotocol: expected 'a or b', received"):
        client(family, subprotocols=("a", "b")).verify(answer(*ANSWER, *lines), b"")


# Both sides

VISIBLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
TOKENS = st.text(COMMA_SEPARATED.allowed, min_size=1, max_size=8)
VALUES = st.binary(max_size=10).map(lambda value: value.translate(None, bytes(range(32)) + b"\x7f"))
FIELDS = st.lists(st.tuples(TOKENS.map("X-{}".format), VALUES), max_size=3).map(checked_fields)


@each_family
@given(
    origin=st.none() | st.text(VISIBLE, max_size=9).map(str.strip),
    subprotocols=st.lists(TOKENS, max_size=4),
    asked_fields=FIELDS,
    answered_fields=FIELDS,
    data=st.data(),
)
def test_client_and_server_agree(
    family: Any,
    origin: str | None,
    subprotocols: list[str],
    asked_fields: Headers,
    answered_fields: Headers,
    data: st.DataObject,
) -> None:
    """Whatever a client asks, our server understands, and the client takes its answer."""
    wish = HandshakeRequest(URL, asked_fields, origin, tuple(subprotocols))
    opening = family.ask(wish, COMMA_SEPARATED)
    raw = opening.request()
    assert len(raw) == find_head_end(bytearray(raw), 0)
    request = Request.parse(raw)
    received_origin = request.headers.get(family.origin_field)
    assert received_origin == (None if origin is None else origin.lower())
    assert request.headers.raw[-len(asked_fields.raw) :] == asked_fields.raw or not asked_fields
    asked = COMMA_SEPARATED.asked(request.headers.get_all("Sec-WebSocket-Protocol"))
    assert tuple(dict.fromkeys(subprotocols)) == asked
    chosen_one = data.draw(st.sampled_from([None, *asked]))
    answering = family.answer(request)
    answered, settled = answering.accept(answered_fields, chosen_one)
    assert len(answered) == find_head_end(bytearray(answered), 0)
    response = Response.parse(answered)
    assert set(answered_fields.raw) <= set(response.headers.raw)
    assert settled == opening.verify(response, answering.prove(b""))
    assert (chosen_one, 20 if family.nonce else 0) == (
        settled.subprotocol,
        len(settled.masking_key),
    )
    # The answer to one request is none to another.
    with pytest.raises(InvalidAnswer, match="the Sec-WebSocket-Accept field"):
        family.ask(wish, COMMA_SEPARATED).verify(response, b"")
