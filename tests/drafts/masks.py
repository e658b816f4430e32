"""Both ways to mask, for the tests of masking."""

from __future__ import annotations

import os

import pytest

from trio_draftws.drafts import Buffer
from trio_draftws.drafts._framing import masking as _masking

try:
    from trio_draftws.drafts._framing import speedups
except ImportError:
    IS_BUILT = False
else:
    IS_BUILT = True

# Where nobody looks at what was skipped, a build without C must not pass for one with it.
IS_DEMANDED = os.environ.get("REQUIRE_PEERS") == "1" or os.environ.get("CI") == "true"

needs_c = pytest.mark.skipif(
    not IS_BUILT and not IS_DEMANDED, reason="masking in C was not built: no compiler, no headers"
)


def in_c(payload: Buffer, key: bytes, offset: int = 0, /) -> bytes:
    """As `speedups.apply_mask`; an error where that was not built."""
    return speedups.apply_mask(payload, key, offset)


both_ways = pytest.mark.parametrize(
    "apply_mask",
    [
        pytest.param(_masking.apply_mask_in_python, id="in Python"),
        pytest.param(in_c, id="in C", marks=needs_c),
    ],
)
