"""The arguments of what dials: checked before anything is dialled."""

from __future__ import annotations

import math
from functools import partial

import pytest
import trio
import trio.testing

from trio_draftws import (
    HandshakeError,
    connect_websocket,
    open_gateway,
    open_websocket,
    reconnecting,
)

from .cases import (
    BOTH,
    SERVER_SSL,
    Case,
    case,
    each,
    enter,
    generator,
    one,
    one_sync,
    one_yielding,
    two,
)

# If it were dialled, that would fail in another way.
NOBODY = "ws://127.0.0.1:9/"

CLIENT = [
    *BOTH,
    case(
        TypeError,
        "the value of the header field 'X' is a str or bytes, not one int",
        headers={"X": 1},
    ),
    case(TypeError, "headers is a list of pairs of name and value", headers=("X", "1")),
    # Which would have been a field X with the value Y
    case(TypeError, "headers is a list of pairs of name and value", headers=("XY", "ZA")),
    case(TypeError, "headers is a list of pairs of name and value", headers=[("X", "1", "2")]),
    case(TypeError, "headers is a mapping from names to values", headers="X: 1"),
    case(TypeError, "headers is a mapping from names to values", headers=None),
    case(TypeError, "a header field's name is a str or bytes, not one int", headers={1: "x"}),
    case(
        TypeError,
        "the value of the header field 'X' is a str or bytes, not None",
        headers={"X": None},
    ),
    case(
        TypeError,
        "cookies is a mapping from names to values, and this str is none",
        cookies="a=secret",
    ),
    case(TypeError, "cookies is a mapping", cookies=[("a", "secret")]),
    case(TypeError, "cookies is a mapping", cookies=""),
    case(TypeError, "the value of the cookie 'a' is a str, not int", cookies={"a": 1}),
    case(TypeError, "a cookie's name is a str, not 1", cookies={1: "a"}),
    case(
        TypeError,
        "auth is a pair of two str, (user, password), and this str is none",
        auth="user:secret",
    ),
    case(TypeError, "auth is a pair of two str", auth=("user", None)),
    case(TypeError, "auth is a pair of two str", auth=("user", "secret", "more")),
    case(TypeError, "auth is a pair of two str", auth=b"us"),
    case(TypeError, "auth is a pair of two str", auth=()),
    case(
        TypeError, "origin is a str, as 'https://example.com', not b'http://a'", origin=b"http://a"
    ),
    case(TypeError, "origin is a str", origin=5),
    case(ValueError, "no draft is named ''", draft=""),
    case(TypeError, "draft is a name or a Draft, not 13", draft=13),
    case(TypeError, "draft is a name or a Draft, not ['old']", draft=["old"]),
    case(
        ValueError,
        "ssl_context is a server's context, and a client needs its own",
        ssl_context=SERVER_SSL,
    ),
    case(TypeError, "unix_socket is the path of a socket, not 5", unix_socket=5),
    case(TypeError, "a proxy URL is a str, not bool", proxy=True),
    case(TypeError, "proxy_ssl_context is an ssl.SSLContext, not True", proxy_ssl_context=True),
    case(
        ValueError,
        "proxy_ssl_context is a server's",
        proxy="https://a",
        proxy_ssl_context=SERVER_SSL,
    ),
    case(TypeError, "max_redirects must be a whole number, not None", max_redirects=None),
    case(TypeError, "max_redirects must be a whole number, not '5'", max_redirects="5"),
    case(TypeError, "max_redirects must be a whole number, not True", max_redirects=True),
    case(TypeError, "max_redirects must be a whole number, not nan", max_redirects=math.nan),
    case(ValueError, "max_redirects must be at least 0, not -1", max_redirects=-1),
    case(TypeError, "a WebSocket URL is a str, not bytes", url=b"ws://a"),
    case(TypeError, "a WebSocket URL is a str, not NoneType", url=None),
]
DIALLING = [
    *CLIENT,
    case(TypeError, "headers is called as headers(), and", headers=one_sync),
    case(TypeError, "headers is called as headers(), and", headers=two),
    case(TypeError, "headers is a function without `yield`", headers=partial(generator, 1)),
    case(TypeError, "headers is a function without `yield`", headers=partial(one_yielding, 1)),
]
RECONNECTING = [
    *DIALLING,
    # It would try for ever.
    case(TypeError, "retry is a function that answers at once", retry=one),
    case(TypeError, "retry is a function, not True", retry=True),
    case(TypeError, "retry is called as retry(error)", retry=lambda: True),
    case(TypeError, "initial_backoff must be a number, not NoneType", initial_backoff=None),
    case(TypeError, "backoff_factor must be a number, not str: '2'", backoff_factor="2"),
    case(TypeError, "backoff_jitter must be a number, not bool", backoff_jitter=True),
    case(TypeError, "backoff_jitter must be a number, not NoneType", backoff_jitter=None),
    case(TypeError, "settled_after must be a number", settled_after="10"),
]
GATEWAY = [
    case(TypeError, "a WebSocket URL is a str, not int", to=5),
    case(TypeError, "draft is a name or a Draft, not 5", draft=5),
    # What is used for each client is checked before any of them comes.
    case(ValueError, "no draft is named ''", draft=""),
    case(TypeError, "instruments is a list of instruments, not 5", instruments=5),
    case(TypeError, "unix_socket", unix_socket=5),
    case(TypeError, "proxy", proxy=5),
    case(ValueError, "proxy", proxy="ftp://x"),
    case(TypeError, "proxy_ssl_context", proxy_ssl_context=5),
    case(ValueError, "unix_socket", unix_socket="/x", proxy="http://h"),
    case(ValueError, "binary is 'refuse' or 'base64', not None", binary=None),
    case(TypeError, "ssl_context is an ssl.SSLContext, not True", ssl_context=True),
    case(ValueError, "ssl_context is a server's context", ssl_context=SERVER_SSL),
    case(TypeError, "handshake_timeout must be a number, not NoneType", handshake_timeout=None),
    case(ValueError, "handshake_timeout must be above 0, not 0", handshake_timeout=0),
    case(TypeError, "max_message_size must be a number, not str", max_message_size="1"),
]


@each(*DIALLING)
async def test_open_websocket(case: Case) -> None:
    arguments = {"url": NOBODY, **case.arguments}
    with case.raises() as caught:
        await enter(open_websocket(**arguments))
    assert "secret" not in str(caught.value)
    async with trio.open_nursery() as nursery:
        with case.raises():
            await connect_websocket(nursery, **arguments)


@each(*(case for case in DIALLING if not case.arguments.keys() & {"unix_socket", "proxy"}))
async def test_open_websocket_closes_the_stream_that_it_was_given(case: Case) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    arguments = {"url": NOBODY, "stream": ours, **case.arguments}
    with case.raises():
        await enter(open_websocket(**arguments))
    assert await theirs.receive_some() == b""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        with case.raises():
            await connect_websocket(nursery, **{**arguments, "stream": ours})
    assert await theirs.receive_some() == b""


async def test_no_limit_of_redirects() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.aclose()
    with pytest.raises(HandshakeError):
        await enter(open_websocket(NOBODY, stream=ours, max_redirects=math.inf))  # type: ignore[arg-type]


@each(*RECONNECTING)
async def test_reconnecting(case: Case) -> None:
    arguments = {"url": NOBODY, **case.arguments}
    with case.raises():
        await enter(reconnecting(**arguments))


@each(*GATEWAY)
async def test_open_gateway(case: Case) -> None:
    arguments = {"to": NOBODY, **case.arguments}
    with case.raises():
        await enter(open_gateway(**arguments))
