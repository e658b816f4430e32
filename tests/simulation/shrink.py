"""Makes a program smaller while it still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from .programs import Link, Program, Side
from .steps import Step

# So that a finding is told in a few seconds
MOST_RUNS = 200


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """The smallest program found that still `fails`."""
    runs = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(program):
            runs += 1
            if runs > MOST_RUNS:
                return program
            if fails(candidate):
                program = candidate
                smaller = True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    """Programs with a bit less in them, those with much less first."""
    links = program.links
    if len(links) > 1:
        for link in links:
            yield _with_links(program, (link,))
        for position in range(len(links)):
            yield _with_links(program, _without(links, position))
    if program.transport not in ("memory", "unix"):
        for transport in ("unix", "memory"):
            yield Program(transport, *links, until=program.until, scope=program.scope)
    for position, link in enumerate(links):
        for less in _smaller_link(link):
            yield _with_links(program, _replaced(links, position, less))
    if program.until > 10:
        until = _rounded(program.until / 2)
        yield Program(program.transport, *links, until=until, scope=program.scope)


def _with_links(program: Program, links: tuple[Link, ...]) -> Program:
    return Program(program.transport, *links, until=program.until, scope=program.scope)


def _smaller_link(link: Link) -> Iterator[Link]:
    for name in ("client", "server"):
        side: Side = getattr(link, name)
        for steps in _smaller_steps(side.steps):
            changes: dict[str, Any] = {name: type(side)(*steps)}
            yield attrs.evolve(link, **changes)
    if link.draft != "rfc6455":
        yield attrs.evolve(link, draft="rfc6455")


def _smaller_steps(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    if len(steps) > 2:
        yield steps[: len(steps) // 2]
        yield steps[len(steps) // 2 :]
    for position in range(len(steps)):
        yield _without(steps, position)
    for position, step in enumerate(steps):
        inner = tuple(_inside(step))
        if inner:
            yield steps[:position] + inner + steps[position + 1 :]
        for less in _smaller_step(step):
            yield _replaced(steps, position, less)


def _inside(step: Step) -> Iterator[Step]:
    for value in _fields(step).values():
        if isinstance(value, tuple):
            yield from value


def _smaller_step(step: Step) -> Iterator[Step]:
    for field in attrs.fields(type(step)):
        name, value = field.name, getattr(step, field.name)
        least = 1 if field.default is attrs.NOTHING else field.default
        if isinstance(value, tuple):
            for steps in _smaller_steps(value):
                if steps:
                    yield _changed(step, name, steps)
        elif isinstance(value, bool) or value is None:
            continue
        elif isinstance(value, int) and least is not None and value > least:
            for less in {least, max(least, value // 2)}:
                yield _changed(step, name, less)
        elif isinstance(value, float) and value != _rounded(value):
            yield _changed(step, name, _rounded(value))


def _fields(step: Step) -> dict[str, Any]:
    return {field.name: getattr(step, field.name) for field in attrs.fields(type(step))}


def _changed(step: Step, name: str, value: Any) -> Step:
    values = {**_fields(step), name: value}
    # Those that take any number of steps take them as they come.
    inner = values.pop("steps", ())
    return type(step)(*values.values(), *inner)


def _rounded(number: float) -> float:
    return float(f"{number:.2g}")


def _without(some: tuple[Any, ...], position: int) -> tuple[Any, ...]:
    return some[:position] + some[position + 1 :]


def _replaced(some: tuple[Any, ...], position: int, new: Any) -> tuple[Any, ...]:
    return (*some[:position], new, *some[position + 1 :])
