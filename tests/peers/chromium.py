"""A page in Chromium, driven through chromedriver in the words of the WebDriver standard; and
Chromium alone, to be driven through its DevTools.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from .catalogue import TIED, Peer, kill, require, shown_stderr

if TYPE_CHECKING:
    from collections.abc import Generator

CHROMIUM = Peer(
    name="chromium",
    drafts=("rfc6455",),
    command=("chromedriver", "--port=0"),
    needs=("sh", "-c", "command -v chromium && command -v chromedriver"),
    subprotocols=("rfc6455",),
    deflate=("rfc6455",),
)
# The same without chromedriver
DEVTOOLS = Peer(
    name="chromium",
    drafts=("rfc6455",),
    command=("chromium", "--remote-debugging-port=0", "about:blank"),
    needs=("sh", "-c", "command -v chromium"),
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever else it may want to know of the world, no name leads there.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
# Above chromedriver's own, of 30 seconds for a script, so that it says what took so long.
DEADLINE = 60


class WebDriverError(Exception):
    """Chromium could not do it, or the page raised."""


def _ask(port: int, method: str, path: str, **body: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request(method, path, json.dumps(body) if method == "POST" else None)
        response = connection.getresponse()
        value = json.load(response)["value"]
    finally:
        connection.close()
    if response.status != 200:
        raise WebDriverError(value["message"])
    return value


@attrs.frozen
class Browser:
    """One window."""

    port: int
    session: str

    async def open(self, url: str) -> None:
        """Shows the page at `url`; returns when it is loaded."""
        await self._post("url", url=url)

    async def run(self, script: str, *arguments: object) -> Any:
        """Runs the body of a JavaScript function in the page; what it returns, awaited there."""
        return await self._post("execute/sync", script=script, args=arguments)

    async def until(self, condition: str) -> None:
        """Waits until a JavaScript expression about what the page shows is true."""
        await self.run(
            f"""return new Promise((resolve) => {{
                const observer = new MutationObserver(look);
                function look() {{
                    if (!({condition})) return;
                    observer.disconnect();
                    resolve();
                }}
                const all = {{ subtree: true, childList: true, characterData: true }};
                observer.observe(document, all);
                look();
            }})"""
        )

    async def open_another(self) -> None:
        """Opens a window beside that which it is on, and goes there."""
        opened = await self._post("window/new", type="tab")
        await self.turn_to(opened["handle"])

    async def current(self) -> str:
        """What `turn_to` knows the window by that it is on."""
        ask = partial(_ask, self.port, "GET", f"/session/{self.session}/window")
        return str(await trio.to_thread.run_sync(ask))

    async def turn_to(self, window: str) -> None:
        """Goes to another of its windows."""
        await self._post("window", handle=window)

    async def close_window(self) -> None:
        """Closes the one that it is on; `turn_to` must follow."""
        ask = partial(_ask, self.port, "DELETE", f"/session/{self.session}/window")
        await trio.to_thread.run_sync(ask)

    async def resize(self, width: int, height: int) -> None:
        """Makes the window this large, in CSS pixels."""
        await self._post("window/rect", width=width, height=height)

    async def click(self, selector: str) -> None:
        """Clicks on the element that a CSS selector finds."""
        await self._post(f"element/{await self._find(selector)}/click")

    async def type(self, selector: str, text: str) -> None:
        """Types into the element, in place of what is there."""
        element = await self._find(selector)
        await self._post(f"element/{element}/clear")
        await self._post(f"element/{element}/value", text=text)

    async def _find(self, selector: str) -> str:
        found = await self._post("element", using="css selector", value=selector)
        [element] = found.values()
        return str(element)

    async def _post(self, what: str, **body: object) -> Any:
        ask = partial(_ask, self.port, "POST", f"/session/{self.session}/{what}", **body)
        return await trio.to_thread.run_sync(ask)


@contextmanager
def chromium() -> Generator[Browser]:
    """Chromium with a profile of its own that is thrown away at the end."""
    require(CHROMIUM)
    with (
        # A Chromium that is killed may still be writing to it.
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        shown_stderr() as stderr,
    ):
        process = subprocess.Popen(
            CHROMIUM.command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, "HOME": home},
            # A group of its own, so that Chromium ends with it.
            start_new_session=True,
        )
        try:
            port = _port_of(process)
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": [*FLAGS, f"--user-data-dir={home}/profile"]},
            }
            capabilities = {"alwaysMatch": wanted}
            session = _ask(port, "POST", "/session", capabilities=capabilities)["sessionId"]
            yield Browser(port, session)
            _ask(port, "DELETE", f"/session/{session}")
        finally:
            kill(process)
            process.communicate()


@contextmanager
def chromium_devtools() -> Generator[tuple[subprocess.Popen[bytes], str]]:
    """Chromium with a profile of its own, and the URL of its DevTools; both go at the end."""
    require(DEVTOOLS)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
        tempfile.NamedTemporaryFile() as said,
    ):
        process = subprocess.Popen(
            (*TIED, *DEVTOOLS.command, *FLAGS, f"--user-data-dir={home}/profile"),
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "HOME": home},
            start_new_session=True,
        )
        try:
            yield process, _devtools_url_of(process, Path(said.name))
        finally:
            kill(process)
            process.wait()


def _port_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(rb"successfully on port (\d+)", line):
            return int(found[1])
    pytest.fail(f"chromedriver ended with status {process.wait()}")


def _devtools_url_of(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"DevTools listening on (ws://\S+)\n", said.read_text("utf-8")):
            return found[1]
        time.sleep(0.02)
    pytest.fail(f"Chromium has no DevTools: {said.read_text('utf-8')}")
