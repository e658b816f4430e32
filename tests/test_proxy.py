"""Through real proxies, and through some that do not do their work."""

from __future__ import annotations

import base64
import builtins
import logging
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DialFailed,
    HandshakeTimeout,
    ProxyFailed,
    TLSFailed,
    is_transient,
    open_websocket,
)

from .peers.forward_proxies import microsocks, tinyproxy
from .wire import raw_server, read_request, read_to_end, serving

USER = ("user", "p4ssw0rd")
KINDS = ["http", "socks5"]


@asynccontextmanager
async def proxy_of(
    kind: str, folder: Path, user: tuple[str, str] | None = None
) -> AsyncIterator[int]:
    running = tinyproxy(folder, user=user) if kind == "http" else microsocks(user=user)
    async with running as port:
        yield port


async def echo_once(url: str, **settings: Any) -> None:
    async with open_websocket(url, **settings) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


class NoNames(trio.abc.HostnameResolver):
    """Resolves nothing: names are the proxy's to resolve."""

    async def getaddrinfo(self, *arguments: Any, **settings: Any) -> Any:
        raise AssertionError(f"somebody asks for {arguments}")

    async def getnameinfo(self, *arguments: Any) -> Any:
        raise AssertionError(f"somebody asks for {arguments}")


# Real ones


@pytest.mark.parametrize("draft", ["hixie-76", "rfc6455", "auto"])
@pytest.mark.parametrize("kind", [*KINDS, "socks5h"])
async def test_ws(kind: str, draft: str, tmp_path: Path) -> None:
    """The proxy resolves the name."""
    async with serving() as server, proxy_of(kind, tmp_path) as port:
        trio.socket.set_custom_hostname_resolver(NoNames())
        url = f"ws://localhost:{server.port}/path"
        async with open_websocket(url, draft=draft, proxy=f"{kind}://127.0.0.1:{port}") as client:
            assert client.url == url
            await client.send("hello")
            assert await client.receive() == "hello"


@pytest.mark.parametrize("kind", KINDS)
async def test_wss(
    kind: str, tmp_path: Path, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """TLS is with the server, and its certificate is checked."""
    async with serving(ssl_context=server_ssl) as server, proxy_of(kind, tmp_path) as port:
        proxy = f"{kind}://127.0.0.1:{port}/"
        url = f"wss://localhost:{server.port}/"
        await echo_once(url, draft="rfc6455", proxy=proxy, ssl_context=client_ssl)
        with pytest.raises(TLSFailed, match="certificate verify failed"):
            await echo_once(url, draft="rfc6455", proxy=proxy)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_user(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Right, wrong and missing; no error shows them."""
    caplog.set_level(logging.DEBUG)
    async with serving() as server, proxy_of(kind, tmp_path, USER) as port:
        url = f"ws://127.0.0.1:{server.port}/"
        right = f"{kind}://{USER[0]}:p%34ssw0rd@127.0.0.1:{port}"
        await echo_once(url, draft="rfc6455", proxy=right)
        for user in (f"{USER[0]}:wrong-secret@", ""):
            with pytest.raises(ProxyFailed) as caught:
                await echo_once(url, draft="rfc6455", proxy=f"{kind}://{user}127.0.0.1:{port}")
            error = caught.value
            assert f"the proxy {kind}://127.0.0.1:{port} " in str(error)
            assert error.status in (407, 401, None)
            assert not (is_transient(error) and error.status)
            told = "does not take that user" if user else "write its user and password"
            assert told in str(error) or kind == "socks5"
            assert "wrong-secret" not in f"{error!s}{error!r}{caplog.text}"


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_behind_it(kind: str, tmp_path: Path) -> None:
    async with proxy_of(kind, tmp_path) as port:
        with pytest.raises(ProxyFailed) as caught:
            await echo_once("ws://127.0.0.1:1/", proxy=f"{kind}://127.0.0.1:{port}")
    error = caught.value
    assert isinstance(error, DialFailed)
    assert is_transient(error)
    assert (error.status is not None) is (kind == "http")


async def test_a_refusal(tmp_path: Path) -> None:
    async with serving() as server, tinyproxy(tmp_path, only_to=443) as port:
        with pytest.raises(ProxyFailed, match="refused with status 403") as caught:
            await echo_once(f"ws://127.0.0.1:{server.port}/", proxy=f"http://127.0.0.1:{port}")
    assert caught.value.status == 403
    assert not is_transient(caught.value)


@asynccontextmanager
async def tls_before(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Takes TLS off, and passes all on to `port`."""

    async def pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def visit(stream: trio.SocketStream) -> None:
        dressed = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        inner = await trio.open_tcp_stream("127.0.0.1", port)
        async with inner, trio.open_nursery() as nursery:
            nursery.start_soon(pump, inner, dressed)
            await pump(dressed, inner)
            nursery.cancel_scope.cancel()

    async with raw_server(visit) as before:
        yield before


@pytest.mark.parametrize("secure", [False, True])
async def test_https(
    secure: bool, tmp_path: Path, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """TLS to the proxy, and through it TLS to the server or none."""
    inner = {"ssl_context": client_ssl} if secure else {}
    async with serving(ssl_context=server_ssl if secure else None) as server:
        async with tinyproxy(tmp_path, user=USER) as plain, tls_before(plain, server_ssl) as port:
            url = f"ws{'s' if secure else ''}://localhost:{server.port}/"
            await echo_once(
                url,
                draft="rfc6455",
                proxy=f"https://{':'.join(USER)}@127.0.0.1:{port}",
                proxy_ssl_context=client_ssl,
                **inner,
            )


async def test_an_https_proxy_that_nobody_trusts(server_ssl: ssl.SSLContext) -> None:
    async with serving(ssl_context=server_ssl) as server:
        with pytest.raises(ProxyFailed, match="certificate verify failed") as caught:
            await echo_once("ws://h/", proxy=f"https://localhost:{server.port}")
    assert not is_transient(caught.value)


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_an_https_proxy_that_demands_a_certificate(
    version: str, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """In TLS 1.3 that shows behind the handshake."""
    server_ssl.verify_mode = ssl.CERT_REQUIRED
    server_ssl.maximum_version = ssl.TLSVersion[version]
    async with serving(ssl_context=server_ssl) as server:
        proxy = f"https://localhost:{server.port}"
        with pytest.raises(ProxyFailed, match=r"failed: TLS failed: .*alert") as caught:
            await echo_once("ws://h/", proxy=proxy, proxy_ssl_context=client_ssl)
    assert isinstance(caught.value.__cause__, TLSFailed)
    assert not is_transient(caught.value)


async def test_a_redirect_goes_through_it_too(tmp_path: Path) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        location = f"ws://localhost:{server.port}/"
        await stream.send_all(
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % location.encode()
        )

    async with serving() as server, raw_server(behave) as here, tinyproxy(tmp_path) as port:
        trio.socket.set_custom_hostname_resolver(NoNames())
        proxy = f"http://127.0.0.1:{port}"
        await echo_once(f"ws://127.0.0.1:{here}/", draft="rfc6455", proxy=proxy)


# Those that do not do their work


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
@pytest.mark.parametrize("end", ["timeout", "cancelled"])
async def test_one_that_hangs(kind: str, end: str, autojump_clock: trio.testing.MockClock) -> None:
    """The handshake's deadline holds, and nothing is left open."""
    autojump_clock.autojump_threshold = 0.05
    heard: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        heard.append(await read_to_end(stream))

    async with raw_server(behave) as port:
        proxy = f"{kind}://127.0.0.1:{port}"
        if end == "timeout":
            with pytest.raises(HandshakeTimeout, match=f"through the proxy {proxy} within 7 s"):
                await echo_once("ws://h/", proxy=proxy, handshake_timeout=7)
        else:
            with trio.move_on_after(7) as scope:
                await echo_once("ws://h/", proxy=proxy)
            assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(7)
    assert len(heard) == 1
    assert heard[0]


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
async def test_nobody_there(kind: str) -> None:
    with pytest.raises(ProxyFailed, match=r"cannot be reached: .*Connection refused") as caught:
        await echo_once("ws://h/", proxy=f"{kind}://127.0.0.1:1")
    assert is_transient(caught.value)


@pytest.mark.parametrize(
    ("kind", "answer", "why"),
    [
        ("http", b"", "the peer ended the stream"),
        ("http", b"HTTP/1.1 200", "the peer ended the stream"),
        ("http", b"SSH-2.0-x\r\n", "expected HTTP, got"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 X\r\n\r\n", "said more than its answer"),
        ("http", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000, "longer than 16384 bytes"),
        ("http", b"HTTP/1.1 407 \x1b[2J\r\n\r\n", "expected a status line"),
        (
            "http",
            b"HTTP/1.1 407 No\r\n\r\n",
            "407 No (write its user and password: http://user:password@127.0.0.1:",
        ),
        ("http", b"HTTP/1.1 502 Bad\xff\r\n\r\n", "refused with status 502 Bad"),
        ("socks5", b"", "failed: "),
        ("socks5", b"\x05", "failed: "),
        ("socks5", b"HTTP/1.1 400 No\r\n\r\n", "failed: "),
        ("socks5", b"\x05\xff", "No acceptable authentication"),
        ("socks5", b"\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", "not allowed"),
    ],
)
async def test_a_bad_answer(kind: str, answer: bytes, why: str) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        try:
            await stream.send_all(answer)
            await stream.send_eof()
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass

    async with raw_server(behave) as port:
        with pytest.raises(ProxyFailed) as caught:
            await echo_once("ws://h/", proxy=f"{kind}://127.0.0.1:{port}")
    assert f"the proxy {kind}://127.0.0.1:{port} " in str(caught.value)
    assert why in str(caught.value)


async def test_what_is_asked() -> None:
    """RFC 9110 section 9.3.6; an answer may come in pieces."""
    heads: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        heads.append((await read_request(stream, 0))[0])
        for piece in (b"HTTP/1.0 2", b"00 Connection established\r", b"\nX: y\r\n\r", b"\n"):
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        heads.append((await read_request(stream, 0))[0])
        await stream.send_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(behave) as port:
        with pytest.raises(Exception, match="404"):
            await echo_once(
                "ws://[::1]:99/x",
                draft="rfc6455",
                auth=("me", "secret"),
                proxy=f"http://üser:p%3Aw@127.0.0.1:{port}",
            )
    basic = base64.b64encode("üser:p:w".encode())
    lines = [
        b"CONNECT [::1]:99 HTTP/1.1",
        b"Host: [::1]:99",
        b"Proxy-Authorization: Basic " + basic,
    ]
    assert heads[0] == b"\r\n".join([*lines, b"", b""])
    # The proxy's user is no business of the server's, nor the other way round.
    assert b"Proxy-Authorization" not in heads[1]
    assert b"Authorization: Basic " in heads[1]


# What is no proxy


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("ftp://h", "expected http://, https://, socks5:// or socks5h://"),
        ("127.0.0.1:3128", "the scheme is"),
        ("http://h/path", "has no path"),
        ("http://h:0", "port 0"),
        ("http://a%3Ab:c@h", "no colon"),
        ("http://a:b%0D@h", "control characters"),
        ("socks5://ü:secret@h", "1 to 255 characters of ASCII"),
        ("socks5://user@h", "1 to 255 characters of ASCII"),
    ],
)
async def test_what_is_no_proxy(proxy: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        await echo_once("ws://h/", proxy=proxy)
    assert "secret" not in str(caught.value)


async def test_no_error_shows_a_password() -> None:
    with pytest.raises(ProxyFailed, match=r"the proxy http://\[::1\]:1 ") as caught:
        await echo_once("ws://h/", proxy="http://me:secret@[::1]:1/")
    assert "secret" not in f"{caught.value!s}{caught.value!r}"


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is told at once; for CONNECT nothing is needed."""
    really_import = builtins.__import__

    def no_socks(name: str, *arguments: Any) -> Any:
        if name.startswith("python_socks"):
            raise ModuleNotFoundError(name)
        return really_import(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", no_socks)
    with pytest.raises(ImportError, match=r"trio_draftws\[proxy\]"):
        await echo_once("ws://h/", proxy="socks5://h")
    with pytest.raises(ProxyFailed, match=r"the proxy http://127\.0\.0\.2:80 cannot be reached"):
        await echo_once("ws://h/", proxy="http://127.0.0.2")


def test_importing_is_put_off() -> None:
    """Who uses no proxy does not pay for it."""
    code = (
        "import sys, trio_draftws\n"
        "assert 'python_socks' not in sys.modules\n"
        "assert 'urllib.request' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
