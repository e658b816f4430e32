"""Ends of a server that leave time: `Server.aclose` with a grace, and closing its listeners."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    Draft,
    HandshakeError,
    LocalProtocolError,
    PeerClosed,
    Server,
    open_unix_listener,
    open_websocket,
    serve_websocket,
)
from trio_draftws.testing import ServerUnderTest, served

from .processes import HOST
from .turns import each_draft, in_turn
from .wire import Answer, plain_nursery, read_to_end, request_13


async def as_told(connection: Connection, state: object) -> None:
    """Takes as many seconds as the client says."""
    await trio.sleep(float(await connection.receive()))


def as_sent(draft: Draft, code: int, reason: str) -> tuple[int | None, str]:
    return (code, reason) if draft.close_status else (None, "")


@asynccontextmanager
async def guest(server: ServerUnderTest, seconds: float) -> AsyncIterator[Connection]:
    """A client whose handler takes so many seconds."""
    async with server.open_websocket() as client:
        await client.send(str(seconds))
        await trio.testing.wait_all_tasks_blocked()
        yield client


async def end_of(client: Connection) -> tuple[int | None, str]:
    with pytest.raises(PeerClosed) as caught:
        await client.receive()
    return caught.value.code, caught.value.reason


class Times:
    """When tasks ended, by the moment at which this was made."""

    def __init__(self) -> None:
        self.began = trio.current_time()
        self.ended: dict[str, float] = {}

    async def note(self, name: str, run: Any) -> None:
        await run()
        self.ended[name] = round(trio.current_time() - self.began, 3)


@in_turn("in_own_nursery", [False, True])
@each_draft
async def test_handlers_have_a_grace(
    draft: Draft, in_own_nursery: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """One is done within it, and one is not."""
    async with trio.open_nursery() as handlers:
        settings: dict[str, Any] = {"handler_nursery": handlers} if in_own_nursery else {}
        async with (
            served(as_told, draft=draft, **settings) as server,
            guest(server, 3) as quick,
            guest(server, math.inf) as slow,
            trio.open_nursery() as nursery,
        ):
            times = Times()
            close = partial(server.server.aclose, 1012, "restart", grace=10)
            nursery.start_soon(times.note, "server", close)
            nursery.start_soon(times.note, "quick", quick.wait_closed)
            assert await end_of(quick) == as_sent(draft, 1000, "")
            await slow.send("still open")
            assert await end_of(slow) == as_sent(draft, 1012, "restart")
            await slow.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert times.ended.keys() == {"server", "quick"}
            assert 3 <= times.ended["quick"] <= 5
            assert 10 <= times.ended["server"] <= 11
            assert not server.connections


@each_draft
async def test_without_a_grace(draft: Draft, autojump_clock: trio.testing.MockClock) -> None:
    """Also a handler that takes no notice gets that code."""

    async def handler(connection: Connection, state: object) -> None:
        if await connection.receive() == "stubborn":
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
        else:
            await trio.sleep_forever()

    async with served(handler, draft=draft) as server, server.open_websocket() as stubborn:
        async with server.open_websocket() as client, trio.open_nursery() as nursery:
            await stubborn.send("stubborn")
            await client.send("as usual")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(server.server.aclose, 4001, "bye")
            assert await end_of(client) == as_sent(draft, 4001, "bye")
            assert await end_of(stubborn) == as_sent(draft, 4001, "bye")


@in_turn("how", [{"grace": math.inf}, {"close_connections": False}])
async def test_connections_may_be_left_to_their_handlers(
    how: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with served(as_told) as server, server.open_websocket(ping_interval=math.inf) as client:
        await client.send("3000")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            times = Times()
            nursery.start_soon(times.note, "server", partial(server.server.aclose, 1012, **how))
            assert await end_of(client) == (1000, "")
        assert times.ended == {"server": pytest.approx(3000, abs=1)}
        # Whoever calls it then finds it ended.
        await server.aclose()


async def test_a_server_without_handlers_ends_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()
    async with served(as_told) as server:
        await server.server.aclose(grace=1000)
        with pytest.raises(HandshakeError):
            async with server.open_websocket():
                raise AssertionError("it listens")
    assert trio.current_time() == began


async def test_openings_that_are_under_way(autojump_clock: trio.testing.MockClock) -> None:
    """They may be done within the grace; the rest gets 503 when that is over."""
    async with plain_nursery() as nursery:
        serve = partial(serve_websocket, as_told, 0, host=HOST, handshake_timeout=1000)
        server: Server = await nursery.start(serve)
        port = server.port
        assert port is not None
        streams = [await trio.open_tcp_stream(HOST, port) for _ in range(3)]
        await streams[1].send_all(request_13()[:20])
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.start_soon(partial(server.aclose, grace=10))
        await trio.sleep(1)
        with pytest.raises(OSError, match="all attempts"):
            await trio.open_tcp_stream(HOST, port)
        async with open_websocket(
            f"ws://{HOST}:{port}/", stream=streams[0], draft="rfc6455"
        ) as client:
            await client.send("2")
            assert await end_of(client) == (1000, "")
        for stream in streams[1:]:
            answer = Answer.parse(await read_to_end(stream))
            assert answer.text == "The server is shutting down.\n"
            assert 10 <= trio.current_time() <= 12
            await stream.aclose()


@in_turn(
    ("first", "second", "ended", "code"),
    [
        ({"grace": 100}, {}, 1, 4002),
        ({"grace": 100}, {"grace": 20}, 21, 4002),
        ({"close_connections": False}, {"grace": 0}, 1, 4002),
        ({"grace": 10}, {"grace": 100}, 10, 4001),
        ({"grace": 10}, {"close_connections": False}, 10, 4001),
    ],
)
async def test_a_second_call_may_hasten_the_end(
    first: dict[str, Any],
    second: dict[str, Any],
    ended: float,
    code: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(as_told) as server, server.open_websocket() as client:
        await client.send("inf")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            times = Times()
            aclose = server.server.aclose
            nursery.start_soon(times.note, "first", partial(aclose, 4001, **first))
            await trio.sleep(1)
            nursery.start_soon(times.note, "second", partial(aclose, 4002, **second))
            assert await end_of(client) == (code, "")
            await client.aclose()
        assert times.ended == {name: pytest.approx(ended, abs=0.5) for name in ("first", "second")}


@in_turn("whose", ["server", "aclose"])
async def test_a_cancellation_within_the_grace(
    whose: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The server's ends it at once, in order; that of `aclose` changes nothing."""
    async with trio.open_nursery() as nursery:
        scopes = {"server": trio.CancelScope(), "aclose": trio.CancelScope()}
        times = Times()

        async def serve(task_status: trio.TaskStatus[Server]) -> None:
            with scopes["server"]:
                await serve_websocket(as_told, 0, host=HOST, task_status=task_status)

        async def aclose() -> None:
            with scopes["aclose"]:
                await server.aclose(4001, "bye", grace=10)

        server: Server = await nursery.start(serve)
        url = f"ws://{HOST}:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as client:
            await client.send("inf")
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.start_soon(times.note, "aclose", aclose)
            await trio.sleep(1)
            scopes[whose].cancel()
            assert await end_of(client) == (4001, "bye")
            expected = 1 if whose == "server" else 10
            assert trio.current_time() - times.began == pytest.approx(expected, abs=0.5)
        await server.aclose()
    assert [name for name, scope in scopes.items() if scope.cancelled_caught] == [whose]
    assert times.ended["aclose"] == pytest.approx(1, abs=0.5)


@in_turn(
    ("arguments", "error", "why"),
    [
        ({"code": 1005}, LocalProtocolError, "cannot carry the code 1005"),
        ({"code": 1004}, LocalProtocolError, "cannot carry the code 1004"),
        ({"code": 999}, LocalProtocolError, "cannot carry the code 999"),
        ({"code": None}, TypeError, "a close's code is a number, as 1000, not None"),
        ({"code": True}, TypeError, "a close's code is a number, as 1000, not True"),
        ({"code": "1001"}, TypeError, "a close's code is a number, as 1000, not '1001'"),
        ({"reason": b"bye"}, TypeError, "a close's reason is a str, not b'bye'"),
        ({"reason": "x" * 124}, LocalProtocolError, "has 124 bytes, and may have 123"),
        ({"reason": "\ud800"}, LocalProtocolError, "lone surrogate"),
        ({"grace": -1}, ValueError, "grace must be at least 0, not -1"),
        ({"grace": math.nan}, ValueError, "grace must be at least 0, not nan"),
        ({"grace": None}, TypeError, "grace must be a number, not NoneType"),
        ({"grace": "5"}, TypeError, "grace must be a number, not str: '5'"),
        ({"grace": 10**400}, ValueError, "grace is more than a float can hold"),
        ({"close_connections": 0}, TypeError, "close_connections is True or False, not 0"),
        ({"close_connections": False, "grace": 5}, ValueError, "leave it out, or grace"),
    ],
)
async def test_what_no_server_can_end_with(
    arguments: dict[str, Any], error: type[Exception], why: str
) -> None:
    """Nothing is done: it goes on serving."""
    async with served(as_told) as server:
        with pytest.raises(error, match=re.escape(why)):
            await server.server.aclose(**arguments)
        async with server.open_websocket() as client:
            await client.send("0")
            assert await end_of(client) == (1000, "")


# Closing its listeners


async def is_served(port: int, client_ssl: ssl.SSLContext | None = None) -> bool:
    try:
        async with open_websocket(
            f"{'ws' if client_ssl is None else 'wss'}://localhost:{port}/",
            stream=await trio.open_tcp_stream(HOST, port),
            ssl_context=client_ssl,
            draft="rfc6455",
        ) as client:
            await client.send("0")
            return await end_of(client) == (1000, "")
    except OSError:
        return False


def port_of(listener: Any) -> int:
    inner = getattr(listener, "transport_listener", listener)
    return int(inner.socket.getsockname()[1])


@in_turn("given", [False, True])
async def test_a_server_ends_with_its_listener(
    given: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """In order, and with no error, whoever opened the listener."""
    listeners = await trio.open_tcp_listeners(0, host=HOST)
    async with plain_nursery() as nursery:
        settings: dict[str, Any] = {"listeners": listeners} if given else {"host": HOST}
        server: Server = await nursery.start(partial(serve_websocket, as_told, 0, **settings))
        async with open_websocket(f"ws://{HOST}:{server.port}/", draft="rfc6455") as client:
            await client.send("inf")
            await trio.testing.wait_all_tasks_blocked(0.01)
            [listener] = listeners if given else server.listeners
            assert server.listeners[0] is listener
            await listener.aclose()
            assert await end_of(client) == (1001, "")
        assert not await is_served(server.port or 0)
    # The nursery has been left: the server has ended.
    await server.aclose()
    await listeners[0].aclose()


async def test_with_several_the_others_go_on(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, tmp_path: Path
) -> None:
    plain, other, inner = [
        listener for _ in range(3) for listener in await trio.open_tcp_listeners(0, host=HOST)
    ]
    secure = trio.SSLListener(inner, server_ssl)
    path = tmp_path / "socket"
    unix = await open_unix_listener(path)
    async with plain_nursery() as nursery:
        listeners = [plain, unix, secure, other]
        server: Server = await nursery.start(partial(serve_websocket, as_told, listeners=listeners))
        assert await is_served(port_of(plain))
        await plain.aclose()
        assert not await is_served(server.port or 0)
        await unix.aclose()
        assert not path.exists()
        assert await is_served(port_of(secure), client_ssl)
        # Its socket alone
        inner.socket.close()
        assert await is_served(port_of(other))
        assert server.listeners == listeners
        await other.aclose()


async def test_a_listener_that_is_closed_already(
    server_ssl: ssl.SSLContext, tmp_path: Path
) -> None:
    """That is a mistake, unlike one that is closed while it is served."""
    plain, inner = [
        listener for _ in range(2) for listener in await trio.open_tcp_listeners(0, host=HOST)
    ]
    unix = await open_unix_listener(tmp_path / "socket")
    for listener in (plain, trio.SSLListener(inner, server_ssl), unix):
        await listener.aclose()
        with pytest.raises(ValueError, match="listeners has one that is closed"):
            await serve_websocket(as_told, listeners=[listener])


@in_turn("before", [True, False])
async def test_closing_them_does_not_hasten_a_soft_end(
    before: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Nor in the moment in which it begins."""
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(partial(serve_websocket, as_told, 0, host=HOST))
        async with open_websocket(f"ws://{HOST}:{server.port}/", draft="rfc6455") as client:
            await client.send("5")
            await trio.testing.wait_all_tasks_blocked(0.01)

            async def close() -> None:
                for listener in server.listeners:
                    listener.socket.close()  # type: ignore[attr-defined]
                await server.aclose(grace=10)

            nursery.start_soon(close if before else partial(server.aclose, grace=10))
            await trio.sleep(1)
            for listener in server.listeners:
                await listener.aclose()
            assert await end_of(client) == (1000, "")


class Failing(trio.abc.Listener[trio.abc.Stream]):
    async def accept(self) -> trio.abc.Stream:
        raise OSError("no more")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_what_else_a_listener_raises_comes_out() -> None:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        await serve_websocket(as_told, listeners=[Failing()])
    assert [str(error) for error in caught.value.exceptions] == ["no more"]  # type: ignore[attr-defined]
