"""The examples that are services: each runs in a process of its own, and does what it says."""

from __future__ import annotations

import json
import re
from contextlib import aclosing
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing

from examples.chat import chat
from trio_draftws import Connection, PeerClosed, Rejected, open_websocket
from trio_draftws.drafts import WebSocketURL
from trio_draftws.testing import Faults, FaultyStream, RawClient, served

from .processes import read_line, start
from .test_examples import EXAMPLES, fetch, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from .peers.chromium import Browser

# Chat


async def test_chat_in_the_browser(browser: Browser) -> None:
    """Two pages see each other's lines, names, comings and goings; a third is in another room."""
    first = await browser.current()
    async with running("chat.py") as (url, _):

        async def come_in(path: str, name: str) -> None:
            await browser.open(url + path)
            await browser.type("#name", name)
            await browser.click("#join button")
            await browser.until("!document.querySelector('#speak').hidden")

        async def is_here(*names: str) -> None:
            text = json.dumps("here: " + ", ".join(names))
            await browser.until(f"document.querySelector('#state').textContent === {text}")

        async def say(line: str) -> None:
            await browser.type("#line", line)
            await browser.click("#speak button")

        async def reads(name: str, line: str) -> None:
            text = json.dumps(name + line)
            last = "document.querySelector('#lines > li:last-child')"
            await browser.until(f"{last}?.textContent === {text}")

        await come_in("garden", "Ada")
        await is_here("Ada")
        await browser.open_another()
        second = await browser.current()
        await come_in("garden", "Bob")
        await is_here("Ada", "Bob")
        await say("Hello <b>Ada</b>, 漢字")
        await reads("Bob", "Hello <b>Ada</b>, 漢字")
        await browser.turn_to(first)
        await is_here("Ada", "Bob")
        await reads("Bob", "Hello <b>Ada</b>, 漢字")
        await say("Hello Bob")
        await browser.turn_to(second)
        await reads("Ada", "Hello Bob")
        await browser.open(url + "kitchen")
        await browser.type("#name", "Bob")
        await browser.click("#join button")
        await is_here("Bob")
        assert await browser.run("return document.querySelector('#lines').childElementCount") == 0
        await browser.close_window()
        await browser.turn_to(first)
        await is_here("Ada")
    await browser.until("document.querySelector('#state').textContent === 'gone: 1001'")


async def test_chat_without_a_browser() -> None:
    """Names are unique in their room; who says none, or what is no text, is let go."""
    async with running("chat.py") as (url, _):
        target = url.replace("http", "ws")
        status, text = await trio.to_thread.run_sync(fetch, f"{url}garden")
        assert (status, text) == (200, (EXAMPLES / "chat.html").read_text(encoding="utf-8"))
        with pytest.raises(Rejected, match="403"):
            async with open_websocket(target, origin="http://a", draft="rfc6455"):
                raise AssertionError("there is no connection")
        async with open_websocket(f"{target}a", draft="rfc6455") as ada:
            await ada.send("Ada")
            assert json.loads(await ada.receive()) == {"names": ["Ada"]}
            for name, code, reason in (
                ("Ada", 4001, "the name Ada is taken"),
                (" ", 4000, "no name came"),
                (b"Bob", 1003, "text only"),
            ):
                async with open_websocket(f"{target}a", draft="rfc6455") as other:
                    await other.send(name)
                    with pytest.raises(PeerClosed) as caught:
                        await other.receive()
                    assert (caught.value.code, caught.value.reason) == (code, reason)
            # Another room, and a draft of 2010
            async with open_websocket(f"{target}b", draft="old") as other:
                await other.send("Ada")
                assert json.loads(await other.receive()) == {"names": ["Ada"]}
                await other.send("hello")
                assert json.loads(await other.receive()) == {"name": "Ada", "line": "hello"}
            await ada.send("anybody?")
            assert json.loads(await ada.receive()) == {"name": "Ada", "line": "anybody?"}


async def test_chat_lets_slow_ones_go(autojump_clock: trio.testing.MockClock) -> None:
    """Who takes nothing of what is said is let go, and the others see that and nothing else."""
    faults = iter([Faults(stall_at=2000)])

    async def stall_the_first(stream: trio.abc.Stream) -> trio.abc.Stream:
        return FaultyStream(stream, outgoing=next(faults, Faults()))

    async with served(chat, stream_factory=stall_the_first) as server:
        async with RawClient(await server.dial()) as slow:
            await slow.open("rfc6455")
            await slow.send_frame("Slow")
            await slow.expect_message('{"names": ["Slow"]}')
            async with server.open_websocket(draft="rfc6455") as ada:
                await ada.send("Ada")
                assert json.loads(await ada.receive()) == {"names": ["Ada", "Slow"]}
                line = "x" * 4000
                lines = 0
                while (news := json.loads(await say(ada, line))) == {"name": "Ada", "line": line}:
                    lines += 1
                assert news == {"names": ["Ada"]}
                assert 64_000 < lines * len(line) < 80_000
                assert json.loads(await ada.receive()) == {"name": "Ada", "line": line}
    assert server.errors == []


async def say(connection: Connection, line: str) -> str | bytes:
    await connection.send(line)
    return await connection.receive()


# Ticker


@attrs.define
class Slow:
    """One who takes little at a time, so that what it does not read soon waits at the server."""

    client: RawClient
    received: bytes = b""

    @classmethod
    async def open(cls, url: str) -> Slow:
        sock = trio.socket.socket()
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", WebSocketURL.parse(url).port))
        client = RawClient(trio.SocketStream(sock))
        await client.open()
        return cls(client)

    async def ticks(self) -> AsyncGenerator[int, None]:
        """The numbers that come, now that it reads."""
        assert isinstance(self.client.stream, trio.SocketStream)
        self.client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 2**20)
        try:
            async for data in self.client.stream:
                *numbers, self.received = re.split(rb'{"tick": (\d+),', self.received + data)
                for number in numbers[1::2]:
                    yield int(number)
        except trio.BrokenResourceError:
            pass


def number_in(message: object) -> int:
    found = re.match(r'\{"tick": (\d+),', str(message))
    assert found is not None
    return int(found[1])


async def keep_up(url: str, enough: trio.Event) -> None:
    """Reads at once, and misses nothing."""
    async with open_websocket(url, draft="rfc6455") as connection:
        last = number_in(await connection.receive())
        async for message in connection:
            assert number_in(message) == last + 1
            last += 1
            if enough.is_set():
                break


@pytest.mark.parametrize("policy", ["drop", "close"])
async def test_ticker(policy: str) -> None:
    """One who reads nothing loses ticks, or is let go; one who reads does not notice."""
    arguments = ("--port", "0", "--every", "0.01", "--prices", "1000", "--slow", policy)
    enough = trio.Event()
    async with start(*arguments, module="examples.ticker") as process:
        url = (await read_line(process.stdout)).split()[-1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_up, url, enough)
            slow = await Slow.open(url)
            async with slow.client:
                told = await read_line(process.stdout)
                what = {"drop": "it loses", "close": "it was let go at"}[policy]
                found = re.search(rf"is behind: {what} tick (\d+)\n", told)
                assert found is not None, told
                lost = int(found[1])
                seen: list[int] = []
                async with aclosing(slow.ticks()) as ticks:
                    async for number in ticks:
                        seen.append(number)
                        if number > lost:
                            break
            # Nothing was lost before; then some was, and it is still there, or it is not.
            before = [number for number in seen if number < lost]
            assert before == list(range(before[0], before[0] + len(before)))
            assert (seen[-1] > lost) is (policy == "drop")
            assert lost not in seen
            enough.set()
        process.terminate()
        assert await process.wait() == 0


# Beside


async def test_beside() -> None:
    """Both services know the same clients, and one signal ends both in order."""
    async with start("--port", "0", "--line-port", "0", module="examples.beside") as process:
        url = (await read_line(process.stdout)).split()[-1]
        port = int((await read_line(process.stdout)).split()[-1])
        async with (
            open_websocket(url, draft="rfc6455") as first,
            open_websocket(url, draft="old") as second,
            await trio.open_tcp_stream("127.0.0.1", port) as lines,
        ):

            async def ask(line: str) -> list[str]:
                await lines.send_all(line.encode() + b"\n")
                answer = b""
                while not answer.endswith(b".\n"):
                    answer += await lines.receive_some()
                return answer.decode().split("\n")[:-2]

            for _ in range(2):
                await first.send("hello")
                assert await first.receive() == "hello"
            assert await ask("who") == ["rfc6455: 2 echoed", "hixie-76: 0 echoed"]
            assert await ask("say good day") == ["sent to 2"]
            assert await first.receive() == await second.receive() == "good day"
            assert await ask("what?") == ["who | say WORDS"]
            process.terminate()
            with pytest.raises(PeerClosed) as caught:
                await first.receive()
            assert caught.value.code == 1001
            with pytest.raises(PeerClosed):
                await second.receive()
            assert await lines.receive_some() == b""
        assert await process.wait() == 0
