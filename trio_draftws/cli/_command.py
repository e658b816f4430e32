"""What a subcommand is."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

import attrs


@attrs.frozen(kw_only=True)
class Command:
    """A subcommand of `trio-draftws`."""

    name: str
    help: str
    """One line for the list of commands."""
    description: str
    """What its own `--help` begins with."""
    add_options: Callable[[argparse.ArgumentParser], None]
    """Adds its options to its parser."""
    run: Callable[..., Awaitable[int]]
    """Called in Trio with the parsed options as keyword arguments; returns the exit status."""
