"""What compresses and inflates, for tests that try each: isal where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from .masks import IS_DEMANDED

needs_isal = pytest.mark.skipif(
    find_spec("isal") is None and not IS_DEMANDED,
    reason="isal is not installed: pip install 'trio_draftws[speed]'",
)
ISAL = pytest.param("isal", marks=needs_isal)
each_backend = pytest.mark.parametrize("backend", ["zlib", ISAL])
# What compresses at one end, and what inflates at the other
each_two = pytest.mark.parametrize(
    ("backend", "inflate_backend"),
    [
        ("zlib", "zlib"),
        pytest.param("zlib", "isal", marks=needs_isal),
        pytest.param("isal", "zlib", marks=needs_isal),
        pytest.param("isal", "isal", marks=needs_isal),
    ],
)
