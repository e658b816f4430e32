"""Cookies: those that a client sends, and those that a server sets (RFC 6265)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

# What would end a name or a value, or begin another field. RFC 6265 section 4.1.1 allows less, but
# a value that a server has set is sent back unchanged.
_NOT_IN_NAME = re.compile(r"[\x00-\x20\x7f=;,]")
_NOT_IN_VALUE = re.compile(r"[\x00-\x1f\x7f;]")


def cookies_in(fields: Iterable[str]) -> dict[str, str]:
    """Parses `Cookie` fields. The first of several cookies with one name counts: that of the more
    specific path (RFC 6265 section 5.4).
    """
    cookies: dict[str, str] = {}
    for field in fields:
        for pair in field.split(";"):
            name, equals, value = pair.partition("=")
            if equals:
                cookies.setdefault(name.strip(" \t"), value.strip(" \t"))
    return cookies


def cookies_set(fields: Iterable[str]) -> dict[str, str]:
    """Parses `Set-Cookie` fields. The last of those with one name counts (RFC 6265 section 5.3)."""
    cookies: dict[str, str] = {}
    for field in fields:
        name, equals, value = field.partition(";")[0].partition("=")
        # RFC 6265 section 5.2: one without a name is ignored
        if equals and name.strip(" \t"):
            cookies[name.strip(" \t")] = value.strip(" \t")
    return cookies


def write_cookies(cookies: Mapping[str, str]) -> str:
    """Returns the value of a `Cookie` field.

    Raises:
        TypeError: `cookies` is not a mapping from str to str.
        ValueError: a name or a value cannot be sent. No message shows a value.
    """
    for name, value in _pairs_of(cookies):
        if not name or _NOT_IN_NAME.search(name) or not name.isascii():
            raise ValueError(f"{name!r} cannot be a cookie's name")
        if _NOT_IN_VALUE.search(value) or value != value.strip(" ") or not _is_latin1(value):
            raise ValueError(
                f"the cookie {name!r} has a value that cannot be sent: a semicolon, a control "
                "character, what is not Latin-1, or a space around it"
            )
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _pairs_of(cookies: object) -> Iterator[tuple[str, str]]:
    if not isinstance(cookies, Mapping):
        kind = type(cookies).__name__
        raise TypeError(f"cookies is a mapping from names to values, and this {kind} is none")
    for name, value in cookies.items():
        if not isinstance(name, str):
            raise TypeError(f"a cookie's name is a str, not {name!r}")
        if not isinstance(value, str):
            raise TypeError(
                f"the value of the cookie {name!r} is a str, not {type(value).__name__}"
            )
        yield name, value


def _is_latin1(text: str) -> bool:
    return all(ord(character) < 0x100 for character in text)
