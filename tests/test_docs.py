"""The programs shown in the documentation do what it says."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

import trio_draftws
import trio_draftws.anyio
import trio_draftws.testing
from docs.named_tests import is_there
from docs.readme_figures import written
from trio_draftws import Server, serve_websocket

from .forks import Forks, Ran, forks
from .newcomer import DOCS, at_terminal, commands, console_blocks, follow

CODE = DOCS / "code"
WITH_OUTPUT = sorted(path.stem for path in CODE.glob("*.out"))
TESTS = {"handler_test", "fixtures_test"}
BY_THEMSELVES = {"echo_server", "client", *TESTS}
# They start processes, which import them.
NOT_FORKED = {"sharing"}
DEADLINE = 30
MARKDOWN = [DOCS.parent / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*sorted(DOCS.glob("*.rst")), *MARKDOWN]
README = MARKDOWN[0]


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


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with forks(tmp_path_factory.mktemp("forks")) as process:
        yield process


@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_program_prints_what_the_page_says(name: str, forked: Forks) -> None:
    """Each program runs to its end and prints its `.out` file, nothing more."""
    program = CODE / f"{name}.py"
    if name in NOT_FORKED:
        with run(str(program)) as process:
            try:
                out, err = process.communicate(timeout=DEADLINE)
            finally:
                process.kill()
        ran = Ran(process.returncode, out, err)
    else:
        ran = forked.run(program)
    assert ran.err == ""
    assert ran.status == 0
    assert ran.out == (CODE / f"{name}.out").read_text(encoding="utf-8")


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
        if file.is_file() and file.name != "ruff.toml":
            assert f"literalinclude:: deployment/{file.name}\n" in page


# Every block of code on a page is a file that is run, or run by one of the tests below.


def test_blocks_are_of_few_kinds() -> None:
    """Python on a page is a file; all blocks are marked as what they are."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert ">>>" not in text, page.name
        if page.suffix == ".rst":
            kinds = re.findall(
                r"^ *\.\. (?:code-block|code|sourcecode):: *(\S*)", text, re.MULTILINE
            )
            assert set(kinds) <= {"console", "text", "racket"}, page.name
        else:
            fences = re.findall(r"^```(.*)", text, re.MULTILINE)[::2]
            assert set(fences) <= ({"console", "python"} if page == README else {"console"})


def plain_blocks(page: str) -> Iterator[str]:
    """Those that are marked as text, or begin behind two colons."""
    for begin in re.finditer(
        r"^( *)(?:\.\. code-block:: text|(?!\.\. ).*::)\n\n", page, re.MULTILINE
    ):
        indent = begin[1] + "  "
        block: list[str] = []
        for line in page[begin.end() :].splitlines():
            if line.strip() and not line.startswith(indent):
                break
            block.append(line)
        yield textwrap.dedent("\n".join(block))


def test_short_python_runs() -> None:
    """What is no more than a setting, or two, may stand in such a block: it names what there is.

    What waits is no setting: it has to be a file.
    """
    found = 0
    for page in PAGES:
        for block in plain_blocks(page.read_text(encoding="utf-8")):
            found += 1
            try:
                code = compile(block, page.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            except SyntaxError:
                continue
            assert not code.co_flags & inspect.CO_COROUTINE, f"{page.name}: {block}"
            exec(code, {name: getattr(trio_draftws, name) for name in trio_draftws.__all__})
    assert found


def test_basics(tmp_path: Path) -> None:
    """The guides' first two programs talk to each other, and Ctrl-C ends the server in order."""
    with at_terminal(tmp_path) as terminal:
        follow(terminal, (DOCS / "basics.rst").read_text(encoding="utf-8"))
        assert terminal.stop() == 0
    assert len(terminal.typed) == 2


def test_readme_commands(tmp_path: Path) -> None:
    """All are typed but the installation and the two scripts, which are tests themselves."""
    left_out: list[str] = []
    with at_terminal(tmp_path) as terminal:
        for block in console_blocks(README.read_text(encoding="utf-8")):
            for command, shown in commands(block):
                if command.startswith(("pip ", "scripts/")):
                    left_out.append(command.partition("#")[0].strip())
                else:
                    terminal.type(command, shown)
    assert left_out == ["pip install trio_draftws", "scripts/demo", "scripts/test"]
    assert len(terminal.typed) == 3


@pytest.mark.parametrize("module", [trio_draftws, trio_draftws.anyio, trio_draftws.testing])
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
    """The client and the server of the README talk to each other."""
    text = README.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    # What starts them is left out, since the test picks the port and has a loop already.
    client_source, server_source = (
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


def test_readme_figures() -> None:
    """They are those of docs/benchmarks.json; `python -m docs.readme_figures` writes them."""
    text = README.read_text(encoding="utf-8")
    assert written(text) == text


# Links. Those within the pages are Sphinx's business, which knows them all.


def test_links_to_files() -> None:
    """Those of the Markdown pages lead to what is there."""
    found = 0
    for page in MARKDOWN:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
                found += 1
    assert found > 10


def test_links_to_the_world() -> None:
    """They are whole, secret on the way, and lead to somebody; `sphinx -b linkcheck` asks them."""
    found = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"<(https?:[^>]*)>`_|\]\((https?:[^)]*)\)", text):
            url = urlsplit("".join(link))
            assert url.scheme == "https", url.geturl()
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", url.netloc), url.geturl()
            assert not re.search(r"\s", url.geturl())
            found += 1
    assert found


def test_features_are_shown_by_tests() -> None:
    """Each test that the table of features names is there."""
    data = json.loads((DOCS / "features.json").read_text(encoding="utf-8"))
    rows = [row for section in data["sections"] for row in section["rows"]]
    named = [test for row in rows for test in row["tests"]]
    assert len(named) > 50
    assert [test for test in named if not is_there(test)] == []
    assert all(len(row["others"]) == len(data["peers"]) for row in rows)
    assert not is_there("tests/test_docs.py::test_that_nobody_wrote")
    assert not is_there("tests/test_nothing.py::test_features_are_shown_by_tests")


def test_where_to_put_what() -> None:
    """Every file and folder that CONTRIBUTING's table names is there."""
    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where to put what")[2].partition("\n## ")[0]
    named = [path for path in re.findall(r"`([^`]+/[^`]*)`", table) if "NAME" not in path]
    assert len(named) > 20
    assert [path for path in named if not (DOCS.parent / path).exists()] == []
