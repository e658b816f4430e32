"""Keyword arguments that several public functions share.

Each is one entry of a `TypedDict`, with its type, default, check and description; a function takes
them as `**settings: Unpack[ThatDict]`. So type checkers and editors know them, `help`, `inspect`
and `typing.get_type_hints` show them, and adding one takes one entry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, ForwardRef, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs

F = TypeVar("F", bound=Callable[..., object])
D = TypeVar("D", bound=Mapping[str, Any])


@attrs.frozen
class Default:
    """The default of a setting, and how a given value is checked."""

    value: object
    check: Callable[[str, Any], object] | None = None
    """Called with the setting's name and a given value; raises TypeError or ValueError."""


@cache
def defaults_of(kind: type) -> dict[str, Default]:
    """Returns the settings of a `TypedDict` by name, inherited ones first."""
    found: dict[str, Default] = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        assert get_origin(hint) is Annotated, name
        found[name] = next(extra for extra in get_args(hint) if isinstance(extra, Default))
    return found


def with_defaults(kind: type[D], given: Mapping[str, Any], function: str) -> D:
    """Checks the given settings, and returns them with the defaults of the others.

    Args:
        kind: a `TypedDict`, each of whose entries is `Annotated` with a `Default`.
        given: the keyword arguments of a public function.
        function: the name of that function.

    Raises:
        TypeError: there is no such setting, or a value is of the wrong type.
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


def expand_signature(kind: type, **defaults: object) -> Callable[[F], F]:
    """Returns a decorator for a function that takes `**settings` of that `TypedDict`: it gives the
    function a signature with each setting as a keyword argument, for `help` and `inspect`, and the
    types of all of them, for `typing.get_type_hints`.

    Args:
        defaults: those of this function, for settings that have another default elsewhere.
    """

    def with_signature(function: F) -> F:
        plain = inspect.signature(function)
        named = [p for p in plain.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name, default.value),
                annotation=type_alone(kind.__annotations__[name]),
            )
            for name, default in defaults_of(kind).items()
        ]
        signature = plain.replace(parameters=[*named, *added])
        function.__signature__ = signature  # type: ignore[attr-defined]
        # Python 3.10 has no `Unpack`, which the `**settings` are annotated with.
        named_types = {p.name: plain.parameters[p.name].annotation for p in named}
        function.__annotations__ = {
            **named_types,
            **kind.__annotations__,
            "return": plain.return_annotation,
        }
        return function

    return with_signature


def type_alone(hint: ForwardRef) -> str:
    """The type in `Annotated[type, Default(…)]`, as it is written."""
    return hint.__forward_arg__.removeprefix("Annotated[").partition(", Default(")[0]
