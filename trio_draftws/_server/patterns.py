"""The paths of routes: which can be written, which are alike, what each matches and means.

A pattern is a list of whole segments, each a text or a name in braces, and perhaps a tail that
takes the rest of the path: `*`, or a name with the converter `path`. Nothing in it can match in two
ways, so a path is read once, from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

if TYPE_CHECKING:
    from uuid import UUID

AMBIGUOUS = re.compile(rb"//|%2f|\\|%5c|%00|/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)
"""What a path holds that can be read in two ways."""
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
# RFC 9562 section 4
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# The fewest digits to which `sys.set_int_max_str_digits` can limit `int`
_MOST_DIGITS = 640


def _uuid(segment: str) -> UUID | None:
    from uuid import UUID

    return UUID(segment) if _UUID.fullmatch(segment) else None


def _int(segment: str) -> int | None:
    # `int` alone would take a sign, spaces, underscores and the digits of every script.
    digits = segment.isascii() and segment.isdigit() and len(segment) <= _MOST_DIGITS
    return int(segment) if digits else None


def _str(segment: str) -> str | None:
    return segment or None


CONVERTERS: Mapping[str, Callable[[str], Any]] = {"uuid": _uuid, "int": _int, "str": _str}
"""What a name matches in one segment: each returns the value, or None. The stricter come first."""
_KINDS = ("", *CONVERTERS)
# The converter of a name that matches several segments
_TAIL = "path"


@attrs.frozen(kw_only=True)
class Segment:
    """One segment of a pattern."""

    converter: str = ""
    """A key of `CONVERTERS`; empty if the segment is a text."""
    text: str
    """The text, or the name."""


@attrs.frozen(kw_only=True)
class Pattern:
    """The path of a route."""

    route: str
    """As it was written."""
    segments: tuple[Segment, ...]
    """Without the tail."""
    tail: str | None
    """The name of what the rest of the path is, or `*`; None if it ends with the last segment."""

    @classmethod
    def of(cls, route: object) -> Pattern:
        """Reads and checks a route.

        Raises:
            TypeError: it is not a str.
            ValueError: it is not valid; the message says how to write it.
        """
        _check(route)
        assert isinstance(route, str)
        *segments, last = map(_read_segment, route[1:].split("/"))
        tail = None
        if last.converter == _TAIL or (last.converter, last.text) == ("", "*"):
            tail = last.text
        else:
            segments.append(last)
        for segment in segments:
            if segment.converter == _TAIL:
                raise ValueError(
                    f"a name with the converter `path` is a route's last segment, not in {route!r}"
                )
        names = [segment.text for segment in segments if segment.converter]
        if tail is not None:
            names.append(tail)
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"a route has each name once, and {route!r} has {name!r} twice")
        return cls(route=route, segments=tuple(segments), tail=tail)

    @property
    def is_exact(self) -> bool:
        """Whether it matches one path only."""
        return self.tail is None and not any(segment.converter for segment in self.segments)

    @property
    def shape(self) -> object:
        """Equal for the patterns that match the same paths: what the names are does not matter."""
        segments = tuple(
            (one.converter, "" if one.converter else one.text) for one in self.segments
        )
        return segments, self.tail is None

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts the patterns that match a path: the one to follow comes first."""
        kinds = tuple(_KINDS.index(segment.converter) for segment in self.segments)
        return self.tail is not None, -kinds.count(0), -len(kinds), kinds

    def read(self, path: str) -> tuple[str, dict[str, Any]]:
        """Returns what the `*` and what the names stand for in a path that the pattern matches."""
        texts = path[1:].split("/", len(self.segments))
        values = {
            segment.text: CONVERTERS[segment.converter](text)
            for segment, text in zip(self.segments, texts, strict=False)
            if segment.converter
        }
        if self.tail == "*":
            return texts[-1], values
        if self.tail is not None:
            values[self.tail] = texts[-1]
        return "", values


def _read_segment(written: str) -> Segment:
    """Reads one segment of a route.

    Raises:
        ValueError: it has braces, and is not a name in braces.
    """
    if "{" not in written and "}" not in written:
        return Segment(text=written)
    inside = written[1:-1]
    if written != f"{{{inside}}}" or "{" in inside or "}" in inside:
        raise ValueError(
            "a name in braces is a whole segment of a route, as in '/rooms/{room}' or "
            f"'/rooms/{{id:int}}', not {written!r}"
        )
    name, colon, converter = inside.partition(":")
    if not name.isidentifier():
        right = f"{name.strip()}{colon}{converter.strip()}" if name.strip().isidentifier() else ""
        raise ValueError(
            f"a name in a route is one of Python's, as in '{{{right or 'room'}}}', not {written!r}"
        )
    if not colon:
        converter = "str"
    if converter not in (*CONVERTERS, _TAIL):
        others = ", ".join(sorted([*CONVERTERS, _TAIL]))
        raise ValueError(
            f"no converter is called {converter!r}, in {written!r}: write '{{{name}}}', or one of "
            f"{others} after the colon, as in '{{{name}:int}}'"
        )
    return Segment(converter=converter, text=name)


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
    if not path.isprintable():
        raise ValueError(f"a route has no control characters, and {route!r} has")
    if "<" in path or ">" in path:
        # No path of a URL has these (RFC 3986 appendix C); other libraries write names so.
        raise ValueError(f"names are in braces, as in '/rooms/{{room}}', not {route!r}")
    if _ESCAPE.search(path):
        raise ValueError(f"a route has no escapes: write {unquote(route)!r}, not {route!r}")
    if AMBIGUOUS.search(path.encode()):
        raise ValueError(
            f"a path with an empty segment, `.`, `..` or a backslash leads nowhere: {route!r}"
        )
