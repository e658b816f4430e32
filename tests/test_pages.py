"""The built documentation in a browser: no code on a page scrolls sideways."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from .newcomer import DOCS

if TYPE_CHECKING:
    from .peers.chromium import Browser

WIDTH = 1280

# Of each block that is wider than its place, the longest line
TOO_WIDE = """
return [...document.querySelectorAll("div.highlight pre")]
    .filter((block) => block.scrollWidth > block.clientWidth)
    .map((block) => block.innerText.split("\\n").sort((a, b) => b.length - a.length)[0]);
"""
BROKEN = "return [...document.images].filter((it) => it.naturalWidth === 0).map((it) => it.src);"


def build() -> Path:
    """The pages, built anew where they have changed since the last time."""
    if find_spec("sphinx") is None or find_spec("furo") is None:
        reason = "Sphinx or its theme is not installed"
        if os.environ.get("REQUIRE_PEERS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    target = DOCS / "_build/html"
    command = (sys.executable, "-m", "sphinx", "-q", "-b", "html", str(DOCS), str(target))
    subprocess.run(command, check=True, cwd=DOCS.parent, stdout=subprocess.DEVNULL)
    return target


@pytest.mark.timeout(300)
async def test_no_code_scrolls_sideways(browser: Browser) -> None:
    """At 1280 pixels every block of code, every picture and every page fits."""
    html = await trio.to_thread.run_sync(build)
    await browser.resize(WIDTH, 900)
    wide: dict[str, list[str]] = {}
    blocks = 0
    for page in sorted(DOCS.glob("*.rst")):
        await browser.open((html / f"{page.stem}.html").as_uri())
        assert await browser.run("return innerWidth") == WIDTH
        assert await browser.run("return document.documentElement.scrollWidth") <= WIDTH, page.name
        assert await browser.run(BROKEN) == [], page.name
        blocks += await browser.run("return document.querySelectorAll('div.highlight pre').length")
        if found := await browser.run(TOO_WIDE):
            wide[page.stem] = found
    assert blocks > 100
    assert wide == {}
