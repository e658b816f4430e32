"""The tests of a connection's life find what breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .protocol.mutants import MUTANTS

AT_ONCE = 11


@pytest.mark.parametrize("first", range(0, len(MUTANTS), AT_ONCE))
def test_they_are_found(first: int) -> None:
    """In processes of their own, of which coverage knows nothing."""
    names = [mutant.name for mutant in MUTANTS[first : first + AT_ONCE]]
    command = [sys.executable, "-m", "tests.drafts.protocol.mutants", *names]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [name for name in names if f"\n{name}: " not in f"\n{done.stdout}"] == []
