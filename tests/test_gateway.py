"""The gateway: as a command between real peers of 2010 and of today, and as a library."""

from __future__ import annotations

import logging
import signal
import ssl
from base64 import b64decode
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
import trustme

from tests.peers.catalogue import CLIENTS, SERVERS, Peer, PeerServers, require, run_peer_client
from trio_draftws import (
    DRAFTS,
    Address,
    Close,
    Connection,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    accept,
    open_gateway,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.cli import main
from trio_draftws.drafts import draft_named

from .pairs import open_client
from .processes import HOST, read_all, read_line, start
from .test_browser import quiet_page
from .test_cli import certificate, one_line, run
from .test_peers import BINARIES, TEXTS
from .wire import dial, raw_server, read_to_end, request, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from trio_draftws import HeaderFields, Server

    from .peers.chromium import Browser

__all__ = ["certificate"]

# Far above what anything here takes
LIMIT = 30


def named(peers: tuple[Peer, ...], name: str) -> Peer:
    [peer] = [peer for peer in peers if peer.name == name]
    return peer


@pytest.fixture(scope="module")
def servers() -> Generator[PeerServers]:
    with closing(PeerServers()) as servers:
        yield servers


@asynccontextmanager
async def gateway_process(to: str, *arguments: str) -> AsyncGenerator[tuple[trio.Process, str]]:
    """The command, and the URL that it printed."""
    async with start("gateway", "--port", "0", "--to", to, *arguments) as process:
        words = (await read_line(process.stdout)).split(" ")
        assert words[:2] == ["listening", "on"]
        yield process, words[2].removesuffix("\n")


@asynccontextmanager
async def gateway_to(
    to: Server | str, settings: dict[str, Any] | None = None, **options: Any
) -> AsyncGenerator[Server]:
    """A gateway in this process."""
    url = to if isinstance(to, str) else f"ws://{HOST}:{to.port}"
    async with open_gateway(url, **options) as way:
        async with serving(
            way.handler,
            conn_headers=way.conn_headers,
            subprotocols=way.choose_subprotocol,
            **(settings or {}),
        ) as server:
            with trio.fail_after(LIMIT):
                yield server


def url_of(server: Server, target: str = "/") -> str:
    return f"ws://{HOST}:{server.port}{target}"


@attrs.define
class Behind:
    """The server behind: echoes, and notes who came and how they went."""

    requests: list[Request] = attrs.field(factory=list)
    ends: list[PeerClosed] = attrs.field(factory=list)
    ended: trio.Event = attrs.field(factory=trio.Event)
    fields: HeaderFields = ()

    async def conn_headers(self, request: Request) -> tuple[HeaderFields, None]:
        self.requests.append(request)
        return self.fields, None

    async def __call__(self, connection: Connection, state: object) -> None:
        try:
            while True:
                await connection.send(await connection.receive())
        except PeerClosed as end:
            self.ends.append(end)
        finally:
            self.ended.set()


# Between real peers


@pytest.mark.parametrize(
    ("client", "draft", "server"),
    [
        ("phantomjs", "hixie-76", "websockets"),
        ("protocol-websocket", "hixie-75", "ws-8"),
    ],
)
async def test_old_client_and_modern_server(
    servers: PeerServers, client: str, draft: str, server: str
) -> None:
    """Somebody else's client of the time echoes text through somebody else's server of today."""
    peer = named(CLIENTS, client)
    behind = named(SERVERS, server)
    require(peer)
    require(behind)
    texts: list[str | bytes] = [*TEXTS]
    with servers.running(behind) as running:
        async with gateway_process(f"ws://{HOST}:{running.port}") as (process, url):
            for subprotocol in (None, "proto1") if draft in peer.subprotocols else (None,):
                report = await run_peer_client(
                    peer, f"{url}/chat?room=1", draft, texts, subprotocol=subprotocol
                )
                assert list(report.echoes) == texts
                with_frame = draft not in ("hixie-75", *peer.sends_no_close)
                assert report.closed == ("clean" if with_frame else "tcp")
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("client", "server", "draft"),
    [
        ("websockets", "em-websocket", "hixie-76"),
        ("ws-8", "node-websocket-server", "hixie-75"),
    ],
)
async def test_modern_client_and_old_server(
    servers: PeerServers, client: str, server: str, draft: str
) -> None:
    peer = named(CLIENTS, client)
    behind = named(SERVERS, server)
    require(peer)
    require(behind)
    texts: list[str | bytes] = [*TEXTS]
    with servers.running(behind) as running:
        to = f"ws://{HOST}:{running.port}"
        async with gateway_process(to, "--draft", draft) as (process, url):
            report = await run_peer_client(peer, f"{url}/chat?room=1", "rfc6455", texts)
            assert list(report.echoes) == texts
            assert report.closed == "clean"
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert await read_all(process.stderr) == ""


BROWSER_TALK = """
const [url, messages, binary] = arguments;
const told = {echoes: []};
const socket = new WebSocket(url);
const next = () => {
    const message = messages[told.echoes.length];
    if (message !== undefined) socket.send(message);
    else if (binary) socket.send(new Uint8Array([255, 0]));
    else socket.close(4001, "bye");
};
socket.onopen = next;
socket.onmessage = ({data}) => { told.echoes.push(data); next(); };
return new Promise((resolve) => {
    socket.onclose = ({code, reason, wasClean}) => resolve({...told, code, reason, wasClean});
});
"""


async def test_browser_of_today_and_old_server(servers: PeerServers, browser: Browser) -> None:
    """A page in Chromium talks to a server of hixie-76; its bytes are refused with a reason."""
    behind = named(SERVERS, "em-websocket")
    require(behind)
    with servers.running(behind) as running:
        to = f"ws://{HOST}:{running.port}"
        async with gateway_process(to, "--draft", "hixie-76") as (_, url):
            async with serving(http_handler=quiet_page) as page:
                await browser.open(f"http://{HOST}:{page.port}/")
                for binary, code, reason in (
                    (False, 4001, ""),
                    (True, 1003, "no binary messages on the other side"),
                ):
                    told = await browser.run(BROWSER_TALK, f"{url}/chat", TEXTS, binary)
                    assert told == {
                        "echoes": TEXTS,
                        "code": code,
                        "reason": reason,
                        "wasClean": True,
                    }


async def test_browser_is_told_of_a_server_that_is_lost(browser: Browser) -> None:

    async def vanish(connection: Connection, state: object) -> None:
        await connection.receive()
        await trio.aclose_forcefully(connection._endpoint.stream)

    async with serving(vanish) as behind, serving(http_handler=quiet_page) as page:
        async with gateway_to(behind) as server:
            await browser.open(f"http://{HOST}:{page.port}/")
            told = await browser.run(BROWSER_TALK, url_of(server), ["x"], False)
    assert told == {
        "echoes": [],
        "code": 1011,
        "reason": "the other side was lost",
        "wasClean": True,
    }


# The command


@pytest.mark.parametrize("front", ["hixie-75", "hixie-76"])
async def test_a_pipe_through_it(front: str) -> None:
    """A pipe through `connect`, the gateway and a server: what was asked is answered."""
    async with serving(Behind()) as behind:
        to = f"ws://{HOST}:{behind.port}"
        async with gateway_process(to, "--framing-mode", front) as (_, url):
            ran = await run("connect", f"{url}/", "--draft", front, stdin="hello\nwörld\n".encode())
    assert ran == (0, "hello\nwörld\n", "")


@pytest.mark.parametrize("back", ["hixie-75", "whatwg-2010-08", "auto"])
async def test_another_draft_behind(back: str) -> None:
    async def tell(connection: Connection, state: object) -> None:
        await connection.send(connection.draft.name)

    with use_framing_mode("new"):
        async with serving(tell) as behind, gateway_to(behind, draft=back) as way:
            async with open_websocket(url_of(way), draft="rfc6455") as connection:
                assert await connection.receive() == ("rfc6455" if back == "auto" else back)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_closes_all(signum: signal.Signals) -> None:
    """Clients and the server behind are told that it goes; exit status 0."""
    behind = Behind()
    async with serving(behind) as server:
        async with gateway_process(f"ws://{HOST}:{server.port}") as (process, url):
            async with open_websocket(f"{url}/", draft="rfc6455") as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
                process.send_signal(signum)
                with pytest.raises(PeerClosed) as caught:
                    await connection.receive()
                assert caught.value.code == 1001
                await behind.ended.wait()
            assert await process.wait() == 0
            assert await read_all(process.stderr) == ""
    assert [end.code for end in behind.ends] == [1001]


async def test_one_line_for_each_connection_that_failed() -> None:
    """And the others go on."""
    async with serving(Behind()) as server:
        to = f"ws://{HOST}:{server.port}"
        async with gateway_process(to, "--draft", "hixie-76") as (process, url):
            async with open_websocket(f"{url}/", draft="rfc6455") as good:
                async with open_websocket(f"{url}/", draft="rfc6455") as bad:
                    await bad.send(b"\xff")
                    with pytest.raises(PeerClosed) as caught:
                        await bad.receive()
                    assert caught.value.code == 1003
                await good.send("still good")
                assert await good.receive() == "still good"
            line = await read_line(process.stderr)
            assert "by the gateway" in line
            assert "no binary messages" in line
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            assert await read_all(process.stderr) == ""


async def test_nobody_is_there() -> None:
    """The client gets 502; why it was so stands in the log alone."""
    [listener] = await trio.open_tcp_listeners(0, host=HOST)
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with gateway_process(f"ws://{HOST}:{port}") as (process, url):
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"{url}/", draft="old"):
                pass
        assert caught.value.status == 502
        assert str(port).encode() not in caught.value.body
        line = await read_line(process.stderr)
        assert "refused with status 502" in line
        assert f"no TCP connection to {HOST} port {port}" in line
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert await read_all(process.stderr) == ""


async def test_base64() -> None:
    async with serving(Behind()) as server:
        to = f"ws://{HOST}:{server.port}"
        arguments = ("--draft", "hixie-76", "--binary", "base64")
        async with gateway_process(to, *arguments) as (_, url):
            async with open_websocket(f"{url}/", draft="rfc6455") as connection:
                for blob in BINARIES:
                    await connection.send(blob)
                    text = await connection.receive()
                    assert isinstance(text, str)
                    assert b64decode(text, validate=True) == blob


async def test_tls_on_both_sides(
    authority: trustme.CA,
    certificate: tuple[str, str],
    client_ssl: ssl.SSLContext,
    server_ssl: ssl.SSLContext,
) -> None:
    async with serving(Behind(), ssl_context=server_ssl) as server:
        with authority.cert_pem.tempfile() as trusted:
            async with start(
                *("gateway", "--port", "0", "--to", f"wss://{HOST}:{server.port}"),
                *("--tls", *certificate),
                env={"SSL_CERT_FILE": trusted},
            ) as process:
                url = (await read_line(process.stdout)).split(" ")[2].strip()
                assert url.startswith("wss://")
                async with open_websocket(url, draft="old", ssl_context=client_ssl) as connection:
                    await connection.send("hello")
                    assert await connection.receive() == "hello"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says it there")
@pytest.mark.parametrize("reader", ["client", "server"])
async def test_memory_while_one_end_reads_nothing(reader: str) -> None:
    """The other end is stopped, and the gateway's memory hardly grows."""
    message = "x" * 100_000
    sent = 0

    async def flood(connection: Connection, state: object) -> None:
        nonlocal sent
        for _ in range(5000):
            await connection.send(message)
            sent += 1

    async def sleep(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    def memory(pid: int) -> int:
        """What the process has in memory, in bytes."""
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    handler = sleep if reader == "server" else flood
    # Compressed, so much would fit the kernel's buffers that the sender is never stopped.
    async with serving(handler, close_timeout=0.1, compression=None) as behind:
        async with gateway_process(f"ws://{HOST}:{behind.port}") as (process, url):
            async with open_websocket(f"{url}/", draft="old", close_timeout=0.1) as connection:
                before = memory(process.pid)
                async with trio.open_nursery() as nursery:
                    if reader == "server":
                        nursery.start_soon(flood, connection, None)
                    seen = -1
                    while seen != sent or not sent:
                        seen = sent
                        # No time is known in which a process does something.
                        await trio.testing.wait_all_tasks_blocked(0.2)
                    assert sent < 4000
                    assert memory(process.pid) - before < 10_000_000
                    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--to", "http://h/"], "not a WebSocket URL: 'http://h/': the scheme is 'http'"),
        (["--to", "ws://h/", "--draft", "nope"], "no draft is named 'nope'; there are: "),
        (["--to", "ws://h/", "--drafts", "nope"], "no draft is named 'nope'; there are: "),
        (["--to", "ws://h/", "--host", "nope.invalid"], "cannot listen on nope.invalid port 0: "),
    ],
)
async def test_command_lines_that_cannot_be(arguments: list[str], why: str) -> None:
    status, out, err = await run("gateway", "--port", "0", *arguments)
    assert (status, out) == (1, "")
    assert one_line(err).startswith(why)


@pytest.mark.parametrize(
    "arguments", [[], ["--to", "ws://h/", "--binary", "nope"], ["--to", "ws://h/", "--port", "x"]]
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["gateway", *arguments])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: trio-draftws gateway ")


# What is passed on


@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
async def test_who_asks_for_what(draft: Any) -> None:
    """Path, query, Origin, cookies, Authorization and the address go on; cookies come back."""
    behind = Behind(fields=[("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")])
    with use_framing_mode(draft.name):
        async with (
            serving(behind, conn_headers=behind.conn_headers, subprotocols=["chat"]) as server,
            gateway_to(server) as way,
            open_websocket(
                url_of(way, "/röom/%20?q=1&r=%C3%B6"),
                draft=draft,
                origin="http://device.example",
                subprotocols=["chat"],
                headers=[
                    ("Cookie", "session=xyz"),
                    ("Authorization", "Basic abc"),
                    ("X-Forwarded-For", "192.0.2.7"),
                    ("X-Secret", "not passed on"),
                ],
            ) as connection,
        ):
            assert connection.subprotocol == "chat"
            assert connection.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    [asked] = behind.requests
    assert asked.draft is DRAFTS[-1]
    assert asked.target == "/r%C3%B6om/%20?q=1&r=%C3%B6"
    assert asked.origin == "http://device.example"
    assert asked.cookies == {"session": "xyz"}
    assert asked.headers["Authorization"] == "Basic abc"
    assert asked.headers["X-Forwarded-For"] == f"192.0.2.7, {HOST}"
    assert "X-Secret" not in asked.headers
    assert asked.subprotocols == ("chat",)


async def test_a_path_of_the_servers_own() -> None:
    behind = Behind()
    async with serving(behind, conn_headers=behind.conn_headers) as server:
        for own, asked, seen in (
            ("", "/x?y=1", "/x?y=1"),
            ("/", "//x", "//x"),
            ("/own", "/x?y=1", "/own"),
            ("?own=1", "/x", "/?own=1"),
        ):
            async with gateway_to(f"ws://{HOST}:{server.port}{own}") as way:
                async with open_websocket(url_of(way, asked), draft="rfc6455"):
                    assert behind.requests.pop().target == seen


@pytest.mark.parametrize("back", ["hixie-76", "rfc6455"])
@pytest.mark.parametrize(
    ("user", "path", "seen"),
    [
        ("ada:lovelace", "", "Basic YWRhOmxvdmVsYWNl"),
        ("ada:lovelace", "/own", "Basic YWRhOmxvdmVsYWNl"),
        ("ada:lovelace", "?own=1", "Basic YWRhOmxvdmVsYWNl"),
        ("ada:love%40lace", "/", "Basic YWRhOmxvdmVAbGFjZQ=="),
        ("ada", "/own", "Basic YWRhOg=="),
    ],
)
async def test_a_user_of_the_gateways_own(user: str, path: str, seen: str, back: str) -> None:
    """It is sent with a path of the server's own and without, and the client's is left out."""
    behind = Behind()
    async with serving(behind, conn_headers=behind.conn_headers) as server:
        to = f"ws://{user}@{HOST}:{server.port}{path}"
        for headers in ([], [("authorization", "Basic abc")], [("Authorization", "Bearer x")] * 2):
            async with gateway_to(to, draft=back) as way:
                async with open_websocket(url_of(way, "/x"), draft="rfc6455", headers=headers):
                    asked = behind.requests.pop()
            assert asked.headers.get_all("Authorization") == [seen]
            assert asked.path == {"": "/x", "/": "/x", "/own": "/own", "?own=1": "/"}[path]


async def test_a_target_that_is_no_path() -> None:
    behind = Behind()
    async with serving(behind, conn_headers=behind.conn_headers) as server:
        async with gateway_to(server) as way, await dial(way) as stream:
            await stream.send_all(request("GET http://elsewhere.example/ HTTP/1.1"))
            assert (await read_to_end(stream)).startswith(b"HTTP/1.1 400 ")
    assert behind.requests == []


@pytest.mark.parametrize(
    ("front", "asked", "back", "seen"),
    [
        ("rfc6455", ["a", "b"], "rfc6455", ("a", "b")),
        ("rfc6455", ["a", "b"], "hixie-76", ("a",)),
        ("hixie-76", ["a b"], "rfc6455", ("a", "b")),
        ("hixie-76", ["/path"], "rfc6455", ()),
        ("rfc6455", ["a", "b"], "auto", ("a", "b")),
    ],
)
async def test_subprotocols_that_a_draft_cannot_ask_for(
    front: str, asked: list[str], back: str, seen: tuple[str, ...]
) -> None:
    """What can be asked for is; the server's choice is the client's."""
    behind = Behind()
    async with (
        serving(behind, conn_headers=behind.conn_headers, subprotocols=["a"]) as server,
        gateway_to(server, draft=back) as way,
    ):
        if front == "hixie-76":
            async with await dial(way) as stream:
                await stream.send_all(request(Sec_WebSocket_Protocol=asked[0]) + b"^n:ds[4U")
                answer = bytes(await stream.receive_some())
                agreed = b"\r\nSec-WebSocket-Protocol: a\r\n" in answer
        else:
            async with open_websocket(url_of(way), draft=front, subprotocols=asked) as connection:
                agreed = connection.subprotocol == "a"
    assert behind.requests[0].subprotocols == seen
    assert agreed is ("a" in seen)


# When the server behind does not want to, or cannot


@pytest.mark.parametrize(
    ("status", "passed_on"),
    [(401, 401), (403, 403), (404, 404), (503, 503), (400, 502), (426, 502), (500, 502)],
)
async def test_refusals(status: int, passed_on: int) -> None:
    async def refuse(request: Request) -> tuple[HeaderFields, None]:
        fields = {"WWW-Authenticate": "Basic", "X-Inner": "1", "Set-Cookie": "c=1"}
        raise Reject(status, fields, "you may not")

    async with serving(Behind(), conn_headers=refuse) as server, gateway_to(server) as way:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(url_of(way), draft="old"):
                pass
    error = caught.value
    assert error.status == passed_on
    same = passed_on == status
    assert (error.body == b"you may not") is same
    assert (error.headers.get("WWW-Authenticate") == "Basic") is same
    assert (error.headers.get("Set-Cookie") == "c=1") is same
    assert "X-Inner" not in error.headers


@pytest.mark.parametrize(
    ("field", "passed_on"),
    [
        (b"Transfer-Encoding: chunked", b"never"),
        (b"Transfer-Encoding: gzip, chunked", b""),
        (b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip", b""),
    ],
)
async def test_a_body_that_is_coded_is_left_out(field: bytes, passed_on: bytes) -> None:
    """Its coding is between the server and the gateway; chunks are taken away."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 403 No\r\n%b\r\n\r\n5\r\nnever\r\n0\r\n\r\n" % field)

    async with raw_server(refuse) as port, gateway_to(f"ws://{HOST}:{port}") as way:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(url_of(way), draft="old"):
                pass
    assert (caught.value.status, caught.value.body) == (403, passed_on)


@pytest.mark.parametrize("timeout", ["server's", "client's"])
async def test_a_server_that_does_not_answer(timeout: str) -> None:
    async def sleep(stream: trio.SocketStream) -> None:
        await read_to_end(stream)

    options = {"handshake_timeout": 0.1} if timeout == "server's" else {}
    settings = {"handshake_timeout": 0.5} if timeout == "client's" else {}
    async with raw_server(sleep) as port:
        async with gateway_to(f"ws://{HOST}:{port}", settings, **options) as way:
            with pytest.raises(Rejected) as caught:
                async with open_websocket(url_of(way), draft="rfc6455"):
                    pass
    assert caught.value.status == 504


async def test_a_server_that_speaks_another_draft() -> None:
    async with serving(Behind(), drafts=["hixie-76"]) as server, gateway_to(server) as way:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(url_of(way), draft="rfc6455"):
                pass
    assert caught.value.status == 502


async def refuses(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")


async def answers_otherwise(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(
        b"HTTP/1.1 101 No\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: none\r\n\r\n"
    )


async def breaks_off(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def redirects(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 302 No\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n")


WHY_NOT = {
    refuses: "The server behind this gateway refused with status 500.",
    answers_otherwise: "The server behind this gateway does not answer as its draft says.",
    breaks_off: "The server behind this gateway broke off the opening handshake.",
    redirects: "The server behind this gateway refused with status 302.",
}


@pytest.mark.parametrize(
    ("behave", "text"), WHY_NOT.items(), ids=[behave.__name__ for behave in WHY_NOT]
)
async def test_what_a_bad_gateway_says(behave: Any, text: str) -> None:
    """That the server cannot be reached only where that is so."""
    async with raw_server(behave) as port, gateway_to(f"ws://{HOST}:{port}") as way:
        await check_bad_gateway(way, text)


async def check_bad_gateway(way: Server, text: str) -> None:
    with pytest.raises(Rejected) as caught:
        async with open_websocket(url_of(way), draft="rfc6455"):
            raise AssertionError("there is no connection")
    assert (caught.value.status, caught.value.body.decode()) == (502, f"{text}\n")


async def test_a_server_that_cannot_be_reached() -> None:
    async with serving(Behind()) as server:
        to = f"ws://{HOST}:{server.port}"
    async with gateway_to(to) as way:
        await check_bad_gateway(way, "The server behind this gateway cannot be reached.")


async def test_a_server_without_tls() -> None:
    async with serving(Behind()) as server, gateway_to(f"wss://{HOST}:{server.port}") as way:
        await check_bad_gateway(way, "There is no TLS with the server behind this gateway.")


async def test_what_cannot_be_asked_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No input is known that does this; a mistake of ours must not be the network's."""

    async def dial(host: str, port: int) -> trio.SocketStream:
        raise ValueError("a header field has a control character")

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    async with gateway_to("ws://behind.example/") as way:
        text = "What was asked for cannot be asked of the server behind this gateway."
        await check_bad_gateway(way, text)


# When the client goes away


async def test_a_client_that_goes_before_it_is_answered_in_full() -> None:
    """The connection behind is given up at once, and waits for no deadline."""
    behind = Behind()
    async with serving(behind) as server:
        async with gateway_to(server, {"handshake_timeout": 10_000}) as way:
            stream = await dial(way)
            # hixie-76, without the eight bytes that belong to it
            await stream.send_all(request())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
            await stream.aclose()
            await behind.ended.wait()
    assert [end.code for end in behind.ends] == [1001]


async def test_a_client_that_is_refused_after_the_server_has_agreed() -> None:
    """As by an answer that cannot be sent."""
    behind = Behind()
    async with serving(behind) as server, open_gateway(url_of(server)) as way:

        async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
            _, state = await way.conn_headers(request)
            return [("Upgrade", "is written by the handshake")], state

        async with serving(way.handler, conn_headers=conn_headers) as front:
            with trio.fail_after(LIMIT), pytest.raises(Rejected) as caught:
                async with open_websocket(url_of(front), draft="old"):
                    pass
            with trio.fail_after(LIMIT):
                await behind.ended.wait()
    assert caught.value.status == 500
    assert [end.code for end in behind.ends] == [1001]


async def test_a_client_that_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_draftws")
    behind = Behind()
    async with serving(behind) as server, gateway_to(server) as way:
        async with open_websocket(url_of(way), draft="hixie-76") as other:
            async with open_websocket(url_of(way), draft="hixie-76") as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
                await trio.aclose_forcefully(connection._endpoint.stream)
                await behind.ended.wait()
            await other.send("still there")
            assert await other.receive() == "still there"
    assert behind.ends[0].code == 1001
    [line] = [line for line in caplog.messages if "and <Connection" in line]
    assert "by the client: the peer ended the stream without closing" in line


async def test_the_gateway_ends() -> None:
    """The server that runs it is cancelled: both ends are closed in order."""
    behind = Behind()
    async with serving(behind) as server:
        async with gateway_to(server) as way:
            async with open_websocket(url_of(way), draft="rfc6455") as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(way.aclose)
                    with pytest.raises(PeerClosed):
                        await connection.receive()
        await behind.ended.wait()
    assert [end.code for end in behind.ends] == [1001]
    assert connection.close_received == Close(1001)


async def test_what_the_block_raises_comes_out_bare() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_gateway("ws://localhost"):
            raise KeyError("mine")


async def test_arguments_that_make_no_sense() -> None:
    for url, options, why in (
        ("http://h", {}, "not a WebSocket URL"),
        ("ws://h", {"draft": "nope"}, "no draft is named"),
        ("ws://h", {"binary": "nope"}, "binary is"),
    ):
        with pytest.raises(ValueError, match=why):
            async with open_gateway(url, **options):  # type: ignore[arg-type]
                pass


async def test_the_address_of_who_asks() -> None:
    """Known while it is answered, and afterwards."""
    seen: list[Address | None] = []

    async def conn_headers(request: Request) -> tuple[tuple[()], None]:
        seen.append(request.remote)
        return (), None

    async def stay(connection: Connection, state: object) -> None:
        seen.append(connection.request.remote)
        with pytest.raises(PeerClosed):
            await connection.receive()

    async with serving(stay, conn_headers=conn_headers) as server:
        async with open_websocket(url_of(server), draft="old"):
            pass
    first, second = seen
    assert first is not None
    assert first == second
    assert first.host == HOST


async def test_a_stream_without_an_address() -> None:
    """The same three, with `accept`: nothing is said of where it came from."""
    behind = Behind()
    async with serving(behind, conn_headers=behind.conn_headers) as server:
        async with open_gateway(url_of(server)) as way, trio.open_nursery() as nursery:
            client_end, front_end = trio.testing.memory_stream_pair()

            async def front() -> None:
                async with accept(
                    front_end,
                    conn_headers=way.conn_headers,
                    subprotocols=way.choose_subprotocol,
                ) as connection:
                    await way.handler(connection, connection.state)

            nursery.start_soon(front)
            async with open_client(client_end, draft_named("hixie-76")) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
    assert "X-Forwarded-For" not in behind.requests[0].headers


async def test_half_a_gateway_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as behind:
        async with open_gateway(f"ws://{HOST}:{behind.port}/") as gateway:
            async with serving(gateway.handler) as server:
                async with open_websocket(f"ws://{HOST}:{server.port}/", draft="rfc6455") as client:
                    with pytest.raises(PeerClosed):
                        await client.receive()
    [record] = [record for record in caplog.records if record.exc_info is not None]
    assert record.exc_info is not None
    assert "give gateway.conn_headers to serve_websocket" in str(record.exc_info[1])
