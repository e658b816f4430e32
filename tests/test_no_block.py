"""Connections that are no block: `connect_websocket` and `accept_websocket`."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable
from contextvars import ContextVar
from functools import partial
from itertools import product
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    ConnectionLost,
    DialFailed,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    Instrument,
    InternalError,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    TLSFailed,
    accept_websocket,
    connect_websocket,
    framing_mode,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named
from trio_draftws.testing import Faults, FaultyStream, served, served_on_port

from .cancelling import Cancel, at_every_point
from .pairs import as_it_is, cut, stream_pair, url_over
from .rows import each_row, in_turn

NOBODY = "ws://127.0.0.1:1/"

# These have between them each opening, each framing and each closing that there is.
DIFFERENT = [
    draft_named(name) for name in ("hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455")
]
each_draft = each_row("draft", DIFFERENT)


async def both_sides(
    nursery: trio.Nursery,
    streams: tuple[trio.abc.Stream, trio.abc.Stream],
    draft: Draft,
    **settings: Any,
) -> tuple[Connection, Connection]:
    """The client's and the server's side of a connection, both in that nursery."""
    client_end, server_end = streams
    sides: dict[str, Connection] = {}

    async def keep(role: str, opening: Awaitable[Connection]) -> None:
        sides[role] = await opening

    client = partial(connect_websocket, nursery, url_over(client_end), stream=client_end)
    with use_framing_mode(draft.name):
        async with trio.open_nursery() as openers:
            openers.start_soon(keep, "client", client(stream_factory=as_it_is, **settings))
            openers.start_soon(keep, "server", accept_websocket(nursery, server_end, **settings))
    return sides["client"], sides["server"]


async def in_a_task(run: Any, *arguments: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, *arguments)


def the_only(group: BaseException) -> BaseException:
    """What a group of one, of one, ... is made of."""
    while exceptions := getattr(group, "exceptions", ()):
        [group] = exceptions
    return group


async def is_closed(stream: trio.abc.Stream) -> bool:
    try:
        await stream.send_all(b"x")
    except trio.ClosedResourceError:
        return True
    return False


@each_draft
async def test_a_block_of_its_own_says_how_it_ended(draft: Draft) -> None:
    """`async with connection:`, with the codes of `open_websocket`."""

    async def returns() -> None:
        pass

    async def fails() -> None:
        raise LookupError("on purpose")

    async def waits() -> None:
        nursery.cancel_scope.cancel()
        await trio.sleep_forever()

    for body, code, raised in (
        (returns, 1000, None),
        (fails, 1011, LookupError),
        (waits, 1001, trio.Cancelled),
    ):
        async with trio.open_nursery() as servers:
            async with trio.open_nursery() as nursery:
                theirs, ours = await stream_pair("memory")
                with use_framing_mode(draft.name):
                    servers.start_soon(partial(answer_the_close, theirs, code, draft))
                client = await connect_websocket(nursery, NOBODY, stream=ours, draft=draft)
                got: type[BaseException] | None = None
                try:
                    async with client:
                        await body()
                except BaseException as error:
                    got = type(error)
                    if not isinstance(error, LookupError):
                        raise
                assert got is raised
                assert client.closed


async def answer_the_close(stream: trio.abc.Stream, code: int, draft: Draft) -> None:
    async with trio.open_nursery() as nursery:
        server = await accept_websocket(nursery, stream)
        with pytest.raises(trio.EndOfChannel):
            await server.receive()
        if draft.close_status:
            assert server.close_code == code


@in_turn(DRAFTS, transport=["memory", "lockstep", "tcp", "tls", "foreign"])
async def test_a_conversation_of_several_tasks(draft: Draft, transport: str) -> None:
    """Each message is sent and received in other tasks and scopes than those that opened it."""
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(60):
            async with trio.open_nursery() as within:
                within.start_soon(trio.lowlevel.checkpoint)
                streams = await stream_pair(transport)
                client, server = await both_sides(nursery, streams, draft)
        for here, there in ((client, server), (server, client)):

            async def receive(there: Connection = there) -> None:
                assert await there.receive() == "hello"

            async with trio.open_nursery() as tasks:
                tasks.start_soon(here.send, "hello")
                tasks.start_soon(receive)
        async with trio.open_nursery() as tasks:
            tasks.start_soon(client.aclose)
            tasks.start_soon(server.aclose)
        assert client.closed
        assert server.closed
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks == frozenset()


async def test_over_tls(client_ssl: ssl.SSLContext, server_ssl: ssl.SSLContext) -> None:
    """On a stream that is given, and over TCP, which they dial themselves."""
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()

        async def serve() -> None:
            server = await accept_websocket(nursery, theirs, ssl_context=server_ssl)
            async for message in server:
                await server.send(message)
            await server.aclose()

        nursery.start_soon(serve)
        async with served_on_port(ssl_context=server_ssl) as server:
            for url, stream in (("wss://127.0.0.1/", ours), (f"wss{server.url[2:]}", None)):
                connecting = connect_websocket(
                    nursery, url, stream=stream, draft="rfc6455", ssl_context=client_ssl
                )
                async with await connecting as client:
                    assert (client.url or "").startswith("wss://")
                    await client.send("hello")
                    assert await client.receive() == "hello"


class TestTheNursery:
    @each_row("draft, transport", product(DIFFERENT, ["memory", "tcp", "tls"]))
    async def test_cancelled_it_closes_in_order(self, draft: Draft, transport: str) -> None:
        """With 1001; the other side closes by itself."""
        streams = await stream_pair(transport)
        async with trio.open_nursery() as others, trio.open_nursery() as nursery:
            client, server = await both_sides(others, streams, draft)
            other = await connect_in(nursery, draft)
            nursery.cancel_scope.cancel()
            others.cancel_scope.cancel()
        for connection in (client, server, other):
            assert connection.closed
            if draft.close_status:
                assert connection.close_sent == Close(1001)

    @each_draft
    async def test_it_waits_at_its_end(self, draft: Draft) -> None:
        """For a connection that is open, as for any task."""
        ended = trio.Event()
        async with trio.open_nursery() as outer:
            opened: list[Connection] = []

            async def run() -> None:
                async with trio.open_nursery() as nursery:
                    opened.append(await connect_in(nursery, draft))
                ended.set()

            outer.start_soon(run)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not ended.is_set()
            async with opened[0] as connection:
                await connection.send("hello")
                assert await connection.receive() == "hello"
            await ended.wait()

    @each_draft
    async def test_the_peer_ends_it(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """And what it sent can still be received when the nursery has gone."""

        async def handler(connection: Connection, state: object) -> None:
            for number in range(3):
                await connection.send(str(number))

        async with served_on_port(handler, draft=draft) as server:
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    connection = await connect_websocket(nursery, server.url, draft=draft)
            assert [message async for message in connection] == ["0", "1", "2"]
            with pytest.raises(PeerClosed):
                await connection.receive()
            with pytest.raises(trio.BrokenResourceError):
                await connection.send("too late")
            await connection.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await connection.receive()

    @each_row("draft, transport", product(DIFFERENT, ["tcp", "tls", "memory"]))
    async def test_a_peer_that_vanishes_ends_it(
        self, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        streams = await stream_pair(transport)
        async with trio.open_nursery() as nursery:
            client, server = await both_sides(nursery, streams, draft)
            await cut(server)
            with pytest.raises((ConnectionLost, PeerClosed)):
                await client.receive()
            with pytest.raises(ConnectionLost):
                await server.receive()

    async def test_a_peer_that_does_not_close_is_waited_for_once(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """For `close_timeout`, although the nursery is cancelled and was when closing began."""
        client_end, server_end = trio.testing.memory_stream_pair()
        stalling = FaultyStream(client_end)
        async with trio.open_nursery() as others:
            async with trio.open_nursery() as nursery:
                streams = (stalling, server_end)
                _, server = await both_sides(others, streams, DRAFTS[-1], close_timeout=7)
                stalling.incoming = Faults(stall_at=stalling.bytes_received)
                other = await connect_in(nursery, DRAFTS[-1], close_timeout=7)
                others.cancel_scope.cancel()
                since = trio.current_time()
                nursery.cancel_scope.cancel()
            assert other.closed
        assert server.closed
        assert trio.current_time() - since == pytest.approx(7)

    @each_draft
    async def test_cancelled_while_it_closes(self, draft: Draft) -> None:
        """Whoever closes first says with which code."""
        async with trio.open_nursery() as outer:
            async with trio.open_nursery() as nursery:
                connection = await connect_in(nursery, draft)
                outer.start_soon(connection.aclose)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        if draft.close_status:
            assert connection.close_sent == Close(1000)

    async def test_cancelled_while_it_opens(self) -> None:
        """The connection is opened for whoever waits for it, and closed at once."""
        go = trio.Event()

        async def conn_headers(request: Request) -> Any:
            await go.wait()
            return (), None

        async with served_on_port(conn_headers=conn_headers) as server:
            async with trio.open_nursery() as nursery:

                async def open_elsewhere() -> None:
                    connection = await connect_websocket(nursery, server.url, draft="rfc6455")
                    with pytest.raises(trio.ClosedResourceError):
                        await connection.receive()
                    assert connection.close_sent == Close(1001)

                async with trio.open_nursery() as elsewhere:
                    elsewhere.start_soon(open_elsewhere)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    nursery.cancel_scope.cancel()
                    go.set()

    async def test_a_closed_one(self) -> None:
        async with trio.open_nursery() as nursery:
            pass
        for opening in (partial(connect_websocket, nursery, NOBODY), accepting(nursery)):
            ours, theirs = trio.testing.memory_stream_pair()
            with pytest.raises(RuntimeError, match="Nursery is closed to new arrivals"):
                await opening(stream=ours)
            assert await theirs.receive_some() == b""
        with pytest.raises(RuntimeError, match="Nursery is closed to new arrivals"):
            await connect_websocket(nursery, NOBODY)

    @each_row("given", [None, 5, "ws://user:secret@host/", trio.open_nursery, trio.CancelScope()])
    async def test_none(self, given: Any) -> None:
        for opening in (partial(connect_websocket, given, NOBODY), accepting(given)):
            ours, theirs = trio.testing.memory_stream_pair()
            why = r"^the first argument of \w+_websocket is the trio\.Nursery to run .* not a "
            with pytest.raises(TypeError, match=why) as caught:
                await opening(stream=ours)
            assert "secret" not in str(caught.value)
            assert await theirs.receive_some() == b""
        with pytest.raises(TypeError, match=r"; `async with trio\.open_nursery\(\) as nursery:`"):
            await connect_websocket(trio.open_nursery(), NOBODY)  # type: ignore[arg-type]

    @each_draft
    async def test_of_two_connections_one_may_end_before_the_other(self, draft: Draft) -> None:
        async with served(draft=draft) as server:
            async with trio.open_nursery() as nursery:
                first, second = [
                    await connect_websocket(
                        nursery, server.url, stream=await server.dial(), draft=draft
                    )
                    for _ in range(2)
                ]
                await first.aclose()
                await second.send("hello")
                assert await second.receive() == "hello"
                await second.aclose()

    @each_draft
    async def test_of_a_servers_handlers(self, draft: Draft) -> None:
        """A handler opens connections in its own nursery, and in that of all handlers."""
        async with served_on_port(draft=draft) as behind:

            async def handler(connection: Connection, state: object) -> None:
                async with trio.open_nursery() as own:
                    ours = [
                        await connect_websocket(nursery, behind.url, draft=draft)
                        for nursery in (own, handlers)
                    ]
                    async for message in connection:
                        for one in ours:
                            await one.send(message)
                            await connection.send(await one.receive())
                    await ours[0].aclose()

            async with trio.open_nursery() as handlers:
                async with served(handler, draft=draft, handler_nursery=handlers) as server:
                    async with server.open_websocket() as client:
                        await client.send("hello")
                        assert [await client.receive() for _ in range(2)] == ["hello", "hello"]
                assert len(behind.connections) == 1
                handlers.cancel_scope.cancel()
            assert behind.errors == []


def accepting(nursery: Any) -> Any:
    async def opening(stream: trio.abc.Stream) -> Connection:
        return await accept_websocket(nursery, stream)

    return opening


async def connect_in(nursery: trio.Nursery, draft: Draft, **settings: Any) -> Connection:
    """A client in that nursery, whose peer echoes in a task of the same nursery."""
    ours, theirs = trio.testing.memory_stream_pair()
    opened: list[Connection] = []

    async def serve() -> None:
        with use_framing_mode(draft.name):
            opened.append(await accept_websocket(nursery, theirs))
        async for message in opened[0]:
            await opened[0].send(message)
        await opened[0].aclose()

    nursery.start_soon(serve)
    return await connect_websocket(nursery, "ws://localhost/", stream=ours, draft=draft, **settings)


class TestOpening:
    async def test_an_error_comes_out_as_it_is(self) -> None:
        """With its cause, whatever nurseries make of errors."""

        async def conn_headers(request: Request) -> Any:
            raise Reject(403)

        async with trio.open_nursery() as nursery:
            with pytest.raises(DialFailed) as dialled:
                await connect_websocket(nursery, NOBODY)
            assert isinstance(dialled.value.__cause__, OSError)
            async with served_on_port(conn_headers=conn_headers) as server:
                with pytest.raises(Rejected, match="403"):
                    await connect_websocket(nursery, server.url, draft="rfc6455")
                with pytest.raises(TLSFailed) as failed:
                    await connect_websocket(nursery, server.url.replace("ws:", "wss:"))
                assert isinstance(failed.value.__cause__, ssl.SSLError)
            assert nursery.child_tasks == frozenset()

    @each_draft
    async def test_an_error_of_accept_comes_out_as_it_is(self, draft: Draft) -> None:
        mistake = ValueError("a mistake")

        async def reject(request: Request) -> Any:
            raise Reject(403)

        async def fail(request: Request) -> Any:
            raise mistake

        async with trio.open_nursery() as nursery:
            for conn_headers, status in ((reject, 403), (fail, 500)):
                ours, theirs = trio.testing.memory_stream_pair()

                async def connect(ours: trio.abc.Stream = ours, status: int = status) -> None:
                    with pytest.raises(Rejected) as caught:
                        await connect_websocket(
                            nursery, "ws://localhost/", stream=ours, draft=draft
                        )
                    assert caught.value.status == status

                async with trio.open_nursery() as clients:
                    clients.start_soon(connect)
                    with pytest.raises((RequestRefused, ValueError)) as caught:
                        await accept_websocket(nursery, theirs, conn_headers=conn_headers)
                    assert (caught.value is mistake) == (status == 500)
            ours, theirs = trio.testing.memory_stream_pair()
            await ours.aclose()
            with pytest.raises(HandshakeError):
                await accept_websocket(nursery, theirs)

    async def test_a_timeout(self, autojump_clock: trio.testing.MockClock) -> None:
        async with trio.open_nursery() as nursery:
            for opening in (partial(connect_websocket, nursery, NOBODY), accepting(nursery)):
                ours, theirs = trio.testing.memory_stream_pair()
                with pytest.raises(HandshakeTimeout):
                    await opening(stream=ours)
                with trio.move_on_after(1) as patience:
                    async for _ in theirs:
                        pass
                assert not patience.cancelled_caught

    async def test_what_ends_the_program_does(self) -> None:
        async def interrupted(stream: trio.abc.Stream) -> trio.abc.Stream:
            raise KeyboardInterrupt

        async with trio.open_nursery() as nursery:
            ours, theirs = trio.testing.memory_stream_pair()
            with pytest.raises(KeyboardInterrupt):
                await connect_websocket(nursery, NOBODY, stream=ours, stream_factory=interrupted)
            with pytest.raises(KeyboardInterrupt):
                await accept_websocket(nursery, theirs, stream_factory=interrupted)
            assert await is_closed(ours)
            assert await is_closed(theirs)

    async def test_settings_are_those_of_the_blocks(self) -> None:
        async with trio.open_nursery() as nursery:
            ours, theirs = trio.testing.memory_stream_pair()
            with pytest.raises(TypeError, match=r"^connect_websocket\(\) got an unexpected"):
                await connect_websocket(nursery, NOBODY, strem=ours)  # type: ignore[call-arg]
            with pytest.raises(TypeError, match=r"^accept_websocket\(\) got an unexpected"):
                await accept_websocket(nursery, ours, port=80)  # type: ignore[call-arg]
            assert await theirs.receive_some() == b""
            with pytest.raises(TypeError, match=r"^stream is a trio\.abc\.Stream, not 5"):
                await accept_websocket(nursery, 5)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"^stream is a trio\.abc\.Stream, not 5"):
                await connect_websocket(nursery, NOBODY, stream=5)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="no draft is named 'x'"):
                await connect_websocket(nursery, NOBODY, draft="x")
            with pytest.raises(ValueError, match="idle_timeout must be above 0"):
                await connect_websocket(nursery, NOBODY, idle_timeout=0)

    async def test_the_context_is_the_callers(self) -> None:
        """The framing mode, and variables that functions of the program read."""
        who: ContextVar[str] = ContextVar("who")
        who.set("caller")
        found: list[str] = []

        async def conn_headers(request: Request) -> Any:
            found.extend((who.get(), framing_mode.get()))
            return (), request.path

        async with trio.open_nursery() as nursery:
            ours, theirs = trio.testing.memory_stream_pair()
            with use_framing_mode("new"):

                async def connect() -> None:
                    client = await connect_websocket(nursery, "ws://localhost/x", stream=ours)
                    assert client.draft is server.draft is DRAFTS[2]

                nursery.start_soon(connect)
                server = await accept_websocket(nursery, theirs, conn_headers=conn_headers)
            assert (found, server.state) == (["caller", "new"], "/x")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


class TestCancelled:
    @each_draft
    async def test_connecting_cancelled_at_every_point(self, draft: Draft) -> None:
        """Nothing is left, or the connection was handed over."""
        async with served_on_port(draft=draft) as server, trio.open_nursery() as nursery:
            opened: list[Connection] = []

            async def connect() -> None:
                opened.append(await connect_websocket(nursery, server.url, draft=draft))

            async def scenario(cancel: Cancel) -> bool:
                was_cancelled = await cancel(connect)
                assert len(nursery.child_tasks) == len(opened)
                while opened:
                    await opened.pop().aclose()
                await trio.testing.wait_all_tasks_blocked()
                assert nursery.child_tasks == frozenset()
                return was_cancelled

            await at_every_point(scenario, at_least=1)

    @each_draft
    async def test_accepting_cancelled(self, draft: Draft) -> None:
        """The client gets 503."""

        async def conn_headers(request: Request) -> Any:
            scope.cancel()
            await trio.sleep_forever()

        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                with pytest.raises(Rejected) as caught:
                    await connect_websocket(nursery, "ws://localhost/", stream=ours, draft=draft)
                assert caught.value.status == 503

            async with trio.open_nursery() as clients:
                clients.start_soon(connect)
                with trio.CancelScope() as scope:
                    await accept_websocket(nursery, theirs, conn_headers=conn_headers)
                assert scope.cancelled_caught
                assert await is_closed(theirs)


class TestFaults:
    """A task of ours fails, which only a bug makes happen."""

    async def run(self, transport: str, caplog: pytest.LogCaptureFixture) -> None:
        async def bug() -> None:
            await go.wait()
            raise RuntimeError("a bug")

        async def conn_headers(request: Request) -> Any:
            # The nursery of the scope is in a task of its own.
            outer = trio.lowlevel.current_task().child_nurseries[-1]
            [task] = outer.child_tasks
            task.child_nurseries[0].start_soon(bug)
            return (), None

        go = trio.Event()
        errors: list[Exception] = []
        ours, theirs = await stream_pair(transport)
        caplog.clear()

        async def use(server: Connection) -> None:
            try:
                await server.receive()
            except InternalError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                url = url_over(ours)
                client = await connect_websocket(
                    nursery, url, stream=ours, stream_factory=as_it_is, draft="rfc6455"
                )
                with pytest.raises((PeerClosed, ConnectionLost)):
                    await client.receive()
                await client.aclose()

            nursery.start_soon(connect)
            server = await accept_websocket(nursery, theirs, conn_headers=conn_headers)
            nursery.start_soon(use, server)
            await trio.testing.wait_all_tasks_blocked(0.01)
            go.set()
        with pytest.raises(InternalError) as caught:
            await server.send("x")
        with pytest.raises(InternalError):
            await server.receive()
        for error in (*errors, caught.value):
            assert str(error) == "a task of trio_draftws failed"
            assert isinstance(the_only(error.__cause__ or error), RuntimeError)
        assert len(errors) == 1
        [record] = [one for one in caplog.records if one.name == "trio_draftws"]
        assert record.levelno == logging.ERROR
        assert "was closed" in record.message
        assert await is_closed(theirs)

    async def test_it_is_the_connections_error(self, caplog: pytest.LogCaptureFixture) -> None:
        """On streams of ours, and on those where writing takes a task."""
        for transport in ("tcp", "tls", "memory", "foreign"):
            await self.run(transport, caplog)

    async def test_while_it_opens_it_is_raised(self) -> None:
        async def bug() -> None:
            raise RuntimeError("a bug")

        async def factory(stream: trio.abc.Stream) -> Any:
            trio.lowlevel.current_task().child_nurseries[-1].start_soon(bug)
            await trio.sleep_forever()

        ours, _ = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            with pytest.raises(InternalError) as caught:
                await connect_websocket(nursery, NOBODY, stream=ours, stream_factory=factory)
            assert isinstance(the_only(caught.value.__cause__ or caught.value), RuntimeError)
        assert await is_closed(ours)


async def test_instruments_hear_of_its_end_once(autojump_clock: trio.testing.MockClock) -> None:
    """Also where the peer ends it and nobody closes it here."""

    class Ears(Instrument):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def connection_opened(self, connection: Connection) -> None:
            self.heard.append("opened")

        def connection_closed(self, connection: Connection) -> None:
            self.heard.append("closed")

        def opening_failed(self, error: Exception, peer: str) -> None:
            self.heard.append("failed")

    async def handler(connection: Connection, state: object) -> None:
        pass

    async with served_on_port(handler) as server:
        ears = Ears()
        async with trio.open_nursery() as nursery:
            connection = await connect_websocket(
                nursery, server.url, draft="rfc6455", instruments=[ears]
            )
        assert ears.heard == ["opened", "closed"]
        await connection.aclose()
        assert ears.heard == ["opened", "closed"]
        async with trio.open_nursery() as nursery:
            with pytest.raises(DialFailed):
                await connect_websocket(nursery, NOBODY, instruments=[ears])
        assert ears.heard == ["opened", "closed", "failed"]
