"""Functions among the arguments: what can be told beforehand, and what when they are called."""

from __future__ import annotations

import functools
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.rows import each_row
from trio_draftws import (
    Connection,
    HTTPResponse,
    PeerClosed,
    Rejected,
    Request,
    basic_auth,
    open_websocket,
    reconnecting,
)
from trio_draftws.testing import RawClient, echo, served, served_on_port

from .cases import Case, case, coroutine, each, enter, one, two, two_sync, two_yielding
from .test_client import NOBODY

# Functions


class Later:
    """To be awaited, and no coroutine."""

    def __await__(self) -> Iterator[Any]:
        yield


class Handlers:
    """Async functions, each of which says hello."""

    async def method(self, connection: Connection, state: object) -> None:
        await connection.send("hello")

    async def __call__(self, connection: Connection, state: object) -> None:
        await connection.send("hello")


class Returning:
    """A callable object that is not async itself."""

    def __call__(self, connection: Connection, state: object) -> Coroutine[Any, Any, None]:
        return hello(connection, state)


async def hello(connection: Connection, state: object) -> None:
    await connection.send("hello")


async def hello_to(name: str, connection: Connection, state: object, more: int = 1) -> None:
    await connection.send("hello")


async def hello_to_all(*arguments: Any) -> None:
    await arguments[0].send("hello")


def returning(connection: Connection, state: object) -> Awaitable[None]:
    return hello(connection, state)


def plainly_decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


def with_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds an argument, so what it decorates is called with one more."""

    @functools.wraps(function)
    async def wrapper(connection: Connection, state: object) -> None:
        await function("me", connection, state)

    return wrapper


GOOD = {
    "function": hello,
    "lambda": lambda connection, state: hello(connection, state),
    "partial": partial(hello_to, "me"),
    "partial with a keyword": partial(hello_to, "me", more=2),
    "partial of a plain function": partial(returning),
    "method": Handlers().method,
    "callable object": Handlers(),
    "callable object that returns a coroutine": Returning(),
    "any arguments": hello_to_all,
    "def that says what it returns": returning,
    "decorated": plainly_decorated(hello),
    "decorated, with another argument": with_name(hello_to),
    "partial of something decorated": partial(plainly_decorated(hello_to), "me"),
}


@each_row("handler", GOOD.values())
async def test_what_is_an_async_function(handler: Any) -> None:
    for given in (handler, {"/": handler}):
        async with served(given) as server, server.open_websocket(draft="rfc6455") as client:
            assert await client.receive() == "hello"
        assert server.errors == []


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (lambda connection, state: None, "cannot be awaited: NoneType"),
        (partial(two_sync), "cannot be awaited: NoneType"),
        (plainly_decorated(two_sync), "cannot be awaited: NoneType"),
        (lambda connection, state: two_yielding(connection, state), "awaited: async_generator"),
        # Written in C, which does not say what it takes
        ({}.pop, "cannot be awaited: NoneType"),
        (asynccontextmanager(two_yielding), "awaited: _AsyncGeneratorContextManager"),
    ],
)
@pytest.mark.parametrize("serve", [served, served_on_port])
async def test_a_handler_that_turns_out_to_be_none(
    serve: Any, handler: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets 1011, and the log says what it is."""
    async with serve(handler) as server:
        connect = (
            server.open_websocket
            if serve is served
            else partial(open_websocket, f"ws://127.0.0.1:{server.port}/")
        )
        async with connect(draft="rfc6455") as client:
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
            assert caught.value.code == 1011
    [record] = caplog.records
    assert "failed" in record.message
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)
    assert why in str(record.exc_info[1])


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        (None, "not a NoneType"),
        ({"X-A": "1", "X-B": "2"}, "not a dict"),
        ("ab", "not a str"),
        ((), "not a tuple of 0"),
        (((), None, 1), "not a tuple of 3"),
        ([("X-A", "1"), ("X-B", "2")], "headers is a list of pairs of name and value"),
        ((None, 1), "headers is a mapping"),
        (({"X": 1}, 1), "the value of the header field 'X' is a str or bytes, not one int"),
    ],
)
async def test_what_conn_headers_returns(
    returned: Any, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A pair, of which the first are fields; else the client is told 500, and the log why."""

    async def conn_headers(request: Request) -> Any:
        return returned

    async with served(two, conn_headers=conn_headers) as server:
        with pytest.raises(Rejected, match="500"):
            await enter(server.open_websocket(draft="rfc6455"))
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)
    assert why in str(record.exc_info[1])


@each(
    case(TypeError, "conn_headers is an async function, but", conn_headers=lambda request: ((), 1)),
    case(TypeError, "origins answers at once, but", origins=lambda request: coroutine()),
    case(TypeError, "origins answers at once, but", origins=lambda request: Later()),
    case(
        TypeError, "what stream_factory returned is a trio.abc.Stream, not None", stream_factory=one
    ),
    case(
        TypeError, "stream_factory is an async function, but", stream_factory=lambda stream: stream
    ),
)
async def test_functions_of_a_server_that_turn_out_to_be_none(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody comes in, and the log says why."""
    caplog.clear()
    async with served(two, **case.arguments) as server:
        async with RawClient(await server.dial()) as client:
            await client.send(client.request("rfc6455", origin="http://a"))
            answer = await client.receive_rest()
        await trio.testing.wait_all_tasks_blocked()
    if "stream_factory" not in case.arguments:
        assert answer.startswith(b"HTTP/1.1 500 ")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], case.error)
    assert case.why in str(record.exc_info[1])


async def test_a_page_that_turns_out_to_be_none(caplog: pytest.LogCaptureFixture) -> None:
    page: Any = lambda request: HTTPResponse()  # noqa: E731
    async with served(two, http_handler=page) as server:
        async with RawClient(await server.dial()) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await client.expect_response(500)
        await trio.testing.wait_all_tasks_blocked()
    assert (
        "http_handler is an async function, but what it returned cannot be awaited" in caplog.text
    )


@each(
    case(
        TypeError, "what stream_factory returned is a trio.abc.Stream, not None", stream_factory=one
    ),
    case(
        TypeError,
        "stream_factory is an async function, but what it returned cannot be awaited",
        stream_factory=lambda stream: stream,
    ),
)
async def test_a_stream_factory_of_a_client_that_turns_out_to_be_none(case: Case) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with case.raises():
        await enter(open_websocket(NOBODY, stream=ours, **case.arguments))
    assert await theirs.receive_some() == b""


async def test_a_retry_that_turns_out_to_be_async() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{bound.getsockname()[1]}/"
        retry: Any = lambda error: coroutine()  # noqa: E731
        async with reconnecting(url, retry=retry, draft="rfc6455") as connections:
            with pytest.raises(TypeError, match="retry answers at once"):
                await anext(connections)


async def test_settings_are_looked_at_once_for_all_connections() -> None:
    looked: list[str] = []

    class Watched:
        """An async function that notes who asks how it is called."""

        def __init__(self, name: str, function: Callable[..., Any]) -> None:
            self.name = name
            self.function = function

        def __getattribute__(self, name: str) -> Any:
            if name == "__signature__":
                looked.append(object.__getattribute__(self, "name"))
            return object.__getattribute__(self, name)

        def __call__(self, *arguments: Any) -> Any:
            return self.function(*arguments)

    async def conn_headers(request: Request) -> Any:
        return (), None

    settings: dict[str, Any] = {
        "conn_headers": Watched("conn_headers", conn_headers),
        "origins": Watched("origins", lambda request: True),
        "subprotocols": Watched("subprotocols", lambda asked: None),
    }
    async with served_on_port(Watched("handler", echo), **settings) as server:
        assert sorted(set(looked)) == ["conn_headers", "handler", "origins", "subprotocols"]
        before = [*looked]
        for _ in range(3):
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft="rfc6455", subprotocols=["a"]) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
        assert looked == before


async def test_a_password_check_that_turns_out_to_be_none(caplog: pytest.LogCaptureFixture) -> None:
    """What it returned would always be true, and let everybody in."""

    async def unfinished(user: str, password: str) -> Any:
        return coroutine()

    checks: list[Any] = [unfinished, lambda user, password: True]
    for check in checks:
        caplog.clear()
        async with served(two, conn_headers=basic_auth("a", check)) as server:
            async with RawClient(await server.dial()) as client:
                fields = {"Authorization": "Basic YTpi"}
                await client.send(client.request("rfc6455", headers=fields))
                await client.expect_response(500)
            await trio.testing.wait_all_tasks_blocked()
        assert "TypeError: users " in caplog.text
