"""The life of a connection: two protocol objects and a wire, whatever is done in whatever order.

The steps, and what must hold behind each of them, are those of tests/drafts/protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.drafts.protocol.chances import NAMES, STEPS, TIMES, WIRES
from tests.drafts.protocol.life import ROUGH, Life
from tests.drafts.protocol.sides import Times
from trio_draftws.drafts import DRAFTS

from .oracle import Choices, Target

MAX_STEPS = 200
SETTINGS = 1 + len(TIMES) + len(WIRES) + 1


def check(data: bytes) -> None:
    """Lives a life, and ends it; a promise that is broken is raised."""
    choices = Choices(data)
    draft = choices.pick(DRAFTS)
    times = Times(**{name: choices.pick(values) for name, values in TIMES.items()})
    wire: dict[str, Any] = {name: choices.pick(values) for name, values in WIRES.items()}
    # Each bit is one way to be rough.
    bits = choices.byte()
    rough = frozenset(way for place, way in enumerate(ROUGH) if bits >> place & 1)
    life = Life(draft, times, rough, **wire)
    for _ in range(min(MAX_STEPS, len(choices.rest) // 2)):
        life.do(choices.pick(STEPS[choices.pick(NAMES)]))
    life.finish()


def seeds() -> Iterator[bytes]:
    """Each draft, with each step twice."""
    steps = b"".join(bytes([place, 0]) for place in range(len(NAMES)))
    for place in range(len(DRAFTS)):
        yield bytes([place]) + bytes(SETTINGS - 1) + steps * 2


TARGETS = (Target("life", "two protocol objects and a wire, step by step", check, seeds),)
