"""Arguments that are not what they should be, and what is said of them."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest

from tests.rows import each_row
from trio_draftws import Compression, Instrument

CLIENT_SSL = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SERVER_SSL = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


async def one(argument: object) -> Any:
    """An async function of one argument."""


async def two(connection: object, state: object) -> None:
    """An async function of two."""


def one_sync(argument: object) -> object:
    return (), None


def two_sync(connection: object, state: object) -> object:
    return None


async def one_yielding(argument: object) -> AsyncGenerator[int, None]:
    yield 1


async def two_yielding(connection: object, state: object) -> AsyncGenerator[int, None]:
    yield 1


async def coroutine() -> bool:
    return True


def generator(argument: object) -> Iterator[int]:
    yield 1


@attrs.frozen
class Case:
    """Arguments by name, the error that they are, and what it says."""

    arguments: dict[str, Any]
    error: type[Exception]
    why: str

    def raises(self) -> Any:
        return pytest.raises(self.error, match=re.escape(self.why))


def case(error: type[Exception], why: str, **arguments: Any) -> Case:
    return Case(arguments, error, why)


def each(*cases: Case) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return each_row("case", cases)


# What client and server both have
LIMITS = [
    case(
        TypeError,
        f"{name} must be a number, not NoneType; math.inf stands for no limit",
        **{name: None},
    )
    for name in (
        "handshake_timeout",
        "close_timeout",
        "idle_timeout",
        "ping_interval",
        "ping_timeout",
        "write_timeout",
        "max_message_size",
        "max_head_size",
    )
]
BOTH = [
    *LIMITS,
    case(TypeError, "idle_timeout must be a number, not str: '10'", idle_timeout="10"),
    case(TypeError, "idle_timeout must be a number, not bool: True", idle_timeout=True),
    case(ValueError, "idle_timeout must be above 0, not nan", idle_timeout=math.nan),
    case(ValueError, "idle_timeout must be above 0, not -1", idle_timeout=-1),
    case(ValueError, "idle_timeout is more than a float can hold", idle_timeout=10**400),
    case(
        TypeError,
        "compression is a Compression, or None for none, not 'deflate'",
        compression="deflate",
    ),
    case(TypeError, "not True; write Compression()", compression=True),
    case(TypeError, "not False; write None", compression=False),
    case(TypeError, "compression is a Compression, or None", compression=Compression),
    case(TypeError, "compression is a Compression, or None", compression={"level": 1}),
    case(
        TypeError,
        "subprotocols is a list of names, and b'chat' in it is no str",
        subprotocols=[b"chat"],
    ),
    case(
        TypeError,
        "subprotocols is a list of names, not one str; write ['chat']",
        subprotocols="chat",
    ),
    case(TypeError, "subprotocols is a list of names, not b'chat'", subprotocols=b"chat"),
    case(TypeError, "subprotocols is a list of names, not None", subprotocols=None),
    case(TypeError, "ssl_context is an ssl.SSLContext, not True", ssl_context=True),
    case(TypeError, "ssl_context is an ssl.SSLContext, not 'cert.pem'", ssl_context="cert.pem"),
    case(TypeError, "stream_factory is an async function, not 3", stream_factory=3),
    case(TypeError, "write `async def`", stream_factory=one_sync),
    case(
        TypeError,
        "stream_factory is an async function without `yield`",
        stream_factory=one_yielding,
    ),
    case(TypeError, "stream_factory is called as stream_factory(stream), and", stream_factory=two),
    case(
        TypeError,
        "instruments is a list of instruments, not one Instrument",
        instruments=Instrument(),
    ),
    case(TypeError, "instruments is a list of instruments, and <class", instruments=[Instrument]),
    case(TypeError, "instruments is a list of instruments, not None", instruments=None),
]


async def enter(block: AbstractAsyncContextManager[Any]) -> None:
    async with block:
        raise AssertionError("it was entered")
