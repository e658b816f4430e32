"""Servers that redirect: `Reject` and pages with a Location, and our own client behind them."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio.testing

from trio_draftws import (
    HTTPResponse,
    RedirectRefused,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    accept,
    open_websocket,
    use_framing_mode,
)

from .redirecting import FOLLOWED, echo_once
from .rows import each_row
from .test_routes import get
from .wire import Answer, echo, request_13, serving

# These have between them each opening that there is.
DRAFTS = ["hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455"]


@each_row("draft", DRAFTS)
async def test_our_client_follows(draft: str) -> None:
    """In every draft, from `conn_headers` and from the choice of the subprotocol."""
    asked: list[str] = []

    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        asked.append(request.target)
        where = {
            "/a/old": Reject(302, headers=[("Location", "../b?x=1")]),
            "/b?x=1": Reject.redirect("c/d"),
            "/c/d": Reject.redirect(f"//localhost:{server.port}/e"),
            "/e": Reject.redirect(f"http://127.0.0.1:{server.port}/f#g", status=308),
        }
        if request.target in where:
            raise where[request.target]
        return {}, None

    def subprotocols(request: Request) -> None:
        if request.path == "/f":
            raise Reject.redirect(f"ws://127.0.0.1:{server.port}/new%20home")

    with use_framing_mode(draft):
        async with serving(
            conn_headers=conn_headers, subprotocols=subprotocols, handler=echo
        ) as server:
            here = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(f"{here}/a/old", draft=draft, max_redirects=6) as connection:
                await echo_once(connection)
                assert connection.url == f"{here}/new%20home"
    assert asked == ["/a/old", "/b?x=1", "/c/d", "/e", "/f", "/new%20home"]


@each_row("status", FOLLOWED)
async def test_every_redirect(status: int) -> None:
    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        if request.path == "/":
            raise Reject.redirect("/new", status=status, headers={"X-Why": "b"}, body="Moved.\n")
        return {}, None

    async with serving(conn_headers=conn_headers) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            assert connection.url == f"{url}new"
        with pytest.raises(Rejected) as caught:
            async with open_websocket(url, draft="rfc6455", max_redirects=0):
                raise AssertionError("there is no connection")
    rejected = caught.value
    assert (rejected.status, rejected.body) == (status, b"Moved.\n")
    assert (rejected.headers["Location"], rejected.headers["X-Why"]) == ("/new", "b")


async def test_from_ws_to_wss_and_not_back(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        if request.path == "/back":
            raise Reject.redirect(f"ws://localhost:{plain.port}/")
        if not request.secure:
            raise Reject.redirect(f"wss://localhost:{secure.port}{request.path}")
        return {}, None

    async with (
        serving(conn_headers=conn_headers) as plain,
        serving(conn_headers=conn_headers, ssl_context=server_ssl) as secure,
    ):
        at = f"ws://localhost:{plain.port}"
        async with open_websocket(f"{at}/", draft="rfc6455", ssl_context=client_ssl) as connection:
            assert connection.url == f"wss://localhost:{secure.port}/"
        with pytest.raises(RedirectRefused, match="from wss to ws"):
            async with open_websocket(
                f"wss://localhost:{secure.port}/back", draft="rfc6455", ssl_context=client_ssl
            ):
                raise AssertionError("there is no connection")


async def test_what_is_no_redirect() -> None:
    """300 offers a choice; 305 and 306 are no longer used. None of them is followed."""
    for reject in (Reject(300), Reject(300, {"Location": "/b"}), Reject(305, {"Location": "/b"})):

        async def conn_headers(request: Request, reject: Reject = reject) -> Any:
            raise reject

        async with serving(conn_headers=conn_headers) as server:
            with pytest.raises(Rejected, match=str(reject.status)):
                async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="rfc6455"):
                    raise AssertionError("there is no connection")


async def test_accept_tells_where() -> None:
    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        raise Reject.redirect("/new")

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13())
    await client.send_eof()
    with pytest.raises(RequestRefused) as caught:
        async with accept(stream, conn_headers=conn_headers):
            raise AssertionError("there is no connection")
    assert str(caught.value) == "the request was refused with status 307: see /new"
    assert str(caught.value.__cause__) == "307: see /new"
    answer = Answer.parse(bytes(await client.receive_some()))
    assert answer.line == b"HTTP/1.1 307 Temporary Redirect"
    assert answer.headers["Location"] == "/new"
    assert answer.headers["Content-Length"] == "0"


async def test_pages() -> None:
    async def moved(request: Request) -> HTTPResponse:
        if request.query:
            raise Reject.redirect("/new", status=303)
        return HTTPResponse.redirect("/new", status=301, headers={"X-Why": "b"})

    async with serving(http_handler={"/a": HTTPResponse.redirect("/new"), "/b": moved}) as server:
        for path, status in {"/a": 307, "/b": 301, "/b?c": 303}.items():
            answer = await get(server, path)
            assert int(answer.line.split()[1]) == status
            assert answer.headers["Location"] == "/new"


@each_row("kind", [Reject, HTTPResponse])
@each_row(
    "status, headers, why",
    [
        *((status, (), f"status {status} has one Location, as headers=") for status in FOLLOWED),
        (302, {"X-Location": "/"}, "has one Location"),
        (302, [("Location", "/a"), ("location", "/b")], "has one Location, as .*, not 2"),
        (302, {"Location": "/a\r\nX-Evil: 1"}, "control character"),
        (302, {"Location": "/a\n"}, "control character"),
        (302, {"Location": ""}, "the Location '' is empty: a URL has escapes"),
        (302, {"Location": "/a b"}, "the Location '/a b' holds ' ': a URL has escapes, as urllib"),
        (302, {"Location": "/\\b.example"}, "holds '\\\\\\\\'"),
        (302, {"Location": "/<a>"}, "holds '<'"),
        (302, {"Location": "/\xe9"}, "the Location '/\xe9' is not ASCII: a URL has escapes"),
        (302, {"Location": "/ж"}, "must be Latin-1"),
        (302, [(b"Location", "/ж".encode())], "is not ASCII"),
        (300, {"Location": "/\xe9"}, "is not ASCII"),
        (305, {"Location": ""}, "is empty"),
    ],
)
def test_what_is_no_location(kind: Any, status: int, headers: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        kind(status, headers)


@each_row("kind", [Reject, HTTPResponse])
@each_row(
    "location, status, headers, error, why",
    [
        (7, 307, (), TypeError, "location is a URL as a str, as '/new', not 7"),
        (b"/new", 307, (), TypeError, "location is a URL as a str"),
        ("/", 200, (), ValueError, "status is 301, 302, 303, 307 or 308, not 200"),
        ("/", 304, (), ValueError, "or 308, not 304"),
        ("/", 300, (), ValueError, "or 308, not 300"),
        ("/", True, (), ValueError, "or 308, not True"),
        ("/", 302.0, (), TypeError, "status is a number, not 302.0"),
        ("/", 302, {"Location": "/b"}, ValueError, "has one Location, as .*, not 2"),
        ("/", 302, {"Connection": "close"}, ValueError, "Connection is written by"),
        ("/", 302, "Location: /b", TypeError, "headers is a mapping"),
        ("", 302, (), ValueError, "is empty"),
        ("/ж", 302, (), ValueError, "is not ASCII: a URL has escapes"),
        ("/\udc80", 302, (), ValueError, "is not ASCII"),
        ("/a\r\nX-Evil: 1", 302, (), ValueError, "control character"),
    ],
)
def test_what_is_no_redirection(
    kind: Any, location: Any, status: Any, headers: Any, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        kind.redirect(location, status=status, headers=headers)


def test_its_own_class_makes_it() -> None:
    class Moved(Reject):
        pass

    assert isinstance(Moved.redirect("/new", body=b"x"), Moved)
