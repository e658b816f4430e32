"""Keyword arguments that several public functions share.

Each is one entry of a `TypedDict`, with its type, its default and its description; a function takes
them as `**settings: Unpack[ThatDict]`. So type checkers and editors know them, `help` and `inspect`
show them, and a new one is one entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs

F = TypeVar("F", bound=Callable[..., object])
D = TypeVar("D", bound=Mapping[str, Any])


@attrs.frozen
class Default:
    """What a setting is where it is not given, and how it is checked where it is."""

    value: object
    check: Callable[[str, Any], object] | None = None
    """Called with the setting's name and the value; raises TypeError or ValueError."""


@cache
def defaults_of(kind: type) -> dict[str, Default]:
    """The settings of a `TypedDict`, those that it inherits first."""
    found: dict[str, Default] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        assert get_origin(hint) is Annotated, name
        found[name] = next(extra for extra in get_args(hint) if isinstance(extra, Default))
    return found


def with_defaults(kind: type[D], given: Mapping[str, Any], function: str) -> D:
    """All settings of that kind: those given, checked, and the defaults of the others.

    Args:
        kind: a `TypedDict`, each of whose entries is `Annotated` with a `Default`.
        given: the keyword arguments of the public function named `function`.

    Raises:
        TypeError: there is no such setting, or a value is of another kind.
        ValueError: a value is out of range.
    """
    defaults = defaults_of(kind)
    for name in given:
        if name not in defaults:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    settings = {name: default.value for name, default in defaults.items()}
    settings.update(given)
    for name in given:
        check = defaults[name].check
        if check is not None:
            check(name, given[name])
    return cast("D", settings)


def expand_signature(kind: type) -> Callable[[F], F]:
    """For a function that takes the settings of that kind: gives it the signature that it would
    have if each stood there by itself.
    """

    def with_signature(function: F) -> F:
        plain = inspect.signature(function)
        named = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
        hints = kind.__annotations__
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default.value, annotation=hints[name]
            )
            for name, default in defaults_of(kind).items()
        ]
        signature = plain.replace(parameters=[*named, *added])
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return with_signature
