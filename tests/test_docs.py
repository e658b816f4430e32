"""The programs shown in the documentation do what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

import trio_draftws
import trio_draftws.testing
from trio_draftws import Server, serve_websocket

DOCS = Path(__file__).parent.parent / "docs"
CODE = DOCS / "code"
WITH_OUTPUT = sorted(path.stem for path in CODE.glob("*.out"))
TESTS = {"handler_test", "fixtures_test"}
BY_THEMSELVES = {"echo_server", "client", *TESTS}
DEADLINE = 30


def run(*arguments: str) -> subprocess.Popen[str]:
    """Start a program of the documentation as a reader would."""
    return subprocess.Popen(
        [sys.executable, "-X", "utf8", "-W", "error", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=DOCS.parent,
        # Also where the project is not installed
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
    )


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_program_prints_what_the_page_says(name: str) -> None:
    """Each program runs to its end and prints its `.out` file, nothing more."""
    with run(str(CODE / f"{name}.py")) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert err == ""
    assert process.returncode == 0
    assert out == (CODE / f"{name}.out").read_text(encoding="utf-8")


def test_echo_server_and_client() -> None:
    """The tutorial's first two programs talk to each other, and Ctrl-C ends the server."""
    with run(str(CODE / "echo_server.py"), "0") as server:
        try:
            assert server.stdout is not None
            match = re.fullmatch(r"listening on (ws://\S+)\n", server.stdout.readline())
            assert match
            with run(str(CODE / "client.py"), f"{match[1]}/") as client:
                try:
                    out, err = client.communicate(timeout=DEADLINE)
                finally:
                    client.kill()
            assert (out, err) == ("hello\nwörld\n", "")
            server.send_signal(signal.SIGINT)
            assert server.communicate(timeout=DEADLINE) == ("", "")
            assert server.returncode == 0
        finally:
            server.kill()


@pytest.mark.parametrize("name", sorted(TESTS))
def test_tests_of_the_documentation(name: str) -> None:
    """They pass, as a reader would run them."""
    arguments = ("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider")
    with run(*arguments, str(CODE / f"{name}.py")) as process:
        try:
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, ""), out


def test_every_program_is_run_and_shown() -> None:
    """No program escapes the tests above, and every one stands on a page."""
    programs = {path.stem for path in CODE.glob("*.py")}
    assert programs == BY_THEMSELVES | set(WITH_OUTPUT)
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.glob("*.rst"))
    for name in programs:
        assert f"literalinclude:: code/{name}.py" in pages


def test_every_tried_file_is_shown() -> None:
    """tests/test_deployment.py tries them; what it tries is what the page shows."""
    page = (DOCS / "open-internet.rst").read_text(encoding="utf-8")
    for file in (DOCS / "deployment").iterdir():
        if file.is_file():
            assert f"literalinclude:: deployment/{file.name}\n" in page


def test_no_python_is_typed_into_a_page() -> None:
    """Python on a page is a file that is run, so that it cannot go stale."""
    for page in DOCS.glob("*.rst"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"code-block:: *(python|pycon)|>>>", text), page.name


@pytest.mark.parametrize("module", [trio_draftws, trio_draftws.testing])
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    """The reference lists what each module exports: each name once, nothing else."""
    text = (DOCS / "reference.rst").read_text(encoding="utf-8")
    [section] = re.findall(
        rf"^\.\. currentmodule:: {re.escape(module.__name__)}\n(.*?)(?=^\.\. currentmodule|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    listed = re.findall(
        r"^\.\. (?:autofunction|autoclass|autoexception|data):: (\w+)(?:\(.*\))?$",
        section,
        re.MULTILINE,
    )
    assert sorted(listed) == sorted(module.__all__)


async def test_readme_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """The server and the client of the README talk to each other."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # What starts them is left out, since the test picks the port and has a loop already.
    server_source, client_source = (
        re.sub(r"^trio\.run.*\n", "", block, flags=re.MULTILINE) for block in blocks
    )
    programs: dict[str, Any] = {}
    exec(server_source, programs)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, programs["echo"], 0, host="127.0.0.1")
        )
        exec(client_source.replace("8080", str(server.port)), programs)
        await programs["main"]()
        await server.aclose()
    assert capsys.readouterr().out == "hello\n"
