"""Parses the head of a request.

Heads as today's clients send them are parsed in C (`speedups.c`) if that was built, unless the
environment has TRIO_DRAFTWS_PURE_PYTHON=1. Anything unusual is parsed here, where errors are
explained.
"""

from __future__ import annotations

import os
import re

from .escaping import shown_line
from .head import MAX_LINE, BadHead, line_too_long, parse_fields, split_head
from .headers import TOKEN, Headers

_NOT_IN_TARGET = re.compile(rb"[\x00-\x1f\x7f]")
_VERSION = re.compile(rb"HTTP/1\.\d")


def split_request_in_python(
    head: bytes, /
) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], dict[str, list[bytes]]] | None:
    """The stand-in for the function in C: returns None, so that the head is parsed in Python.

    In C it returns the line, the fields, and the values of each name in lower case.
    """
    return None


split_request = split_request_in_python
if os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":  # pragma: no branch
    try:
        from .speedups import split_request as split_request
    except ImportError:  # pragma: no cover
        pass  # not built


def parse_request_head(head: bytes) -> tuple[bytes, Headers]:
    """Parses a request's whole head, its blank line included, into its line and its fields.

    Raises:
        BadHead: it is not an HTTP/1 request.
    """
    split = split_request(head)
    if split is not None:
        line, raw, values = split
        return line, Headers(raw, values)
    return parse_request_head_in_python(head)


def parse_request_head_in_python(head: bytes) -> tuple[bytes, Headers]:
    """Like `parse_request_head`, without the code in C."""
    line, fields = split_head(head)
    headers = parse_fields(fields)
    if len(line) > MAX_LINE:
        raise line_too_long(MAX_LINE)
    parts = line.split(b" ")
    if (
        len(parts) < 3
        or not any(parts[1:-1])
        or not TOKEN.fullmatch(parts[0])
        or _NOT_IN_TARGET.search(line)
    ):
        raise BadHead(f"expected a request line as `GET /path HTTP/1.1`, got {shown_line(line)}")
    if not _VERSION.fullmatch(parts[-1]):
        raise BadHead(f"expected HTTP/1.1, got {shown_line(parts[-1])}", 505)
    return line, headers
