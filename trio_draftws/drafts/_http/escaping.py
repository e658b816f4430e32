"""What a peer or a caller gave, escaped so that it can be shown in a message."""

from __future__ import annotations


def shown(raw: bytes) -> str:
    """`raw` for a message: escaped, and short."""
    text = raw.decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"


def shown_line(line: bytes) -> str:
    """A request line for a message: without its query, since that may hold a password."""
    before, mark, query = line.partition(b"?")
    behind = query[query.rfind(b" ") :] if b" " in query else b""
    return shown(before + mark + b"..." + behind if mark else line)


def escaped(text: str) -> str:
    """`text` for a message, with all in it that could move a terminal or end a line as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
