"""What no peer should say, said over TCP: a clear error for it, and nobody else disturbed."""

from __future__ import annotations

import logging
import operator
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Connection,
    ConnectionLost,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    InvalidAnswer,
    LocalProtocolError,
    PeerClosed,
    PeerViolation,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    Server,
    accept,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import MAX_LINE, HandshakeRequest, WebSocketURL, draft_named

from .turns import dealt, each_draft, in_turn
from .wire import (
    ACCEPT,
    KEY3,
    PROOF,
    Answer,
    dial,
    echo,
    masked,
    prove,
    raw_server,
    read_request,
    read_to_end,
    request,
    request_13,
    serving,
    take_up,
    unmasked,
)

NAME = operator.attrgetter("name")
ALL_DRAFTS = f"the drafts spoken here are: {', '.join(draft.name for draft in DRAFTS)}."
ALL_VERSIONS = ("Sec-WebSocket-Version", "13, 8, 7, 6, 5, 4")


@asynccontextmanager
async def server_with_a_healthy_client(**settings: Any) -> AsyncIterator[Server]:
    """A server, and beside whatever the block does a client that must not notice."""
    async with serving(**settings) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as healthy:
            for text in ("before", "after"):
                await healthy.send(text)
                assert await healthy.receive() == text
                if text == "before":
                    yield server
            assert not healthy.closed


async def answer_to(server: Server, said: bytes) -> bytes:
    """All that the server says, until it ends the stream, to a client that says this."""
    async with await dial(server) as stream:
        await stream.send_all(said)
        return await read_to_end(stream)


# Requests that a server refuses


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


@pytest.mark.parametrize("said", [b"", b"G", request()[:-3]], ids=["nothing", "a byte", "a head"])
async def test_a_client_that_vanishes(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with server_with_a_healthy_client() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(said)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    how_far = f", after {len(said)} bytes of it" if said else ""
    assert record.message.endswith(
        f": the peer ended the stream within the opening handshake{how_far}"
    )


async def test_a_client_that_vanishes_before_its_eight_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_with_a_healthy_client() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(request() + KEY3[:7])
                await stream.send_eof()
                said = await read_to_end(stream)
            await trio.testing.wait_all_tasks_blocked()
    assert said.startswith(b"HTTP/1.1 101 ")
    assert said.endswith(b"\r\n\r\n")
    [record] = caplog.records
    assert record.message.endswith("after 7 bytes of it")


async def test_a_client_that_resets_while_conn_headers_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_reset = trio.Event()

    async def conn_headers(asked: Request) -> tuple[HeaderFields, Any]:
        if asked.path == "/bad":
            await is_reset.wait()
        return (), None

    async with server_with_a_healthy_client(conn_headers=conn_headers) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(request("GET /bad HTTP/1.1") + KEY3)
                await trio.testing.wait_all_tasks_blocked()
                reset_when_closed(stream)
            is_reset.set()
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert "the connection broke within the opening handshake" in record.message


def reset_when_closed(stream: trio.SocketStream) -> None:
    linger = struct.pack("ii", 1, 0)
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", b"HTTP/1.1 503 Service Unavailable"),
        (request()[:-2], b"HTTP/1.1 503 Service Unavailable"),
        # Past the head there is no HTTP any more in which to say it.
        (request(), b"HTTP/1.1 101 WebSocket Protocol Handshake"),
    ],
    ids=["nothing", "half a head", "a head"],
)
async def test_an_opening_that_the_servers_end_cuts_short(said: bytes, answer: bytes) -> None:
    async with serving() as server:
        async with await dial(server) as stream, trio.open_nursery() as nursery:
            await stream.send_all(said)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(server.aclose)
            assert (await read_to_end(stream)).partition(b"\r\n")[0] == answer


def client_hello() -> bytes:
    """How a TLS client begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


NEVER_DONE = {
    "nothing": b"",
    "a head that never ends": b"GET / HTTP/1.1\r\nHost: example.com\r\n",
}


@pytest.mark.parametrize("said", NEVER_DONE.values(), ids=NEVER_DONE)
async def test_an_opening_that_is_never_done(
    said: bytes, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed at the deadline, with no answer, as there was no request."""
    async with server_with_a_healthy_client(handshake_timeout=10) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream, trio.open_nursery() as nursery:
                heard: list[bytes] = []

                async def read() -> None:
                    heard.append(await read_to_end(stream))

                await stream.send_all(said)
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(9)
                await trio.testing.wait_all_tasks_blocked()
                assert heard == []
                mock_clock.jump(2)
            await trio.testing.wait_all_tasks_blocked()
    assert heard == [b""]
    [record] = caplog.records
    assert record.message.endswith("the opening handshake was not done within 10 s")


@pytest.mark.parametrize(
    "said",
    [client_hello(), bytes(range(256)), b"\r\n\r\n", b"\n", b"\r\r"],
    ids=["TLS", "garbage", "blank lines", "LF", "CR"],
)
async def test_what_cannot_become_http_is_refused_at_once(said: bytes) -> None:
    async with server_with_a_healthy_client() as server, await dial(server) as stream:
        await stream.send_all(said)
        await stream.send_eof()
        answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\n\r\nexpected HTTP, got " in answer


@in_turn("size", [1, 1000])
@each_draft
async def test_one_empty_line_is_skipped(draft: Draft, size: int) -> None:
    """RFC 9112 section 2.2: some clients send one behind the request before."""
    client, stream = trio.testing.memory_stream_pair()
    opening = draft.opening.ask(HandshakeRequest(WebSocketURL.parse("ws://a/")), draft.subprotocols)
    said = b"\r\n" + opening.request()
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            for begin in range(0, len(said), size):
                await client.send_all(said[begin : begin + size])
                await trio.testing.wait_all_tasks_blocked()
            await client.send_eof()

        nursery.start_soon(say)
        async with accept(stream, drafts=[draft]) as connection:
            assert connection.draft is draft
            assert connection.line.startswith(b"GET / HTTP/1.1")


async def test_two_requests_that_differ_in_an_empty_line_before_them() -> None:
    async with serving() as server:
        for said in (request_13(), b"\r\n" + request_13()):
            async with await dial(server) as stream:
                await stream.send_all(said)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        assert (await answer_to(server, b"\r\n\r\n" + request_13())).startswith(b"HTTP/1.1 400 ")


@in_turn("size", [1, 1000])
async def test_an_odd_method_is_refused_however_it_comes(size: int) -> None:
    """It may begin with anything that a token may; so it is not what is wrong before the end."""
    said = request().replace(b"GET ", b"1!GET ")
    client, stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            for begin in range(0, len(said), size):
                await client.send_all(said[begin : begin + size])
                await trio.testing.wait_all_tasks_blocked()
            # Else the server would wait for what else may come.
            await client.send_eof()

        nursery.start_soon(say)
        with pytest.raises(RequestRefused) as caught:
            async with accept(stream):
                raise AssertionError("there is no connection")
    assert caught.value.status == 405


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["none", "half"])
async def test_a_head_that_never_ends(said: bytes, autojump_clock: trio.testing.MockClock) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(said)
    with pytest.raises(HandshakeTimeout, match="not done within 7 s") as caught:
        async with accept(stream, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert isinstance(caught.value, (HandshakeError, trio.TooSlowError))
    assert trio.current_time() == 7
    assert await read_to_end(client) == b""


async def test_a_head_that_trickles_has_the_same_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client, stream = trio.testing.memory_stream_pair()

    async def trickle() -> None:
        for byte in request(Cookie="x" * 1000):
            await client.send_all(bytes([byte]))
            await trio.sleep(0.1)

    async def trickle_until_cut_off() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await trickle()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle_until_cut_off)
        with pytest.raises(HandshakeTimeout):
            async with accept(stream, handshake_timeout=7):
                raise AssertionError("there is no connection")
        assert trio.current_time() == 7


async def test_eight_bytes_that_never_come(autojump_clock: trio.testing.MockClock) -> None:
    """The 101 goes out first, since a proxy may hold the eight back until it sees that."""
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request())
    with pytest.raises(HandshakeTimeout):
        async with accept(stream, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    said = await read_to_end(client)
    assert said.startswith(b"HTTP/1.1 101 ")
    assert said.endswith(b"\r\n\r\n")


async def test_eight_bytes_that_come_late() -> None:
    client, stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            async with accept(stream) as server:
                await echo(server)

        nursery.start_soon(serve)
        await client.send_all(request())
        await trio.testing.wait_all_tasks_blocked()
        for byte in KEY3:
            await client.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        await client.send_all(b"\xff\x00")
        said = await read_to_end(client)
    assert said.endswith(b"\r\n\r\n" + PROOF + b"\xff\x00")


async def test_accept_says_what_was_refused() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request(Sec_WebSocket_Key1="1"))
    await client.send_eof()
    with pytest.raises(RequestRefused, match="status 400: Sec-WebSocket-Key1 `1`: ") as caught:
        async with accept(stream):
            raise AssertionError("there is no connection")
    assert caught.value.status == 400
    assert caught.value.reason == "Sec-WebSocket-Key1 `1`: it has no spaces."
    assert isinstance(caught.value.__cause__, Reject)
    assert (await read_to_end(client)).startswith(b"HTTP/1.1 400 ")


# conn_headers


async def connect_to(server: Server, **settings: Any) -> None:
    async with open_websocket(f"ws://127.0.0.1:{server.port}/bad", **settings):
        raise AssertionError("there is no connection")


def when_bad(
    answer: Callable[[], tuple[HeaderFields, Any]],
) -> Callable[[Request], Any]:
    """A conn_headers that takes the healthy client, and fails for `/bad` as `answer` does."""

    async def conn_headers(asked: Request) -> tuple[HeaderFields, Any]:
        return answer() if asked.path == "/bad" else ((), None)

    return conn_headers


@each_draft
async def test_conn_headers_rejects(draft: Draft, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> tuple[HeaderFields, Any]:
        raise Reject(403, {"X-Why": "members only"}, "Bring a friend.")

    async with server_with_a_healthy_client(conn_headers=when_bad(refuse)) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(Rejected, match=r"status 403: 'Bring a friend\.'") as caught:
                await connect_to(server, draft=draft)
    assert caught.value.status == 403
    assert caught.value.headers["x-why"] == "members only"
    assert caught.value.body == b"Bring a friend."
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith("refused with status 403: Bring a friend.")


async def test_fields_of_a_reject_arrive_as_they_are() -> None:
    """Two fields of one name stay two: of cookies, one joined with a comma is another."""

    def refuse() -> tuple[HeaderFields, Any]:
        raise Reject(401, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    async with serving(conn_headers=when_bad(refuse)) as server:
        with pytest.raises(Rejected) as caught:
            await connect_to(server)
    cookies = [pair for pair in caught.value.headers.raw if pair[0].lower() == b"set-cookie"]
    assert cookies == [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection"])
def test_a_reject_that_cannot_be_sent(name: str) -> None:
    """It shows where it is made, as its docstring says, and not as a connection that is cut."""
    with pytest.raises(ValueError, match=name):
        Reject(403, {name: "0"})


@pytest.mark.parametrize("status", [0, 101, 200, 299, 304, 600])
def test_a_reject_is_no_success(status: int) -> None:
    with pytest.raises(ValueError, match=f"300 to 599, except 304, not {status}"):
        Reject(status)


def fail() -> tuple[HeaderFields, Any]:
    raise RuntimeError("the database is away")


def inject() -> tuple[HeaderFields, Any]:
    return {"X-Name": "a\r\nX-Evil: 1"}, None


def inject_name() -> tuple[HeaderFields, Any]:
    return {"X-Evil: 1\r\nX-Name": "a"}, None


def write_the_handshake() -> tuple[HeaderFields, Any]:
    return {"Upgrade": "h2c"}, None


def no_pair() -> tuple[HeaderFields, Any]:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (fail, RuntimeError, "the database is away"),
        (inject, ValueError, "X-Name has a control character"),
        (inject_name, ValueError, "must be a token"),
        (write_the_handshake, ValueError, "Upgrade is written by the handshake"),
        (no_pair, TypeError, "NoneType"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_conn_headers_fails(
    answer: Callable[[], tuple[HeaderFields, Any]],
    error: type[Exception],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client hears of a mistake, and not whose; the log has it all."""
    async with server_with_a_healthy_client(conn_headers=when_bad(answer)) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"), pytest.raises(Rejected) as caught:
            await connect_to(server)
    assert (caught.value.status, caught.value.body) == (500, b"The server made a mistake.\n")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith("the opening for 127.0.0.1 port ")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], error)
    assert why in str(record.exc_info[1])


def chat(request: Request) -> str | None:
    return "chat" if request.subprotocols else None


async def test_a_selector_that_chooses_what_was_not_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_with_a_healthy_client(subprotocols=chat) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"), pytest.raises(Rejected, match="500"):
            await connect_to(server, subprotocols=["news"])
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == (
        "subprotocols returned 'chat' for a client that offers ['news']; "
        "it returns one of request.subprotocols, or None"
    )


# Answers that a client does not take


def proven(head: bytes, key3: bytes, *fields: str, status: str = "101 WebSocket") -> bytes:
    """The answer of a hixie-76 server, with `fields` beside Upgrade and Connection."""
    lines = [f"HTTP/1.1 {status}", "Upgrade: WebSocket", "Connection: Upgrade", *fields, "", ""]
    return "\r\n".join(lines).encode() + prove(head, key3)


async def open_against(answer: Callable[[bytes, bytes], bytes], **settings: Any) -> None:
    """Opens hixie-76 on a server that gives this answer and ends."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream)
        try:
            await stream.send_all(answer(head, key3))
            await stream.send_eof()
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass  # a client that has seen enough leaves

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/path?q", draft="old", **settings):
            raise AssertionError("there is no connection")


def only(*answer: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda head, key3: b"".join(answer)


async def test_sixteen_wrong_bytes() -> None:
    keys: list[tuple[bytes, bytes]] = []

    def wrong(head: bytes, key3: bytes) -> bytes:
        keys.append((head, key3))
        return proven(head, key3)[:-16] + b"0123456789abcdef"

    with pytest.raises(InvalidAnswer, match="the 16 bytes that prove the server") as caught:
        await open_against(wrong)
    assert caught.value.received == b"0123456789abcdef"
    assert caught.value.expected == prove(*keys[0])
    assert repr(caught.value.expected) in str(caught.value)
    assert repr(caught.value.received) in str(caught.value)


async def test_fewer_than_sixteen_bytes() -> None:
    def short(head: bytes, key3: bytes) -> bytes:
        return proven(head, key3)[:-1]

    with pytest.raises(HandshakeError, match="ended the stream within the opening handshake"):
        await open_against(short)


INVALID = {
    "another location": (
        ["Sec-WebSocket-Location: ws://127.0.0.1/path?q"],
        {},
        "the Sec-WebSocket-Location field",
        "ws://127.0.0.1/path?q",
    ),
    "two locations": (
        ["Sec-WebSocket-Location: {location}"] * 2,
        {},
        "the Sec-WebSocket-Location field",
        "{location}, {location}",
    ),
    "another origin": (
        ["Sec-WebSocket-Origin: http://evil"],
        {"origin": "http://good"},
        "the Sec-WebSocket-Origin field",
        "http://evil",
    ),
    "two origins": (
        ["Sec-WebSocket-Origin: http://good"] * 2,
        {"origin": "http://good"},
        "the Sec-WebSocket-Origin field",
        "http://good, http://good",
    ),
    "another subprotocol": (
        ["Sec-WebSocket-Protocol: news"],
        {"subprotocols": ["chat"]},
        "the subprotocol",
        "news",
    ),
    "two subprotocols": (
        ["Sec-WebSocket-Protocol: chat"] * 2,
        {"subprotocols": ["chat"]},
        "the subprotocol",
        "chat, chat",
    ),
    "no subprotocol": ([], {"subprotocols": ["chat"]}, "the subprotocol", None),
}


@pytest.mark.parametrize(("fields", "settings", "what", "received"), INVALID.values(), ids=INVALID)
async def test_fields_that_contradict_the_request(
    fields: list[str], settings: dict[str, Any], what: str, received: str | None
) -> None:
    """And the same answer without the contradiction would do."""
    location = ""

    def contradict(head: bytes, key3: bytes) -> bytes:
        nonlocal location
        host = head.partition(b"Host: ")[2].partition(b"\r\n")[0].decode()
        location = f"ws://{host}/path?q"
        return proven(head, key3, *(field.format(location=location) for field in fields))

    with pytest.raises(InvalidAnswer) as caught:
        await open_against(contradict, **settings)
    assert caught.value.what == what
    assert caught.value.received == (received and received.format(location=location))
    expected = {
        "the Sec-WebSocket-Location field": location,
        "the Sec-WebSocket-Origin field": "http://good",
        "the subprotocol": "chat",
    }
    assert caught.value.expected == expected[what]
    with pytest.raises(AssertionError, match="there is no connection"):
        await open_against(
            partial(
                proven_again,
                [
                    "Sec-WebSocket-Location: {location}",
                    "Sec-WebSocket-Origin: http://good",
                    "Sec-WebSocket-Protocol: chat",
                ],
            ),
            **settings,
        )


def proven_again(fields: list[str], head: bytes, key3: bytes) -> bytes:
    """An answer that names the location that was asked for."""
    host = head.partition(b"Host: ")[2].partition(b"\r\n")[0].decode()
    return proven(head, key3, *(field.format(location=f"ws://{host}/path?q") for field in fields))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 101 a\r\nConnection: Upgrade\r\n\r\n", "Upgrade"),
        (b"HTTP/1.1 101 a\r\nUpgrade: WebSocket\r\n\r\n", "Connection"),
        (b"HTTP/1.1 101 a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "Upgrade"),
    ],
)
async def test_a_101_for_something_else(answer: bytes, what: str) -> None:
    with pytest.raises(InvalidAnswer, match=what):
        await open_against(only(answer, bytes(16)))


# So many bytes of what a server that refuses has to say are kept.
MAX_REFUSAL_BODY = 64 * 1024
REFUSALS = {
    "with a length": (b"Content-Length: 4\r\n\r\nGone and more", b"Gone"),
    "without a length": (b"\r\nGone", b"Gone"),
    "shorter than its length": (b"Content-Length: 10\r\n\r\nGone", b"Gone"),
    "with a strange length": (b"Content-Length: many\r\n\r\nGone", b"Gone"),
    "empty": (b"Content-Length: 0\r\n\r\n", b""),
    "huge, with a length": (
        b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000,
        b"x" * MAX_REFUSAL_BODY,
    ),
    "huge, without a length": (b"\r\n" + b"x" * 900_000, b"x" * MAX_REFUSAL_BODY),
}


@dealt("refusal", list(REFUSALS))
async def test_an_answer_that_is_not_101(refusal: str, draft: Draft) -> None:
    rest, body = REFUSALS[refusal]

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream, draft.opening.request_body)
        try:
            await stream.send_all(b"HTTP/1.1 410 Gone\r\nX-Since: 2011\r\n" + rest)
            await stream.send_eof()
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass  # a client that has seen enough leaves

    async with raw_server(refuse) as port:
        with pytest.raises(Rejected, match="the server refused with status 410") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                raise AssertionError("there is no connection")
    assert caught.value.status == 410
    assert caught.value.headers["x-since"] == "2011"
    assert caught.value.body == body


async def test_a_refusal_whose_body_does_not_end(mock_clock: trio.testing.MockClock) -> None:
    """As from a server that keeps the connection for a next request: the status is known."""

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\n\r\nno such")
        await read_to_end(stream)

    async with raw_server(refuse) as port, trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(6)

        nursery.start_soon(later)
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                raise AssertionError("there is no connection")
    assert (caught.value.status, caught.value.body) == (404, b"no such")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", r"no HTTP: expected a status line .* `SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP: expected a status line"),
        (b"HTTP/1.1 999 a\r\n\r\n", "no HTTP: expected a status line .* `HTTP/1.1 999 a`"),
        (b"HTTP/1.1 101 a\r\nno field\r\n\r\n", "no HTTP: expected a field"),
        (b"x" * 20_000, "the first line is longer than 8192 bytes"),
        (b"HTTP/1.1 101 a\r\nA: " + b"x" * 20_000, "longer than 16384 bytes"),
        (b"HTTP/1.1 101 a\r\n" + b"A: b\r\n" * 101 + b"\r\n", "101 fields, more than 100"),
        (b"", r"the peer ended the stream within the opening handshake \(it was asked"),
        (b"HTTP/1.1 101 Web", "within the opening handshake, after 16 bytes"),
    ],
    ids=["ssh", "status", "no status", "field", "long line", "long", "many", "nothing", "half"],
)
async def test_an_answer_that_is_no_answer(answer: bytes, why: str) -> None:
    with pytest.raises(HandshakeError, match=why):
        await open_against(only(answer))


@in_turn("version", [b"HTTP/1.0", b"HTTP/2.0"])
@each_draft
async def test_a_101_of_another_http(version: bytes, draft: Draft) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        answer = take_up(draft, head, key3)[0]
        await stream.send_all(answer.replace(b"HTTP/1.1", version, 1))
        await read_to_end(stream)

    async with raw_server(behave) as port:
        with pytest.raises(HandshakeError, match="no HTTP: expected a status line") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                raise AssertionError("there is no connection")
    assert type(caught.value) is HandshakeError
    assert f"got `{version.decode()} 101 " in str(caught.value)


@each_draft
async def test_a_folded_field(draft: Draft) -> None:
    """What makes an answer one may stand there too."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        answer = take_up(draft, head, key3)[0]
        answer = answer.replace(b"Connection: ", b"X-Note: one\r\n two\r\nConnection:\r\n\t", 1)
        await stream.send_all(answer)
        await read_to_end(stream)

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket(url, draft=draft, close_timeout=0.01) as connection:
            assert connection.headers["X-Note"] == "one two"
            assert connection.response.headers["Connection"] == "Upgrade"


async def test_a_server_that_resets() -> None:
    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        reset_when_closed(stream)

    async with raw_server(reset) as port:
        with pytest.raises(HandshakeError, match="broke within the opening handshake") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                raise AssertionError("there is no connection")
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


# Arguments that nobody can ask for; nothing is dialled


NOBODY = "ws://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/", r"the scheme is 'http', expected ws:// or wss://"),
        ("127.0.0.1:80", "expected ws:// or wss://"),
        ("ws:///path", "it names no host"),
        ("ws://127.0.0.1/#top", "no fragment"),
        ("ws://127.0.0.1:0/", "nothing listens on port 0"),
        ("ws://127.0.0.1:99999/", "not a WebSocket URL"),
        ("ws://127.0.0.1/a\r\nX-Evil: 1", "control character"),
    ],
)
async def test_a_url_that_is_none(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        async with open_websocket(url):
            raise AssertionError("there is no connection")


async def test_a_draft_that_is_none() -> None:
    known = "no draft is named 'hixie-77'; there are: " + "; ".join(
        " = ".join((draft.name, *draft.aliases)) for draft in DRAFTS
    )
    with pytest.raises(ValueError, match=known):
        async with open_websocket(NOBODY, draft="hixie-77"):
            raise AssertionError("there is no connection")
    with pytest.raises(ValueError, match=known):
        async with serving(drafts=["hixie-77"]):
            raise AssertionError("there is no server")


INJECTIONS: dict[str, dict[str, Any]] = {
    "value": {"headers": {"X-Name": "a\r\nX-Evil: 1"}},
    "value with a lone LF": {"headers": {"X-Name": "a\nX-Evil: 1"}},
    "value with NUL": {"headers": [(b"X-Name", b"a\0b")]},
    "name": {"headers": {"X-Evil: 1\r\nX-Name": "a"}},
    "name with a space": {"headers": [("X Name", "a")]},
    "empty name": {"headers": [("", "a")]},
    "value past Latin-1": {"headers": {"X-Name": "日本"}},
    "origin": {"origin": "http://a\r\nX-Evil: 1"},
    "origin with a lone LF": {"origin": "http://a\nX-Evil: 1"},
    "subprotocol": {"subprotocols": ["chat\r\nX-Evil: 1"]},
    "empty subprotocol": {"subprotocols": [""]},
}


@in_turn("settings", INJECTIONS.values())
@each_draft
async def test_header_injection(draft: Draft, settings: dict[str, Any]) -> None:
    """Nothing is dialled: nobody listens there, and that is not what it says."""
    with pytest.raises(ValueError, match=r"control character|token|Latin-1|subprotocol"):
        async with open_websocket(NOBODY, draft=draft, **settings):
            raise AssertionError("there is no connection")


@each_draft
async def test_fields_that_the_handshake_writes(draft: Draft) -> None:
    for name in draft.opening.written_fields:
        for spelt in (name, name.lower(), name.upper()):
            why = f"the header field {spelt} is written by the handshake"
            with pytest.raises(ValueError, match=why):
                async with open_websocket(NOBODY, draft=draft, headers={spelt: "x"}):
                    raise AssertionError("there is no connection")


async def test_one_str_is_no_list_of_subprotocols() -> None:
    with pytest.raises(TypeError, match=r"write \['chat'\]"):
        async with open_websocket(NOBODY, subprotocols="chat"):
            raise AssertionError("there is no connection")
    with pytest.raises(TypeError, match=r"write \['chat'\]"):
        async with serving(subprotocols="chat"):
            raise AssertionError("there is no server")


# Messages


@in_turn("draft", [draft for draft in DRAFTS if draft.binary])
async def test_bytes_where_the_draft_has_them(draft: Draft) -> None:
    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client() as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                for message in (b"", b"bytes", bytes(range(256)), b"\xff" * 70_000):
                    await client.send(message)
                    received = await client.receive()
                    assert isinstance(received, bytes)
                    assert received == message


@in_turn("draft", [draft for draft in DRAFTS if not draft.binary])
async def test_bytes_where_the_draft_has_text_only(draft: Draft) -> None:
    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client() as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                with pytest.raises(LocalProtocolError, match="no binary messages, so bytes"):
                    await client.send(b"bytes")
                await client.send("text")
                assert await client.receive() == "text"


def check_what_the_peer_saw(draft: Draft, violation: PeerViolation, end: BaseException) -> None:
    """How each side saw the end that a message over the limit brings.

    hixie-75 says it by the end of TCP, which is its closing, and the draft of August 2010 cuts; all
    others say it in their closing frame, with a code where that has one.
    """
    assert "longer than 100 bytes" in violation.reason
    if draft.close_status:
        assert draft.version is not None
        assert violation.close_code == (1009 if draft.version >= 13 else 1004)
    if violation.close_code is None:
        assert type(end) is ConnectionLost
        assert not draft.fragments
        return
    assert isinstance(end, PeerClosed)
    told = (violation.close_code, violation.reason) if draft.close_status else (None, "")
    assert (end.code, end.reason) == told


@each_draft
async def test_a_message_over_the_limit_of_a_server(
    draft: Draft, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[PeerViolation] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await echo(connection)
        except PeerViolation as violation:
            seen.append(violation)

    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client(handler=handler, max_message_size=100) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                await client.send("é" * 50)
                assert await client.receive() == "é" * 50
                await client.send("é" * 50 + "!")
                with pytest.raises((PeerClosed, ConnectionLost)) as end:
                    await client.receive()
                with pytest.raises(trio.BrokenResourceError):
                    await client.send("too late")
    [violation] = seen
    check_what_the_peer_saw(draft, violation, end.value)
    assert caplog.records == []


@each_draft
async def test_a_message_over_the_limit_of_a_client(draft: Draft) -> None:
    ends: list[BaseException] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await connection.send(await connection.receive() * 101)
            await connection.receive()
        except (trio.EndOfChannel, trio.BrokenResourceError) as end:
            ends.append(end)

    with use_framing_mode(draft.name):
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, max_message_size=100) as client:
                await client.send("x")
                with pytest.raises(PeerViolation, match="longer than 100 bytes") as caught:
                    await client.receive()
                with pytest.raises(PeerViolation):
                    await client.send("too late")
    check_what_the_peer_saw(draft, caught.value, ends[-1])


async def test_a_violation_that_the_handler_lets_out_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no mistake of the handler's: news, in one line."""
    caplog.set_level(logging.INFO, "trio_draftws")
    async with server_with_a_healthy_client(max_message_size=10) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("x" * 11)
            with pytest.raises(PeerClosed):
                await client.receive()
    [record] = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "ended under its handler: a message is longer than 10 bytes" in record.message


# Frames of RFC 6455 that no peer may send


@attrs.frozen
class Violation:
    name: str
    first: int
    payload: bytes
    code: int
    why: str

    @property
    def frame(self) -> bytes:
        """As a server sends it."""
        return bytes((self.first, len(self.payload))) + self.payload

    @property
    def told(self) -> bytes:
        """What the closing frame carries that answers it."""
        return struct.pack(">H", self.code) + self.why.encode()


CODE = "a close has the code {}, which none may have"
VIOLATIONS = [
    Violation("bad UTF-8", 0x81, b"a\xff", 1007, "a text is not UTF-8"),
    Violation("bad UTF-8 in a first fragment", 0x01, b"a\xff", 1007, "a text is not UTF-8"),
    Violation("half a character", 0x81, b"\xc3", 1007, "a text is not UTF-8"),
    Violation("a surrogate", 0x81, b"\xed\xa0\x80", 1007, "a text is not UTF-8"),
    Violation("RSV1", 0xC1, b"a", 1002, "a reserved bit is set, and no extension was agreed to"),
    Violation("opcode 3", 0x83, b"a", 1002, "the opcode 0x3 is reserved"),
    Violation("opcode 11", 0x8B, b"a", 1002, "the opcode 0xb is reserved"),
    Violation("half a ping", 0x09, b"a", 1002, "a control frame is fragmented"),
    Violation("a fragment of nothing", 0x80, b"a", 1002, "a fragment continues no message"),
    Violation("half a code", 0x88, b"\x03", 1002, "a close has half a code"),
    Violation("code 999", 0x88, b"\x03\xe7", 1002, CODE.format(999)),
    Violation("code 1005", 0x88, b"\x03\xed", 1002, CODE.format(1005)),
    Violation("code 1006", 0x88, b"\x03\xee", 1002, CODE.format(1006)),
    Violation("code 1015", 0x88, b"\x03\xf7", 1002, CODE.format(1015)),
    Violation("code 5000", 0x88, b"\x13\x88", 1002, CODE.format(5000)),
    Violation(
        "bad UTF-8 in a reason", 0x88, b"\x03\xe8\xff", 1007, "the reason of a close is not UTF-8"
    ),
]


async def what_a_server_says(said: bytes) -> tuple[bytes, list[PeerViolation]]:
    """The frames that an echo server of RFC 6455 answers with, and what its handler met."""
    met: list[PeerViolation] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await echo(connection)
        except PeerViolation as violation:
            met.append(violation)
            with pytest.raises(PeerViolation):
                await connection.send("too late")

    async with server_with_a_healthy_client(handler=handler) as server:
        answer = Answer.parse(await answer_to(server, request_13() + said))
    assert answer.line == b"HTTP/1.1 101 Switching Protocols"
    assert answer.headers["Sec-WebSocket-Accept"] == ACCEPT
    return answer.body, met


def check_end(body: bytes, met: list[PeerViolation], told: Violation) -> None:
    # The echo of what came before it leaves first.
    assert body == b"\x81\x05first" + bytes((0x88, len(told.told))) + told.told
    [violation] = met
    assert (violation.close_code, violation.reason) == (told.code, told.why)


@pytest.mark.parametrize("case", VIOLATIONS, ids=NAME)
async def test_a_violation_by_a_client(case: Violation) -> None:
    said = masked(0x81, b"first") + masked(case.first, case.payload)
    check_end(*await what_a_server_says(said), case)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x81\x05Hello", "a client's frame is not masked"),
        # The first two bytes are enough to know; the rest need not come.
        (b"\x81\x05", "a client's frame is not masked"),
        (b"\x89\xfe", "a control frame has more than 125 bytes"),
        (b"\x82\xff" + b"\xff" * 8, "a frame's length has its top bit set"),
        (b"\x82\xfe\x00\x7d", "a frame's length is not in its shortest form"),
        (masked(0x01, b"a") + masked(0x81, b"b"), "a message begins before another has ended"),
    ],
)
async def test_a_frame_that_cannot_be_taken(said: bytes, why: str) -> None:
    told = Violation("", 0, b"", 1002, why)
    check_end(*await what_a_server_says(masked(0x81, b"first") + said), told)


async def test_nothing_behind_a_violation_counts() -> None:
    body, [violation] = await what_a_server_says(b"\x81\x00" + masked(0x81, b"later") * 100)
    assert violation.close_code == 1002
    assert body[:4] == b"\x88" + bytes([len(body) - 2]) + struct.pack(">H", 1002)


@pytest.mark.parametrize(
    "case",
    [
        *VIOLATIONS,
        # The second byte, the length, has the bit in it that says "masked".
        Violation("masked", 0x81, bytes(0x80), 1002, "a server's frame is masked"),
    ],
    ids=NAME,
)
async def test_a_violation_by_a_server(case: Violation) -> None:
    heard: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        answer, _ = take_up(draft_named("rfc6455"), *await read_request(stream, 0))
        await stream.send_all(answer + b"\x81\x05first" + case.frame)
        heard.append(await read_to_end(stream))

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455") as client:
            await client.send(await client.receive())
            with pytest.raises(PeerViolation) as caught:
                await client.receive()
            with pytest.raises(PeerViolation):
                await client.send("too late")
    assert (caught.value.close_code, caught.value.reason) == (case.code, case.why)
    assert unmasked(heard[0]) == [(0x81, b"first"), (0x88, case.told)]


# Codes and reasons to close with


WITH_STATUS = in_turn("draft", [draft for draft in DRAFTS if draft.close_status])


CLOSING = in_turn("how", [Connection.aclose, Connection.send_close])


async def cannot_close(
    how: Callable[[Connection, int, str], Awaitable[None]],
    draft: Draft | str,
    code: int,
    reason: str,
    why: str,
) -> None:
    """Neither side can so, and the connection is as good as before."""

    async def handler(connection: Connection, state: object) -> None:
        with pytest.raises(LocalProtocolError, match=why):
            await how(connection, code, reason)
        assert not connection.closed
        await echo(connection)

    async with serving(handler, drafts=[draft]) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
            with pytest.raises(LocalProtocolError, match=why):
                await how(client, code, reason)
            assert not client.closed
            await client.send("still here")
            assert await client.receive() == "still here"
            await client.aclose()
            assert client.close_received is not None
            assert client.close_received.code == 1000


@WITH_STATUS
@CLOSING
@in_turn("code", [-1, 0, 999, 5000, 65536])
async def test_a_code_that_no_draft_has(how: Any, draft: Draft, code: int) -> None:
    await cannot_close(how, draft, code, "", f"cannot carry the code {code}")


@CLOSING
@in_turn("code", [1004, 1005, 1006, 1015, 2999])
async def test_a_code_that_rfc6455_keeps_back(how: Any, code: int) -> None:
    await cannot_close(how, "rfc6455", code, "", f"cannot carry the code {code}")


@WITH_STATUS
@CLOSING
async def test_a_reason_that_cannot_be_sent(how: Any, draft: Draft) -> None:
    await cannot_close(how, draft, 1000, "é" * 62, "124 bytes, and may have 123")
    await cannot_close(how, draft, 1000, "\ud800", "lone surrogate")


@each_draft
async def test_what_is_said_at_a_close_arrives(draft: Draft) -> None:
    """From either side; where a closing frame has no room for it, only that it was closed."""
    ends: list[PeerClosed] = []

    async def handler(connection: Connection, state: object) -> None:
        if connection.request.path == "/server":
            await connection.aclose(4000, "why")
        else:
            with pytest.raises(PeerClosed) as caught:
                await connection.receive()
            ends.append(caught.value)

    with use_framing_mode(draft.name):
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(f"{url}/client") as client:
                await client.aclose(4000, "why")
            async with open_websocket(f"{url}/server") as client:
                with pytest.raises(PeerClosed) as caught:
                    await client.receive()
                ends.append(caught.value)
    said = (4000, "why") if draft.close_status else (None, "")
    assert [(end.code, end.reason) for end in ends] == [said, said]
