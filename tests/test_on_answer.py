"""`on_answer`: it sees every answer of a server, and changes none."""

from __future__ import annotations

import logging
import ssl
from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    HandshakeError,
    HTTPResponse,
    PageServed,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    Response,
    accept,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.testing import served

from .rows import each_row
from .wire import Answer, dial, echo, read_to_end, request_13, serving

# These have between them each opening that there is.
DRAFTS = ["hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455"]


@attrs.define
class Audit:
    """An `on_answer` that keeps what it is called with."""

    seen: list[tuple[Request | None, Response]] = attrs.field(factory=list)

    def __call__(self, request: Request | None, answer: Response) -> None:
        self.seen.append((request, answer))

    def last(self) -> tuple[Request | None, Response]:
        """What it was called with, once."""
        [only] = self.seen
        self.seen.clear()
        return only


async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
    if request.path == "/away":
        raise Reject.redirect("/new", headers={"X-Why": "moved"})
    if request.path == "/broken":
        raise LookupError("the database is away")
    return {"X-Name": "a"}, None


@each_row("draft", DRAFTS)
async def test_connections_and_refusals(draft: str) -> None:
    """In every draft, by either way of the opening handshake, it sees what the client gets."""
    audit = Audit()
    routes = {"/rooms/{room}": echo, "/away": echo, "/broken": echo}
    settings: dict[str, Any] = {"conn_headers": conn_headers, "on_answer": audit}
    with use_framing_mode(draft):
        async with serving(routes, **settings) as server:
            at = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(f"{at}/rooms/blue", draft=draft) as client:
                request, answer = audit.last()
                assert answer == client.response
                assert (answer.status, answer.headers["X-Name"]) == (101, "a")
                assert request is not None
                assert (request.draft, request.remote) == (client.draft, client.local)
                assert (request.path, request.path_params) == ("/rooms/blue", {"room": "blue"})
            for path, status in {"/away": 307, "/broken": 500, "/nowhere": 404}.items():
                with pytest.raises(Rejected) as caught:
                    async with open_websocket(at + path, draft=draft, max_redirects=0):
                        raise AssertionError("there is no connection")
                request, answer = audit.last()
                assert request is not None
                assert request.draft is not None
                assert (request.path, request.draft.name) == (path, draft)
                assert answer.status == caught.value.status == status
                assert answer.headers.raw == caught.value.headers.raw
            assert audit.seen == []


@each_row("draft", DRAFTS)
async def test_alone(draft: str) -> None:
    """The request is parsed for it, even if nothing else looks at it."""
    audit = Audit()
    with use_framing_mode(draft):
        async with serving(on_answer=audit) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/a", draft=draft):
                request, answer = audit.last()
    assert request is not None
    assert (request.path, answer.status) == ("/a", 101)


async def page(request: Request) -> HTTPResponse:
    return HTTPResponse.html("<p>", headers={"X-Id": str(request.path_params)})


@each_row(
    "said, path, status",
    [
        (b"GET /page/7 HTTP/1.1\r\nHost: a\r\n\r\n", "/page/7", 200),
        (b"HEAD /page/7 HTTP/1.1\r\nHost: a\r\n\r\n", "/page/7", 200),
        (b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "/nowhere", 404),
        (b"POST /page/7 HTTP/1.1\r\nHost: a\r\n\r\n", "/page/7", 405),
        (request_13("GET /chat HTTP/1.1", Sec_WebSocket_Version="99"), "/chat", 426),
        (request_13("GET /chat HTTP/1.1", Origin="http://b"), "/chat", 403),
        (request_13("GET /chat HTTP/1.1", Origin="http://a", Sec_WebSocket_Key="?"), "/chat", 400),
        (b"no HTTP\r\n\r\n", None, 400),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", None, 414),
    ],
)
async def test_pages_and_bad_requests(said: bytes, path: str | None, status: int) -> None:
    audit = Audit()
    pages = {"/page/{id:int}": page}
    async with serving(http_handler=pages, origins=["http://a"], on_answer=audit) as server:
        async with await dial(server) as stream:
            await stream.send_all(said)
            got = Answer.parse(await read_to_end(stream))
    request, answer = audit.last()
    assert (answer.status, answer.line) == (status, got.line)
    assert dict(answer.headers) == got.headers
    assert (None if request is None else request.path) == path
    if status == 200:
        assert request is not None
        assert (answer.headers["X-Id"], request.path_params) == ("{'id': 7}", {"id": 7})


async def test_proxies_that_contradict_each_other() -> None:
    """The refusal is that of whoever sent them: who the client is, nobody can say."""
    audit = Audit()
    fields = {"Forwarded": "for=192.0.2.1", "X-Forwarded-For": "192.0.2.2"}
    async with serving(trusted_proxies=["127.0.0.1"], on_answer=audit) as server:
        opening = open_websocket(f"ws://127.0.0.1:{server.port}/", headers=fields, draft="rfc6455")
        with pytest.raises(Rejected, match="400"):
            await opening.__aenter__()
    request, answer = audit.last()
    assert answer.status == 400
    assert request is not None
    assert request.remote is not None
    assert request.remote.host == "127.0.0.1"


async def test_a_full_server() -> None:
    """With the request while those that are refused are heard, and without it afterwards."""
    audit = Audit()
    async with serving(max_connections=1, on_answer=audit) as server, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{server.port}/a"
        await stack.enter_async_context(open_websocket(url, draft="rfc6455"))
        audit.seen.clear()
        with pytest.raises(Rejected, match="503"):
            await stack.enter_async_context(open_websocket(url, draft="rfc6455"))
        request, answer = audit.last()
        assert request is not None
        assert request.remote is not None
        assert (request.path, request.remote.host, answer.status) == ("/a", "127.0.0.1", 503)
        for _ in range(100):
            await stack.enter_async_context(await dial(server))
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with await dial(server) as unheard:
            got = Answer.parse(await read_to_end(unheard))
        request, answer = audit.last()
        assert request is None
        assert answer.line == got.line == b"HTTP/1.1 503 Service Unavailable"


async def test_a_server_that_shuts_down() -> None:
    audit = Audit()

    async def waits(request: Request) -> Any:
        begun.set()
        await trio.sleep_forever()

    begun = trio.Event()
    async with serving(conn_headers=waits, on_answer=audit) as server:
        async with await dial(server) as silent, await dial(server) as asking:
            await asking.send_all(request_13("GET /a HTTP/1.1"))
            await begun.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)
            await server.aclose()
            for stream in (silent, asking):
                assert (await read_to_end(stream)).startswith(b"HTTP/1.1 503 ")
    paths = [None if request is None else request.path for request, _ in audit.seen]
    assert sorted(paths, key=str) == ["/a", None]
    assert {answer.status for _, answer in audit.seen} == {503}


async def test_over_tls(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    audit = Audit()
    async with serving(on_answer=audit, ssl_context=server_ssl) as server:
        url = f"wss://localhost:{server.port}/"
        async with open_websocket(url, draft="rfc6455", ssl_context=client_ssl) as client:
            request, answer = audit.last()
            assert request is not None
            assert request.secure
            assert answer == client.response


async def test_accept_and_memory() -> None:
    audit = Audit()
    async with served(echo, on_answer=audit) as server, server.open_websocket("/a") as client:
        assert audit.last()[1] == client.response
    for said, error in (
        (request_13(Sec_WebSocket_Version="99"), RequestRefused),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", PageServed),
    ):
        client_end, stream = trio.testing.memory_stream_pair()
        await client_end.send_all(said)
        await client_end.send_eof()
        with pytest.raises(error):
            async with accept(stream, http_handler=page, on_answer=audit):
                raise AssertionError("there is no connection")
        assert Answer.parse(bytes(await client_end.receive_some())).line == audit.last()[1].line


async def test_none_after_the_timeout() -> None:
    """What took too long is no fault that is answered."""

    async def takes_for_ever(request: Request) -> tuple[dict[str, str], None]:
        await trio.sleep_forever()
        raise AssertionError("it was cancelled")

    for draft in ("hixie-76", "rfc6455"):
        audit = Audit()
        async with serving(
            conn_headers=takes_for_ever, on_answer=audit, handshake_timeout=0.05
        ) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            with use_framing_mode(draft), pytest.raises(HandshakeError, match="ended the stream"):
                await open_websocket(url, draft=draft).__aenter__()
        assert audit.seen == []


async def test_what_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    """A policy is not HTTP; a client that says nothing in time, or goes, gets nothing."""
    audit = Audit()
    for said, ends in ((b"<policy-file-request/>\0", True), (b"GET / HT", False), (b"GET", True)):
        client, stream = trio.testing.memory_stream_pair()
        await client.send_all(said)
        if ends:
            await client.send_eof()
        with pytest.raises(Exception, match=r"policy|not done within|ended"):
            async with accept(stream, flash_policy=True, on_answer=audit):
                raise AssertionError("there is no connection")
    assert audit.seen == []


async def fails(request: Request | None, answer: Response) -> None:
    """An async function, which cannot be told before it is called where it is behind another."""


def raises(request: Request | None, answer: Response) -> None:
    raise Reject(418)


@each_row(
    "hook, why",
    [(raises, "418"), (lambda *given: fails(*given), "on_answer answers at once, but what it")],
)
@each_row("draft", DRAFTS)
async def test_it_changes_nothing(
    hook: Any, why: str, caplog: pytest.LogCaptureFixture, draft: str
) -> None:
    """What it raises is logged; connections and refusals go out as they are."""
    caplog.clear()
    with use_framing_mode(draft):
        async with serving({"/": echo}, on_answer=hook) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft=draft) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            with pytest.raises(Rejected, match="404"):
                async with open_websocket(f"{url}nowhere", draft=draft):
                    raise AssertionError("there is no connection")
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message for record in records] == [
        "on_answer failed; the answer is sent all the same"
    ] * 2
    for record in records:
        assert record.exc_info is not None
        assert why in str(record.exc_info[1])
