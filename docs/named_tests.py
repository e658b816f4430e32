"""Whether a test that the documentation names is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def is_there(test: str) -> bool:
    """Whether there is a test of that name, as `tests/test_it.py::test_that`."""
    path, _, name = test.partition("::")
    file = PROJECT / path
    return file.is_file() and name in _tests_in(file)


@lru_cache
def _tests_in(file: Path) -> frozenset[str]:
    """The names of a file's tests, as pytest has them."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{name}" for name in _functions(node.body)}
        names |= set(_functions([node]))
    return frozenset(names)


def _functions(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[:5] == "test_":
            yield node.name
