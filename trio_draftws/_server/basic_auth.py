"""Basic authentication (RFC 7617): a `conn_headers` that asks for a user and a password."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from trio_draftws._settings.checks import (
    check_async_function,
    check_awaitable,
    check_kind,
    check_sync_result,
)
from trio_draftws.drafts import HeaderFields, Reject, Request, read_basic

PasswordCheck: TypeAlias = Callable[[str, str], Awaitable[bool]]
"""`async def check(user, password) -> bool`: whether they belong together."""


def basic_auth(
    realm: str, users: Mapping[str, str] | PasswordCheck
) -> Callable[[Request], Awaitable[tuple[HeaderFields, str]]]:
    """Returns a `conn_headers` that asks for a user and a password (Basic, RFC 7617).

    A request with no credentials, or wrong ones, is refused with 401 and `WWW-Authenticate`. The
    connection's state is the user's name. To combine it with a `conn_headers` of your own, call
    it there: `_, user = await authenticate(request)`, if `authenticate` is what this returned.

    Credentials are not encrypted, so serve wss. Like cookies, a browser sends them with requests
    from any page once the user has entered them, so a server for browsers needs `origins` as well.

    Args:
        realm: what the password is for; browsers show it.
        users: the password of each user, compared in constant time; or
            `async def check(user, password)`, which returns whether they are right. It should use
            `hmac.compare_digest`, or a password hash such as `hashlib.scrypt` in a thread.

    Raises:
        ValueError: the realm cannot be sent in a header field.
        TypeError: the realm is not a str, or `users` is neither a mapping nor an async function.
    """
    check_kind("realm", realm, str, "a str")
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    refusal = {"WWW-Authenticate": f'Basic realm="{quoted}", charset="UTF-8"'}
    # Checked now: a realm that cannot be sent is the caller's mistake, not a client's.
    Reject(401, refusal)
    if isinstance(users, Mapping):
        check = _check_against(users)
    else:
        check_async_function("users", users, "user", "password")
        check = users

    async def authenticate(request: Request) -> tuple[HeaderFields, str]:
        given = read_basic(request.headers)
        if given is None or not check_sync_result(
            "users", await check_awaitable("users", check(*given))
        ):
            raise Reject(401, refusal, "A user and a password are needed.\n")
        return (), given[0]

    return authenticate


def _check_against(users: Mapping[str, str]) -> PasswordCheck:
    for user, password in users.items():
        check_kind("a user", user, str, "a str")
        if not isinstance(password, str):
            raise TypeError(f"the password of {user!r} is a str, not {type(password).__name__}")

    async def check(user: str, password: str) -> bool:
        # An unknown user takes as long as a known one. Digests, since comparing leaks lengths.
        known = hmac.compare_digest(_digest(users.get(user, "")), _digest(password))
        return known and user in users

    return check


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
