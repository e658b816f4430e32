"""A newcomer's path: the tutorial, from its first line to its last, as it stands on the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import trio

from trio_draftws import open_websocket

from .newcomer import DEADLINE, DOCS, STEPS, at_terminal, follow

if TYPE_CHECKING:
    from pathlib import Path

    from .peers.chromium import Browser

PAGE = (DOCS / "tutorial.rst").read_text(encoding="utf-8")


def test_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    """Every file is saved, every command typed, and all print what the page says."""
    with at_terminal(tmp_path) as terminal:
        follow(terminal, PAGE)
    assert len(terminal.typed) == 9
    assert terminal.typed.count("python chat.py") == 5
    shown = {DOCS / step["file"] for step in STEPS.finditer(PAGE) if step["file"]}
    assert shown == set((DOCS / "code/tutorial").glob("step_*/*.*"))


async def test_in_the_browser(tmp_path: Path, browser: Browser) -> None:
    """Ada is in the browser, Bob is not, and the server ends while she is there."""

    async def last_line(text: str) -> None:
        last = "document.querySelector('li:last-child')"
        await browser.until(f"{last}?.textContent === {json.dumps(text)}")

    with at_terminal(tmp_path) as terminal, trio.fail_after(DEADLINE):
        follow(terminal, PAGE[PAGE.index("4. A page") : PAGE.index("Ctrl-C ends it.")])
        address = f"127.0.0.1:{terminal.port}"
        await browser.open(f"http://{address}/?name=Ada")
        await last_line("Ada is here")
        async with open_websocket(f"ws://{address}/?name=Bob", draft="old") as bob:
            await bob.send("hello")
            await last_line("Bob: hello")
            await browser.type("input", "<b>hi</b>")
            await browser.click("button")
            await last_line("Ada: <b>hi</b>")
            assert [await bob.receive() for _ in range(3)] == [
                "Bob is here",
                "Bob: hello",
                "Ada: <b>hi</b>",
            ]
        await last_line("Bob has left")
        await trio.to_thread.run_sync(terminal.stop)
        await last_line("(closed: 1001)")
