"""Pages on the port of a WebSocket server, and what else plain HTTP asks of it."""

from __future__ import annotations

import http.client
import json
import logging
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
import h11
import pytest
import trio
import trio.testing

from trio_draftws import (
    Draft,
    HandshakeTimeout,
    HTTPResponse,
    PageServed,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    Server,
    accept,
    open_websocket,
    use_framing_mode,
)

from .rows import drafts_that_differ_most, each_row
from .wire import Answer, dial, echo, read_to_end, request, request_13, serving

draft = drafts_that_differ_most()

HOST = "Host: example.com"
GET = f"GET /page?q=1 HTTP/1.1\r\n{HOST}\r\n\r\n".encode()
PAGE = "<!doctype html><title>pàge</title>"
HTML = {"Content-Type": "text/html; charset=utf-8"}


@attrs.define
class Pages:
    """An http_handler that notes what it was asked, and answers as it is told."""

    answer: Any = attrs.field(factory=lambda: HTTPResponse(200, HTML, PAGE))
    asked: list[Request] = attrs.field(factory=list)

    async def __call__(self, asked: Request) -> HTTPResponse:
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]


async def say(server: Server, *lines: str) -> Answer:
    """What the server answers to a head of these lines, until it ends the stream."""
    async with await dial(server) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return Answer.parse(await read_to_end(stream))


@asynccontextmanager
async def one_line_logged(
    caplog: pytest.LogCaptureFixture, level: int, words: str
) -> AsyncIterator[None]:
    """Whatever happens within is logged on that level, in these words, once.

    A server is within too: what it says of a client, it may say when that has gone.
    """
    caplog.clear()
    with caplog.at_level(logging.INFO, "trio_draftws"):
        yield
    [record] = caplog.records
    assert record.levelno == level
    assert words in caplog.text


# Answers


async def test_a_page() -> None:
    """A plain GET gets what the handler returns, and the connection ends with it."""
    pages = Pages()
    async with serving(http_handler=pages) as server:
        answer = await say(server, "GET /a%20page?q=1 HTTP/1.1", HOST, "Cookie: a=b")
    assert answer.line == b"HTTP/1.1 200 OK"
    assert answer.fields == {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(PAGE.encode())),
        "connection": "close",
    }
    assert answer.text == PAGE
    [asked] = pages.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/a page", "q=1")
    assert (asked.host, asked.headers["Cookie"]) == ("example.com", "a=b")
    assert (asked.draft, asked.subprotocols, asked.secure) == (None, (), False)


async def test_the_head_of_a_page() -> None:
    """HEAD gets what GET gets, but for the body."""
    async with serving(http_handler=Pages()) as server:
        whole = await say(server, "GET / HTTP/1.1", HOST)
        head = await say(server, "HEAD / HTTP/1.1", HOST)
    assert (head.line, head.fields, head.body) == (whole.line, whole.fields, b"")
    assert "Date" in head.headers


def ask_http_client(
    port: int | None, context: ssl.SSLContext | None, method: str
) -> tuple[int, bytes]:
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        if context is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    )
    connection.request(method, "/")
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
async def test_somebody_elses_client(
    secure: bool, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """A large page arrives whole, also through TLS, which has no half to close."""
    large = bytes(range(256)) * 8192
    pages = Pages(HTTPResponse(200, HTML, large))
    async with serving(http_handler=pages, ssl_context=server_ssl if secure else None) as server:
        context = client_ssl if secure else None
        for method, body in (("GET", large), ("HEAD", b"")):
            told = await trio.to_thread.run_sync(ask_http_client, server.port, context, method)
            assert told == (200, body)
    assert [asked.secure for asked in pages.asked] == [secure, secure]


@pytest.mark.parametrize(
    ("answer", "fields", "body"),
    [
        (HTTPResponse(), {"content-length": "0"}, b""),
        (
            HTTPResponse(body="né\n"),
            {"content-type": "text/plain; charset=utf-8", "content-length": "4"},
            b"n\xc3\xa9\n",
        ),
        (
            HTTPResponse(body=b"\x89PNG"),
            {"content-type": "application/octet-stream", "content-length": "4"},
            b"\x89PNG",
        ),
        (
            HTTPResponse(404, [("content-type", "text/css")], "no"),
            {"content-type": "text/css", "content-length": "2"},
            b"no",
        ),
        (
            HTTPResponse(301, {"Location": "/other"}),
            {"location": "/other", "content-length": "0"},
            b"",
        ),
        (HTTPResponse(204), {}, b""),
        (HTTPResponse(205), {"content-length": "0"}, b""),
        (HTTPResponse(304, {"ETag": '"1"'}), {"etag": '"1"'}, b""),
        (HTTPResponse(599, {"Upgrade": "h2c"}), {"upgrade": "h2c", "content-length": "0"}, b""),
    ],
    ids=lambda value: str(value.status) if isinstance(value, HTTPResponse) else None,
)
async def test_what_an_answer_says(
    answer: HTTPResponse, fields: dict[str, str], body: bytes
) -> None:
    """Status, fields and body as given; what is left out is told, and h11 reads it all."""
    async with serving(http_handler=Pages(answer)) as server:
        async with await dial(server) as stream:
            await stream.send_all(GET)
            raw = await read_to_end(stream)
    close = "Upgrade, close" if "upgrade" in fields else "close"
    said = Answer.parse(raw)
    assert int(said.line.split()[1]) == answer.status
    assert (said.fields, said.body) == ({**fields, "connection": close}, body)

    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "example.com")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    client.receive_data(b"")
    events: list[Any] = [client.next_event()]
    while type(events[-1]) is not h11.EndOfMessage:
        events.append(client.next_event())
    assert events[0].status_code == answer.status
    assert b"".join(event.data for event in events[1:-1]) == body


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (["HEAD / HTTP/2.0", HOST], 505),
        (["HEAD / HTTP/1.1", "no field"], 400),
        (["HEAD / HTTP/1.1"], 400),
        (["HEAD /nowhere HTTP/1.1", HOST], 404),
        (["HEAD / HTTP/1.1", HOST, "Sec-WebSocket-Version: 99"], 426),
        (["HEAD / HTTP/1.1", HOST, "Sec-WebSocket-Version: 13"], 405),
    ],
)
async def test_a_head_that_is_refused(head: list[str], status: int) -> None:
    """RFC 9110 section 9.3.2: no answer to it has a body, though its length is told."""
    async with serving(http_handler={"/": HTTPResponse()}) as server:
        answer = await say(server, *head)
    assert answer.line.startswith(b"HTTP/1.1 %d " % status)
    assert int(answer.headers["Content-Length"]) > 0
    assert answer.body == b""


@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_the_time(path: str) -> None:
    """RFC 9110 section 6.6.1: each answer says when it was made, in the one form there is."""
    before = datetime.now(timezone.utc).replace(microsecond=0)
    async with serving(http_handler={"/": HTTPResponse()}) as server:
        answer = await say(server, f"GET {path} HTTP/1.1", HOST)
    [told] = answer.headers.get_all("Date")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", told)
    assert before <= parsedate_to_datetime(told) <= datetime.now(timezone.utc)


async def test_a_time_of_ones_own() -> None:
    then = "Thu, 01 Jan 2009 00:00:00 GMT"
    async with serving(http_handler=Pages(HTTPResponse(200, {"date": then}))) as server:
        answer = await say(server, "GET / HTTP/1.1", HOST)
    assert answer.headers.get_all("Date") == [then]


async def test_two_cookies_stay_two() -> None:
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    async with serving(http_handler=Pages(HTTPResponse(200, cookies))) as server:
        answer = await say(server, "GET / HTTP/1.1", HOST)
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


@each_row(
    "arguments, why",
    [
        ((101,), "200 to 599, not 101"),
        ((199,), "200 to 599, not 199"),
        ((600,), "200 to 599, not 600"),
        ((204, (), "text"), "status 204 has no body"),
        ((205, (), b"x"), "status 205 has no body"),
        ((304, (), "text"), "status 304 has no body"),
        ((200, {"A": "b\r\nX-Evil: 1"}), "control character"),
        ((200, {"A B": "c"}), "must be a token"),
        ((200, {"content-length": "1"}), "content-length is written by"),
        ((200, {"Transfer-Encoding": "chunked"}), "Transfer-Encoding is written by"),
        ((200, {"Connection": "keep-alive"}), "Connection is written by"),
    ],
)
def test_an_answer_that_cannot_be_sent(arguments: tuple[Any, ...], why: str) -> None:
    """It shows where it is made."""
    with pytest.raises(ValueError, match=why):
        HTTPResponse(*arguments)


def test_short_ways_to_say_what_it_is() -> None:
    assert HTTPResponse.html(PAGE) == HTTPResponse(200, HTML, PAGE)
    assert HTTPResponse.html(b"<p>", status=404) == HTTPResponse(404, HTML, b"<p>")
    latin = {"content-type": "text/html; charset=latin-1", "X-A": "b"}
    assert HTTPResponse.html(b"\xe9", headers=latin) == HTTPResponse(200, latin, b"\xe9")
    said = HTTPResponse.json({"é": [1, None]}, status=503, headers={"Retry-After": "1"})
    assert (said.status, json.loads(said.body)) == (503, {"é": [1, None]})
    assert dict(said.headers) == {"content-type": "application/json", "retry-after": "1"}
    with pytest.raises(TypeError):
        HTTPResponse.json(object())
    with pytest.raises(ValueError, match="content-length is written by"):
        HTTPResponse.html("", headers={"content-length": "1"})


def test_an_answer_is_a_fact() -> None:
    """It compares by what it says, and nothing changes it."""
    made = HTTPResponse(200, {"A": "b"}, "né")
    assert made == HTTPResponse(200, [("A", "b")], "né")
    assert (made.status, made.headers["A"], made.body) == (200, "b", "né".encode())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.status = 404  # type: ignore[misc]


# Requests that the handler is not asked for


@each_row(
    "lines, status, words",
    [
        (["POST / HTTP/1.1", HOST, "Content-Length: 0"], 405, "Only GET and HEAD"),
        (["OPTIONS * HTTP/1.1", HOST], 405, "Only GET and HEAD"),
        (["OPTIONS / HTTP/1.1", HOST, "Origin: http://a"], 405, "Only GET and HEAD"),
        (["CONNECT example.com:443 HTTP/1.1", HOST], 405, "Only GET and HEAD"),
        (["TRACE / HTTP/1.1", HOST], 405, "Only GET and HEAD"),
        (["get / HTTP/1.1", HOST], 405, "Only GET and HEAD"),
        # It gets its answer in place of `100 Continue`, and sends no body
        (
            ["PUT / HTTP/1.1", HOST, "Content-Length: 9", "Expect: 100-continue"],
            405,
            "Only GET and HEAD",
        ),
        (["GET * HTTP/1.1", HOST], 400, "Expected a path that begins with a slash."),
        (["GET page HTTP/1.1", HOST], 400, "Expected a path that begins with a slash."),
        (["GET ?q HTTP/1.1", HOST], 400, "Expected a path that begins with a slash."),
        (["GET / HTTP/1.1", HOST, "Transfer-Encoding: chunked"], 400, "A GET has no body."),
        (["GET / HTTP/1.1", HOST, "Content-Length: 5"], 400, "A GET has no body."),
        (["GET / HTTP/1.1", HOST, "Content-Length: 8"], 400, "A GET has no body."),
        (["GET / HTTP/1.1", HOST, "Content-Length: 0, 0"], 400, "A GET has no body."),
        (["GET / HTTP/1.1"], 400, "Expected one Host field."),
        (["GET / HTTP/1.1", HOST, HOST], 400, "Expected one Host field."),
        (["GET / HTTP/1.0", HOST, HOST], 400, "Expected one Host field."),
        (["GET / HTTP/2.0", HOST], 505, "expected HTTP/1.1"),
        (["GET /"], 400, "expected a request line"),
        (["GET / HTTP/1.1", HOST, "Sec-WebSocket-Version: x"], 400, "Expected one number"),
        (["GET / HTTP/1.1", HOST, "Sec-WebSocket-Version: 99"], 426, "is not spoken here"),
        (["GET / HTTP/1.1", HOST, "Sec-WebSocket-Key2: 1 2"], 400, "belong together"),
        # A key and no version: of no draft, but no page is what it wants
        (["GET / HTTP/1.1", HOST, "Sec-WebSocket-Key: a"], 426, "This is no WebSocket request"),
        (["GET / HTTP/1.1", HOST, "Sec-WebSocket-Version: 13"], 400, "Upgrade: WebSocket"),
    ],
)
async def test_what_is_refused(
    lines: list[str], status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What plain HTTP forbids, and what wants to be WebSocket and is not in order."""
    pages = Pages()
    async with one_line_logged(caplog, logging.INFO, f"refused with status {status}"):
        async with serving(http_handler=pages) as server:
            answer = await say(server, *lines)
    assert answer.line.startswith(b"HTTP/1.1 %d " % status)
    assert words in answer.text
    assert answer.headers.get("Allow") == ("GET, HEAD" if status == 405 else None)
    assert pages.asked == []


@pytest.mark.parametrize(
    "lines",
    [
        ["GET / HTTP/1.0"],
        ["GET / HTTP/1.0", HOST, "Connection: keep-alive"],
        ["GET / HTTP/1.1", HOST, "Content-Length: 0"],
        ["GET / HTTP/1.1", HOST, "Connection: keep-alive", "Keep-Alive: timeout=5"],
        # RFC 9110 section 10.1.1: nothing to wait for where there is no body
        ["GET / HTTP/1.1", HOST, "Expect: 100-continue"],
        ["GET / HTTP/1.1", HOST, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"],
    ],
)
async def test_what_is_still_plain_http(lines: list[str]) -> None:
    async with serving(http_handler=Pages()) as server:
        answer = await say(server, *lines)
    assert answer.line == b"HTTP/1.1 200 OK"
    assert answer.text == PAGE
    assert answer.headers["Connection"] == "close"


async def test_a_whole_url_as_target() -> None:
    """RFC 9112 section 3.2.2: what a client says to a proxy, any server has to take."""
    pages = Pages()
    async with serving(http_handler=pages) as server:
        answer = await say(server, "GET http://other:81/a%20page?q=1 HTTP/1.1", HOST)
    assert answer.text == PAGE
    [asked] = pages.asked
    assert (asked.path, asked.query, asked.host) == ("/a page", "q=1", "other:81")


@pytest.mark.parametrize("behind", [GET, request_13(), b"\r\n"], ids=["GET", "13", "blank"])
async def test_one_request_for_each_connection(behind: bytes) -> None:
    """What a client sends without waiting is not answered: it was told that this is the end."""
    pages = Pages()
    async with serving(http_handler=pages) as server, await dial(server) as stream:
        await stream.send_all(GET + behind)
        said = await read_to_end(stream)
    assert said.count(b"HTTP/1.1") == len(pages.asked) == 1
    assert Answer.parse(said).text == PAGE


async def test_without_a_handler() -> None:
    async with serving() as server:
        get, post, head = [
            await say(server, f"{method} / HTTP/1.1", HOST) for method in ("GET", "POST", "HEAD")
        ]
    assert get.line == b"HTTP/1.1 426 Upgrade Required"
    assert get.text.startswith("This is no WebSocket request; ")
    assert (post.line, post.fields, post.body) == (get.line, get.fields, get.body)
    assert (head.line, head.fields, head.body) == (get.line, get.fields, b"")


# Handlers that do not answer


@pytest.mark.parametrize(("method", "body"), [("GET", "No such page.\n"), ("HEAD", "")])
async def test_a_handler_that_rejects(
    method: str, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    pages = Pages(Reject(404, {"X-Why": "gone"}, "No such page.\n"))
    async with one_line_logged(caplog, logging.INFO, "status 404: No such page."):
        async with serving(http_handler=pages) as server:
            answer = await say(server, f"{method} /nowhere HTTP/1.1", HOST)
    assert answer.line == b"HTTP/1.1 404 Not Found"
    assert (answer.headers["X-Why"], answer.headers["Content-Length"]) == ("gone", "14")
    assert answer.text == body


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (RuntimeError("the disk is away"), "the disk is away"),
        ("a page", "http_handler returned 'a page', which is no HTTPResponse"),
        (None, "http_handler returned None, which is no HTTPResponse"),
    ],
    ids=["raises", "str", "None"],
)
async def test_a_handler_that_fails(
    answer: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client hears of a mistake, and not whose; the log has it all."""
    async with one_line_logged(caplog, logging.ERROR, why):
        async with (
            serving(http_handler=Pages(answer)) as server,
            open_websocket(f"ws://127.0.0.1:{server.port}/") as healthy,
        ):
            said = await say(server, "GET / HTTP/1.1", HOST)
            assert said.line == b"HTTP/1.1 500 Internal Server Error"
            assert said.text == "The server made a mistake.\n"
            await healthy.send("still here")
            assert await healthy.receive() == "still here"
    assert caplog.records[0].message.startswith("the opening for 127.0.0.1 port ")


async def test_a_mistake_is_logged_though_nobody_hears_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client resets while the handler runs."""
    is_reset = trio.Event()

    async def fail(asked: Request) -> HTTPResponse:
        await is_reset.wait()
        raise RuntimeError("the disk is away")

    async with one_line_logged(caplog, logging.ERROR, "the disk is away"):
        async with serving(http_handler=fail) as server:
            async with await dial(server) as stream:
                await stream.send_all(GET)
                await trio.testing.wait_all_tasks_blocked()
                linger = struct.pack("ii", 1, 0)
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
            is_reset.set()
            await trio.testing.wait_all_tasks_blocked()


# WebSocket beside it


async def test_one_port_for_both(draft: Draft) -> None:
    """Pages before, amid and after a connection of each draft; they have no origin to allow."""
    pages = Pages()
    settings: dict[str, Any] = {"http_handler": pages, "origins": ["http://a"], "drafts": [draft]}
    with use_framing_mode(draft.name):
        async with serving(echo, **settings) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            for _ in range(2):
                async with open_websocket(url, draft=draft, origin="http://a") as client:
                    await client.send("hello")
                    assert (await say(server, "GET / HTTP/1.1", HOST)).text == PAGE
                    assert await client.receive() == "hello"
            other = await say(server, "GET / HTTP/1.1", HOST, "Origin: http://b")
            assert other.text == PAGE
            with pytest.raises(Rejected, match="403"):
                async with open_websocket(url, draft=draft, origin="http://b"):
                    raise AssertionError("there is no connection")
    assert len(pages.asked) == 3


async def test_heads_of_websocket_requests_are_no_pages() -> None:
    """A HEAD with the fields of an opening is refused as it ever was."""
    async with serving(http_handler=Pages()) as server:
        for asks in (request, request_13):
            async with await dial(server) as stream:
                await stream.send_all(asks("HEAD / HTTP/1.1"))
                answer = Answer.parse(await read_to_end(stream))
            assert answer.line == b"HTTP/1.1 405 Method Not Allowed"
            assert answer.headers["Allow"] == "GET"


# How it ends


async def test_it_is_logged_as_news(caplog: pytest.LogCaptureFixture) -> None:
    async with one_line_logged(
        caplog, logging.INFO, "`GET /page?... HTTP/1.1` was answered with a page, status 200"
    ):
        async with serving(http_handler=Pages()) as server:
            await say(server, "GET /page?q=1 HTTP/1.1", HOST)


async def test_accept_says_that_there_is_no_connection() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(GET)
    await client.send_eof()
    with pytest.raises(PageServed, match="was answered with a page, status 200") as caught:
        async with accept(stream, http_handler=Pages()):
            raise AssertionError("there is no connection")
    assert (caught.value.line, caught.value.status) == (b"GET /page?q=1 HTTP/1.1", 200)
    assert Answer.parse(await read_to_end(client)).text == PAGE
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"more")


async def test_accept_says_what_was_rejected() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(GET)
    await client.send_eof()
    with pytest.raises(RequestRefused, match="status 404: Not here") as caught:
        async with accept(stream, http_handler=Pages(Reject(404, body="Not here."))):
            raise AssertionError("there is no connection")
    assert isinstance(caught.value.__cause__, Reject)


async def test_a_slow_handler_meets_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """It is part of the handshake: the client is cut off, and hears nothing."""

    async def sleep(asked: Request) -> HTTPResponse:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(GET)
    with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
        async with accept(stream, http_handler=sleep, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    assert await read_to_end(client) == b""


@pytest.mark.parametrize(("spent", "ends"), [(0, 5), (6, 8)])
async def test_a_client_that_stays_after_its_page(
    spent: float, ends: float, autojump_clock: trio.testing.MockClock
) -> None:
    """It is waited for `close_timeout`, or half of what the handshake has left."""

    async def page(asked: Request) -> HTTPResponse:
        await trio.sleep(spent)
        return HTTPResponse()

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(GET)
    with pytest.raises(PageServed):
        async with accept(stream, http_handler=page):
            raise AssertionError("there is no connection")
    assert trio.current_time() == ends
    assert (await read_to_end(client)).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b"The server is shutting down.\n"), ("HEAD", b"")]
)
async def test_the_servers_end_while_the_handler_runs(method: str, body: bytes) -> None:
    """Whoever waits for a page is told that the server is going."""
    runs = trio.Event()

    async def sleep(asked: Request) -> HTTPResponse:
        runs.set()
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async with serving(http_handler=sleep) as server:
        async with await dial(server) as stream, trio.open_nursery() as nursery:
            await stream.send_all(f"{method} / HTTP/1.1\r\n{HOST}\r\n\r\n".encode())
            await runs.wait()
            nursery.start_soon(server.aclose)
            answer = Answer.parse(await read_to_end(stream))
    assert answer.line == b"HTTP/1.1 503 Service Unavailable"
    assert (answer.headers["Content-Length"], answer.body) == ("29", body)


async def test_the_servers_end_behind_a_page() -> None:
    """Nothing is added to an answer that is out, though the client has not closed."""
    async with serving(http_handler=Pages()) as server:
        async with await dial(server) as stream:
            await stream.send_all(GET)
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
            assert Answer.parse(await read_to_end(stream)).text == PAGE
