"""Commands that pages show: the program is there, and knows its options.

Those that are short are typed by test_docs.py and test_tutorial.py, too.
"""

from __future__ import annotations

import itertools
import os
import shlex
from pathlib import Path

import pytest

from trio_draftws.cli import main

from .newcomer import DOCS, commands, console_blocks
from .rows import each_row
from .test_docs import PAGES

PROJECT = DOCS.parent
# Where the programs of the pages are
PLACES = (PROJECT, DOCS / "code", *(DOCS / "code/tutorial").glob("step_*"))
OTHERS_TOOLS = {
    *("cat", "cd", "curl", "echo", "git", "pip", "printf", "redis-server", "towncrier"),
}
OTHERS_MODULES = {"build", "pip", "pytest", "sphinx", "trustme", "twine", "venv"}

SHOWN = sorted(
    {
        (page.name, command)
        for page in PAGES
        for block in console_blocks(page.read_text(encoding="utf-8"))
        for command, _ in commands(block)
    }
)


def sources(program: Path) -> str:
    """Where a script's options may stand: in the folder beside it."""
    folders = [program.parent]
    if program.name == "test":
        # It hands them on to pytest, which has some of ours.
        folders += [PROJECT / "tests/peers", PROJECT / "tests/attacks"]
    files = [file for folder in folders for file in folder.iterdir() if file.is_file()]
    return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def known_to(words: list[str], capsys: pytest.CaptureFixture[str]) -> str | None:
    """What tells of the options that a command has; None where it is somebody else's."""
    program, *arguments = itertools.dropwhile(lambda word: "=" in word, words)
    if Path(program).name == "python":
        if arguments[0] == "-c":
            compile(arguments[1], "<shown>", "exec")
            return None
        if arguments[0] != "-m":
            assert any((place / arguments[0]).is_file() for place in PLACES)
            return None
        if arguments[1] == "trio_draftws":
            program, *arguments = "trio-draftws", *arguments[2:]
        elif arguments[1] in OTHERS_MODULES:
            return None
        else:
            module = PROJECT / arguments[1].replace(".", "/")
            file = module / "__main__.py" if module.is_dir() else module.with_suffix(".py")
            return file.read_text(encoding="utf-8")
    if program == "trio-draftws":
        with pytest.raises(SystemExit):
            main([arguments[0], "--help"])
        return capsys.readouterr().out
    if program in OTHERS_TOOLS or Path(program).name == "pip":
        return None
    assert os.access(PROJECT / program, os.X_OK)
    return sources(PROJECT / program)


@each_row("page, command", SHOWN)
def test_command(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "|"]:
        if word not in ("|", "&"):
            words.append(word)
        elif words:
            known = known_to(words, capsys)
            for option in words:
                if option.startswith("--") and known is not None:
                    assert option.partition("=")[0] in known
            words = []


def test_there_are_some() -> None:
    assert len(SHOWN) > 30
    assert len({page for page, _ in SHOWN}) > 8
