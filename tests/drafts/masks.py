"""Whether the parts in C were built, for tests that compare them with those in Python."""

from __future__ import annotations

import os
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import trio_draftws.drafts

_FOLDER = Path(trio_draftws.drafts.__file__).parent / "_framing"
IS_BUILT = any((_FOLDER / f"speedups{suffix}").exists() for suffix in EXTENSION_SUFFIXES)

# Where nobody looks at what was skipped, a build without C must not pass for one with it.
IS_DEMANDED = os.environ.get("REQUIRE_PEERS") == "1" or os.environ.get("CI") == "true"

needs_c = pytest.mark.skipif(
    not IS_BUILT and not IS_DEMANDED, reason="masking in C was not built: no compiler, no headers"
)
