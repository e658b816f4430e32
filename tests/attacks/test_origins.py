"""Pages of others: which may connect, and a warning where nobody has said."""

from __future__ import annotations

import logging
import ssl
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from tests.rows import each_row
from tests.wire import dial, read_to_end, request_13, serving
from trio_draftws import (
    Draft,
    Headers,
    Reject,
    Rejected,
    Request,
    accept,
    open_websocket,
    same_host,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

WARNING = "a request with cookies came, and pages of any origin may connect"


def asks(host: str | None, origin: str | None, secure: bool = False, **more: str) -> Request:
    """A request with these two fields, over TLS of our own or not."""
    named = {name.replace("_", "-"): value for name, value in more.items()}
    fields = {"Host": host, "Origin": origin, **named}
    raw = [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]
    request = Request(b"GET / HTTP/1.1", Headers(raw))
    return attrs.evolve(request, draft=draft_named("rfc6455"), secure=secure)


EITHER = [False, True]


@each_row(
    "host, origin, over_tls",
    [
        ("example.com", "http://example.com", [False]),
        ("example.com", "https://example.com", EITHER),
        ("Example.com", "HTTP://EXAMPLE.COM", [False]),
        ("Example.com", "HTTPS://EXAMPLE.COM", EITHER),
        ("example.com:8080", "http://example.com:8080", [False]),
        ("example.com:8443", "https://example.com:8443", EITHER),
        ("example.com:80", "http://example.com", [False]),
        ("example.com:443", "https://example.com", EITHER),
        ("example.com:", "https://example.com", EITHER),
        ("example.com", "https://example.com:443", EITHER),
        ("example.com:80", "https://example.com:80", EITHER),
        ("example.com.", "https://example.com.", EITHER),
        ("[::1]", "http://[::1]", [False]),
        ("[0:0:0::1]", "https://[::1]", EITHER),
        ("[::1]:8080", "http://[::1]:8080", [False]),
        ("[::1]:80", "http://[::1]", [False]),
        ("127.1:9", "http://127.0.0.1:9", [False]),
        ("my_service", "http://my_service", [False]),
        ("example.com", None, EITHER),
        ("a/b c@d", None, EITHER),
    ],
)
def test_the_same_host(host: str, origin: str | None, over_tls: list[bool]) -> None:
    """Without TLS of our own, pages of https are those whose TLS ends at a proxy."""
    assert [secure for secure in EITHER if same_host(asks(host, origin, secure))] == over_tls


@pytest.mark.parametrize("secure", EITHER)
@each_row(
    "host, origin",
    [
        ("example.com", "http://evil.example"),
        ("example.com", "https://evil.example"),
        ("example.com", "http://example.com.evil.example"),
        ("example.com", "http://evil-example.com"),
        ("example.com", "http://sub.example.com"),
        ("example.com", "http://example.com:8080"),
        ("example.com", "https://example.com:80"),
        ("example.com:8080", "http://example.com"),
        ("example.com:80", "https://example.com"),
        ("example.com:443", "http://example.com"),
        # Other origins to a browser
        ("example.com.", "https://example.com"),
        ("example.com", "https://example.com."),
        ("example.com", "http://example.com@evil.example"),
        ("example.com", "http://evil.example\\@example.com"),
        ("example.com", "http://evil.example/http://example.com"),
        ("example.com", "http://example.com, http://evil.example"),
        ("example.com", "chrome-extension://example.com"),
        ("example.com", "ws://example.com"),
        ("example.com", "wss://example.com"),
        ("example.com", "file://"),
        ("example.com", "null"),
        ("null", "null"),
        ("example.com", ""),
        ("example.com", "example.com"),
        ("example.com", "//example.com"),
        ("", "http://"),
        ("", "https://"),
        (None, "http://example.com"),
        (None, "https://example.com"),
        ("[::1]", "http://[::2]"),
        ("[::1]", "http://::1"),
        # No hosts, so they are not compared
        ("a/b c@d", "https://a/b c@d"),
        ("user@a", "https://user@a"),
        ("a b", "https://a b"),
        ("a\\b", "https://a\\b"),
        ("a%00", "https://a%00"),
        ("a, a", "https://a, a"),
        ("a:0", "https://a:0"),
        ("a:65536", "https://a:65536"),
        ("a:x", "https://a:x"),
        ("a:1:1", "https://a:1:1"),
        ("::1", "https://::1"),
        ("https://a", "https://https://a"),
    ],
)
def test_another_host(host: str, origin: str, secure: bool) -> None:
    assert not same_host(asks(host, origin, secure))


@pytest.mark.parametrize(
    ("said", "plain_pages"),
    [
        ("https", False),
        ("HTTPS , http", False),
        ("wss", False),
        ("http", True),
        ("http, https", True),
    ],
)
def test_tls_that_ends_at_a_proxy(said: str, plain_pages: bool) -> None:
    """If the proxy says so, pages that came without TLS are of another origin too."""
    for page, comes_in in (("http://a.example", plain_pages), ("https://a.example", True)):
        assert same_host(asks("a.example", page, X_Forwarded_Proto=said)) is comes_in
    assert not same_host(asks("a.example", "http://a.example", True, X_Forwarded_Proto=said))


async def test_pages_without_tls_at_a_server_with_it(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, draft: Draft
) -> None:
    """Whoever is on the way to such a page could put in one that speaks for the visitor."""
    with use_framing_mode(draft.name):
        async with serving(origins=same_host, ssl_context=server_ssl) as server:
            place = f"127.0.0.1:{server.port}"
            settings: dict[str, Any] = {"draft": draft, "ssl_context": client_ssl}
            async with open_websocket(f"wss://{place}/", origin=f"https://{place}", **settings):
                pass
            with pytest.raises(Rejected, match="403: 'This server is not for pages of http://"):
                async with open_websocket(f"wss://{place}/", origin=f"http://{place}", **settings):
                    raise AssertionError("it came in")


@pytest.mark.parametrize(
    ("listed", "origin"),
    [
        ("https://a.example:443", "https://a.example"),
        ("HTTP://A.Example:80", "http://a.example"),
        ("https://fa\u00df.example", "https://xn--fa-hia.example"),
        ("https://\u0392\u038c\u039b\u039f\u03a3.example", "https://xn--nxasmq6b.example"),
        ("http://[0:0::1]:81", "http://[::1]:81"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", "null"),
        ("file://", "file://"),
    ],
)
async def test_one_origin_however_it_is_written(listed: str, origin: str) -> None:
    """A browser writes each in one way."""
    async with serving(origins=[listed]) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, origin=origin, draft="rfc6455"):
            pass
        for other in ("https://a.example:80", "https://evil.example", f"{origin}x", None):
            with pytest.raises(Rejected, match="403"):
                async with open_websocket(url, origin=other, draft="rfc6455"):
                    raise AssertionError("it came in")


async def test_pages_of_others(draft: Draft) -> None:
    """A page of another host gets 403, in the field that its draft has for the origin."""
    with use_framing_mode(draft.name):
        async with serving(origins=same_host) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            own = f"http://127.0.0.1:{server.port}"
            async with open_websocket(url, origin=own) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            for origin in ("http://evil.example", f"{own}0", "null"):
                with pytest.raises(
                    Rejected, match=f"403: 'This server is not for pages of {origin}"
                ):
                    async with open_websocket(url, origin=origin):
                        raise AssertionError("it came in")


async def test_a_policy_of_ones_own() -> None:
    def policy(request: Request) -> bool:
        if request.path == "/closed":
            raise Reject(404, body="No such place.\n")
        return same_host(request) or request.origin == "https://friend.example"

    async with serving(origins=policy) as server:
        url = f"ws://127.0.0.1:{server.port}"
        async with open_websocket(f"{url}/", origin="https://friend.example"):
            pass
        with pytest.raises(Rejected, match="403"):
            async with open_websocket(f"{url}/", origin="https://foe.example"):
                raise AssertionError("it came in")
        with pytest.raises(Rejected, match="404"):
            async with open_websocket(f"{url}/closed", origin="https://friend.example"):
                raise AssertionError("it came in")


async def test_a_policy_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody comes in by its mistake, and the client is not told what it was."""

    def policy(request: Request) -> bool:
        raise LookupError("a secret")

    async with serving(origins=policy) as server:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
                raise AssertionError("it came in")
        await trio.testing.wait_all_tasks_blocked()
    assert caught.value.status == 500
    assert b"secret" not in caught.value.body
    [record] = caplog.records
    assert record.levelno == logging.ERROR


# Cookies, and nobody has said which pages may connect


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.message for r in caplog.records if r.levelno == logging.WARNING]


async def test_cookies_without_a_policy(draft: Draft, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once for each server."""
    cookies = {"Cookie": "session=secret"}
    with use_framing_mode(draft.name):
        for _ in range(2):
            caplog.clear()
            async with serving() as server:
                url = f"ws://127.0.0.1:{server.port}/"
                async with open_websocket(url):
                    assert warnings_in(caplog) == []
                for _ in range(3):
                    async with open_websocket(url, headers=cookies):
                        pass
            [warning] = warnings_in(caplog)
            assert warning.startswith(WARNING)
            assert "secret" not in warning


@pytest.mark.parametrize(
    "origins", [[None], same_host, lambda request: True], ids=["list", "same_host", "all"]
)
async def test_cookies_and_a_policy(origins: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(origins=origins) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", headers={"Cookie": "a=b"}):
            pass
    assert warnings_in(caplog) == []


async def test_cookies_of_one_who_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """There is no connection that a page could misuse."""
    async with serving() as server, await dial(server) as stream:
        await stream.send_all(request_13(Cookie="a=b", Sec_WebSocket_Key="x"))
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 400 ")
    assert warnings_in(caplog) == []


async def test_accept_says_it_too(caplog: pytest.LogCaptureFixture) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13(Cookie="a=b"))
    with trio.CancelScope() as scope:
        async with accept(stream, close_timeout=0.01):
            scope.cancel()
    assert warnings_in(caplog)[0].startswith(WARNING)
