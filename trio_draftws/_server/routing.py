"""Finds the handler, or the page, for the path of a request.

Paths are compared as text, with percent-escapes decoded. A path that could be read in two ways
matches no route: one with an empty segment, with `.` or `..` (which clients resolve before they
send it), with an escaped slash, a backslash or a zero byte. So what a `*` or a name matches cannot
lead out of a directory, and a proxy in front that reads such a path differently cannot be bypassed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

import attrs

from trio_draftws._settings.checks import check_async_function
from trio_draftws.drafts import Reject, Request

from .patterns import AMBIGUOUS, CONVERTERS, Pattern

V = TypeVar("V")
F = TypeVar("F")


@attrs.define(eq=False)
class _Node:
    """The patterns that begin in the same way: a step in the tree of all of them."""

    texts: dict[str, _Node] = attrs.field(factory=dict)
    """What follows, if the next segment is this text."""
    converters: dict[str, _Node] = attrs.field(factory=dict)
    """What follows, if the next segment is what that converter takes."""
    end: Pattern | None = None
    """The pattern that ends here."""
    tail: Pattern | None = None
    """The pattern that takes all that follows."""

    def add(self, pattern: Pattern) -> None:
        """Adds a pattern to the tree of which this is the root."""
        node = self
        for segment in pattern.segments:
            following = node.converters if segment.converter else node.texts
            node = following.setdefault(segment.converter or segment.text, _Node())
        if pattern.tail is None:
            node.end = pattern
        else:
            node.tail = pattern

    def after(self, segment: str) -> Iterator[_Node]:
        """Yields where a segment of a path leads to."""
        if segment in self.texts:
            yield self.texts[segment]
        for name, node in self.converters.items():
            if CONVERTERS[name](segment) is not None:
                yield node

    def find(self, path: str) -> Pattern | None:
        """Returns the pattern to follow for a path; None if none matches.

        All that may match are followed at the same time, so nothing is read twice.
        """
        matching: list[Pattern] = []
        nodes = [self]
        for segment in path[1:].split("/"):
            matching += [node.tail for node in nodes if node.tail is not None]
            nodes = [following for node in nodes for following in node.after(segment)]
            if not nodes:
                break
        matching += [node.end for node in nodes if node.end is not None]
        return min(matching, key=lambda pattern: pattern.order, default=None)


@attrs.frozen(init=False, eq=False, repr=False)
class Routes(Mapping[str, V]):
    """An immutable mapping from paths to handlers, or to pages.

    - `"/chat"` matches that path alone; with a slash at the end it is a different path.
    - `"/rooms/*"` matches every path that begins with `/rooms/`, including `/rooms/` itself, but
      not `/rooms`; what the `*` matched is `Request.wildcard`. `"/*"` matches every path.
    - `"/rooms/{room}"` matches any one segment, which is not empty, in place of the name; its value
      is `Request.path_params["room"]`. With a converter the value has another type, and other
      segments do not match: `{id:int}` takes the digits 0 to 9, at most 640, and `{id:uuid}` the
      form of RFC 9562 with four hyphens. `{name:str}` is the same as `{name}`. `{rest:path}` is
      the last segment, and takes all of the rest, as `*` does.

    An exact path is preferred, then one with names, then one with `*` or `path`; of two alike the
    one with more text, then the longer one, then the one that is stricter further to the left. The
    query is ignored; case matters. Percent-escapes in the request are decoded first. Paths with an
    empty segment (`//`), with `.` or `..`, an escaped slash, a backslash or a zero byte match
    nothing.

    Args:
        routes: a mapping whose keys are paths, written without percent-escapes.

    Raises:
        TypeError: it is not a mapping, or a path in it is not a str.
        ValueError: it is empty, a path in it is not valid, for example has `*` in the middle, or
            two of them match the same paths.
    """

    _all: dict[str, V]
    _exact: dict[str, V]
    _patterns: _Node

    def __init__(self, routes: Mapping[str, V]) -> None:
        if not isinstance(routes, Mapping):
            raise TypeError(f"routes are a mapping from paths, not {routes!r}")
        if not routes:
            raise ValueError("there is no route, so no path would lead anywhere")
        exact: dict[str, V] = {}
        tree = _Node()
        shapes: dict[object, str] = {}
        for pattern in map(Pattern.of, routes):
            other = shapes.setdefault(pattern.shape, pattern.route)
            if other != pattern.route:
                raise ValueError(f"{other!r} and {pattern.route!r} match the same paths; write one")
            if pattern.is_exact:
                exact[pattern.route] = routes[pattern.route]
            else:
                tree.add(pattern)
        self.__attrs_init__(dict(routes), exact, tree)

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
        found = self.match(request)
        if found is None:
            return None
        value, pattern = found
        return value, "" if pattern is None else pattern.read(request.path)[0]

    def follow(self, request: Request) -> tuple[V, Request]:
        """Returns the value for the path of a request, and the request with its `wildcard` and its
        `path_params`.

        Raises:
            Reject: no route matches; 404.
        """
        value, _, request = follow_route(self, request)
        return value, request

    def match(self, request: Request) -> tuple[V, Pattern | None] | None:
        """Returns the value for the path of a request, and the pattern that the path matches, which
        is None for an exact path; None if no route matches.
        """
        if AMBIGUOUS.search(request.raw_path):
            return None
        path = request.path
        if path in self._exact:
            return self._exact[path], None
        pattern = self._patterns.find(path) if path.startswith("/") else None
        return None if pattern is None else (self._all[pattern.route], pattern)


def follow_route(routes: Routes[V], request: Request) -> tuple[V, Pattern | None, Request]:
    """Like `Routes.follow`; returns the pattern between the two, or None for an exact path.

    Raises:
        Reject: no route matches; 404.
    """
    found = routes.match(request)
    if found is None:
        raise Reject(404, body="Nothing is at this path.\n")
    value, pattern = found
    if pattern is not None:
        wildcard, path_params = pattern.read(request.path)
        request = attrs.evolve(request, wildcard=wildcard, path_params=path_params)
    return value, pattern, request


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
