"""Where a path leads: handlers of connections, and pages."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    Draft,
    HTTPHandler,
    HTTPResponse,
    PageServed,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    Routes,
    Server,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)

from .rows import drafts_that_differ_most, each_row
from .wire import Answer, dial, echo, read_to_end, read_until, request, request_13, serving

draft = drafts_that_differ_most()

Tell = Callable[[Connection, Any], Awaitable[None]]


def tell(name: str) -> Tell:
    """A handler that says which it is, and what of the path its `*` stands for."""

    async def handler(connection: Connection, state: object) -> None:
        asked = connection.request
        await connection.send(f"{name}|{asked.path}|{asked.wildcard}|{asked.query}")

    return handler


HANDLERS = {"/": tell("root"), "/chat": tell("chat"), "/rooms/*": tell("rooms")}


def asking(target: str) -> Request:
    raw = target.encode()
    return Request.parse(b"GET " + raw + b" HTTP/1.1\r\nHost: a\r\n\r\n")


async def get(server: Server, target: str, method: str = "GET") -> Answer:
    """What the server answers to a plain request."""
    async with await dial(server) as stream:
        await stream.send_all(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return Answer.parse(await read_to_end(stream))


# Paths


ROUTES = Routes(
    {
        "/": "root",
        "/chat": "chat",
        "/rooms/*": "rooms",
        "/rooms/best": "best",
        "/rooms/old/*": "old",
        "/rooms/old/": "all old",
        "/räume/*": "räume",
        "/a b": "space",
        "/100%": "percent",
    }
)


@each_row(
    "target, found",
    [
        ("/", ("root", "")),
        ("/chat", ("chat", "")),
        # A path alone is that path alone
        ("/chat/", None),
        ("/chat/a", None),
        ("/chatter", None),
        ("/cha", None),
        ("/Chat", None),
        ("/nowhere", None),
        # The query does not count
        ("/chat?room=1", ("chat", "")),
        ("/chat?/../x", ("chat", "")),
        ("/chat?//", ("chat", "")),
        ("/rooms/?x/y", ("rooms", "")),
        ("/?", ("root", "")),
        # What a `*` stands for
        ("/rooms/", ("rooms", "")),
        ("/rooms", None),
        ("/roomsy", None),
        ("/rooms/blue", ("rooms", "blue")),
        ("/rooms/blue/", ("rooms", "blue/")),
        ("/rooms/a/b/c", ("rooms", "a/b/c")),
        ("/rooms/*", ("rooms", "*")),
        # A path alone first, then the longer beginning
        ("/rooms/best", ("best", "")),
        ("/rooms/best/", ("rooms", "best/")),
        ("/rooms/old/x", ("old", "x")),
        ("/rooms/old/", ("all old", "")),
        ("/rooms/old", ("rooms", "old")),
        # Escapes are undone, once, and compared as text
        ("/%63hat", ("chat", "")),
        ("/rooms/b%6Cue%20one", ("rooms", "blue one")),
        ("/rooms/a%252Fb", ("rooms", "a%2Fb")),
        ("/rooms/a%3Fb", ("rooms", "a?b")),
        ("/r%C3%A4ume/x", ("räume", "x")),
        ("/räume/x", ("räume", "x")),
        ("/a%20b", ("space", "")),
        ("/a b", ("space", "")),
        ("/100%25", ("percent", "")),
        ("/100%", ("percent", "")),
        ("/rooms/%c0%ae%c0%ae/x", ("rooms", "\ufffd\ufffd\ufffd\ufffd/x")),
        # What could be read in two ways
        ("//", None),
        ("//chat", None),
        ("/rooms//", None),
        ("/rooms//etc", None),
        ("/rooms/a//b", None),
        ("/rooms/.", None),
        ("/rooms/./a", None),
        ("/rooms/..", None),
        ("/rooms/../chat", None),
        ("/rooms/%2e%2E/chat", None),
        ("/rooms/.%2e", None),
        ("/rooms/a/%2E", None),
        ("/./chat", None),
        ("/rooms%2Fblue", None),
        ("/rooms/a%2fb", None),
        ("/rooms/%2e%2e%2fchat", None),
        ("/rooms/..\\chat", None),
        ("/rooms/..%5Cchat", None),
        ("/rooms/a%00.html", None),
        # Dots that are a name
        ("/rooms/...", ("rooms", "...")),
        ("/rooms/.hidden", ("rooms", ".hidden")),
        ("/rooms/a..", ("rooms", "a..")),
        ("/rooms/..a", ("rooms", "..a")),
        # What is no path
        ("*", None),
        ("chat", None),
        ("rooms/blue", None),
        # A whole URL has a path
        ("http://a/chat", ("chat", "")),
        ("http://a", ("root", "")),
        ("http://a/rooms/b?c", ("rooms", "b")),
        ("http://a/rooms//b", None),
        ("http://chat/", ("root", "")),
    ],
)
def test_where_a_path_leads(target: str, found: tuple[str, str] | None) -> None:
    assert ROUTES.find(asking(target)) == found


def test_all_paths() -> None:
    """`/*` is every one that can be read in one way."""
    routes = Routes({"/*": 1})
    for target, wildcard in {"/": "", "/a": "a", "/a/b/": "a/b/", "http://a": ""}.items():
        assert routes.find(asking(target)) == (1, wildcard)
    for target in ("*", "a", "/a//b", "/..", "/%2F"):
        assert routes.find(asking(target)) is None


def test_following_tells_the_request() -> None:
    value, asked = ROUTES.follow(asking("/rooms/blue"))
    assert (value, asked.wildcard, asked.path) == ("rooms", "blue", "/rooms/blue")
    with pytest.raises(Reject, match="404"):
        ROUTES.follow(asking("/nowhere"))


def test_routes_are_a_mapping_that_does_not_change() -> None:
    given = {"/b/*": 1, "/a": 2}
    routes = Routes(given)
    given["/c"] = 3
    assert dict(routes) == {"/b/*": 1, "/a": 2}
    assert list(routes) == ["/b/*", "/a"]
    assert len(routes) == 2
    assert routes["/b/*"] == 1
    assert routes == {"/a": 2, "/b/*": 1}
    assert Routes({**routes, "/c": 3})["/c"] == 3
    assert repr(routes) == "Routes({'/b/*': 1, '/a': 2})"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        routes._all = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        routes["/c"] = 3  # type: ignore[index]


@each_row(
    "given, error, why",
    [
        ("chat", ValueError, r"begins with a slash: write '/chat', not 'chat'"),
        ("", ValueError, "begins with a slash: write '/', not ''"),
        ("*", ValueError, r"begins with a slash: write '/\*', not '\*'"),
        ("http://a/b", ValueError, "begins with a slash"),
        ("/rooms/*/chat", ValueError, r"whole last segment, as in '/rooms/\*', not '/rooms/\*/"),
        ("/rooms*", ValueError, "whole last segment"),
        ("/rooms/*.html", ValueError, "whole last segment"),
        ("/rooms/**", ValueError, "whole last segment"),
        ("/*/*", ValueError, "whole last segment"),
        ("/chat?a=b", ValueError, "a path alone"),
        ("/chat#a", ValueError, "a path alone"),
        ("/a%20b", ValueError, "no escapes: write '/a b', not '/a%20b'"),
        ("//a", ValueError, "empty segment"),
        ("/a//*", ValueError, "empty segment"),
        ("/a/../b", ValueError, "empty segment"),
        ("/a/.", ValueError, "empty segment"),
        ("/../*", ValueError, "empty segment"),
        ("/a\\b", ValueError, "a backslash leads nowhere"),
        (b"/chat", TypeError, "a route's path is a str, not b'/chat'"),
        (7, TypeError, "a route's path is a str, not 7"),
    ],
)
async def test_a_route_that_cannot_be(given: Any, error: type[Exception], why: str) -> None:
    """It shows where it is made, and where a server starts."""
    with pytest.raises(error, match=why):
        Routes({given: echo})
    with pytest.raises(error, match=why):
        await serve_websocket({given: echo}, 0)
    with pytest.raises(error, match=why):
        await serve_websocket(echo, 0, http_handler={given: HTTPResponse()})


@each_row(
    "arguments, error, why",
    [
        ({"handler": {}}, ValueError, "there is no route"),
        ({"handler": None}, TypeError, "handler is an async function, or a mapping .* not None"),
        ({"handler": "chat"}, TypeError, "handler is an async function, or .* not 'chat'"),
        ({"handler": [("/", echo)]}, TypeError, "handler is an async function, or a mapping"),
        ({"handler": {"/a": None}}, TypeError, "handler leads '/a' to what is not .* None"),
        ({"handler": Routes({"/a": "chat"})}, TypeError, "handler leads '/a' to .*: 'chat'"),
        ({"handler": {"/a": HTTPResponse()}}, TypeError, "handler leads '/a' to what is not"),
        ({"http_handler": {}}, ValueError, "there is no route"),
        ({"http_handler": "ok"}, TypeError, "http_handler is an async function, or .* not 'ok'"),
        ({"http_handler": {"/a": "ok"}}, TypeError, "http_handler leads '/a' to .*: 'ok'"),
    ],
)
async def test_what_is_no_handler(
    arguments: dict[str, Any], error: type[Exception], why: str
) -> None:
    """The server does not start."""
    with pytest.raises(error, match=why):
        await serve_websocket(**{"handler": echo, "port": 0, **arguments})


def test_no_mapping() -> None:
    with pytest.raises(TypeError, match="routes are a mapping from paths, not"):
        Routes([("/", echo)])  # type: ignore[arg-type]


# Connections


async def test_each_path_has_its_handler(draft: Draft) -> None:
    """In every draft, with what the path was; what leads nowhere is refused in plain HTTP."""
    seen: list[tuple[str, str]] = []

    async def conn_headers(asked: Request) -> tuple[dict[str, str], None]:
        seen.append((asked.path, asked.wildcard))
        return {}, None

    with use_framing_mode(draft.name):
        async with serving(HANDLERS, conn_headers=conn_headers) as server:
            at = f"ws://127.0.0.1:{server.port}"
            for target, told in {
                "/": "root|/||",
                "/chat?a=b": "chat|/chat||a=b",
                "/rooms/bl%75e%20one/?c": "rooms|/rooms/blue one/|blue one/|c",
            }.items():
                async with open_websocket(at + target, draft=draft) as client:
                    assert await client.receive() == told
            asked_before = [*seen]
            for target in ("/nowhere", "/chat/", "/rooms", "/rooms//a", "/rooms/%2E%2E/chat"):
                with pytest.raises(Rejected) as caught:
                    async with open_websocket(at + target, draft=draft):
                        raise AssertionError("there is no connection")
                assert (caught.value.status, caught.value.body) == (
                    404,
                    b"Nothing is at this path.\n",
                )
    assert seen == asked_before
    assert seen == [("/", ""), ("/chat", ""), ("/rooms/blue one/", "blue one/")]


async def test_the_request_stays_what_it_was() -> None:
    """What the handler sees is what came, and its state what `conn_headers` gave."""
    told: list[Any] = []

    async def conn_headers(asked: Request) -> tuple[dict[str, str], str]:
        return {"X-Room": asked.wildcard}, f"state of {asked.wildcard}"

    async def handler(connection: Connection, state: str) -> None:
        asked = connection.request
        told.extend([state, asked.draft, asked.raw_target, asked.wildcard, asked.secure])

    async with serving({"/rooms/*": handler}, conn_headers=conn_headers) as server:
        url = f"ws://127.0.0.1:{server.port}/rooms/blue?x"
        async with open_websocket(url, draft="rfc6455") as client:
            assert client.response.headers["X-Room"] == "blue"
            with pytest.raises(trio.EndOfChannel):
                await client.receive()
            assert told == ["state of blue", client.draft, b"/rooms/blue?x", "blue", False]


@pytest.mark.parametrize("ask", [request, request_13], ids=["hixie-76", "rfc6455"])
async def test_nothing_of_the_handshake_is_answered_before(
    ask: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """Hixie-76 sends its head before it has the body, but not where the path leads nowhere."""
    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving(HANDLERS) as server, await dial(server) as stream:
            await stream.send_all(ask("GET /nowhere HTTP/1.1"))
            answer = Answer.parse(await read_to_end(stream))
    assert answer.line == b"HTTP/1.1 404 Not Found"
    assert answer.headers["Connection"] == "close"
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith("refused with status 404: Nothing is at this path.")


async def test_origins_go_first() -> None:
    """Whoever may not connect does not learn which paths there are."""
    async with serving(HANDLERS, origins=["http://a"]) as server:
        for path in ("/chat", "/nowhere"):
            url = f"ws://127.0.0.1:{server.port}{path}"
            with pytest.raises(Rejected, match="403"):
                async with open_websocket(url, draft="rfc6455", origin="http://b"):
                    raise AssertionError("there is no connection")


async def test_a_whole_url_as_target() -> None:
    """RFC 6455 section 4.2.1 lets clients ask so."""
    async with serving(HANDLERS) as server, await dial(server) as stream:
        await stream.send_all(request_13("GET http://example.com/rooms/blue HTTP/1.1"))
        said = await read_until(stream, lambda got: b"|blue|" in got)
    assert said.startswith(b"HTTP/1.1 101 ")


async def test_routes_made_before() -> None:
    """A server takes ready-made routes as they are; several may share them."""
    routes = Routes(HANDLERS)
    async with serving(routes) as one, serving(routes) as two:
        for server in (one, two):
            async with open_websocket(f"ws://127.0.0.1:{server.port}/rooms/a") as client:
                assert await client.receive() == "rooms|/rooms/a|a|"


async def test_a_handler_by_subprotocol() -> None:
    """As the documentation says: the handler looks up another."""
    by_name = {"one": tell("one"), "two": tell("two")}

    async def handler(connection: Connection, state: object) -> None:
        assert connection.subprotocol is not None
        await by_name[connection.subprotocol](connection, state)

    routes = {"/test": handler}
    async with serving(routes, subprotocols=[*by_name]) as server:
        url = f"ws://127.0.0.1:{server.port}/test"
        for name in by_name:
            async with open_websocket(url, draft="rfc6455", subprotocols=[name]) as client:
                assert await client.receive() == f"{name}|/test||"


async def test_a_handler_that_fails_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(connection: Connection, state: object) -> None:
        raise RuntimeError("broken")

    async with serving({"/": echo, "/bad": fail}) as server:
        at = f"ws://127.0.0.1:{server.port}"
        async with open_websocket(f"{at}/", draft="rfc6455") as client:
            async with open_websocket(f"{at}/bad", draft="rfc6455") as failed:
                with pytest.raises(trio.EndOfChannel, match="1011"):
                    await failed.receive()
            await client.send("still here")
            assert await client.receive() == "still here"
    [record] = caplog.records
    assert record.levelno == logging.ERROR


# Pages


async def room_page(asked: Request) -> HTTPResponse:
    return HTTPResponse.html(f"<p>{asked.wildcard}")


PAGES: dict[str, HTTPHandler | HTTPResponse] = {
    "/health": HTTPResponse(body="ok\n"),
    "/rooms/*": room_page,
    "/rooms/": HTTPResponse.json(["blue"]),
}


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/health", 200, "ok\n"),
        ("/health?deep", 200, "ok\n"),
        ("/health/", 404, "Nothing is at this path.\n"),
        ("/rooms/", 200, '["blue"]'),
        ("/rooms/bl%75e", 200, "<p>blue"),
        ("/rooms/..", 404, "Nothing is at this path.\n"),
        ("/", 404, "Nothing is at this path.\n"),
        ("http://a/health", 200, "ok\n"),
    ],
)
async def test_pages_by_path(target: str, status: int, body: str) -> None:
    """GET and HEAD of each."""
    async with serving(http_handler=PAGES) as server:
        whole, head = [await get(server, target, method) for method in ("GET", "HEAD")]
        other = await get(server, target, "DELETE")
    assert (int(whole.line.split()[1]), whole.text) == (status, body)
    assert (head.line, head.fields, head.body) == (whole.line, whole.fields, b"")
    assert other.line == b"HTTP/1.1 405 Method Not Allowed"
    assert other.headers["Allow"] == "GET, HEAD"


async def test_pages_and_connections_of_one_path() -> None:
    """The kind of request decides which it is; at a path without pages it is told to upgrade."""
    async with serving(HANDLERS, http_handler=PAGES) as server:
        at = f"ws://127.0.0.1:{server.port}"
        assert (await get(server, "/rooms/a")).text == "<p>a"
        async with open_websocket(f"{at}/rooms/a", draft="rfc6455") as client:
            assert await client.receive() == "rooms|/rooms/a|a|"
        for method, has_body in (("GET", True), ("HEAD", False), ("POST", True)):
            answer = await get(server, "/chat", method)
            assert answer.line == b"HTTP/1.1 426 Upgrade Required"
            assert answer.headers["Upgrade"] == "websocket"
            assert (answer.body != b"") == has_body
        assert (await get(server, "/nowhere")).line == b"HTTP/1.1 404 Not Found"
        with pytest.raises(Rejected, match="404"):
            async with open_websocket(f"{at}/health", draft="rfc6455"):
                raise AssertionError("there is no connection")


async def test_a_page_that_raises_and_one_that_is_none(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(asked: Request) -> HTTPResponse:
        raise RuntimeError("the disk is away")

    async def reject(asked: Request) -> HTTPResponse:
        raise Reject(410, body="gone\n")

    async with serving(http_handler={"/fail": fail, "/gone": reject}) as server:
        assert (await get(server, "/fail")).line == b"HTTP/1.1 500 Internal Server Error"
        assert (await get(server, "/gone")).text == "gone\n"
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the disk is away"


@pytest.mark.parametrize(
    ("target", "error", "why"),
    [
        ("/health", PageServed, "status 200"),
        ("/nowhere", RequestRefused, "status 404: Nothing is at this path"),
    ],
)
async def test_accept_serves_pages_by_path(target: str, error: type[Exception], why: str) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await client.send_eof()
    with pytest.raises(error, match=why):
        async with accept(stream, http_handler=PAGES):
            raise AssertionError("there is no connection")


def test_a_path_made_to_take_long() -> None:
    """The work is as long as the path, whatever is in it; 8192 bytes are the most there are."""
    routes = Routes({f"/{'a/' * depth}*": depth for depth in range(100)})
    for piece in ("a/", "%2e", "/.a", ".", "%"):
        asked = asking("/" + piece * (8000 // len(piece)))
        best = min(_seconds(routes, asked) for _ in range(5))
        assert best < 0.02, piece


def _seconds(routes: Routes[int], asked: Request) -> float:
    started = time.process_time()
    routes.find(asked)
    return time.process_time() - started
