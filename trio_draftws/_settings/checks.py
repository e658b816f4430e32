"""Checks of arguments, made before anything is dialled or listened on.

Each error names the argument, what is expected and what was given: a `TypeError` if it is of the
wrong type, a `ValueError` if it is out of range. A value that may contain a password is not shown.

Whether a lambda, a partial, a callable object or a decorated function returns an awaitable is only
known once it was called; `check_awaitable` and `check_sync_result` check what it returned.
"""

from __future__ import annotations

import inspect
import math
import re
import ssl
from collections.abc import Awaitable, Iterable, Sequence
from functools import partial
from types import FunctionType
from typing import Any, TypeVar

import trio

from trio_draftws.drafts import Compression

T = TypeVar("T")

# The largest number that `listen` accepts
MAX_BACKLOG = 2**31 - 1

_SAYS_AWAITABLE = re.compile("Awaitable|Coroutine")
# A host with a scheme, brackets or a port, given instead of the host alone
_HOST_AND_MORE = re.compile(r"(?:\w+://)?\[?(?P<host>[^\[\]/]*?)\]?(?::(?P<port>\d+))?/?")


def needs_trio(name: str) -> None:
    """Checks that the public function `name` was called within `trio.run`.

    Raises:
        RuntimeError: it was not.
    """
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        raise RuntimeError(
            f"{name}: this needs trio.run, and was called outside of it; "
            "call it in an async function that trio.run runs"
        ) from None


# Functions


def check_async_function(name: str, given: object, *arguments: str) -> None:
    """Checks an argument that has to be an async function.

    Args:
        name: of the argument.
        given: its value.
        arguments: the names of what it will be called with.

    Raises:
        TypeError: it is not an async function, contains `yield`, or does not take these arguments.
    """
    _check_call(name, given, "an async function", arguments)
    if _has_yield(_function_of(given)):
        raise TypeError(f"{name} is an async function without `yield`, not {given!r}, which has it")
    if _is_sync(given):
        raise TypeError(
            f"{name} is an async function, not {given!r}: write `async def`, or say that it "
            "returns an Awaitable, if it does"
        )


def check_function(name: str, given: object, *arguments: str) -> None:
    """Checks an argument that has to be a synchronous function.

    Args:
        name: of the argument.
        given: its value.
        arguments: the names of what it will be called with.

    Raises:
        TypeError: it is not a function, is async, or does not take these arguments.
    """
    _check_call(name, given, "a function", arguments)
    function = _function_of(given)
    if inspect.iscoroutinefunction(function) or _has_yield(function):
        raise TypeError(
            f"{name} is a function that answers at once, not {given!r}, which is async or has a "
            "`yield`: as a condition what it returns would always be true"
        )


def check_any_function(name: str, given: object, *arguments: str) -> None:
    """Checks an argument that has to be a function, synchronous or async.

    Args:
        name: of the argument.
        given: its value.
        arguments: the names of what it will be called with.

    Raises:
        TypeError: it is not a function, contains `yield`, or does not take these arguments.
    """
    _check_call(name, given, "a function", arguments)
    if _has_yield(_function_of(given)):
        raise TypeError(f"{name} is a function without `yield`, not {given!r}, which has it")


def check_awaitable(name: str, returned: Awaitable[T]) -> Awaitable[T]:
    """Returns what the async function `name` returned, to be awaited.

    Raises:
        TypeError: it is not awaitable, so the function is not async.
    """
    if not inspect.isawaitable(returned):
        raise TypeError(
            f"{name} is an async function, but what it returned cannot be awaited: "
            f"{type(returned).__name__}"
        )
    return returned


def check_sync_result(name: str, returned: T) -> T:
    """Returns what the synchronous function `name` returned.

    Raises:
        TypeError: it is awaitable, so the function is async; as a condition it would be true.
    """
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError(f"{name} answers at once, but what it returned wants to be awaited")
    return returned


def _check_call(name: str, given: object, expected: str, arguments: Sequence[str]) -> None:
    if not callable(given):
        raise TypeError(f"{name} is {expected}, not {given!r}")
    try:
        # Not that of the wrapped function: a decorator may add or remove arguments.
        signature = inspect.signature(given, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # some functions written in C have no signature
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(
            f"{name} is called as {name}({', '.join(arguments)}), and {given!r} cannot be: {error}"
        ) from None


def _function_of(given: object) -> object:
    """Returns the function that is called in the end: inside partials, or `__call__`."""
    while isinstance(given, partial):
        given = given.func
    if inspect.isroutine(given) or inspect.isclass(given):
        return given
    return getattr(type(given), "__call__", given)  # noqa: B004


def _has_yield(function: object) -> bool:
    return inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function)


def _is_sync(given: object) -> bool:
    """Returns whether it is a plain `def` whose annotation does not promise an awaitable."""
    function = getattr(given, "__func__", given)
    return (
        isinstance(function, FunctionType)
        and not inspect.iscoroutinefunction(function)
        and function.__name__ != "<lambda>"
        and not hasattr(function, "__wrapped__")
        and not _SAYS_AWAITABLE.search(str(function.__annotations__.get("return")))
    )


# Values


def check_kind(name: str, given: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Checks that an argument is of a type, or of one of several.

    Args:
        name: of the argument.
        given: its value.
        kind: the type or types.
        expected: what it has to be, for the message, as "a str".

    Raises:
        TypeError: it is of another type.
    """
    if not isinstance(given, kind):
        raise TypeError(f"{name} is {expected}, not {given!r}")


def tuple_of(name: str, given: object, what: str, *kinds: type) -> tuple[Any, ...]:
    """Returns an argument that takes several values as a tuple.

    Args:
        name: of the argument.
        given: its value.
        what: what the values are, in the plural, for the message.
        kinds: the types that each may have.

    Raises:
        TypeError: it is a single value instead of several, or one is of another type.
    """
    if isinstance(given, kinds):
        hint = f"write [{given!r}]" if isinstance(given, str) else "put it into a list"
        raise TypeError(f"{name} is a list of {what}, not one {type(given).__name__}; {hint}")
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{name} is a list of {what}, not {given!r}")
    those = tuple(given)
    for one in those:
        if not isinstance(one, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"{name} is a list of {what}, and {one!r} in it is no {expected}")
    return those


def check_subprotocols(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the names as a tuple.

    Raises:
        TypeError: it is a single str instead of several, or one of them is not a str.
    """
    return tuple_of("subprotocols", names, "names", str)


def check_int(name: str, given: object, lowest: int, highest: float, hint: str = "") -> None:
    """Checks for an int from `lowest` to `highest`. If `highest` is `math.inf`, so may it be.

    Raises:
        TypeError: it is not an int.
        ValueError: it is out of range.
    """
    if given == math.inf == highest:
        return
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{name} must be a whole number, not {given!r}{hint}")
    if not lowest <= given <= highest:
        most = f"at least {lowest}" if math.isinf(highest) else f"{lowest} to {highest}"
        raise ValueError(f"{name} must be {most}, not {given}{hint}")


def check_address(port: object, host: object, backlog: object = None) -> None:
    """Checks where a server is to listen.

    Raises:
        TypeError: one of them is of the wrong type.
        ValueError: one of them is out of range, or the host contains more than a host.
    """
    check_int("port", port, 0, 65535, "; 0 picks a free one")
    if backlog is not None:
        check_int("backlog", backlog, 0, MAX_BACKLOG)
    if host is None:
        return
    if not isinstance(host, (str, bytes)):
        raise TypeError(f"host is the name or address of an interface as a str, not {host!r}")
    text = host if isinstance(host, str) else host.decode("latin-1")
    if not text:
        raise ValueError("host is empty; None stands for all interfaces")
    # An IPv6 address has at least two colons.
    if "/" in text or "[" in text or text.count(":") == 1:
        hint = ""
        if (parts := _HOST_AND_MORE.fullmatch(text)) and parts["host"]:
            hint = f"; write host={parts['host']!r}"
            hint += f", port={parts['port']}" if parts["port"] else ""
        raise ValueError(f"host is the name or address of an interface alone, not {host!r}{hint}")


def check_compression(name: str, given: object) -> None:
    """Checks the setting `compression`.

    Raises:
        TypeError: it is neither a `Compression` nor None.
    """
    if given is None or isinstance(given, Compression):
        return
    hint = "None" if given is False else "Compression()"
    raise TypeError(f"{name} is a Compression, or None for none, not {given!r}; write {hint}")


def check_auth(given: object) -> None:
    """Checks a user and a password.

    Raises:
        TypeError: it is not a pair of str; the message does not show it.
    """
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    if not pair or not all(isinstance(part, str) for part in given):  # type: ignore[attr-defined]
        kind = type(given).__name__
        raise TypeError(f"auth is a pair of two str, (user, password), and this {kind} is none")


def check_stream_factory(name: str, given: object) -> None:
    """Checks for None, or an async function of a stream.

    Raises:
        TypeError: it is neither.
    """
    if given is not None:
        check_async_function(name, given, "stream")


def check_ssl_context(name: str, given: object, *, server_side: bool) -> None:
    """Checks a TLS context, or None.

    Raises:
        TypeError: it is not an `ssl.SSLContext`.
        ValueError: it is for the other side.
    """
    if given is None:
        return
    check_kind(name, given, ssl.SSLContext, "an ssl.SSLContext")
    protocol = given.protocol  # type: ignore[attr-defined]
    if server_side and protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            f"{name} is a client's context, and a server needs its own: "
            "ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), and load_cert_chain"
        )
    if not server_side and protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError(
            f"{name} is a server's context, and a client needs its own: "
            "ssl.create_default_context()"
        )


def check_headers_and_state(returned: object) -> tuple[Any, Any]:
    """Returns the header fields and the state that `conn_headers` returned.

    Raises:
        TypeError: it did not return a pair.
    """
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        given = type(returned).__name__
        if isinstance(returned, (tuple, list)):
            given += f" of {len(returned)}"
        raise TypeError(f"conn_headers returns (headers, state), as ((), None), not a {given}")
    return returned[0], returned[1]
