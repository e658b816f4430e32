"""Escapes what a peer or a caller gave, so that it can be shown in a message."""

from __future__ import annotations


def shown(raw: bytes) -> str:
    """Returns `raw` for a message: escaped, in backticks, at most 80 characters."""
    text = raw.decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"


def shown_line(line: bytes) -> str:
    """Returns a request line for a message, without its query, which may hold a password."""
    before, mark, query = line.partition(b"?")
    behind = query[query.rfind(b" ") :] if b" " in query else b""
    return shown(before + mark + b"..." + behind if mark else line)


def escaped(text: str) -> str:
    """Returns `text` for a message; escapes what could end a line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
