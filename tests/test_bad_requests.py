"""Requests that a server refuses, over TCP: a clear error, and nobody else disturbed."""

from __future__ import annotations

import logging

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
)
from trio_draftws.drafts import MAX_LINE

from .wire import (
    KEY3,
    Answer,
    answer_to,
    dial,
    read_to_end,
    request,
    request_13,
    server_with_a_healthy_client,
    serving,
)

ALL_DRAFTS = f"the drafts spoken here are: {', '.join(draft.name for draft in DRAFTS)}."
ALL_VERSIONS = ("Sec-WebSocket-Version", "13, 8, 7, 6, 5, 4")


@attrs.frozen
class Refused:
    name: str
    said: bytes
    status_line: str
    text: str
    fields: tuple[tuple[str, str], ...] = ()


def bad_key(name: str, key: str, why: str) -> Refused:
    return Refused(
        f"key {name}",
        request(Sec_WebSocket_Key2=key) + KEY3,
        "HTTP/1.1 400 Bad Request",
        f"Sec-WebSocket-Key2 `{key}`: {why}.",
    )


UPGRADE_REQUIRED = (
    "HTTP/1.1 426 Upgrade Required",
    f"This is no WebSocket request; {ALL_DRAFTS}",
    (("Upgrade", "websocket"), ALL_VERSIONS),
)
NOT_SPOKEN = (
    "HTTP/1.1 426 Upgrade Required",
    f"That draft is not spoken here; {ALL_DRAFTS}",
    (("Upgrade", "websocket"), ALL_VERSIONS),
)
BAD_REQUEST = "HTTP/1.1 400 Bad Request"
URI_TOO_LONG = "HTTP/1.1 414 URI Too Long"
TOO_LARGE = "HTTP/1.1 431 Request Header Fields Too Large"

REFUSED = [
    Refused("plain GET", b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", *UPGRADE_REQUIRED),
    Refused("plain POST", b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", *UPGRADE_REQUIRED),
    Refused("no fields at all", b"GET / HTTP/1.1\r\n\r\n", *UPGRADE_REQUIRED),
    Refused(
        "POST that asks",
        request("POST / HTTP/1.1"),
        "HTTP/1.1 405 Method Not Allowed",
        "A WebSocket request is a GET.",
        (("Allow", "GET"),),
    ),
    Refused(
        "first key alone",
        request(Sec_WebSocket_Key2=None),
        BAD_REQUEST,
        "Sec-WebSocket-Key1 and -Key2 belong together; only one of them came.",
    ),
    Refused(
        "second key alone",
        request(Sec_WebSocket_Key1=None) + KEY3,
        BAD_REQUEST,
        "Sec-WebSocket-Key1 and -Key2 belong together; only one of them came.",
    ),
    Refused(
        "first key twice",
        request(Cookie="a=b\r\nSec-WebSocket-Key1: 1 2") + KEY3,
        BAD_REQUEST,
        "Expected one Sec-WebSocket-Key1, got 2.",
    ),
    bad_key("without spaces", "12998abc", "it has no spaces"),
    bad_key("without digits", "a b c", "it has no digits"),
    bad_key("not divisible", "1 2 3 4", "its digits, 1234, are no multiple of its 3 spaces"),
    bad_key("one past 32 bits", "42949 67296", "4294967296 / 1 spaces is past 32 bits"),
    bad_key("far past", "9 99999999999999", "`999999999999999` / 1 spaces is past 32 bits"),
    Refused("no Host", request(Host=None) + KEY3, BAD_REQUEST, "Expected one Host field."),
    Refused(
        "no Upgrade",
        request(Upgrade=None) + KEY3,
        BAD_REQUEST,
        "The field `Upgrade: WebSocket` is missing.",
    ),
    Refused(
        "no Connection",
        request(Connection=None) + KEY3,
        BAD_REQUEST,
        "The field `Connection: Upgrade` is missing.",
    ),
    Refused("a body", request(Content_Length="5"), BAD_REQUEST, "A WebSocket request has no body."),
    Refused(
        "a chunked body",
        request(Transfer_Encoding="chunked"),
        BAD_REQUEST,
        "A WebSocket request has no body.",
    ),
    Refused("a version of the future", request_13(Sec_WebSocket_Version="14"), *NOT_SPOKEN),
    Refused("a version of the past", request_13(Sec_WebSocket_Version="3"), *NOT_SPOKEN),
    Refused("version 0", request_13(Sec_WebSocket_Version="0"), *NOT_SPOKEN),
    # RFC 6455 section 4.1 wants a version with its key.
    Refused("a key without a version", request_13(Sec_WebSocket_Version=None), *UPGRADE_REQUIRED),
    Refused(
        "a version that is no number",
        request_13(Sec_WebSocket_Version="13, 8"),
        BAD_REQUEST,
        "Expected one number in Sec-WebSocket-Version.",
    ),
    Refused(
        "two versions",
        request_13(Cookie="a=b\r\nSec-WebSocket-Version: 8"),
        BAD_REQUEST,
        "Expected one number in Sec-WebSocket-Version.",
    ),
    Refused(
        "a version with the keys of old",
        request(Sec_WebSocket_Version="13"),
        BAD_REQUEST,
        "Expected one Sec-WebSocket-Key, got 0.",
    ),
    Refused(
        "a version and its key twice",
        request_13(Cookie="a=b\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        BAD_REQUEST,
        "Expected one Sec-WebSocket-Key, got 2.",
    ),
    Refused(
        "a key that is no base64",
        request_13(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"),
        BAD_REQUEST,
        "Sec-WebSocket-Key `dGhlIHNhbXBsZSBub25jZQ`: it is no base64.",
    ),
    Refused(
        "a key of 15 bytes",
        request_13(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j"),
        BAD_REQUEST,
        "Sec-WebSocket-Key `dGhlIHNhbXBsZSBub25j`: it has 15 bytes, not 16.",
    ),
    Refused(
        "a version in HTTP/1.0",
        request_13("GET / HTTP/1.0"),
        BAD_REQUEST,
        "Expected HTTP/1.1, got HTTP/1.0.",
    ),
    Refused(
        "a version with a zero before it",
        request_13(Sec_WebSocket_Version="013"),
        BAD_REQUEST,
        "Expected one number in Sec-WebSocket-Version.",
    ),
    Refused(
        "a target that is not escaped",
        request_13("GET /a b HTTP/1.1"),
        BAD_REQUEST,
        "Expected a path with spaces and all beyond ASCII escaped.",
    ),
    Refused(
        "a target that is none",
        request_13("GET * HTTP/1.1"),
        BAD_REQUEST,
        "Expected a path that begins with a slash.",
    ),
    Refused(
        "a Host of several",
        request_13(Host="a, b"),
        BAD_REQUEST,
        "Expected one host, perhaps with a port.",
    ),
    Refused(
        "a draft that is no number",
        request(Sec_WebSocket_Draft="two"),
        BAD_REQUEST,
        "Expected one number in Sec-WebSocket-Draft.",
    ),
    Refused(
        "one long line",
        request(Cookie="x" * 16384),
        TOO_LARGE,
        "the head is longer than 16384 bytes",
    ),
    Refused(
        "a long line that does not end",
        b"GET /" + b"x" * 100_000,
        URI_TOO_LONG,
        "the first line is longer than 8192 bytes",
    ),
    Refused(
        "a long request line",
        request("GET /" + "x" * (MAX_LINE - 13) + " HTTP/1.1"),
        URI_TOO_LONG,
        "the first line is longer than 8192 bytes",
    ),
    Refused(
        "many fields",
        request(**{f"X_{number}": "" for number in range(96)}),
        TOO_LARGE,
        "the head has 101 fields, more than 100",
    ),
    Refused(
        "no HTTP",
        b"\x00\x01\xfe\xff not HTTP at all\r\n\r\n",
        BAD_REQUEST,
        r"expected a request line as `GET /path HTTP/1.1`, got `\x00\x01\xfe\xff not HTTP at all`",
    ),
    Refused(
        "HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.1 505 HTTP Version Not Supported",
        "expected HTTP/1.1, got `HTTP/2.0`",
    ),
    Refused(
        "a line that is no field",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        BAD_REQUEST,
        "expected a field as `Name: value`, got `Host`",
    ),
    Refused(
        "a control character",
        request(Cookie="a\x07b"),
        BAD_REQUEST,
        "the field `Cookie` has a control character in its value",
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_a_request_that_is_refused(case: Refused, caplog: pytest.LogCaptureFixture) -> None:
    async with server_with_a_healthy_client() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            # That this ends shows that the server closed.
            answer = Answer.parse(await answer_to(server, case.said))
            await trio.testing.wait_all_tasks_blocked()
    assert answer.line.decode() == case.status_line
    assert answer.text == f"{case.text}\n"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers.has_token("Connection", "close")
    # It is for those who may try again (RFC 6455 section 4.4).
    assert ("Sec-WebSocket-Version" in answer.headers) is (b" 426 " in answer.line)
    for name, value in case.fields:
        assert answer.headers[name] == value
    status = case.status_line.split(" ")[1]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("trio_draftws", logging.INFO)
    assert record.message.startswith("no connection with 127.0.0.1 port ")
    why = f": the request was refused with status {status}: {case.text}"
    assert record.message.endswith(why)
    assert record.exc_info is None


async def test_the_longest_request_line() -> None:
    line = "GET /" + "x" * (MAX_LINE - 14) + " HTTP/1.1"
    async with serving() as server, await dial(server) as stream:
        await stream.send_all(request_13(line))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")


async def test_a_line_within_a_small_head() -> None:
    """Where the head may be shorter than a line, that is what bounds the line."""
    async with serving(max_head_size=100) as server:
        answer = Answer.parse(await answer_to(server, b"GET /" + b"x" * 100))
        assert answer.line.decode() == URI_TOO_LONG
        assert answer.text == "the first line is longer than 100 bytes\n"


async def test_only_the_drafts_spoken_are_named() -> None:
    async with serving(drafts=["hixie-75"]) as server:
        answer = Answer.parse(await answer_to(server, request()))
        assert (
            answer.text == "That draft is not spoken here; the drafts spoken here are: hixie-75.\n"
        )
        assert "Sec-WebSocket-Version" not in answer.headers
    async with serving(drafts=["hybi-04", "hybi-08", "hybi-11"]) as server:
        answer = Answer.parse(await answer_to(server, request_13()))
        assert answer.headers["Sec-WebSocket-Version"] == "8, 4"


async def test_the_upgrade_field_is_announced() -> None:
    """RFC 9110 section 7.8: whoever sends Upgrade sends it as an option of Connection as well."""
    async with serving() as server:
        answer = Answer.parse(await answer_to(server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        assert answer.headers.has_token("Connection", "upgrade")


async def test_the_log_names_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                host, port = stream.socket.getsockname()
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
                await read_to_end(stream)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert record.message.startswith(f"no connection with {host} port {port}: ")


async def test_an_answer_arrives_though_much_was_left_unread() -> None:
    """To close with bytes unread would reset the connection and take the answer away."""
    async with server_with_a_healthy_client() as server:
        async with await dial(server) as stream, trio.open_nursery() as nursery:
            answers: list[bytes] = []

            async def read() -> None:
                answers.append(await read_to_end(stream))

            nursery.start_soon(read)
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 1_000_000)
            await stream.send_eof()
    assert Answer.parse(answers[0]).line == b"HTTP/1.1 426 Upgrade Required"
