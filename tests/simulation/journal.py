"""What a side did and saw, and when: all that the invariants look at."""

from __future__ import annotations

import random
import re
import string
from typing import Any, Protocol

import attrs
import trio
import trio.testing

from trio_draftws import Server

from .steps import Sleep, Step

_HEAD = re.compile(r"([a-z])([0-9]+):")
# What cannot be compressed to nothing, and the same in every run
_NOISE = "".join(random.Random(0).choices(string.ascii_letters, k=50_000))


# What an unread message takes beside its bytes
OBJECT = 150


def message(branch: str, number: int, size: int) -> str:
    """The text of a message: whose it is, its number, and then noise."""
    head = f"{branch}{number}:"
    length = size - len(head)
    return head + (_NOISE * (length // len(_NOISE) + 1))[: max(0, length)]


@attrs.define
class Sent:
    """A message that a side set out to send."""

    branch: str
    """Which of its side's tasks sent it."""
    number: int
    size: int
    begun: float
    outcome: str = "under way"
    """`returned`, `cancelled`, `failed`, or `cut`: begun, and never to end."""
    at: float = 0
    """When it came to that."""

    @property
    def text(self) -> str:
        return message(self.branch, self.number, self.size)


@attrs.frozen
class Got:
    """A message that a side was given."""

    text: str
    at: float
    since: float
    """When it began to wait for it."""
    whole: bool = True
    """False where it left the message before its end, or was not given that."""
    key: tuple[str, int] | None = attrs.field(init=False)
    """Which message it is; None where it cannot be told."""

    @key.default
    def _find_key(self) -> tuple[str, int] | None:
        match = _HEAD.match(self.text)
        return (match[1], int(match[2])) if match else None


@attrs.frozen
class Refused:
    """What was raised in place of sending something."""

    at: float
    error: Exception
    looked: bool
    """Whether it had looked for more since it last took a message: then it may have found the
    peer's goodbye."""


@attrs.frozen
class Done:
    """A step that was done, or in which a side was stopped."""

    step: Step
    since: float
    until: float


@attrs.frozen
class Finding:
    """Something that must hold and did not."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


class Surroundings(Protocol):
    """What sides, and those who look at them, know of their world."""

    clock: trio.testing.MockClock
    stalls: list[tuple[float, float]]
    """From when to when the process stood still."""
    ending: float
    """When all that still went on was cancelled."""
    server: Server | None

    def later(self, since: float, seconds: float) -> float:
        """So many seconds after `since`, not counting those in which the process stood still."""
        ...

    def found(self, invariant: str, text: str) -> None:
        """Notes that something that must hold did not."""
        ...

    def progress(self) -> None:
        """Says that a program got on, so that this pass of the scheduler was not for nothing."""
        ...

    def stalled(self, since: float, until: float) -> float:
        """How many seconds of those the process stood still."""
        ...


@attrs.define(eq=False)
class Journal:
    """Of one side of one connection."""

    name: str
    transport: str
    world: Surroundings
    sent: list[Sent] = attrs.field(factory=list)
    got: list[Got] = attrs.field(factory=list)
    done: list[Done] = attrs.field(factory=list)
    doing: Step | None = None
    since: float = 0
    _numbers: dict[str, int] = attrs.field(factory=dict)

    def __repr__(self) -> str:
        return self.name

    def new_message(self, branch: str, size: int) -> Sent:
        number = self._numbers[branch] = self._numbers.get(branch, 0) + 1
        size = max(size, len(message(branch, number, 0)))
        sent = Sent(branch, number, size, trio.current_time())
        self.sent.append(sent)
        return sent

    def begin(self, step: Step) -> None:
        self.doing, self.since = step, trio.current_time()
        self.world.progress()

    def end(self, step: Step, since: float) -> None:
        self.done.append(Done(step, since, trio.current_time()))
        self.doing = None
        self.world.progress()

    def slept(self, since: float, until: float) -> bool:
        """Whether it did nothing but one sleep all that time."""
        if isinstance(self.doing, Sleep) and self.since <= since:
            return True
        return any(
            isinstance(done.step, Sleep) and done.since <= since and done.until >= until
            for done in reversed(self.done)
        )


def settle(sent: Sent, outcome: str) -> None:
    sent.outcome, sent.at = outcome, trio.current_time()


def explain(error: BaseException) -> str:
    """An error with its causes, and where it was raised."""
    told: list[str] = []
    current: Any = error
    while current is not None and len(told) < 6:
        place = ""
        trace = current.__traceback__
        while trace is not None:
            place = f" at {trace.tb_frame.f_code.co_filename.split('/')[-1]}:{trace.tb_lineno}"
            trace = trace.tb_next
        told.append(f"{current!r}{place}")
        inner = getattr(current, "exceptions", None)
        current = inner[0] if inner else current.__cause__
    return " <- ".join(told)
