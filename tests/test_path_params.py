"""Routes with names in braces: what they match, which is preferred, and who gets the values."""

from __future__ import annotations

import copy
import re
import time
from typing import Any
from uuid import UUID

import pytest

from trio_draftws import (
    Connection,
    HTTPResponse,
    Reject,
    Rejected,
    Request,
    Routes,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.testing import connected_pair, served

from .rows import each_row
from .test_routes import asking, get
from .wire import echo, serving

# These have between them each opening that there is.
DRAFTS = ["hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455"]

UUID_TEXT = "0C9d4e1b-7d24-4f3c-8a55-0123456789ab"

ROUTES = Routes(
    {
        route: route
        for route in (
            "/rooms/{room}",
            "/rooms/best",
            "/rooms/{room}/",
            "/rooms/{room}/users/{user}",
            "/rooms/{room}/users/me",
            "/rooms/main/users/{user}",
            "/rooms/{room}/*",
            "/rooms/*",
            "/users/{id:int}",
            "/users/{id:uuid}",
            "/users/{name:str}",
            "/users/{id:int}/{tail:path}",
            "/files/{rest:path}",
            "/{a}/x/y",
            "/p/{b}/{c}",
            "/{ключ}/{day:int}",
        )
    }
)


@each_row(
    "target, route, wildcard, values",
    [
        ("/rooms/blue", "/rooms/{room}", "", {"room": "blue"}),
        ("/rooms/best", "/rooms/best", "", {}),
        ("/rooms/blue/", "/rooms/{room}/", "", {"room": "blue"}),
        ("/rooms/a?b=/c", "/rooms/{room}", "", {"room": "a"}),
        # Decoded, once, and as text
        ("/rooms/b%6Cue%20one", "/rooms/{room}", "", {"room": "blue one"}),
        ("/rooms/%252F", "/rooms/{room}", "", {"room": "%2F"}),
        ("/rooms/%C3%A4", "/rooms/{room}", "", {"room": "ä"}),
        ("/rooms/ä", "/rooms/{room}", "", {"room": "ä"}),
        ("/rooms/{room}", "/rooms/{room}", "", {"room": "{room}"}),
        ("/rooms/%c0%ae", "/rooms/{room}", "", {"room": "\ufffd\ufffd"}),
        ("/rooms/...", "/rooms/{room}", "", {"room": "..."}),
        ("http://h/rooms/blue", "/rooms/{room}", "", {"room": "blue"}),
        # A name is no empty segment, a `*` may be
        ("/rooms/", "/rooms/*", "", {}),
        ("/rooms/a/b", "/rooms/{room}/*", "b", {"room": "a"}),
        ("/rooms/a/b/", "/rooms/{room}/*", "b/", {"room": "a"}),
        # The one with more text, then the one with text further to the left
        ("/rooms/a/users/b", "/rooms/{room}/users/{user}", "", {"room": "a", "user": "b"}),
        ("/rooms/a/users/me", "/rooms/{room}/users/me", "", {"room": "a"}),
        ("/rooms/main/users/b", "/rooms/main/users/{user}", "", {"user": "b"}),
        ("/rooms/main/users/me", "/rooms/main/users/{user}", "", {"user": "me"}),
        ("/p/x/y", "/{a}/x/y", "", {"a": "p"}),
        ("/p/x/z", "/p/{b}/{c}", "", {"b": "x", "c": "z"}),
        # Converters: the stricter before the other
        ("/users/7", "/users/{id:int}", "", {"id": 7}),
        ("/users/007", "/users/{id:int}", "", {"id": 7}),
        ("/users/%37", "/users/{id:int}", "", {"id": 7}),
        ("/users/" + "9" * 640, "/users/{id:int}", "", {"id": int("9" * 640)}),
        ("/users/" + UUID_TEXT, "/users/{id:uuid}", "", {"id": UUID(UUID_TEXT)}),
        *(
            (f"/users/{name}", "/users/{name:str}", "", {"name": name})
            for name in (
                *("-1", "+1", "1_000", "1.0", "1e3", "0x1", " 1", "٣", "²", "1٣"),
                *("9" * 641, "9" * 5000, UUID_TEXT.replace("-", ""), "{" + UUID_TEXT + "}"),
                *(UUID_TEXT + "0", UUID_TEXT[:-1] + "g", UUID_TEXT[:-1] + "٣"),
            )
        ),
        # A `path` is the rest, and may be empty
        ("/users/7/a/b", "/users/{id:int}/{tail:path}", "", {"id": 7, "tail": "a/b"}),
        ("/users/7/", "/users/{id:int}/{tail:path}", "", {"id": 7, "tail": ""}),
        ("/files/", "/files/{rest:path}", "", {"rest": ""}),
        ("/files/a%20b/c/", "/files/{rest:path}", "", {"rest": "a b/c/"}),
        # Names as in Python, in any script
        ("/may/1", "/{ключ}/{day:int}", "", {"ключ": "may", "day": 1}),
        *(
            (target, None, "", {})
            for target in (
                *("/rooms", "/rooms//", "/rooms//x", "/rooms/..", "/rooms/%2e%2e", "/rooms/."),
                *("/rooms/a%2Fb", "/rooms/a/../b", "/rooms/a\\b", "/rooms/a%00", "/rooms/a%5cb"),
                *("/users/x/a", "/users/-1/", "/users", "/files", "/may/x", "/may/1/", "*", "a/1"),
                *("rooms/blue", "/files/a//b", "/files/%2e/x", "/users/" + "9" * 641 + "/"),
            )
        ),
    ],
)
def test_what_a_path_says(
    target: str, route: str | None, wildcard: str, values: dict[str, Any]
) -> None:
    asked = asking(target)
    if route is None:
        assert ROUTES.find(asked) is None
        with pytest.raises(Reject, match="404"):
            ROUTES.follow(asked)
        return
    assert ROUTES.find(asked) == (route, wildcard)
    value, told = ROUTES.follow(asked)
    assert (value, told.wildcard, told.path_params) == (route, wildcard, values)
    assert [type(value) for value in told.path_params.values()] == [
        type(value) for value in values.values()
    ]
    assert copy.deepcopy(told) == told
    assert (asked.wildcard, asked.path_params) == ("", {})


def test_the_order_of_the_mapping_does_not_matter() -> None:
    backwards = Routes({route: route for route in reversed([*ROUTES])})
    assert dict(backwards) == dict(ROUTES)
    for target in ("/rooms/main/users/me", "/p/x/y", "/users/1", "/rooms/a/b", "/users/1/"):
        assert backwards.find(asking(target)) == ROUTES.find(asking(target))


@each_row(
    "given, why",
    [
        (["/a/{room}x"], "in braces is a whole segment of a route, as in '/rooms/{room}' or"),
        (["/a/x{room}"], "not 'x{room}'"),
        (["/{a}{b}"], "a whole segment"),
        (["/{a}-{b}"], "a whole segment"),
        (["/{a"], "a whole segment of a route, as in '/rooms/{room}' or '/rooms/{id:int}', not '{"),
        (["/a}"], "a whole segment"),
        (["/{a/b}"], "a whole segment"),
        (["/{"], "a whole segment"),
        (["/{{a}}"], "a whole segment"),
        (["/{}"], "one of Python's, as in '{room}', not '{}'"),
        (["/{:int}"], "as in '{room}', not '{:int}'"),
        (["/{ id }"], "as in '{id}', not '{ id }'"),
        (["/{id :int}"], "as in '{id:int}', not '{id :int}'"),
        (["/{a-b}"], "as in '{room}', not '{a-b}'"),
        (["/{1a}"], "one of Python's"),
        (["/{int:}"], "no converter is called '', in '{int:}': write '{int}', or one"),
        (["/{id:integer}"], "called 'integer', in '{id:integer}': write '{id}', or"),
        (["/{id:Int}"], "or one of int, path, str, uuid after the colon, as in '{id:int}'"),
        (["/{id: int}"], "no converter is called ' int'"),
        (["/{int:id}"], "no converter is called 'id'"),
        (["/{x:float}"], "no converter is called 'float'"),
        (["/{x:[0-9]+}"], "no converter is called"),
        (["/{a}/b/{a}"], "has each name once, and '/{a}/b/{a}' has 'a' twice"),
        (["/{a:int}/{a:path}"], "has 'a' twice"),
        (["/{a:path}/b"], "with the converter `path` is a route's last segment, not in '/{a:path}"),
        (["/{a:path}/*"], "a route's last segment"),
        (["/{a:path}/{b:path}"], "a route's last segment"),
        (["/{*}"], "whole last segment, as in '/rooms/*'"),
        (["/{a?}"], "a path alone"),
        (["/%7Ba%7D"], "no escapes: write '/{a}'"),
        (["/a\0"], "no control characters, and '/a\\x00' has"),
        (["/<a>"], "names are in braces, as in '/rooms/{room}', not '/<a>'"),
        (["/a//{b}"], "an empty segment"),
        (["/../{b}"], "an empty segment"),
        (["/a/{b}", "/a/{c}"], "'/a/{b}' and '/a/{c}' match the same paths; write one"),
        (["/a/{b}", "/a/{b:str}"], "match the same paths"),
        (["/{x:int}/{b}/c", "/{y:int}/{d}/c"], "match the same paths"),
        (["/a/*", "/a/{b:path}"], "'/a/*' and '/a/{b:path}' match the same paths"),
        (["/{a}/*", "/{b}/{c:path}"], "match the same paths"),
        (["/{a}/", "/{b}/"], "match the same paths"),
    ],
)
async def test_routes_that_cannot_be(given: list[str], why: str) -> None:
    """It shows where they are made, and where a server starts."""
    handlers, pages = dict.fromkeys(given, echo), dict.fromkeys(given, HTTPResponse())
    with pytest.raises(ValueError, match=re.escape(why)):
        Routes(handlers)
    with pytest.raises(ValueError, match=re.escape(why)):
        await serve_websocket(handlers, 0)
    with pytest.raises(ValueError, match=re.escape(why)):
        await serve_websocket(echo, 0, http_handler=pages)


@each_row("draft", DRAFTS)
async def test_who_gets_the_values(draft: str) -> None:
    """`conn_headers`, the choice of the subprotocol, and the connection, in every draft."""
    told: list[Any] = []

    async def conn_headers(asked: Request) -> tuple[dict[str, str], None]:
        told.append(asked.path_params)
        return {}, None

    def subprotocols(asked: Request) -> None:
        told.append(asked.path_params)

    async def handler(connection: Connection, state: object) -> None:
        told.extend([connection.path_params, connection.request.path_params])
        await connection.send("done")

    async def plain(connection: Connection, state: object) -> None:
        await connection.send(f"{connection.path_params} {connection.request.wildcard}")

    routes = {"/rooms/{room}/{id:int}": handler, "/plain": plain, "/*": plain}
    with use_framing_mode(draft):
        async with serving(routes, conn_headers=conn_headers, subprotocols=subprotocols) as server:
            at = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(f"{at}/rooms/b%6Cue/7?x", draft=draft) as client:
                assert await client.receive() == "done"
                assert client.path_params == {}
            assert told == [{"room": "blue", "id": 7}] * 4
            for path, answer in {"/plain": "{} ", "/other": "{} other"}.items():
                async with open_websocket(at + path, draft=draft) as client:
                    assert await client.receive() == answer
            with pytest.raises(Rejected, match="404"):
                async with open_websocket(f"{at}/rooms//7", draft=draft):
                    raise AssertionError("there is no connection")


async def test_without_sockets_and_without_routes() -> None:
    async def handler(connection: Connection, state: object) -> None:
        await connection.send(str(connection.path_params))

    async with served({"/{a}": handler}) as server, server.open_websocket("/b") as client:
        assert await client.receive() == "{'a': 'b'}"
    async with connected_pair(url="ws://localhost/b") as (client, other):
        assert client.path_params == other.path_params == other.request.path_params == {}


async def test_pages() -> None:
    async def page(asked: Request) -> HTTPResponse:
        return HTTPResponse(body=str(asked.path_params))

    pages = {"/day/{month:int}/{day:int}": page, "/all/{rest:path}": page}
    async with serving(http_handler=pages) as server:
        assert (await get(server, "/day/01/2")).text == "{'month': 1, 'day': 2}"
        assert (await get(server, "/all/a/b")).text == "{'rest': 'a/b'}"
        assert (await get(server, "/day/x/2")).line == b"HTTP/1.1 404 Not Found"


def test_paths_made_to_take_long() -> None:
    """Each segment is read once, however many patterns begin alike."""
    kinds = ("{%s}", "{%s:int}", "1")
    routes = {
        "/"
        + "/".join(kind % f"n{at}" if "%" in kind else kind for at, kind in enumerate(three))
        + tail: 1
        for three in ((a, b, c) for a in kinds for b in kinds for c in kinds)
        for tail in ("", "/x", "/*")
    }
    made = Routes(routes)
    for piece in ("1/", "1", "9", "%31", "a/", "x/1/"):
        asked = asking("/" + piece * (8000 // len(piece)))
        best = min(_seconds(made, asked) for _ in range(5))
        assert best < 0.02, piece


def _seconds(routes: Routes[int], asked: Request) -> float:
    started = time.process_time()
    routes.find(asked)
    return time.process_time() - started
