"""Heads of requests and responses alike: finding the end, splitting, writing.

The parser is our own, because hixie-75 fixes the order of fields, and hixie-76 has keys that may
begin or end in spaces that count, and bodies that no Content-Length announces. A head is kept as
the bytes that came and parsed on demand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .escaping import shown
from .headers import NOT_IN_VALUE, TOKEN, Headers

MAX_FIELDS = 100
# RFC 9112 section 3: at least 8000 bytes
MAX_LINE = 8192

# What ends a name, even one with invalid characters
_NO_NAME = re.compile(rb"[:= \t]")


class BadHead(Exception):
    """A head is not valid HTTP/1; `status` is what a server answers."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason


def find_head_end(buffer: bytearray, searched: int) -> int:
    """Returns where the head in `buffer` ends, after its blank line; -1 if it is incomplete.

    The first `searched` bytes are not searched again, so a head that comes byte by byte costs no
    more than one that comes at once.
    """
    found = buffer.find(b"\r\n\r\n", max(0, searched - 3))
    return found + 4 if found >= 0 else -1


def line_too_long(limit: float) -> BadHead:
    """Returns the error for a first line of more than `limit` bytes."""
    return BadHead(f"the first line is longer than {limit} bytes", 414)


def may_begin_head(buffer: bytearray) -> bool:
    """Whether a head can begin like this: a method and a status line begin with a token."""
    return TOKEN.match(buffer, 0, 1) is not None


def split_head(head: bytes) -> tuple[bytes, list[bytes]]:
    """Splits a whole head, its blank line included, into its first line and the others."""
    line, *rest = head[:-4].split(b"\r\n")
    return line, rest


def parse_fields(lines: list[bytes]) -> Headers:
    """Parses the lines of fields, one field a line.

    Raises:
        BadHead: a line is not a field, or there are more than `MAX_FIELDS`.
    """
    if len(lines) > MAX_FIELDS:
        raise BadHead(f"the head has {len(lines)} fields, more than {MAX_FIELDS}", 431)
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line.startswith((b" ", b"\t")):
            # RFC 9112 section 5.2: a server refuses it; a client has joined such lines beforehand.
            raise BadHead("a field goes on in a further line, which HTTP no longer has")
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.fullmatch(name):
            # The line may hold a password all the same, so only what could be a name is shown.
            begin = _NO_NAME.split(line, maxsplit=1)[0]
            raise BadHead(f"expected a field as `Name: value`, got {shown(begin)}")
        # hixie-76 section 4.1: at most one space is removed, all others belong to the value
        if value.startswith(b" "):
            value = value[1:]
        if NOT_IN_VALUE.search(value):
            raise BadHead(f"the field {shown(name)} has a control character in its value")
        fields.append((name, value))
    return Headers(fields)


def write_head(line: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns a head: `line`, each field on a line of its own, and the blank line."""
    lines = [line, *(b"%b: %b" % field for field in fields), b"", b""]
    return b"\r\n".join(lines)
