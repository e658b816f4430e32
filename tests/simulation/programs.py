"""A program: who is connected with whom, over what, and what each side does."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from . import steps
from .steps import Step


@attrs.frozen(repr=False, init=False)
class Side:
    """What one side of a connection does, and who it is."""

    steps: tuple[Step, ...]

    def __init__(self, *steps: Step) -> None:
        self.__attrs_init__(steps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.steps))})"

    def all_steps(self) -> Iterator[Step]:
        """Its steps, and those inside them."""
        for step in self.steps:
            yield step
            yield from step.inner()


class Library(Side):
    """Our library, with a program of somebody who uses it."""


class Raw(Side):
    """A peer by hand; when its steps are done it reads and answers until its stream ends."""


@attrs.frozen(repr=False)
class Link:
    """One connection: at least one of its sides is our library."""

    draft: str
    client: Side
    server: Side

    def __repr__(self) -> str:
        return f"Link({self.draft!r},\n  client={self.client!r},\n  server={self.server!r})"


TRANSPORTS = ("memory", "pieces", "lockstep", "unix", "tcp", "tls")
"""`pieces` is memory that gives and takes little at a time; `unix` is a socket pair, on which bytes
never are on their way; `tls` runs over that."""


@attrs.frozen(repr=False, init=False)
class Program:
    """A world to run: `Program("unix", Link(...), until=60)`."""

    transport: str
    links: tuple[Link, ...]
    until: float
    """When all that still goes on is cancelled."""
    scope: str
    """Whether those of our servers are one `serve_websocket`, or each an `accept`."""

    def __init__(
        self, transport: str, *links: Link, until: float = 600, scope: str = "serve"
    ) -> None:
        self.__attrs_init__(transport, links, until, scope)

    def __repr__(self) -> str:
        links = "".join(f"\n{link!r},".replace("\n", "\n  ") for link in self.links)
        return f"Program({self.transport!r},{links}\n  until={self.until!r}, scope={self.scope!r})"


STEPS = {
    name: value
    for name, value in vars(steps).items()
    if isinstance(value, type) and issubclass(value, Step) and value is not Step
}
"""All there are, by name."""


def parse(text: str) -> Program:
    """The program that this text, the repr of one, stands for."""
    sides = {"Program": Program, "Link": Link, "Library": Library, "Raw": Raw}
    program = eval(text, {"__builtins__": {}}, {**STEPS, **sides})
    if not isinstance(program, Program):
        raise TypeError(f"this is no program: {text!r}")
    return program
