"""Behind nginx and HAProxy, with the files that the page "On the open internet" shows.

What each proxy lets through is stated there as it is asserted here.
"""

from __future__ import annotations

import runpy
import ssl
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trustme

from tests.peers.proxies import PROXIES, SHOWN, Proxy, running
from tests.wire import KEY3, echo, prove, read_to_end, read_until, request, serving
from trio_draftws import (
    Address,
    Connection,
    ConnectionLost,
    Draft,
    HTTPResponse,
    InvalidAnswer,
    PeerClosed,
    Rejected,
    Request,
    Server,
    open_websocket,
    proxy_protocol_factory,
    same_host,
    ssl_stream_factory,
    use_framing_mode,
)

from .rows import each_row, in_turn

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

END = b"\r\n\r\n"
# Far above what anything here needs
LIMIT = 30
BEGIN = runpy.run_path(str(SHOWN / "on_the_internet.py"))
ON_UNIX = runpy.run_path(str(SHOWN / "on_a_unix_socket.py"))
BEHIND = runpy.run_path(str(SHOWN / "behind_a_proxy.py"))
BEHIND_TCP = runpy.run_path(str(SHOWN / "behind_a_tcp_proxy.py"))
# The proxies' own address
HERE = ["127.0.0.1"]

HTTP_PROXIES = [proxy for proxy in PROXIES if proxy.ends_tls]
NGINX, HAPROXY = HTTP_PROXIES
NGINX_STREAM, HAPROXY_TCP = [proxy for proxy in PROXIES if not proxy.ends_tls]

over = pytest.mark.parametrize("proxy", PROXIES, ids=lambda proxy: proxy.file)
over_http = pytest.mark.parametrize("proxy", HTTP_PROXIES, ids=lambda proxy: proxy.file)


@attrs.frozen
class Setup:
    """What all of them need."""

    folder: Path
    pem: bytes
    server_ssl: ssl.SSLContext
    client_ssl: ssl.SSLContext

    @asynccontextmanager
    async def behind(
        self,
        proxy: Proxy,
        handler: Callable[[Connection, Any], Awaitable[object]] = echo,
        changes: dict[str, str] | None = None,
        **settings: Any,
    ) -> AsyncGenerator[int]:
        """A server of ours behind a proxy; gives the proxy's port. TLS ends where the page says."""
        if proxy.ends_tls:
            settings.setdefault("trusted_proxies", HERE)
        else:
            factory = proxy_protocol_factory(HERE, ssl_stream_factory(self.server_ssl))
            settings.setdefault("stream_factory", factory)
        with trio.fail_after(LIMIT):
            async with serving(handler, **settings) as server:
                assert server.port is not None
                async with running(
                    proxy, self.folder, server.port, self.pem, changes or {}
                ) as port:
                    yield port

    def dial(self, port: int, **settings: Any) -> Any:
        settings.setdefault("draft", "rfc6455")
        url = f"wss://127.0.0.1:{port}/room?name=1"
        return open_websocket(url, ssl_context=self.client_ssl, **settings)


@pytest.fixture
def setup(
    tmp_path: Path,
    authority: trustme.CA,
    server_ssl: ssl.SSLContext,
    client_ssl: ssl.SSLContext,
) -> Setup:
    pem = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    return Setup(tmp_path, pem, server_ssl, client_ssl)


async def converse(connection: Connection) -> None:
    """Short and long messages of each kind that the draft has, and a ping."""
    messages: list[str | bytes] = ["häß€漢😀", "x" * 700_000]
    if connection.draft.binary:
        messages += [bytes(range(256)), bytes(range(256)) * 3000]
    for message in messages:
        await connection.send(message)
        assert await connection.receive() == message
    if connection.draft.ping:
        assert await connection.ping() > 0


async def test_the_server_to_begin_with(setup: Setup) -> None:
    """It is for pages of https://example.com and for the draft of today, and for nobody else."""
    file = setup.folder / "example.pem"
    file.write_bytes(setup.pem)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(BEGIN["main"], file, 0, "127.0.0.1"))
        assert server.port is not None
        async with setup.dial(server.port, origin="https://example.com") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
        for draft, origin, status in (
            ("rfc6455", "http://example.com", 403),
            ("rfc6455", None, 403),
            ("old", "https://example.com", 426),
        ):
            with pytest.raises(Rejected) as caught:
                async with setup.dial(server.port, draft=draft, origin=origin):
                    raise AssertionError("it came in")
            assert caught.value.status == status
        await server.aclose()


async def test_the_server_behind_a_proxy(setup: Setup) -> None:
    """As the page shows it, whole; elsewhere below only its parts are used."""
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(BEHIND["main"], 0)
        assert server.port is not None
        folder, pem = setup.folder, setup.pem
        async with running(NGINX, folder, server.port, pem, {}) as port:
            for draft in ("old", "rfc6455"):
                async with setup.dial(port, draft=draft) as connection:
                    url = f"wss://127.0.0.1:{port}/room?name=1"
                    assert await connection.receive() == f"you are 127.0.0.1 at {url}"
                    await connection.send("hello")
                    assert await connection.receive() == "hello"
        await server.aclose()


@pytest.mark.parametrize("proxy", [NGINX_STREAM, HAPROXY_TCP], ids=lambda proxy: proxy.file)
async def test_the_server_behind_a_proxy_that_passes_bytes_on(setup: Setup, proxy: Proxy) -> None:
    file = setup.folder / "ours.pem"
    file.write_bytes(setup.pem)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(BEHIND_TCP["main"], file, 0)
        assert server.port is not None
        async with running(proxy, setup.folder, server.port, setup.pem, {}) as port:
            for draft in ("old", "rfc6455"):
                async with setup.dial(port, draft=draft) as connection:
                    assert await connection.receive() == f"you are {connection.local}"
                    await connection.send("hello")
                    assert await connection.receive() == "hello"
        await server.aclose()


@in_turn(proxy=PROXIES)
async def test_each_draft(setup: Setup, proxy: Proxy, draft: Draft) -> None:
    """All pass, but that HAProxy knows no WebSocket request without Sec-WebSocket-Key."""
    with use_framing_mode(draft.name):
        async with setup.behind(proxy) as port:
            if proxy is HAPROXY and draft.version is None:
                with pytest.raises(Rejected) as caught:
                    async with setup.dial(port, draft=draft):
                        raise AssertionError("it came in")
                assert caught.value.status == 400
                # HAProxy's own words, not ours
                assert b"<html>" in caught.value.body
                return
            async with setup.dial(port, draft=draft) as connection:
                assert connection.draft is draft
                await converse(connection)
                await connection.aclose(1000, "enough")
                assert (connection.close_received is not None) is draft.closing_handshake


@over_http
async def test_over_a_unix_socket(setup: Setup, proxy: Proxy) -> None:
    """As the page says it: one address of the proxy's file changes."""
    path = setup.folder / "socket"
    prefix = "unix:" if proxy is NGINX else "unix@"
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(ON_UNIX["main"], path)
        async with running(proxy, setup.folder, f"{prefix}{path}", setup.pem, {}) as port:
            with trio.fail_after(LIMIT):
                origin = f"https://127.0.0.1:{port}"
                async with setup.dial(port, draft="rfc6455", origin=origin) as connection:
                    await converse(connection)
        await server.aclose()
    assert not await trio.Path(path).exists()


@over
async def test_what_was_agreed(setup: Setup, proxy: Proxy) -> None:
    """Compression, a subprotocol, and both sides' close codes get through."""
    closed: list[tuple[int | None, str]] = []

    async def handler(connection: Connection, state: object) -> None:
        assert connection.compression is not None
        assert await connection.ping() > 0
        message = await connection.receive()
        await connection.send(message)
        if message == "end":
            await connection.aclose(4001, "so be it")
        else:
            with pytest.raises(PeerClosed) as caught:
                await connection.receive()
            closed.append((caught.value.code, caught.value.reason))

    async with setup.behind(proxy, handler, subprotocols=["chat"]) as port:
        async with setup.dial(port, subprotocols=["chat"]) as connection:
            assert connection.compression is not None
            assert connection.subprotocol == "chat"
            # Less than is kept for `receive` while the handler waits for its ping's answer.
            await connection.send("compressed " * 5_000)
            assert await connection.receive() == "compressed " * 5_000
            await connection.aclose(4000, "bye")
            assert connection.close_received is not None
            assert connection.close_received.code == 4000
        async with setup.dial(port, subprotocols=["chat"]) as connection:
            await connection.send("end")
            assert await connection.receive() == "end"
            with pytest.raises(PeerClosed) as caught:
                await connection.receive()
            assert (caught.value.code, caught.value.reason) == (4001, "so be it")
    assert closed == [(4000, "bye")]


@over
async def test_who_asks(setup: Setup, proxy: Proxy) -> None:
    """The proxy says who the client is, whatever the client says, and leaves the Host alone."""
    told: list[Request] = []

    async def handler(connection: Connection, state: object) -> None:
        told.append(connection.request)
        await connection.send(str(connection.remote))

    async with setup.behind(proxy, handler) as port:
        forged = {
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Proto": "http",
            "Forwarded": "for=192.0.2.1;proto=http",
        }
        async with setup.dial(port, headers=forged, origin="https://a.example") as connection:
            address = connection.local
            assert address is not None
            if proxy.ends_tls:
                # No port is in these fields.
                address = Address(address.host)
            assert await connection.receive() == str(address)
    [asked] = told
    assert asked.remote == address
    if proxy.ends_tls:
        assert asked.headers.get_all("X-Forwarded-For") == ["127.0.0.1"]
        assert asked.headers.get_all("X-Forwarded-Proto") == ["https"]
        assert "Forwarded" not in asked.headers
    else:
        assert asked.local == Address("127.0.0.1", port)
    assert asked.host == f"127.0.0.1:{port}"
    assert asked.target == "/room?name=1"
    assert asked.origin == "https://a.example"
    assert asked.secure
    assert asked.location == f"wss://127.0.0.1:{port}/room?name=1"


@each_row("says", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
async def test_each_version_of_the_proxy_protocol(setup: Setup, says: str) -> None:
    """TLS ends at our server, or nowhere, or at the proxy, which only the last one says."""
    told: list[tuple[Request, Address | None]] = []

    async def handler(connection: Connection, state: object) -> None:
        told.append((connection.request, connection.remote))
        await echo(connection)

    here = proxy_protocol_factory(HERE)
    ends_tls = {"\n    # Our server": " ssl crt /etc/ssl/private/example.com.pem\n    # Our server"}
    secure = says == "send-proxy-v2-ssl"
    for scheme, changes, settings in (
        ("wss", {}, {}),
        ("ws", {}, {"stream_factory": here}),
        ("wss", ends_tls, {"stream_factory": here}),
    ):
        how = {"send-proxy-v2": says, **changes}
        async with setup.behind(HAPROXY_TCP, handler, how, **settings) as port:
            url = f"{scheme}://127.0.0.1:{port}/"
            ssl_context = setup.client_ssl
            async with open_websocket(url, ssl_context=ssl_context, draft="rfc6455") as client:
                await converse(client)
                asked, remote = told.pop()
                assert remote == asked.remote == client.local
                assert asked.local == client.remote
            assert asked.secure is (scheme == "wss" and (secure or not changes))


@over
async def test_pages_of_others(setup: Setup, proxy: Proxy) -> None:
    """`same_host` tells them from the server's own behind a proxy too."""
    async with setup.behind(proxy, origins=same_host) as port:
        async with setup.dial(port, origin=f"https://127.0.0.1:{port}") as connection:
            await converse(connection)
        with pytest.raises(Rejected) as caught:
            async with setup.dial(port, origin="https://evil.example"):
                raise AssertionError("it came in")
    assert caught.value.status == 403
    assert b"This server is not for pages of https://evil.example" in caught.value.body


@over
async def test_a_page_on_the_same_port(setup: Setup, proxy: Proxy) -> None:
    async def page(request: Request) -> HTTPResponse:
        return HTTPResponse(200, {"Content-Type": "text/html"}, b"<title>hello</title>")

    async with setup.behind(proxy, http_handler=page) as port:
        async with await dial_plainly(setup, port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"<title>hello</title>")


# Their times, made shorter than silence here lasts
SHORT = {
    NGINX.file: {"read_timeout 60s": "read_timeout 400ms"},
    NGINX_STREAM.file: {"proxy_timeout 2h": "proxy_timeout 400ms"},
    HAPROXY.file: {"timeout tunnel 60s": "timeout tunnel 400ms"},
    HAPROXY_TCP.file: {
        "timeout client 2h": "timeout client 400ms",
        "timeout server 2h": "timeout server 400ms",
    },
}


@over
async def test_silence_is_cut(setup: Setup, proxy: Proxy) -> None:
    """A proxy ends what is silent for its time, and says no goodbye for us."""
    lost = trio.Event()

    async def handler(connection: Connection, state: object) -> None:
        with pytest.raises(ConnectionLost):
            await connection.receive()
        lost.set()

    async with setup.behind(proxy, handler, SHORT[proxy.file]) as port:
        async with setup.dial(port) as connection:
            with pytest.raises(ConnectionLost):
                await connection.receive()
            await lost.wait()


@over
async def test_pings_are_no_silence(setup: Setup, proxy: Proxy) -> None:
    """The server's keepalive is enough, where `ping_interval` is below the proxy's time."""
    async with setup.behind(proxy, changes=SHORT[proxy.file], ping_interval=0.1) as port:
        async with setup.dial(port) as connection:
            # Three times as long as it would live
            with trio.move_on_after(1.2):
                raise AssertionError(await connection.receive())
            await converse(connection)


OLDEST = ("hixie-75", "hixie-76")


@pytest.mark.parametrize("draft", OLDEST)
async def test_the_url_has_to_be_said(setup: Setup, draft: str) -> None:
    """Where TLS ends before us we would say ws://, and clients of old drafts insist on theirs."""
    async with setup.behind(NGINX, trusted_proxies=()) as port:
        with pytest.raises(InvalidAnswer) as caught:
            async with setup.dial(port, draft=draft):
                raise AssertionError("it came in")
    url = f"://127.0.0.1:{port}/room?name=1"
    assert (caught.value.expected, caught.value.received) == (f"wss{url}", f"ws{url}")


async def proof_of(setup: Setup, port: int, head: bytes) -> bytes:
    """The 16 bytes behind the answer to a request of hixie-76."""
    async with await dial_plainly(setup, port) as stream:
        await stream.send_all(head + KEY3)
        answer = await read_until(stream, lambda received: len(received.partition(END)[2]) >= 16)
    assert answer.startswith(b"HTTP/1.1 101 ")
    return answer.partition(END)[2]


async def dial_plainly(setup: Setup, port: int) -> trio.SSLStream[trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    context = setup.client_ssl
    return trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)


@pytest.mark.parametrize("proxy", [NGINX, NGINX_STREAM], ids=lambda proxy: proxy.file)
async def test_spaces_at_the_end_of_a_key(setup: Setup, proxy: Proxy) -> None:
    """They count in hixie-76, and some clients send them; nginx takes them for nothing.

    So this key is 18 divided by one, and not by two.
    """
    spaced = request(Sec_WebSocket_Key1="1 8 ")
    async with setup.behind(proxy) as port:
        assert await proof_of(setup, port, request()) == prove(request(), KEY3)
        proved = await proof_of(setup, port, spaced)
    assert (proved == prove(spaced, KEY3)) is (proxy is NGINX_STREAM)
