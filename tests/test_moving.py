"""The pages for those who come from other libraries: every name has its line, and what they say to
write instead is there.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

import trio_draftws

from .newcomer import DOCS
from .peers.catalogue import HERE, SERVERS, require

LIBRARIES = ("trio-websocket", "websockets")
PUBLIC = {name: getattr(trio_draftws, name) for name in trio_draftws.__all__}
# What the pages call an object of each
OWNERS = {"connection": "Connection", "server": "Server", "request": "Request"}


def page_of(library: str) -> str:
    return (DOCS / f"coming-from-{library}.rst").read_text(encoding="utf-8")


def rows(page: str) -> Iterator[tuple[list[str], list[str]]]:
    """What is written as code in the two columns of each row of the tables."""
    found = re.findall(
        r"^   \* - (.*?)\n     - (.*?)(?=\n   \* - |\n\n|\Z)", page, re.MULTILINE | re.DOTALL
    )
    for left, right in found:
        code = [re.sub(r"\s+", " ", cell) for cell in (left, right)]
        # A reference has its target behind what it shows.
        before, after = (
            re.findall(r"(?:``|:\w+:`~?)(.*?)(?: <[\w.]+>)?``?", cell) for cell in code
        )
        yield before, after


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_name_has_its_line(library: str) -> None:
    """The page has all that the library exports, with members, attributes and arguments."""
    [peer] = [peer for peer in SERVERS if peer.name == library]
    require(peer)
    command = [peer.command[0], str(HERE / "python_names.py"), library]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names: dict[str, list[str]] = json.loads(told)
    assert "handler" in names["serve" if library == "websockets" else "serve_websocket"]
    on_page = {
        word
        for before, _ in rows(page_of(library))
        for code in before
        for word in re.findall(r"\w+", code)
    }
    assert len(names) > 15
    missing = {
        name: [part for part in (name, *parts) if part not in on_page]
        for name, parts in names.items()
    }
    assert {name: parts for name, parts in missing.items() if parts} == {}


def arguments(value: Any) -> set[str]:
    try:
        return {*inspect.signature(value).parameters}
    except (TypeError, ValueError):
        return set()


def settings_and_arguments() -> set[str]:
    """Whatever may stand before a `=` in a call of something public."""
    found: set[str] = set()
    for value in PUBLIC.values():
        found |= arguments(value)
        if inspect.isclass(value):
            found |= {*getattr(value, "__annotations__", ())}
            for name, member in inspect.getmembers(value):
                if not name.startswith("_"):
                    found |= arguments(member)
    return found


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_to_write_is_there(library: str) -> None:
    """Each argument in the right column is one, and each member of a connection and so on."""
    known = settings_and_arguments()
    wrong: list[str] = []
    checked = 0
    for _, after in rows(page_of(library)):
        for code in after:
            for name in re.findall(r"\b([a-z]\w*)=(?!=)", code):
                checked += 1
                wrong += [code] * (name not in known)
            for owner, name in re.findall(r"\b(connection|server|request)\.([a-z]\w*)", code):
                checked += 1
                wrong += [code] * (not hasattr(PUBLIC[OWNERS[owner]], name))
    assert wrong == []
    assert checked > 40


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_ten_commonest_calls(library: str) -> None:
    """Both columns are Python; the right one calls what is there, with arguments that it takes."""
    table = page_of(library).partition("The ten commonest calls\n")[2].partition("\n\n   * -")[2]
    calls = list(rows("   * -" + table.partition("\n\n")[0] + "\n"))[1:]
    assert len(calls) == 10
    for before, after in calls:
        assert len(before) == len(after) == 1
        for code in (*before, *after):
            parsed(code)
        for node in ast.walk(parsed(after[0])):
            if isinstance(node, ast.Call):
                check_call(node)


def parsed(code: str) -> ast.AST:
    if code.startswith("except"):
        code = f"try: ...\n{code}"
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(code + " ..." * code.endswith(":"), "<page>", "exec", flags)
    assert isinstance(tree, ast.Module)
    return tree


def check_call(node: ast.Call) -> None:
    """What is called is public, and takes these arguments."""
    called, given = node.func, node.args
    if ast.unparse(called) in ("partial", "nursery.start"):
        called, *given = node.args
        if isinstance(called, ast.Call):
            return
    if isinstance(called, ast.Attribute):
        assert isinstance(called.value, ast.Name)
        function = getattr(PUBLIC[OWNERS[called.value.id]], called.attr)
        given = [called.value, *given]
    else:
        function = PUBLIC[ast.unparse(called)]
    inspect.signature(function).bind(*given, **{str(word.arg): 0 for word in node.keywords})
