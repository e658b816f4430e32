"""Tests use the public names, and few import what is private: each of these says why."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PRIVATE = re.compile(r"trio_draftws(\.\w+)*\._[a-z]")
# Each with what it tests that no public name gives
ALLOWED = {
    "drafts/test_compressor.py": "what is held back of a part, final blocks, what is left of them",
    "drafts/test_fast_path.py": "short messages in Python, and in C against it",
    "drafts/test_heads.py": "heads of requests in Python, and in C against it",
    "drafts/test_masking.py": "masks in Python, and in C against it; keys in store, and a fork",
    "drafts/test_payload.py": "payloads and UTF-8 in Python, and in C against it",
    "pairs.py": "a side whose program stands still, and bytes beneath a connection",
    "platforms/masks.py": "what is taken away from a system before the package looks for it",
    "test_cli_parts.py": "what no process of the command line can be made to read or to find",
    "test_fuzzing.py": "targets of the fuzzer: the parts they look into are broken on purpose",
    "test_poller.py": "an epoll that many share, a watch, timers: beneath any connection",
    "test_sender.py": "how often the system is asked to write, and what is copied for it",
    "test_streams.py": "a stream of TCP below any connection, with Trio's checks for streams",
}


def private_imports(source: str) -> Iterator[str]:
    """What a file imports of the package's private modules, or has pytest replace in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        else:
            continue
        yield from (name for name in names if PRIVATE.match(name))


def test_few_files_import_what_is_private() -> None:
    found = {
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*.py")
        # Not what tests/peers/install has installed
        if path != Path(__file__)
        and not any(part.startswith(".") for part in path.relative_to(HERE).parts)
        if any(private_imports(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED.keys()
    assert len(ALLOWED) < 13


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import trio_draftws._a", "trio_draftws._a"),
        ("from trio_draftws import _a", "trio_draftws._a"),
        ("from trio_draftws._a.b import c", "trio_draftws._a.b.c"),
        ("from trio_draftws.cli._a import B", "trio_draftws.cli._a.B"),
        ("from trio_draftws.drafts import Draft", None),
        ("import trio_draftws", None),
        ("patch('trio_draftws._a.b', 1)", "trio_draftws._a.b"),
    ],
)
def test_they_are_found(source: str, name: str | None) -> None:
    assert list(private_imports(source)) == ([] if name is None else [name])
