"""`examples/devtools.py` drives a real Chromium: one connection that many tasks use."""

from __future__ import annotations

import difflib
import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from examples.devtools import BrowserGone, CommandFailed, DevTools, Page
from trio_draftws import ConnectionLost, PeerClosed

from .newcomer import DOCS
from .peers.catalogue import SERVERS, require
from .peers.chromium import chromium_devtools
from .test_examples import DEADLINE, EXAMPLES, environment, program

HELLO = "data:text/html,<title>hello</title>"
FOREVER = "console.log('begun'); new Promise(() => 0)"


@pytest.fixture(scope="module")
def devtools_url() -> Iterator[str]:
    """Of a Chromium that all tests but one share."""
    with chromium_devtools() as (_, url):
        yield url


async def fails(error: type[Exception], ask: Callable[[], Awaitable[object]]) -> Exception:
    with pytest.raises(error) as caught:
        await ask()
    return caught.value


async def begin_forever(page: Page, nursery: trio.Nursery, ends: list[Exception]) -> None:
    """Returns when the page is in the middle of a command that it will never answer."""

    async def wait() -> None:
        ends.append(await fails(BrowserGone, partial(page.evaluate, FOREVER)))

    with page.events("Runtime.consoleAPICalled") as said:
        nursery.start_soon(wait)
        assert (await said.receive())["params"]["args"][0]["value"] == "begun"


async def test_a_page(devtools_url: str) -> None:
    """It is opened, asked, asked much at once, and its events come; what fails says why."""
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            devtools = await DevTools.connect(nursery, devtools_url)
            page = await Page.open(devtools, HELLO)
            other = await Page.open(devtools, HELLO.replace("hello", "other"))
            assert await page.evaluate("document.title") == "hello"
            assert await other.evaluate("document.title") == "other"

            # Answered in another order than asked, and long ones among them
            answers: dict[int, Any] = {}

            async def ask(number: int) -> None:
                later = f"new Promise(r => setTimeout(r, {20 - number}, '{number}'.repeat(5000)))"
                answers[number] = await (page, other)[number % 2].evaluate(later)

            async with trio.open_nursery() as asking:
                for number in range(20):
                    asking.start_soon(ask, number)
            assert answers == {number: str(number) * 5000 for number in range(20)}

            # Events go to those who listen, and to nobody who listens to another page.
            await page.command("Runtime.enable")
            await other.command("Runtime.enable")
            with (
                page.events("Runtime.consoleAPICalled") as first,
                page.events("Runtime.consoleAPICalled") as second,
                other.events("Runtime.consoleAPICalled") as elsewhere,
            ):
                await page.evaluate("console.log(1)")
                await page.evaluate("console.log(2)")
                for events in (first, second):
                    for value in (1, 2):
                        event = await events.receive()
                        assert event["params"]["args"][0]["value"] == value
                assert elsewhere.statistics().current_buffer_used == 0

            for ask_wrongly, said in (
                (partial(devtools.command, "No.such"), "No.such: 'No.such' wasn't found"),
                (partial(page.command, "Page.navigate"), "Page.navigate: Invalid parameters"),
                (partial(devtools.command, "Page.enable", session="none"), "Page.enable: Session"),
                (partial(page.evaluate, "no.such"), "ReferenceError: no is not defined"),
                (partial(page.evaluate, "Promise.reject(1)"), "1"),
            ):
                assert str(await fails(CommandFailed, ask_wrongly)).startswith(said)
            # One that is cancelled has no effect on the others.
            with trio.move_on_after(0.01):
                await page.evaluate("new Promise(r => setTimeout(r, 20, 1))")
            assert await page.evaluate("new Promise(r => setTimeout(r, 40, 2))") == 2
            await devtools.aclose()
        for gone in (partial(page.evaluate, "1"), partial(devtools.command, "Browser.getVersion")):
            error = await fails(BrowserGone, gone)
            assert isinstance(error.__cause__, trio.ClosedResourceError)


@pytest.mark.parametrize("how", ["Page.close", "Page.crash"])
async def test_a_page_that_goes(devtools_url: str, how: str) -> None:
    """Whoever waits for it is told; the browser and its other pages go on."""
    ends: list[Exception] = []
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            devtools = await DevTools.connect(nursery, devtools_url)
            page, other = [await Page.open(devtools, HELLO) for _ in range(2)]
            await page.command("Runtime.enable")
            async with trio.open_nursery() as waiting:
                await begin_forever(page, waiting, ends)

                async def listen() -> None:
                    with page.events("Page.loadEventFired") as loaded:
                        await loaded.receive()

                async def end() -> None:
                    ends.append(await fails(BrowserGone, listen))

                waiting.start_soon(end)
                await trio.testing.wait_all_tasks_blocked()
                if how == "Page.crash":
                    await fails(BrowserGone, partial(page.command, how))
                else:
                    await page.command(how)
            assert sorted(map(str, ends)) == [
                "Page.loadEventFired: that page has gone",
                "Runtime.evaluate: that page has gone",
            ]
            assert await other.evaluate("document.title") == "hello"
            await devtools.aclose()


async def test_chromium_is_killed() -> None:
    """All who wait get an error that says so, as do all who ask later; nothing hangs."""
    ends: list[Exception] = []
    with trio.fail_after(DEADLINE), chromium_devtools() as (process, url):
        async with trio.open_nursery() as nursery:
            devtools = await DevTools.connect(nursery, url)
            pages = [await Page.open(devtools, HELLO) for _ in range(3)]
            async with trio.open_nursery() as waiting:
                for page in pages:
                    await page.command("Runtime.enable")
                    await begin_forever(page, waiting, ends)
                os.killpg(process.pid, signal.SIGKILL)
            ends.append(await fails(BrowserGone, partial(pages[0].evaluate, "1")))
        # The nursery has ended by itself.
        with devtools.events("Target.targetCreated") as events:
            assert [event async for event in events] == []
    assert len(ends) == 4
    for error in ends:
        assert str(error).startswith("Runtime.evaluate: ")
        assert isinstance(error.__cause__, ConnectionLost)


async def test_what_waits_when_it_ends_otherwise(devtools_url: str) -> None:
    """Closed by another task, its nursery cancelled, or the browser closed by a command."""
    with trio.fail_after(DEADLINE):
        for how in ("close", "cancel"):
            ends: list[Exception] = []
            async with trio.open_nursery() as waiting, trio.open_nursery() as nursery:
                devtools = await DevTools.connect(nursery, devtools_url)
                page = await Page.open(devtools, HELLO)
                await page.command("Runtime.enable")
                await begin_forever(page, waiting, ends)
                if how == "close":
                    await devtools.aclose()
                else:
                    nursery.cancel_scope.cancel()
            [error] = ends
            assert isinstance(error.__cause__, trio.ClosedResourceError)
        with chromium_devtools() as (_, url):
            async with trio.open_nursery() as nursery:
                devtools = await DevTools.connect(nursery, url)
                await devtools.command("Browser.close")
            error = await fails(BrowserGone, partial(devtools.command, "Browser.getVersion"))
            assert isinstance(error.__cause__, (PeerClosed, ConnectionLost))


async def printed(command: list[str]) -> str:
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(command, capture_stdout=True, env=environment())
    return done.stdout.decode()


async def test_before_and_after(devtools_url: str) -> None:
    """On trio-websocket it is the same program, and the page counts the lines that differ."""
    arguments = (devtools_url, HELLO, "document.title + '!'.repeat(100000)")
    after = await printed(program("devtools.py", *arguments))
    assert after == "hello" + "!" * 100_000 + "\n"
    old = next(peer for peer in SERVERS if peer.name == "trio-websocket")
    require(old)
    command = program("migration/devtools_before.py", *arguments)
    assert await printed([old.command[0], *command[1:]]) == after


def test_lines_that_differ() -> None:
    """They are as many as the page says."""
    before = code_of(EXAMPLES / "migration/devtools_before.py")
    after = code_of(EXAMPLES / "devtools.py")
    differing = [line for line in difflib.ndiff(before, after) if line.startswith("+ ")]
    page = (DOCS / "coming-from-trio-websocket.rst").read_text(encoding="utf-8")
    found = re.search(r"(\d+) of its (\d+)\s+lines", page)
    assert found is not None
    assert (len(differing), len(after)) == (int(found[1]), int(found[2]))


def code_of(path: Path) -> list[str]:
    """Its lines after the docstring."""
    return path.read_text(encoding="utf-8").split('"""\n', 1)[1].splitlines()
