"""What is made of wrong arguments, and what is done with open connections: answers, settings,
closes, broadcasts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.rows import each_row
from trio_draftws import (
    Compression,
    Connection,
    HTTPResponse,
    Reject,
    basic_auth,
    bridge,
    broadcast,
    ssl_stream_factory,
    wait_any,
)
from trio_draftws.testing import Faults, connected_pair

from .cases import CLIENT_SSL, SERVER_SSL, one, two_sync

# What a type checker would say of all this is known.
reject: Any = Reject
page: Any = HTTPResponse
compression: Any = Compression
factory: Any = ssl_stream_factory
asking: Any = basic_auth
faults: Any = Faults

# Several connections


async def test_broadcast() -> None:
    async with connected_pair() as (client, server):
        wrong: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
            (
                (server, "x"),
                {},
                TypeError,
                "connections is a list of connections, not one Connection",
            ),
            (("abc", "x"), {}, TypeError, "connections is a list of connections, not 'abc'"),
            ((None, "x"), {}, TypeError, "connections is a list of connections, not None"),
            (([server, 5], "x"), {}, TypeError, "and 5 in it is no Connection"),
            (([server.text], "x"), {}, TypeError, "in it is no Connection"),
            (([server], None), {}, TypeError, "a message is a str or bytes, not NoneType"),
            (
                ([server], "x"),
                {"limit": None},
                TypeError,
                "limit must be a number, not NoneType; math.inf",
            ),
            (([server], "x"), {"limit": "9"}, TypeError, "limit must be a number, not str: '9'"),
            (([server], "x"), {"limit": True}, TypeError, "limit must be a number, not bool"),
            (([server], "x"), {"limit": math.nan}, ValueError, "limit must be above 0, not nan"),
            (([server], "x"), {"slow": None}, ValueError, "slow is 'drop' or 'close', not None"),
            (
                ([server], "x"),
                {"compress": "no"},
                TypeError,
                "compress is True, False or None, not 'no'",
            ),
        ]
        for positional, named, error, why in wrong:
            with pytest.raises(error, match=re.escape(why)):
                await broadcast(*positional, **named)
        result = await broadcast((one for one in [server]), "told")
        assert result.sent == (server,)
        # Of the others nothing was sent.
        assert await client.receive() == "told"


async def test_those_that_take_several_connections_or_two() -> None:
    async with connected_pair() as (client, server):
        with pytest.raises(TypeError, match="connections is a list of connections"):
            await wait_any([client, server])  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="b is a Connection, not 5"):
            await bridge(client, 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="a is a Connection, not "):
            await bridge(client.text, server)  # type: ignore[arg-type]
        await client.send("still here")
        assert await server.receive() == "still here"


# Closing


@pytest.mark.parametrize("how", [Connection.aclose, Connection.send_close])
@each_row(
    "arguments, why",
    [
        (("bye",), "a close's code is a number, as 1000, not 'bye'"),
        ((None,), "a close's code is a number, as 1000, not None"),
        ((True,), "a close's code is a number, as 1000, not True"),
        ((1000.0,), r"a close's code is a number, as 1000, not 1000\.0"),
        ((1000, b"bye"), "a close's reason is a str, not b'bye'"),
        ((1000, None), "a close's reason is a str, not None"),
        ((1000, 7), "a close's reason is a str, not 7"),
    ],
)
@pytest.mark.parametrize("name", ["hixie-75", "hixie-76", "hybi-04", "rfc6455"])
async def test_what_is_no_code_or_reason(how: Any, arguments: Any, why: str, name: str) -> None:
    """Whether the draft has them or not; the connection is as good as before."""
    async with connected_pair(name) as (client, server):
        for side in (client, server):
            with pytest.raises(TypeError, match=why):
                await how(side, *arguments)
            assert not side.closed
        await client.send("still here")
        assert await server.receive() == "still here"


# Values


@each_row(
    "make, error, why",
    [
        (lambda: reject(401, "text"), TypeError, "headers is a mapping .* a text is body='...'"),
        (lambda: reject(401, b"text"), TypeError, "headers is a mapping .* not one bytes"),
        (lambda: reject(401, {"X": 1}), TypeError, "the value of the header field 'X' is a str"),
        (lambda: reject(401, ("X", "1")), TypeError, "headers is a list of pairs"),
        (lambda: reject("401"), TypeError, "status is a number, not '401'"),
        (lambda: reject(401.0), TypeError, r"status is a number, not 401\.0"),
        (lambda: reject(True), TypeError, "status is a number, not True"),
        (lambda: reject(None), TypeError, "status is a number, not None"),
        (lambda: reject(401, body=5), TypeError, "body is a str or bytes, not 5"),
        (lambda: reject(401, body=None), TypeError, "body is a str or bytes, not None"),
        (
            lambda: page("hello"),
            TypeError,
            "status is a number, not 'hello'; a text is body",
        ),
        (lambda: page(b"hello"), TypeError, "status is a number, not b'hello'"),
        (lambda: page(200, "hello"), TypeError, "headers is a mapping .* a text is body="),
        (lambda: page(body=5), TypeError, "body is a str or bytes, not 5"),
        (lambda: page(body={"a": 1}), TypeError, "body is a str or bytes, not {'a': 1}"),
        (lambda: page.html(None), TypeError, "body is a str or bytes, not None"),
        (lambda: page.json(1, headers="X"), TypeError, "headers is a mapping"),
        (lambda: compression(webkit=1), TypeError, "webkit must be True or False, not 1"),
        (
            lambda: compression(server_no_context_takeover="no"),
            TypeError,
            "True or False, not 'no'",
        ),
        (
            lambda: compression(client_no_context_takeover=None),
            TypeError,
            "True or False, not None",
        ),
        (lambda: compression(level=math.nan), TypeError, "level must be an int"),
        (lambda: compression(threshold="1"), TypeError, "threshold must be an int"),
        (lambda: factory(True), TypeError, r"context is an ssl\.SSLContext, not True"),
        (lambda: factory(CLIENT_SSL), ValueError, "context is a client's context"),
        (
            lambda: factory(SERVER_SSL, server_hostname="a"),
            ValueError,
            "context is a server's context",
        ),
        (lambda: factory(CLIENT_SSL, server_hostname=5), TypeError, "hostname is a str"),
        (lambda: asking(5, {}), TypeError, "realm is a str, not 5"),
        (lambda: asking("a", {"b": 5}), TypeError, "the password of 'b' is a str, not int"),
        (lambda: asking("a", "users"), TypeError, "users is an async function"),
        (lambda: asking("a", two_sync), TypeError, "write `async def`"),
        (lambda: asking("a", one), TypeError, r"users is called as users\(user, password\)"),
        (lambda: faults(reset_at="7"), TypeError, "reset_at is a number of bytes, not '7'"),
        (lambda: faults(split=None), TypeError, "split is a number of bytes, or several, not None"),
    ],
)
def test_values(make: Callable[[], object], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        make()


def test_a_body_of_any_bytes() -> None:
    """It is copied, so that it may be changed."""
    body = bytearray(b"page")
    answer, refusal = page(body=body), reject(400, body=memoryview(body))
    body[:] = b"else"
    assert (answer.body, refusal.body) == (b"page", b"page")
