"""Puts right what autodoc and napoleon make of some of our habits."""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata


def keep_colon(
    app: object, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Saves "A: B" in an attribute's first line, of which napoleon would make "B, of type A"."""
    if what in ("attribute", "data", "property") and lines and ":" in lines[0]:
        # napoleon looks at the first line only, so give it an empty comment to look at.
        lines[:0] = ["..", ""]


def name_aliases(
    app: object,
    what: str,
    name: str,
    obj: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Writes aliases and functions by their names, where autodoc shows objects of its own."""
    return _by_name(signature), _by_name(returns)


def _by_name(signature: str | None) -> str | None:
    if signature is None:
        return None
    signature = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature)
    # Else Sphinx cannot read the signature, and links nothing in it.
    signature = re.sub(r"<function (\w+)>", r"\1", signature)
    # An alias that is not public, in a class that cannot be evaluated
    return re.sub(r"\bBuffer\b", "bytes | bytearray | memoryview", signature)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_colon, priority=400)
    app.connect("autodoc-process-signature", name_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
