"""Names of other packages in the reference, as `trio.abc.Stream`: they have to exist."""

from __future__ import annotations

import pkgutil

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.typing import ExtensionMetadata

# Shown in signatures, for those who write drafts and not for callers
INTERNAL = "trio_draftws.drafts."


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> nodes.TextElement | None:
    """Shows the name without a link, if it is that of something; else Sphinx complains."""
    target = str(node.get("reftarget", ""))
    package = target.partition(".")[0]
    if package == target or (package == "trio_draftws" and not target.startswith(INTERNAL)):
        return None
    try:
        pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError):
        return None
    return contnode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
