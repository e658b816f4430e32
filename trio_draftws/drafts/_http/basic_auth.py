"""The Basic scheme (RFC 7617): a user and a password as the value of a header field."""

from __future__ import annotations

import base64
import binascii

from .headers import Headers


def write_basic(user: str, password: str) -> str:
    """Returns the value of an `Authorization` or `Proxy-Authorization` field.

    Raises:
        ValueError: the user contains a colon, or either contains a control character.
    """
    if ":" in user:
        raise ValueError("a user's name for basic authentication has no colon")
    both = f"{user}:{password}"
    if not all(character >= " " and character != "\x7f" for character in both):
        raise ValueError("user and password for basic authentication have no control characters")
    return "Basic " + base64.b64encode(both.encode()).decode()


def read_basic(headers: Headers) -> tuple[str, str] | None:
    """Returns the user and password in these fields of a request; None if none can be read."""
    fields = headers.get_all("Authorization")
    if len(fields) != 1:
        return None
    scheme, _, value = fields[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        both = base64.b64decode(value.strip(" "), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    user, colon, password = both.partition(":")
    return (user, password) if colon else None
