"""Finds the handler, or the page, for the path of a request.

Paths are compared as text, with percent-escapes decoded. A path that could be read in two ways
matches no route: one with an empty segment, with `.` or `..` (which clients resolve before they
send it), with an escaped slash, a backslash or a zero byte. So what a `*` matches cannot lead out
of a directory, and a proxy in front that reads such a path differently cannot be bypassed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import unquote

import attrs

from trio_draftws._settings.checks import check_async_function
from trio_draftws.drafts import Reject, Request

V = TypeVar("V")
F = TypeVar("F")

_AMBIGUOUS = re.compile(rb"//|%2f|\\|%5c|%00|/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


@attrs.frozen(init=False, eq=False, repr=False)
class Routes(Mapping[str, V]):
    """An immutable mapping from paths to handlers, or to pages.

    `"/chat"` matches that path alone; with a slash at the end it is a different path. `"/rooms/*"`
    matches every path that begins with `/rooms/`, including `/rooms/` itself, but not `/rooms`;
    what the `*` matched is `Request.wildcard`. `"/*"` matches every path. An exact path is
    preferred to one with `*`, and a longer one to a shorter. The query is ignored; case matters.
    Percent-escapes in the request are decoded first. Paths with an empty segment (`//`), with `.`
    or `..`, an escaped slash, a backslash or a zero byte match nothing.

    Args:
        routes: a mapping whose keys are paths, written without percent-escapes.

    Raises:
        TypeError: it is not a mapping, or a path in it is not a str.
        ValueError: it is empty, or a path in it is not valid, for example has `*` in the middle.
    """

    _all: dict[str, V]
    _exact: dict[str, V]
    _prefixes: tuple[tuple[str, V], ...]

    def __init__(self, routes: Mapping[str, V]) -> None:
        if not isinstance(routes, Mapping):
            raise TypeError(f"routes are a mapping from paths, not {routes!r}")
        if not routes:
            raise ValueError("there is no route, so no path would lead anywhere")
        for route in routes:
            _check(route)
        prefixes = [(route[:-1], routes[route]) for route in routes if route.endswith("*")]
        prefixes.sort(key=lambda pair: len(pair[0]), reverse=True)
        exact = {route: routes[route] for route in routes if not route.endswith("*")}
        self.__attrs_init__(dict(routes), exact, tuple(prefixes))

    def __getitem__(self, route: str) -> V:
        return self._all[route]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Routes({self._all!r})"

    def find(self, request: Request) -> tuple[V, str] | None:
        """Returns the value for the path of a request, and what the `*` matched; None if none."""
        if _AMBIGUOUS.search(request.raw_path):
            return None
        path = request.path
        if path in self._exact:
            return self._exact[path], ""
        for prefix, value in self._prefixes:
            if path.startswith(prefix):
                return value, path[len(prefix) :]
        return None

    def follow(self, request: Request) -> tuple[V, Request]:
        """Returns the value for the path of a request, and the request with its `wildcard`.

        Raises:
            Reject: no route matches; 404.
        """
        found = self.find(request)
        if found is None:
            raise Reject(404, body="Nothing is at this path.\n")
        value, wildcard = found
        return value, attrs.evolve(request, wildcard=wildcard) if wildcard else request


def with_routes(
    name: str, given: F | Mapping[str, V], *arguments: str, or_else: tuple[type, ...] = ()
) -> F | Routes[V]:
    """Checks an argument that is an async function, or a mapping from paths to such functions.

    Args:
        name: of the argument, for error messages.
        given: its value.
        arguments: the names of what the functions are called with.
        or_else: types of constants that a mapping may contain instead of functions.

    Returns:
        The function, or the mapping as `Routes`.

    Raises:
        TypeError: it is neither, or a value in the mapping is of the wrong type.
        ValueError: a path in the mapping is not valid.
    """
    if not isinstance(given, Mapping):
        if not callable(given):
            raise TypeError(
                f"{name} is an async function, or a mapping from paths to such, not {given!r}"
            )
        check_async_function(name, given, *arguments)
        return given
    routes = given if isinstance(given, Routes) else Routes(given)
    expected = " or ".join(["an async function", *(f"an {kind.__name__}" for kind in or_else)])
    for route, value in routes.items():
        if isinstance(value, or_else):
            continue
        if not callable(value):
            raise TypeError(f"{name} leads {route!r} to what is not {expected}: {value!r}")
        check_async_function(f"{name}[{route!r}]", value, *arguments)
    return routes


def _check(route: object) -> None:
    if not isinstance(route, str):
        raise TypeError(f"a route's path is a str, not {route!r}")
    if not route.startswith("/"):
        raise ValueError(f"a route begins with a slash: write {'/' + route!r}, not {route!r}")
    # Everything before the `*`, including the slash
    path = route[:-1] if route.endswith("/*") else route
    if "*" in path:
        raise ValueError(f"a `*` is a route's whole last segment, as in '/rooms/*', not {route!r}")
    if "?" in path or "#" in path:
        raise ValueError(f"a route is a path alone, without what follows it, not {route!r}")
    if _ESCAPE.search(path):
        raise ValueError(f"a route has no escapes: write {unquote(route)!r}, not {route!r}")
    if _AMBIGUOUS.search(path.encode()):
        raise ValueError(
            f"a path with an empty segment, `.`, `..` or a backslash leads nowhere: {route!r}"
        )
