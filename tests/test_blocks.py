"""Blocks that are used in another way than with `async with`: what is said, and that nothing hangs.

The rows of the table in docs/blocks-and-nurseries.rst are run here, each as the main task.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DialFailed,
    HandshakeError,
    accept,
    connect_websocket,
    open_gateway,
    open_websocket,
    reconnecting,
)
from trio_draftws.testing import (
    RawServer,
    connected_pair,
    serve_raw,
    served,
    served_on_port,
)

from .rows import each_row

PAGE = Path(__file__).parent.parent / "docs" / "blocks-and-nurseries.rst"
URL = "ws://localhost/"
# Nobody waits longer than that for any of these.
SECONDS = 20

Blocks: TypeAlias = Callable[[], Any]


async def behave(server: RawServer) -> None:
    """What `serve_raw` does with a client."""
    await trio.sleep_forever()


def client() -> Any:
    """A block of `open_websocket`, whose server echoes in a system task."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        try:
            async with accept(theirs) as connection:
                async for message in connection:
                    await connection.send(message)
        except (trio.BrokenResourceError, HandshakeError):
            pass

    trio.lowlevel.spawn_system_task(serve)
    return open_websocket(URL, stream=ours)


def server() -> Any:
    """A block of `accept`, whose client listens in a system task."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def listen() -> None:
        try:
            async with open_websocket(URL, stream=ours) as connection:
                async for _ in connection:
                    pass
        except (trio.BrokenResourceError, HandshakeError):
            pass

    trio.lowlevel.spawn_system_task(listen)
    return accept(theirs)


def client_of_served() -> Any:
    """A block of a server's own `open_websocket`."""
    return servers[-1].open_websocket()


servers: list[Any] = []

# Each with its name in what is said, and what its block gives
BLOCKS: dict[Blocks, tuple[str, str]] = {
    client: ("open_websocket", "connection"),
    server: ("accept", "connection"),
    partial(reconnecting, URL): ("reconnecting", "connections"),
    partial(open_gateway, URL): ("open_gateway", "gateway"),
    served: ("served", "server"),
    served_on_port: ("served_on_port", "server"),
    connected_pair: ("connected_pair", "(client, server)"),
    partial(serve_raw, behave): ("serve_raw", "url"),
}


@attrs.define
class Said:
    """What was said in the course of a run."""

    errors: list[str] = attrs.field(factory=list)
    """That were raised where they could be caught."""
    others: list[str] = attrs.field(factory=list)
    """Warnings and records of the log, apart from those about generators."""
    ended_with: BaseException | None = None
    """What came out of the run."""

    @contextmanager
    def catching(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.errors.append(shown(error))


def shown(error: BaseException | str, kind: type | None = None) -> str:
    return f"{(kind or type(error)).__name__}: {error}"


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Callable[[Callable[[Said], Awaitable[None]]], Said]:
    """Runs something as the main task, and returns what was said."""

    def run(misuse: Callable[[Said], Awaitable[None]]) -> Said:
        said = Said()
        caplog.clear()

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                trio.run(misuse, said)
            except BaseException as error:  # noqa: BLE001
                said.ended_with = error
        said.others += [
            shown(str(one.message), one.category)
            for one in caught
            if one.category is RuntimeWarning
        ]
        for record in caplog.records:
            if record.name == "trio_draftws":
                said.others.append(record.getMessage())
            if record.exc_info is not None and record.exc_info[1] is not None:
                said.others.append(shown(record.exc_info[1]))
        return said

    return run


Run: TypeAlias = Callable[[Callable[[Said], Awaitable[None]]], Said]


# What each row of the table does


async def awaited(said: Said) -> None:
    with said.catching():
        await client()


async def without_async(said: Said) -> None:
    with said.catching():
        with client():
            raise AssertionError("it was entered")


async def looped_over(said: Said) -> None:
    with said.catching():
        async for _ in client():
            raise AssertionError("it is no loop")


async def reconnecting_looped_over(said: Said) -> None:
    with said.catching():
        async for _ in reconnecting(URL):  # type: ignore[attr-defined]
            raise AssertionError("it is no loop")


async def taken_for_what_it_gives(said: Said) -> None:
    with said.catching():
        await client().send("hello")


async def entered_twice(said: Said) -> None:
    block = client()
    async with block:
        with said.catching():
            async with block:
                raise AssertionError("it was entered twice")


async def left_and_never_entered(said: Said) -> None:
    with said.catching():
        await client().__aexit__(None, None, None)


async def left_in_another_task(said: Said) -> None:
    block = client()
    connection = await block.__aenter__()

    async def leave() -> None:
        with said.catching():
            await block.__aexit__(None, None, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, name="other")
    # It is as it was, and is left as it should be.
    await connection.send("hello")
    assert await connection.receive() == "hello"
    await block.__aexit__(None, None, None)


async def left_in_the_wrong_order(said: Said) -> None:
    one, two = AsyncExitStack(), AsyncExitStack()
    first = client()
    connection = await first.__aenter__()
    one.push_async_exit(first)
    await two.enter_async_context(client())
    with said.catching():
        await one.aclose()
    await connection.send("hello")
    assert await connection.receive() == "hello"
    await two.aclose()
    await first.__aexit__(None, None, None)


async def dropped(said: Said) -> None:
    connection = await client().__aenter__()
    with said.catching():
        await connection.receive()


async def in_a_generator(said: Said) -> None:
    async def messages() -> AsyncGenerator[object, None]:
        async with client() as connection:
            await connection.send("hello")
            async for message in connection:
                yield message

    async for message in messages():
        assert message == "hello"
        break
    await trio.testing.wait_all_tasks_blocked(0.01)


kept: list[object] = []


async def kept_and_never_left(said: Said) -> None:
    block = client()
    kept.append(block)
    connection = await block.__aenter__()
    await connection.send("hello")
    assert await connection.receive() == "hello"


async def a_closed_nursery(said: Said) -> None:
    async with trio.open_nursery() as nursery:
        pass
    with said.catching():
        await connect_websocket(nursery, URL)


async def no_nursery_yet(said: Said) -> None:
    with said.catching():
        await connect_websocket(trio.open_nursery(), URL)  # type: ignore[arg-type]


MISUSES: dict[str, Callable[[Said], Awaitable[None]]] = {
    "connection = await open_websocket(url)": awaited,
    "with open_websocket(url) as connection:": without_async,
    "async for message in open_websocket(url):": looped_over,
    "async for connection in reconnecting(url):": reconnecting_looped_over,
    'await open_websocket(url).send("hello")': taken_for_what_it_gives,
    "entering one block twice": entered_twice,
    "leaving a block that was not entered": left_and_never_entered,
    "leaving it in another task": left_in_another_task,
    "leaving it before a block that was entered later": left_in_the_wrong_order,
    "connection = await open_websocket(url).__aenter__()": dropped,
    "using that connection": dropped,
    "ending the task without leaving the block": kept_and_never_left,
    "leaving an async generator that has the block in it": in_a_generator,
    "await connect_websocket(nursery, url)": a_closed_nursery,
    "await connect_websocket(trio.open_nursery(), url)": no_nursery_yet,
}


def rows_of_the_page() -> dict[str, str]:
    """What was done, and what is said."""
    rows = re.findall(
        r"^   \* - (.+)\n     - \.\. code-block:: text\n\n((?: {10}.*\n)+)",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {plain(what).replace("``", "").split(", where")[0]: plain(text) for what, text in rows}


def plain(text: str) -> str:
    return re.sub(r"tests\.test_blocks\.\w+", "main", " ".join(text.split()))


def test_each_row_of_the_page_is_run() -> None:
    assert list(rows_of_the_page()) == list(MISUSES)


@each_row("what", MISUSES)
def test_what_is_said(what: str, run: Run) -> None:
    """As the page has it, word for word; and the run ends."""
    said = run(MISUSES[what])
    assert rows_of_the_page()[what] in map(plain, [*said.errors, *said.others])
    kept.clear()
    if MISUSES[what] in (dropped, kept_and_never_left, in_a_generator):
        assert_ended_by_that(said)
    else:
        assert said.ended_with is None
        assert said.others == []


class TestEachKind:
    @each_row("make", BLOCKS)
    async def test_that_is_not_entered_as_it_should_be(self, make: Any) -> None:
        name, given = BLOCKS[make]
        write = re.escape(f"write `async with {name}(...) as {given}:`")
        for use, error in ((awaiting, TypeError), (with_alone, TypeError), (looping, TypeError)):
            with pytest.raises(error, match=rf"^{name}\(\.\.\.\) .*{write}"):
                await use(make())
        with pytest.raises(AttributeError, match=rf"^{name}\(\.\.\.\) .*'receive'.*{write}"):
            make().receive  # noqa: B018
        assert not hasattr(make(), "_anything")
        with pytest.raises(RuntimeError, match=rf"^{name}\(\.\.\.\) was not entered"):
            await make().__aexit__(None, None, None)

    @each_row("make", BLOCKS)
    async def test_that_is_used_twice(self, make: Any) -> None:
        block = make()
        name = BLOCKS[make][0]
        assert repr(block) == f"<{name}(...) not entered>"
        async with block:
            assert repr(block) == f"<{name}(...) entered>"
            with pytest.raises(RuntimeError, match="was entered before, and can be entered once"):
                await block.__aenter__()
        assert repr(block) == f"<{name}(...) left>"
        with pytest.raises(RuntimeError, match="was left before, so it cannot be left"):
            await block.__aexit__(None, None, None)
        with pytest.raises(RuntimeError, match="was entered before"):
            await block.__aenter__()

    @each_row("make", BLOCKS)
    def test_that_is_forgotten(self, make: Any, run: Run) -> None:
        """Dropped at once, or kept beyond the main task's end, with a scope around or not."""
        name = BLOCKS[make][0]

        async def drop(said: Said) -> None:
            await make().__aenter__()

        async def drop_and_go_on(said: Said) -> None:
            await make().__aenter__()
            await trio.testing.wait_all_tasks_blocked(0.01)

        async def drop_in_scope(said: Said) -> None:
            with trio.move_on_after(SECONDS):
                await make().__aenter__()

        async def keep(said: Said) -> None:
            block = make()
            kept.append(block)
            await block.__aenter__()

        async def keep_in_scope(said: Said) -> None:
            with trio.move_on_after(SECONDS) as scope:
                await keep(said)
                scope.cancel()
                await trio.sleep_forever()

        async def keep_in_nursery(said: Said) -> None:
            async with trio.open_nursery():
                await keep(said)

        async def keep_in_child(said: Said) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep, said)
            await trio.testing.wait_all_tasks_blocked(0.01)

        for misuse in (drop, drop_and_go_on, drop_in_scope):
            said = run(misuse)
            start = f"RuntimeWarning: {name}(...) was entered and never left"
            assert any(text.startswith(start) for text in said.others), misuse
            assert_ended_by_that(said)
        for misuse in (keep, keep_in_scope, keep_in_nursery, keep_in_child):
            said = run(misuse)
            ended = "which has ended and did not leave it"
            assert any(text.startswith(name) and ended in text for text in said.others), misuse
            assert_ended_by_that(said)
            kept.clear()

    @each_row("make", BLOCKS)
    async def test_that_is_left_in_another_task(self, make: Any) -> None:
        block = make()
        await block.__aenter__()

        async def leave() -> None:
            with pytest.raises(RuntimeError, match=r"was entered in the task .* in the task 'it'"):
                await block.__aexit__(None, None, None)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leave, name="it")
        await block.__aexit__(None, None, None)

    @each_row("make", BLOCKS)
    async def test_that_is_left_before_what_was_entered_later(self, make: Any) -> None:
        block = make()
        await block.__aenter__()
        for later in (client(), trio.open_nursery()):
            async with later:
                for why in ((None, None, None), (GeneratorExit, GeneratorExit(), None)):
                    with pytest.raises(RuntimeError, match="left in the reverse order of"):
                        await block.__aexit__(*why)
        await block.__aexit__(None, None, None)


def assert_ended_by_that(said: Said) -> None:
    """Newer versions of Trio say it again; none has a fault of its own."""
    ended_with = said.ended_with
    while exceptions := getattr(ended_with, "exceptions", ()):
        [ended_with] = exceptions
    assert not isinstance(ended_with, (trio.TrioInternalError, trio.Cancelled)), ended_with


async def awaiting(block: Any) -> None:
    await block


async def with_alone(block: Any) -> None:
    with block:
        pass


async def looping(block: Any) -> None:
    async for _ in block:
        pass


class TestForgotten:
    async def test_a_servers_own_client(self) -> None:
        """Whose block has another one in it."""
        async with served() as server:
            block = server.open_websocket()
            async with block as connection:
                await connection.send("hello")
                with pytest.raises(RuntimeError, match="was entered before"):
                    await block.__aenter__()
                with pytest.raises(TypeError, match=r"stream=await server\.dial\(\)"):
                    await server.open_websocket()  # type: ignore[misc]

    def test_its_connection_says_so(self, run: Run) -> None:
        """To whoever uses it, on each side."""

        async def drop(said: Said) -> None:
            for make in (client, server):
                connection = await make().__aenter__()
                await trio.testing.wait_all_tasks_blocked()
                for use in (connection.receive, partial(connection.send, "x")):
                    with pytest.raises(RuntimeError, match="the block that opened it was not left"):
                        await use()

        said = run(drop)
        assert_ended_by_that(said)

    def test_reconnecting_opens_nothing_more(self, run: Run) -> None:
        """Whether it waits, or is opening, when the block is ended."""

        async def drop(said: Said) -> None:
            dialled = trio.Event()

            async def slow(stream: trio.abc.Stream) -> trio.abc.Stream:
                dialled.set()
                await trio.testing.wait_all_tasks_blocked(0.05)
                return stream

            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"

            async def serve() -> None:
                await trio.serve_listeners(answer, listeners)

            async def answer(stream: trio.SocketStream) -> None:
                async with accept(stream) as connection:
                    async for _ in connection:
                        pass

            trio.lowlevel.spawn_system_task(serve)
            for settings in ({"stream_factory": slow}, {"initial_backoff": 0.1}):
                where = url if "stream_factory" in settings else "ws://127.0.0.1:1/"
                connections = await reconnecting(where, draft="rfc6455", **settings).__aenter__()
                with pytest.raises(RuntimeError, match="the block that opened it was not left"):
                    await anext(connections)
                with pytest.raises(RuntimeError, match="the block that opened it was not left"):
                    await anext(connections)

        said = run(drop)
        assert_ended_by_that(said)

    async def test_a_generator_that_is_closed_as_it_should_be(self) -> None:
        async def messages() -> AsyncGenerator[object, None]:
            async with client() as connection:
                await connection.send("hello")
                async for message in connection:
                    yield message

        async with aclosing(messages()) as generator:
            async for message in generator:
                assert message == "hello"
                break

    async def test_a_failed_entry_is_no_entry(self) -> None:
        """There is nothing to leave, and nothing is said."""
        block = open_websocket("ws://127.0.0.1:1/")
        with pytest.raises(DialFailed):
            await block.__aenter__()
        with pytest.raises(RuntimeError, match="was left before"):
            await block.__aexit__(None, None, None)
