"""Each example runs, and does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from trio_draftws import PeerClosed, Rejected, open_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

EXAMPLES = Path(__file__).parent.parent / "examples"
# Far above what any of them takes
DEADLINE = 60


def program(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-X", "utf8", "-W", "error", str(EXAMPLES / name), *arguments]


def environment() -> dict[str, str]:
    """The programs find the project though it may not be installed."""
    return {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}


async def run(name: str, *arguments: str) -> str:
    """Runs an example to its end; what it printed."""
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            program(name, *arguments),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=environment(),
        )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


@asynccontextmanager
async def running(name: str, *arguments: str) -> AsyncGenerator[tuple[str, list[str]], None]:
    """The URL of an example that serves, and a list that at the end has the lines it printed."""
    process = await trio.lowlevel.open_process(
        program(name, "--port", "0", *arguments),
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        with trio.fail_after(DEADLINE):
            assert process.stdout is not None
            printed = b""
            while b"\n" not in printed:
                data = await process.stdout.receive_some()
                assert data, "it ended too early"
                printed += data
            first, _, printed = printed.partition(b"\n")
            lines: list[str] = []
            yield first.decode().removeprefix("listening on "), lines
            process.terminate()
            async for chunk in process.stdout:
                printed += chunk
            lines += printed.decode().splitlines()
            assert await process.wait() == 0
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


def echo_server(*origins: str) -> AbstractAsyncContextManager[tuple[str, list[str]]]:
    return running("echo.py", *origins)


async def test_demo() -> None:
    """Both framing modes over ws and wss, with heads and frames of both sides."""
    out = await run("demo.py")
    assert re.findall(r"=== (.*) ===", out) == [
        "Framing mode 'old' over ws",
        "Framing mode 'old' over wss",
        "Framing mode 'new' over ws",
        "Framing mode 'new' over wss",
    ]
    assert "\x1b" not in out
    for scheme in ("ws", "wss"):
        location = rf"  server  Sec-WebSocket-Location: {scheme}://127\.0\.0\.1:\d+/\n"
        assert len(re.findall(location, out)) == 2
    for who in ("client", "server"):
        assert out.count(f"  {who}  00 68 65 6c 6c 6f ff  ") == 2
        assert out.count(f"  {who}  ff 00  ") == 2
        assert out.count(f"  {who}  ff 00 00 00 00 00 00 00 05 68 65 6c 6c 6f  ") == 2
        assert out.count(f"  {who}  00 00 00 00 00 00 00 00 00  ") == 2
    assert out.endswith("both framing modes, over ws and wss.\n")


async def test_client() -> None:
    async with echo_server() as (url, lines):
        assert await run("client.py", url, "wörld") == "wörld\n"
    assert lines == ["no browser speaks rfc6455"]


@pytest.mark.parametrize(
    ("draft", "prefix"), [("hixie-75", ""), ("hixie-76", "Sec-"), ("hybi-00", "Sec-")]
)
async def test_echo_follows_the_origin_model(draft: str, prefix: str) -> None:
    """Origin and location are in the answer, once, under the names that the draft has."""
    async with echo_server() as (url, lines):
        async with open_websocket(
            f"{url}/a%20b?c", draft=draft, origin="http://example.com"
        ) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            headers = connection.headers
            assert headers.get_all(f"{prefix}WebSocket-Origin") == ["http://example.com"]
            assert headers.get_all(f"{prefix}WebSocket-Location") == [f"{url}/a%20b?c"]
    assert lines == [f"a page of http://example.com speaks {connection.draft.name}"]


async def test_echo_refuses_other_origins() -> None:
    async with echo_server("http://example.com", "http://EXAMPLE.org") as (url, lines):
        for origin in ("http://example.com", "http://example.org"):
            async with open_websocket(url, origin=origin) as connection:
                await connection.send(origin)
                assert await connection.receive() == origin
        for other in ("http://example.net", None):
            with pytest.raises(Rejected) as caught:
                async with open_websocket(url, origin=other):
                    pass
            assert caught.value.status == 403
            assert caught.value.body == f"not for pages of {other}\n".encode()
    assert len(lines) == 2


async def test_echo_of_unescaped_targets() -> None:
    """The location repeats what the client asked for, even where that is no Latin-1."""
    async with echo_server() as (url, _):
        host, port = url.removeprefix("ws://").split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            fields = b"Upgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h\r\n\r\n"
            await stream.send_all("GET /→ö HTTP/1.1\r\n".encode() + fields)
            head = b""
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some()
                assert data
                head += data
            assert "\r\nWebSocket-Location: ws://h/→ö\r\n".encode() in head


@pytest.mark.parametrize("draft", ["hixie-75", "hixie-76"])
async def test_echo_says_goodbye(draft: str) -> None:
    """SIGTERM closes the connection in order."""
    ended: list[str] = []
    is_open = trio.Event()

    async def stay(url: str) -> None:
        async with open_websocket(url, draft=draft) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            is_open.set()
            with pytest.raises(PeerClosed):
                await connection.receive()
        ended.append(draft)

    async with trio.open_nursery() as nursery:
        async with echo_server() as (url, _):
            nursery.start_soon(stay, url)
            await is_open.wait()
    assert ended == [draft]


async def test_metrics() -> None:
    """What a real scrape finds is what was done."""
    async with running("metrics.py") as (url, _):
        target = url.replace("http", "ws").removesuffix("metrics")
        async with open_websocket(target, draft="rfc6455", compression=None) as connection:
            for message in ("wörld", b"\xff"):
                await connection.send(message)
                assert await connection.receive() == message
            during = await scrape(url)
        async with open_websocket(target, draft="hixie-76") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
        status, _ = await trio.to_thread.run_sync(fetch, f"{url}/x")
        assert status == 404
        with pytest.raises(Rejected):
            async with open_websocket(target, draft="rfc6455", headers={"X": "x" * 20_000}):
                raise AssertionError("there is no connection")
        with trio.fail_after(DEADLINE):
            # The server counts a refusal when the client has heard it out.
            while ("websocket_refused_total", "431") not in (after := await scrape(url)):
                pass
    assert during["websocket_open", "rfc6455"] == 1
    assert after["websocket_open", "rfc6455"] == after["websocket_open", "hixie-76"] == 0
    for direction in ("received", "sent"):
        assert during["websocket_frames_total", direction, "message"] == 2
        assert after["websocket_frames_total", direction, "message"] == 3
        assert after["websocket_frames_total", direction, "close"] == 2
    assert after["websocket_refused_total", "404"] == after["websocket_refused_total", "431"] == 1
    # Headers of 2 bytes and a mask of 4, and the 6 and 1 bytes of what was said
    assert during["websocket_bytes_total", "received"] == 19
    assert during["websocket_bytes_total", "sent"] == 11


async def scrape(url: str) -> dict[tuple[str, ...], float]:
    """The samples that Prometheus would find there, by name and labels."""
    status, text = await trio.to_thread.run_sync(fetch, url)
    assert status == 200
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def fetch(url: str) -> tuple[int, str]:
    """Status and text of what a plain GET gets."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_browser() -> None:
    """A page, and WebSocket for it and for clients without one; test_browser.py has a browser."""
    async with running("browser.py") as (url, lines):
        page = (EXAMPLES / "browser.html").read_text(encoding="utf-8")
        assert await trio.to_thread.run_sync(fetch, url) == (200, page)
        assert await trio.to_thread.run_sync(fetch, f"{url}x") == (404, "The page is at /\n")
        target = url.replace("http", "ws")
        for origin in (None, url.rstrip("/")):
            async with open_websocket(
                target, draft="rfc6455", origin=origin, subprotocols=["mirror", "echo"]
            ) as connection:
                assert connection.subprotocol == "echo"
                for message in ("wörld", b"\xff"):
                    await connection.send(message)
                    assert await connection.receive() == message
        with pytest.raises(Rejected, match="status 403: 'This server is not for pages of http://a"):
            async with open_websocket(target, draft="rfc6455", origin="http://a"):
                raise AssertionError("there is no connection")
    assert lines == ["open: rfc6455, subprotocol echo", "closed: 1000"] * 2
