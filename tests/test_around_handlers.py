"""Instruments that have a context manager around each handler."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from contextvars import ContextVar
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import Connection, Instrument, PeerClosed, accept, open_websocket
from trio_draftws.testing import ServerUnderTest, echo, memory_stream_pair, served, served_on_port

from .rows import each_row

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

Around = Callable[
    [Connection], "AbstractContextManager[object] | AbstractAsyncContextManager[object]"
]

current: ContextVar[str] = ContextVar("current", default="nothing")


@attrs.define(eq=False)
class Within(Instrument):
    """An instrument that has that around handlers."""

    around: Around

    def around_handler(self, connection: Connection) -> Any:
        return self.around(connection)


async def close_of(server: ServerUnderTest, draft: str = "rfc6455") -> int | None:
    """Opens a connection, and returns the code with which the server closes it."""
    async with server.open_websocket(draft=draft) as client:
        with pytest.raises(PeerClosed) as caught:
            await client.receive()
        return caught.value.code


def own_records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.ERROR]


async def return_at_once(connection: Connection, state: object) -> None:
    pass


async def fail(connection: Connection, state: object) -> None:
    raise LookupError("of the handler")


async def wait(connection: Connection, state: object) -> None:
    await trio.sleep_forever()


# What it is for


@pytest.mark.parametrize("start", [served, served_on_port])
async def test_the_handler_is_within(start: Any) -> None:
    """In its own task, so it sees context variables; sync and async ones nest in their order."""
    seen: list[Any] = []

    @contextmanager
    def outer(connection: Connection) -> Generator[None, None, None]:
        seen.append(("outer begins", connection.request.path, connection.closed))
        token = current.set("outer")
        try:
            yield
        finally:
            current.reset(token)
            seen.append(("outer ends", current.get(), connection.closed))

    @asynccontextmanager
    async def inner(connection: Connection) -> AsyncGenerator[None, None]:
        await trio.lowlevel.checkpoint()
        seen.append(("inner begins", current.get(), trio.lowlevel.current_task().name))
        async with trio.open_nursery():
            yield
        seen.append(("inner ends", current.get()))

    async def handler(connection: Connection, state: object) -> None:
        seen.append(("handler", current.get(), trio.lowlevel.current_task().name))
        await connection.send("hello")

    instruments = [Within(outer), Within(inner)]
    async with start({"/a": handler}, instruments=instruments) as server:
        async with server.open_websocket("/a") as client:
            assert await client.receive() == "hello"
            with pytest.raises(PeerClosed):
                await client.receive()
    task = seen[1][2]
    assert seen == [
        ("outer begins", "/a", False),
        ("inner begins", "outer", task),
        ("handler", "outer", task),
        ("inner ends", "outer"),
        ("outer ends", "nothing", False),
    ]


@each_row("draft, code", [("hixie-75", None), ("old", None), ("hybi-06", 1011), ("rfc6455", 1011)])
async def test_what_the_handler_raises_is_seen_and_comes_out(draft: str, code: int | None) -> None:
    """Whatever is made of it: nobody can swallow it."""
    seen: list[BaseException] = []

    @contextmanager
    def swallow(connection: Connection) -> Generator[None, None, None]:
        try:
            yield
        except LookupError as error:
            seen.append(error)

    async with trio.open_nursery() as nursery:
        instruments = [Within(swallow), Within(swallow)]
        async with served(fail, instruments=instruments, handler_nursery=nursery) as server:
            assert await close_of(server, draft) == code
    assert seen == server.errors * 2
    assert len(seen) == 2


async def test_handlers_of_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """Blocks of a client, or of `accept`, are the program's own."""

    def never(connection: Connection) -> Any:
        raise AssertionError("this is no handler")

    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def accept_one() -> None:
            async with accept(theirs, instruments=[Within(never)]) as connection:
                await connection.send("hello")

        nursery.start_soon(accept_one)
        async with open_websocket(
            "ws://localhost/", draft="rfc6455", stream=ours, instruments=[Within(never)]
        ) as client:
            assert await client.receive() == "hello"
    assert own_records(caplog) == []


async def test_nothing_is_added_where_nobody_is_around() -> None:
    """No frame lives as long as the connection."""
    frames: list[list[str]] = []

    async def handler(connection: Connection, state: object) -> None:
        frame, chain = sys._getframe(), []
        while frame.f_back is not None:
            chain.append(frame.f_code.co_name)
            frame = frame.f_back
        frames.append(chain)

    class Another(Instrument):
        def connection_opened(self, connection: Connection) -> None: ...

    class Sometimes(Instrument):
        def around_handler(self, connection: Connection) -> Any:
            return super().around_handler(connection)

    for instruments in ([], [Another()], [Sometimes()]):
        async with served(handler, instruments=instruments) as server:
            assert await close_of(server) == 1000
    assert frames[0] == frames[1]
    assert len(frames[2]) > len(frames[0])


# What goes wrong in one


@attrs.define
class Broken:
    """Fails when it is entered or exited."""

    when: str

    def __enter__(self) -> None:
        if self.when == "enter":
            raise ValueError("of the instrument")

    def __exit__(self, *error: object) -> None:
        raise ValueError("of the instrument")


@attrs.define
class BrokenAsync:
    when: str

    async def __aenter__(self) -> None:
        Broken(self.when).__enter__()

    async def __aexit__(self, *error: object) -> None:
        Broken(self.when).__exit__()


async def coroutine(connection: Connection) -> None:
    """Not what is wanted, however often it is written."""


def raising(connection: Connection) -> Any:
    raise ValueError("of the instrument")


@each_row(
    "around, why",
    [
        (raising, "of the instrument"),
        (lambda connection: Broken("enter"), "of the instrument"),
        (lambda connection: Broken("exit"), "of the instrument"),
        (lambda connection: BrokenAsync("enter"), "of the instrument"),
        (lambda connection: BrokenAsync("exit"), "of the instrument"),
        (lambda connection: None, "around_handler returns a context manager, not a NoneType"),
        (coroutine, "around_handler answers at once, but what it returned wants to be awaited"),
    ],
)
async def test_one_that_fails_is_logged_and_dropped(
    around: Around, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The handler runs all the same, and so do the others; and what it raises comes out."""
    caplog.clear()
    entered: list[str] = []

    @contextmanager
    def good(connection: Connection) -> Generator[None, None, None]:
        entered.append(connection.request.path)
        yield

    bad = Within(around)
    for handler, code in ((return_at_once, 1000), (fail, 1011)):
        caplog.clear()
        async with served(
            {"/": handler, "/echo": echo}, instruments=[Within(good), bad, Within(good)]
        ) as server:
            async with server.open_websocket("/echo") as client:
                for _ in range(2):
                    assert await close_of(server) == code
                await client.send("hello")
                assert await client.receive() == "hello"
        assert entered == ["/echo"] * 2 + ["/"] * 4
        entered.clear()
        [record] = [each for each in caplog.records if "is not called again" in each.message]
        assert record.exc_info is not None
        assert why in str(record.exc_info[1])
        assert len(own_records(caplog)) == 1 + 2 * (handler is fail)


# Cancellation


async def test_a_cancel_scope_around_handlers(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends a handler, which is an end like any other; also one with tasks of its own."""

    async def with_tasks(connection: Connection, state: object) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trio.sleep_forever)

    async def failing_then(connection: Connection, state: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise LookupError("of the handler")

    instruments = [Within(lambda connection: trio.move_on_after(5))]
    for handler, code in ((wait, 1000), (with_tasks, 1000), (failing_then, 1011)):
        async with served(handler, instruments=instruments) as server:
            began = trio.current_time()
            assert await close_of(server) == code
            assert trio.current_time() - began == pytest.approx(5)
            # Nothing else was cancelled.
            assert await close_of(server) == code
    assert [message.rpartition(" ")[2] for message in own_records(caplog)] == ["failed"] * 2


async def test_a_nursery_around_handlers(caplog: pytest.LogCaptureFixture) -> None:
    """What it makes of the handler's exception is a group; that is no failure of it."""
    instruments = [Within(lambda connection: trio.open_nursery())]
    for handler, code in ((return_at_once, 1000), (fail, 1011), (wait, 1001)):
        async with served(handler, instruments=instruments) as server:
            async with server.open_websocket() as client:
                if handler is wait:
                    await server.aclose()
                with pytest.raises(PeerClosed) as caught:
                    await client.receive()
                assert caught.value.code == code
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


async def test_a_cancellation_while_one_is_entered() -> None:
    """Those around it see it, and the handler never runs."""
    seen: list[str] = []

    @contextmanager
    def outer(connection: Connection) -> Generator[None, None, None]:
        try:
            yield
        except trio.Cancelled:
            seen.append("cancelled")
            raise

    @asynccontextmanager
    async def slow(connection: Connection) -> AsyncGenerator[None, None]:
        await trio.sleep(math.inf)
        yield

    async def handler(connection: Connection, state: object) -> None:
        seen.append("the handler runs")

    async with served(handler, instruments=[Within(outer), Within(slow)]) as server:
        async with server.open_websocket() as client:
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
    assert caught.value.code == 1001
    assert seen == ["cancelled"]


@each_row("handler, logged", [(fail, True), (return_at_once, False)])
async def test_a_cancellation_while_one_is_exited(
    handler: Any, logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes out, and what the handler raised is not lost."""
    caplog.clear()

    @asynccontextmanager
    async def slow(connection: Connection) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await trio.sleep_forever()

    async with served(handler, instruments=[Within(slow)]) as server:
        async with server.open_websocket():
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
    records = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(records) == logged
    for record in records:
        assert record.exc_info is not None
        assert isinstance(group := record.exc_info[1], ExceptionGroup)
        assert isinstance(group.exceptions[0], LookupError)


async def test_one_that_swallows_a_cancellation_of_others() -> None:
    """The server ends all the same."""

    @contextmanager
    def swallow(connection: Connection) -> Generator[None, None, None]:
        try:
            yield
        except (trio.Cancelled, BaseExceptionGroup):
            pass

    async with served(wait, instruments=[Within(swallow)]) as server:
        async with server.open_websocket() as client:
            await server.aclose()
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
    assert caught.value.code == 1001


@contextmanager
def errs_after_its_time(connection: Connection) -> Generator[None, None, None]:
    with trio.move_on_after(1) as scope:
        yield
    if scope.cancelled_caught:
        raise LookupError("too long")


@asynccontextmanager
async def fails_beside(connection: Connection) -> AsyncGenerator[None, None]:
    async def beside() -> None:
        await trio.sleep(1)
        raise LookupError("too long")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beside)
        yield


@each_row("around", [lambda connection: trio.fail_after(1), errs_after_its_time, fails_beside])
async def test_one_that_ends_a_handler_with_an_error_ends_no_other(
    around: Around, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It cancels the handler, and what it raises of that is its own failure."""
    caplog.clear()
    ends: list[int | None] = []

    async def note_end(server: ServerUnderTest) -> None:
        ends.append(await close_of(server))

    async with served(wait, instruments=[Within(around)]) as server, trio.open_nursery() as nursery:
        nursery.start_soon(note_end, server)
        await trio.sleep(0.5)
        async with server.open_websocket(draft="rfc6455") as bystander:
            await trio.sleep(0.7)
            assert len(ends) == 1
            assert not bystander.closed
            async with server.open_websocket(draft="rfc6455"):
                pass
        server.errors.clear()
    [first, *_] = own_records(caplog)
    assert "the instrument" in first


async def test_one_that_fails_while_the_server_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The cancellation is the server's, and goes on."""

    @contextmanager
    def fails_at_its_end(connection: Connection) -> Generator[None, None, None]:
        try:
            yield
        finally:
            raise LookupError("on purpose")

    async with served(wait, instruments=[Within(fails_at_its_end)]) as server:
        async with server.open_websocket(draft="rfc6455") as client, trio.open_nursery() as nursery:
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(server.aclose)
            with pytest.raises(PeerClosed, match="1001"):
                await client.receive()
        server.errors.clear()
