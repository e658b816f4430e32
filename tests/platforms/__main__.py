"""See the package's docstring."""

from __future__ import annotations

import sys

from .masks import MASKS, apply

if len(sys.argv) < 2 or sys.argv[1] not in MASKS:
    names = "|".join(MASKS)
    raise SystemExit(f"usage: python -m tests.platforms {names} [--quick] [arguments of pytest]")
apply(sys.argv[1])

import pytest  # noqa: E402

from .chosen import FILES, QUICK, arguments  # noqa: E402

more = sys.argv[2:]
quick = more[:1] == ["--quick"]
raise SystemExit(
    pytest.main([*arguments(sys.argv[1], QUICK if quick else FILES), *more[1 if quick else 0 :]])
)
