"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import trio_draftws

sys.path.insert(0, str(Path(__file__).parent))
# For the benchmarks, the fuzzer and `soak`, which know how their results read
sys.path.append(str(Path(__file__).parent.parent))

# Sphinx sets TYPE_CHECKING while it imports what was not imported before; but here a public name is
# loaded when it is used, and settings say to type checkers less than to a reader.
for name in trio_draftws.__all__:
    getattr(trio_draftws, name)

project = "trio_draftws"
author = "trio_draftws contributors"
copyright = author  # noqa: A001 - Sphinx wants this name
version = release = installed_version("trio_draftws")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib_trio",
    "attacks_table",
    "benchmarks_table",
    "closes_table",
    "drafts_table",
    "features_table",
    "fuzzing_table",
    "history_table",
    "other_names",
    "peers_table",
    "soak_table",
    "tidy_docstrings",
]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore = [
    ("py:exc", "BadHead"),  # what only this library raises and catches
    # Stand for any type
    ("py:class", "trio_draftws._server.routing.V"),
    ("py:class", "trio_draftws._connection.info.State"),
    ("py:class", "State"),
]
default_role = "code"
highlight_language = "python"

html_theme = "furo"
html_title = "trio_draftws"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
# Names, as a reader would write them, instead of what they stand for
autodoc_type_aliases = {
    name: name
    for name in (
        "AnswerHook",
        "BinaryPolicy",
        "ConnHeaders",
        "DraftName",
        "FlashPolicy",
        "HTTPHandler",
        "Handler",
        "HeaderFields",
        "HeadersFunction",
        "OriginPolicy",
        "PasswordCheck",
        "StreamFactory",
        "TrustedProxies",
        "SubprotocolSelector",
    )
}
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
