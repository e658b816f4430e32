"""See the package's docstring."""

from __future__ import annotations

import sys

from .masks import MASKS, apply

if len(sys.argv) < 2 or sys.argv[1] not in ("here", *MASKS):
    names = "|".join(["here", *MASKS])
    raise SystemExit(f"usage: python -m tests.platforms {names} [--quick] [arguments of pytest]")
if sys.argv[1] != "here":
    apply(sys.argv[1])

import pytest

from .chosen import FILES, HERE, QUICK, arguments

mask, more = HERE if sys.argv[1] == "here" else sys.argv[1], sys.argv[2:]
quick = more[:1] == ["--quick"]
raise SystemExit(
    pytest.main([*arguments(mask, QUICK if quick else FILES), *more[1 if quick else 0 :]])
)
