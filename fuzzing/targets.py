"""All targets, in the order in which they are told."""

from __future__ import annotations

from . import (
    frames,
    heads,
    lives,
    openings,
    parsers,
    payloads,
    short_io,
    talk,
    with_h11,
    with_wsproto,
    with_zlib,
)
from .oracle import Target

MODULES = (
    frames,
    short_io,
    payloads,
    talk,
    lives,
    openings,
    heads,
    parsers,
    with_wsproto,
    with_h11,
    with_zlib,
)
TARGETS: tuple[Target, ...] = tuple(target for module in MODULES for target in module.TARGETS)


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    for target in TARGETS:
        if target.name == name:
            return target
    raise ValueError(f"no target is named {name!r}; there are: {', '.join(names())}")


def names() -> list[str]:
    return [target.name for target in TARGETS]
