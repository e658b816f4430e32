"""A page in a real browser: Chromium, on the page of the example, against a server of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from examples.browser import page
from trio_draftws import Close, HeaderFields, HTTPResponse, Request

from .test_examples import running
from .test_peers import BINARIES, TEXTS, EchoHandler
from .wire import plain_nursery, serving

if TYPE_CHECKING:
    from trio_draftws import Connection, Server

    from .peers.chromium import Browser

# Far above what a browser needs
LIMIT = 30

# Sends each message when it has the echo of the one before; then closes, or waits for the end.
TALK = """
const [messages, protocols, close] = arguments;
const told = {echoes: [], opened: false, failed: false};
const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat", protocols);
socket.binaryType = "arraybuffer";
const next = () => {
    const message = messages[told.echoes.length];
    if (message !== undefined) {
        socket.send(typeof message === "string" ? message : new Uint8Array(message));
    } else if (close) {
        socket.close(...close);
    }
};
socket.onopen = () => {
    told.opened = true;
    told.protocol = socket.protocol;
    told.extensions = socket.extensions;
    next();
};
socket.onmessage = ({data}) => {
    told.echoes.push(typeof data === "string" ? data : Array.from(new Uint8Array(data)));
    next();
};
socket.onerror = () => { told.failed = true; };
return new Promise((resolve) => {
    socket.onclose = ({code, reason, wasClean}) => resolve({...told, code, reason, wasClean});
});
"""


@attrs.frozen
class Told:
    """What a page saw of a connection, all of it its own word."""

    echoes: tuple[str | bytes, ...]
    code: int
    reason: str
    clean: bool
    opened: bool
    failed: bool
    protocol: str | None
    extensions: str | None


async def talk(
    browser: Browser,
    *messages: str | bytes,
    protocols: tuple[str, ...] = (),
    close: tuple[int, str] | None = None,
) -> Told:
    """A connection from the page that the browser is on, until it is closed."""
    said = [message if isinstance(message, str) else list(message) for message in messages]
    told = await browser.run(TALK, said, protocols, close)
    return Told(
        echoes=tuple(echo if isinstance(echo, str) else bytes(echo) for echo in told["echoes"]),
        code=told["code"],
        reason=told["reason"],
        clean=told["wasClean"],
        opened=told["opened"],
        failed=told["failed"],
        protocol=told.get("protocol"),
        extensions=told.get("extensions"),
    )


async def quiet_page(request: Request) -> HTTPResponse:
    """One that makes no connection of its own, unlike that of the example."""
    return HTTPResponse(200, {"Content-Type": "text/html"}, "<!doctype html><title>quiet</title>")


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


async def ended(handler: EchoHandler) -> Connection:
    """The handler's connection, when it has ended."""
    with trio.fail_after(LIMIT):
        await handler.ended.wait()
    assert handler.connection is not None
    return handler.connection


async def last_line(browser: Browser, text: str, kind: str = "li") -> None:
    """Waits until this is the last line in the log of the example's page."""
    line = f"document.querySelector('#log > {kind}:last-child')"
    await browser.until(f"{line}?.textContent === {json.dumps(text)}")


async def test_the_example(browser: Browser) -> None:
    """The page does for a person what it says: text, bytes, a close, and another connection."""

    async def facts() -> list[str]:
        selectors = "#state, #subprotocol, #extensions"
        return list(
            await browser.run(
                "return [...document.querySelectorAll(arguments[0])].map((it) => it.innerText)",
                selectors,
            )
        )

    async with running("browser.py") as (url, lines):
        await browser.open(url)
        await last_line(browser, "open")
        assert (await facts())[:2] == ["open", "echo"]
        for text in ("wörld", "漢字 and more"):
            await browser.type("#message", text)
            await browser.click("#text button")
            await last_line(browser, text, ".received")
        await browser.click("#binary button")
        await last_line(browser, "70000 bytes, the same")
        # Not for pages to say
        await browser.type("#code", "1001")
        await browser.click("#end button")
        await browser.until("document.querySelector('#log > .error:last-child') !== null")
        await browser.type("#code", "3001")
        await browser.type("#reason", "bye")
        await browser.click("#end button")
        await last_line(browser, "closed: 3001")
        assert (await facts())[0] == "closed"
        await browser.click("#again button")
        await last_line(browser, "open")
    # The example was told to stop, and the page saw how.
    await last_line(browser, "closed: 1001")
    assert lines == [
        "open: rfc6455, subprotocol echo",
        "closed: 3001 bye",
        "open: rfc6455, subprotocol echo",
    ]


async def test_echoes(browser: Browser) -> None:
    """Text and bytes of every size come back; the browser closes, and the server hears why."""
    handler = EchoHandler()
    async with serving(handler, http_handler=quiet_page, subprotocols=["echo"]) as server:
        await browser.open(address(server))
        told = await talk(
            browser, *TEXTS, *BINARIES, protocols=("mirror", "echo"), close=(3001, "bye")
        )
        connection = await ended(handler)
    assert told.echoes == (*TEXTS, *BINARIES)
    assert handler.received == [*TEXTS, *BINARIES]
    assert (told.protocol, connection.subprotocol) == ("echo", "echo")
    assert connection.draft.name == "rfc6455"
    assert connection.request.path == "/chat"
    assert connection.headers["Origin"] == address(server).rstrip("/")
    assert "Chrome" in connection.headers["User-Agent"]
    assert connection.close_received == Close(3001, "bye")
    assert (told.code, told.clean, told.failed) == (3001, True, False)
    # It answered the handler's ping.
    assert connection.latency is not None


@pytest.mark.parametrize(
    ("asked", "spoken", "agreed"),
    [
        (("echo", "mirror"), ["mirror"], "mirror"),
        (("echo", "mirror"), ["mirror", "echo"], "mirror"),
        ((), ["mirror"], ""),
    ],
)
async def test_the_subprotocol(
    browser: Browser, asked: tuple[str, ...], spoken: list[str], agreed: str
) -> None:
    """The server's favourite among those that the page asks for."""
    handler = EchoHandler()
    async with serving(handler, http_handler=quiet_page, subprotocols=spoken) as server:
        await browser.open(address(server))
        told = await talk(browser, "hello", protocols=asked, close=(1000, ""))
        connection = await ended(handler)
    assert (told.protocol, told.code) == (agreed, 1000)
    assert connection.subprotocol == (agreed or None)


async def test_no_subprotocol(browser: Browser) -> None:
    """A page that asked for some does without a connection rather than without those."""
    async with serving(http_handler=quiet_page, subprotocols=["chat"]) as server:
        await browser.open(address(server))
        told = await talk(browser, protocols=("echo", "mirror"))
    assert (told.opened, told.failed, told.code) == (False, True, 1006)


async def test_the_server_closes(browser: Browser) -> None:
    """Its code and reason are in the page's CloseEvent, and the browser answers with the code."""
    handler = EchoHandler(messages=2)
    async with serving(handler, http_handler=quiet_page) as server:
        await browser.open(address(server))
        told = await talk(browser, "one", "two")
        connection = await ended(handler)
    assert (told.code, told.reason, told.clean) == (4002, "enough", True)
    assert connection.close_received is not None
    assert connection.close_received.code == 4002
    assert not handler.lost


async def test_the_server_ends(browser: Browser) -> None:
    """Every page is told, in order."""
    received = trio.Event()
    said: list[Told] = []

    async def handler(connection: Connection, state: object) -> None:
        async for message in connection:
            await connection.send(message)
            received.set()

    async with serving(handler, http_handler=quiet_page) as server, plain_nursery() as nursery:

        async def stay() -> None:
            said.append(await talk(browser, "hello"))

        await browser.open(address(server))
        nursery.start_soon(stay)
        with trio.fail_after(LIMIT):
            await received.wait()
            await server.aclose()
    assert [(told.echoes, told.code, told.clean) for told in said] == [(("hello",), 1001, True)]


async def test_the_page_is_reloaded(browser: Browser) -> None:
    """Its connection ends with it, and the server hears that it goes away."""
    handler = EchoHandler()
    async with serving(handler, http_handler=quiet_page) as server:
        await browser.open(address(server))
        await browser.run(
            "window.socket = new WebSocket(location.origin.replace('http', 'ws'));"
            "return new Promise((resolve) => { socket.onopen = () => resolve(); })"
        )
        await browser.run("location.reload()")
        connection = await ended(handler)
    assert connection.close_received == Close(1001, "")
    assert not handler.lost


@pytest.mark.parametrize("own", [True, False], ids=["its own", "another"])
async def test_origins(browser: Browser, own: bool) -> None:
    """`origins` lets the page in that it names; another gets an error, and is not told why."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    origin = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    origins = [origin if own else "http://example.com"]
    async with serving(
        listeners=listeners, http_handler=page, origins=origins, subprotocols=["echo"]
    ) as server:
        await browser.open(address(server))
        await last_line(browser, "open" if own else "closed: 1006 (not clean)")
        assert len(server.connections) == own
        log = await browser.run("return document.querySelector('#log').innerText")
        assert ("error" in log.splitlines()) is not own
        told = await talk(browser, "hello", close=(1000, ""))
    assert (told.opened, told.failed) == (own, not own)
    assert told.echoes == (("hello",) if own else ())
    assert (told.code, told.clean) == ((1000, True) if own else (1006, False))


async def test_cookies(browser: Browser) -> None:
    """Those of the page come with the request; those of the answer are the page's."""
    came: list[str] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, None]:
        came.append(request.headers["Cookie"])
        return [("Set-Cookie", "first=1; Path=/"), ("Set-Cookie", "second=2; Path=/")], None

    handler = EchoHandler()
    async with serving(handler, http_handler=quiet_page, conn_headers=conn_headers) as server:
        await browser.open(address(server))
        await browser.run("document.cookie = 'from_page=a b'")
        told = await talk(browser, "hello", close=(1000, ""))
        cookies = await browser.run("return document.cookie")
    assert told.echoes == ("hello",)
    assert came == ["from_page=a b"]
    assert cookies == "from_page=a b; first=1; second=2"


async def test_compression(browser: Browser) -> None:
    """permessage-deflate is agreed to, and both sides say so."""
    handler = EchoHandler()
    async with serving(handler, http_handler=quiet_page) as server:
        await browser.open(address(server))
        told = await talk(browser, *TEXTS, *BINARIES, close=(1000, ""))
        connection = await ended(handler)
    assert told.echoes == (*TEXTS, *BINARIES)
    assert told.extensions is not None
    assert told.extensions.startswith("permessage-deflate")
    assert connection.compression is not None
    assert connection.compression.startswith("permessage-deflate")
