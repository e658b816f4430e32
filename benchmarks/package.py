"""Which checkout's `trio_draftws` is measured: this one, or another to compare it with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent


@attrs.frozen
class Surroundings:
    """How to start a Python process, for `subprocess`."""

    cwd: str
    env: dict[str, str]


@contextmanager
def importing(checkout: Path) -> Iterator[Surroundings]:
    """Surroundings in which `python -m` imports the library of `checkout` and these benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        # With -m, the current directory comes first on sys.path; it holds nothing but the library.
        Path(folder, "trio_draftws").symlink_to(checkout.resolve() / "trio_draftws")
        yield Surroundings(folder, {**os.environ, "PYTHONPATH": str(ROOT)})


def has_c(checkout: Path) -> bool:
    """Whether its C part is built."""
    return any((checkout / "trio_draftws").rglob("*.so"))
