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
    "attacks/tls_records.py": "a stream of TLS below any connection, one record at a time",
    "test_at_sight.py": "that an opening is answered at sight, which only costs less",
    "test_bridge.py": "every close code in every draft, and a message of 100,000 parts",
    "test_cli_frames.py": "the reader of frames of `connect --verbose`, on bytes cut anywhere",
    "test_cli_parts.py": "what no process of the command line can be made to read or to find",
    "test_fuzzing.py": "targets of the fuzzer: the parts they look into are broken on purpose",
}
# To be made fewer, or to be given a reason above
LEFT = {
    "pairs.py",
    "test_bad_input.py",
    "test_broadcast.py",
    "test_connection.py",
    "test_instruments.py",
    "test_ping.py",
    "test_poller.py",
    "test_scope.py",
    "test_sender.py",
    "test_streams.py",
    "test_tls_stream.py",
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
    """Those of tests/drafts are of the sans-IO parts, and not counted."""
    found = {
        path.relative_to(HERE).as_posix()
        for path in HERE.rglob("*.py")
        if path != Path(__file__) and any(private_imports(path.read_text(encoding="utf-8")))
    }
    found = {name for name in found if not name.startswith("drafts/")}
    assert found - LEFT == ALLOWED.keys()
    assert len(ALLOWED) < 12


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
