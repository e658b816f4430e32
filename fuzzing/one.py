"""One target under libFuzzer: python -m fuzzing.one TARGET [what libFuzzer takes]."""

from __future__ import annotations

import sys

import atheris

# What is imported here tells libFuzzer which ways were taken.
with atheris.instrument_imports(include=["trio_draftws"], enable_loader_override=False):
    from .targets import target_named


def main() -> None:
    program, name, *options = sys.argv
    atheris.Setup([program, *options], target_named(name).check, enable_python_coverage=True)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
