"""Writes JSON that reads like a table, so that a change of one row is a change of one line."""

from __future__ import annotations

import json
from typing import Any


def one_line_each(data: dict[str, Any] | list[Any], *spread_out: str) -> str:
    """JSON with one line for each key, or each element of a list.

    The values of the keys in `spread_out` get a line for each of their own keys or elements.
    """
    return _lines(data, "", spread_out) + "\n"


def _lines(data: Any, indent: str, spread_out: tuple[str, ...]) -> str:
    inner = indent + " "
    if isinstance(data, list):
        lines = [inner + _line(value) for value in data]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    lines = [
        f"{inner}{_line(key)}: "
        + (_lines(value, inner, ()) if key in spread_out and value else _line(value))
        for key, value in data.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
