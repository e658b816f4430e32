"""Puts right what autodoc and napoleon make of some of our habits."""

from __future__ import annotations

import re
from typing import ForwardRef, is_typeddict

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

import trio_draftws
import trio_draftws.testing  # reads the annotations that are changed below
from trio_draftws._settings.keywords import type_alone


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
    return signature and _by_name(signature), returns and _by_name(returns)


def _by_name(signature: str) -> str:
    signature = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature)
    # Else Sphinx cannot read the signature, and links nothing in it.
    signature = re.sub(r"<function (\w+)>", r"\1", signature)
    # Aliases that are not public
    signature = re.sub(r"\bUnixPath\b", "str | bytes | os.PathLike", signature)
    return re.sub(r"\bBuffer\b", "bytes | bytearray | memoryview", signature)


def show_types_alone(app: object) -> None:
    """Shows `float` for a setting, instead of `Annotated[float, Default(…)]`."""
    for kind in filter(is_typeddict, map(trio_draftws.__dict__.get, trio_draftws.__all__)):
        for name, hint in kind.__annotations__.items():
            plain = _by_name(type_alone(hint))
            kind.__annotations__[name] = ForwardRef(plain, module=hint.__forward_module__)
    # A function that has those settings has them in its signature, as they are written. Its
    # annotations, for `typing.get_type_hints`, would take the place of that.
    for value in (*vars(trio_draftws).values(), *vars(trio_draftws.testing).values()):
        for function in (value, *(vars(value).values() if isinstance(value, type) else ())):
            if hasattr(function, "__signature__"):
                function.__annotations__ = {}


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("builder-inited", show_types_alone)
    app.connect("autodoc-process-docstring", keep_colon, priority=400)
    app.connect("autodoc-process-signature", name_aliases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
