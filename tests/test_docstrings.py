"""What an async call does to the scheduler, and what cancelling it does, is in its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import FunctionType, ModuleType

import trio_draftws
import trio_draftws.testing

from .rows import each_row

# "A checkpoint", "a cancellation point", "a schedule point"; "cancelling it", "if it is cancelled"
SCHEDULING = ("checkpoint", "schedule point")
CANCELLING = ("cancel",)


def is_async(function: FunctionType) -> bool:
    """Also a context manager's, which `asynccontextmanager` has made of an async generator."""
    inner = inspect.unwrap(function)
    return inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)


def async_calls(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """The public ones, with methods that a class inherits from another of ours."""
    for name in module.__all__:
        thing = getattr(module, name)
        members = [(name, thing)]
        if inspect.isclass(thing):
            members = [
                (f"{name}.{member}", function)
                for member, function in inspect.getmembers(thing, inspect.isfunction)
                if not member.startswith("_") and function.__module__.startswith("trio_draftws")
            ]
        for called, function in members:
            if isinstance(function, FunctionType) and is_async(function):
                yield called, function


CALLS = dict([*async_calls(trio_draftws), *async_calls(trio_draftws.testing)])


def test_they_are_found() -> None:
    """Functions, methods, and context managers of both kinds."""
    assert {
        "open_websocket",
        "wait_any",
        "Connection.send",
        "Connection.receive_stream",
        "Server.aclose",
        "TextChannel.send",
        "FaultyStream.receive_some",
    } <= set(CALLS)


def classes_of(name: str) -> list[type]:
    """The class whose method that is, and ours that it inherits from."""
    owner, _, method = name.partition(".")
    if not method:
        return []
    cls = next(
        getattr(module, owner)
        for module in (trio_draftws, trio_draftws.testing)
        if hasattr(module, owner)
    )
    return [base for base in cls.__mro__ if base.__module__.startswith("trio_draftws")]


@each_row("name", CALLS)
def test_what_it_does_to_the_scheduler(name: str) -> None:
    """Whether it is a checkpoint, and what is true when it was cancelled.

    A class may say so for all of its methods.
    """
    said = " ".join((inspect.getdoc(thing) or "") for thing in (CALLS[name], *classes_of(name)))
    said = " ".join(said.lower().split())
    # What is as another is described there.
    if same := re.match(r"(?:As|[^.]*\blike) `([\w.]+)`", inspect.getdoc(CALLS[name]) or ""):
        assert same[1] in CALLS or same[1].startswith("trio.")
        return
    assert any(word in said for word in SCHEDULING), f"{name} does not say if it is a checkpoint"
    assert any(word in said for word in CANCELLING), f"{name} does not say what cancelling does"
