"""Basic authentication (RFC 7617): what a client sends, and what lets a server ask for it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from trio_draftws._settings.checks import at_once, awaitable, check_async_function, check_kind
from trio_draftws.drafts import HeaderFields, Reject, Request

PasswordCheck: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""Says whether that user has that password."""


def write_basic(user: str, password: str) -> str:
    """The value of an `Authorization` field.

    Raises:
        ValueError: the user has a colon, or one of them a control character.
    """
    if ":" in user:
        raise ValueError("a user's name for basic authentication has no colon")
    both = f"{user}:{password}"
    if not all(character >= " " and character != "\x7f" for character in both):
        raise ValueError("user and password for basic authentication have no control characters")
    return "Basic " + base64.b64encode(both.encode()).decode()


def read_basic(request: Request) -> tuple[str, str] | None:
    """The user and password of a request; None where it has none that could be read."""
    fields = request.headers.get_all("Authorization")
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


def basic_auth(
    realm: str, users: Mapping[str, str] | PasswordCheck
) -> Callable[[Request], Awaitable[tuple[HeaderFields, str]]]:
    """A `conn_headers` that asks for a user and a password: basic authentication, RFC 7617.

    Who gives none, or wrong ones, is refused with 401 and `WWW-Authenticate`. The connection's
    state is the user's name. Within a `conn_headers` of your own,
    `_, user = await authenticate(request)`, where `authenticate` is what this returned.

    It hides nothing by itself: serve wss. Browsers send what they were once given with the
    requests of any page, as they do cookies, so a server for them needs `origins` as well.

    Args:
        realm: what the password is for, as a browser shows it.
        users: a password for each user, compared in a time that tells nothing of it; or
            `async def check(user, password)`, which says whether that is right. It should use
            `hmac.compare_digest`, or a function for passwords such as `hashlib.scrypt` in a
            thread.

    Raises:
        ValueError: the realm cannot be sent.
        TypeError: the realm is no str, or `users` is neither of the two.
    """
    check_kind("realm", realm, str, "a str")
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    refusal = {"WWW-Authenticate": f'Basic realm="{quoted}", charset="UTF-8"'}
    # A realm that cannot be sent is the caller's mistake, not a client's.
    Reject(401, refusal)
    if isinstance(users, Mapping):
        check = _among(users)
    else:
        check_async_function("users", users, "user", "password")
        check = users

    async def authenticate(request: Request) -> tuple[HeaderFields, str]:
        given = read_basic(request)
        if given is None or not at_once("users", await awaitable("users", check(*given))):
            raise Reject(401, refusal, "A user and a password are needed.\n")
        return (), given[0]

    return authenticate


def _among(users: Mapping[str, str]) -> PasswordCheck:
    for user, password in users.items():
        check_kind("a user", user, str, "a str")
        if not isinstance(password, str):
            raise TypeError(f"the password of {user!r} is a str, not {type(password).__name__}")

    async def check(user: str, password: str) -> bool:
        # As long for a user that there is not. Digests, since a comparison tells lengths.
        known = hmac.compare_digest(_digest(users.get(user, "")), _digest(password))
        return known and user in users

    return check


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
