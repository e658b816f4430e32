"""The server: starting, ending, and one handler's trouble kept from the others."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    HandshakeError,
    InternalError,
    PeerClosed,
    Request,
    Server,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.testing import served_on_port

from .pairs import mute, open_client, stream_pair
from .rows import drafts_that_differ_most, in_turn
from .wire import request_13

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

draft = drafts_that_differ_most()

START = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def echo(connection: Connection, state: Any) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def serving(handler: Any = echo, **settings: Any) -> AsyncIterator[tuple[Server, str]]:
    """A server on a free port, and its URL; ended in order at the end."""
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handler, 0, host="127.0.0.1", **settings)
        server: Server = await nursery.start(serve)
        yield server, f"ws://127.0.0.1:{server.port}/"
        await server.aclose()


class Given(trio.abc.Listener[trio.abc.Stream]):
    """Accepts these streams."""

    def __init__(self, *streams: trio.abc.Stream) -> None:
        self._streams = list(streams)

    async def accept(self) -> trio.abc.Stream:
        if not self._streams:
            await trio.sleep_forever()
        return self._streams.pop(0)

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class TestStarting:
    async def test_the_port_is_told(self) -> None:
        async with serving() as (server, url):
            assert isinstance(server.port, int)
            assert repr(server) == f"<Server port={server.port} connections=0>"
            async with open_websocket(url) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                assert repr(server) == f"<Server port={server.port} connections=1>"
                [connection] = server.connections
                assert connection.role == "server"

    async def test_only_our_own_coroutine_runs_for_a_connection(self) -> None:
        """Not that of Trio's `serve_listeners`, whose frame would stay as long."""
        coroutines: list[str] = []

        async def handler(connection: Connection, state: Any) -> None:
            coroutine: Any = trio.lowlevel.current_task().coro
            coroutines.append(coroutine.__qualname__)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            for settings in ({}, {"listeners": listeners}, {"handler_nursery": nursery}):
                async with serving(handler, **settings) as (_, url), open_websocket(url) as client:
                    with pytest.raises(PeerClosed):
                        await client.receive()
        own_nursery, callers_nursery = "serve_stream", "serve_stream_in_own_scope"
        names = [name.removeprefix("StreamServer.") for name in coroutines]
        assert names == [own_nursery, own_nursery, callers_nursery]

    async def test_a_stream_is_closed_whose_wrapper_leaves_it_open(self) -> None:
        class Careless(trio.abc.Stream):
            def __init__(self, stream: trio.abc.Stream) -> None:
                self.receive_some = stream.receive_some
                self.send_all = stream.send_all
                self.wait_send_all_might_not_block = stream.wait_send_all_might_not_block

            receive_some: Any = None
            send_all: Any = None
            wait_send_all_might_not_block: Any = None

            async def aclose(self) -> None:
                await trio.lowlevel.checkpoint()

        async def wrapped(stream: trio.abc.Stream) -> trio.abc.Stream:
            return Careless(stream)

        async def handler(connection: Connection, state: Any) -> None:
            pass

        async with serving(handler, stream_factory=wrapped) as (server, _):
            assert server.port is not None
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with stream, open_client(stream, draft_old()) as client:
                with pytest.raises(PeerClosed):
                    await client.receive()
            other = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with other:
                await other.send_all(b"nonsense\r\n\r\n")
                answer = await other.receive_some()
                assert answer.startswith(b"HTTP/1.1 400 ")
                while await other.receive_some():
                    pass

    async def test_a_failed_bind_is_raised_from_start(self) -> None:
        async with serving() as (server, _):
            assert server.port is not None
            serve = partial(serve_websocket, echo, server.port, host="127.0.0.1")
            with pytest.raises(OSError, match="in use"):
                await serve()
            async with trio.open_nursery() as nursery:
                with pytest.raises(OSError, match="in use"):
                    await nursery.start(serve)

    async def test_mistakes_are_told_before_it_listens(self, server_ssl: ssl.SSLContext) -> None:
        async def factory(stream: trio.abc.Stream) -> trio.abc.Stream:
            return stream

        with pytest.raises(ValueError, match="no draft is named 'rfc'; there are: hixie-75"):
            await serve_websocket(echo, 0, drafts=["rfc"])
        with pytest.raises(ValueError, match="one draft at least"):
            await serve_websocket(echo, 0, drafts=[])
        with pytest.raises(ValueError, match="not both"):
            await serve_websocket(echo, 0, ssl_context=server_ssl, stream_factory=factory)
        with pytest.raises(ValueError, match="close_timeout must be above 0, not -1"):
            await serve_websocket(echo, 0, close_timeout=-1)
        with pytest.raises(TypeError, match=r"write \['chat'\]"):
            await serve_websocket(echo, 0, subprotocols="chat")

    async def test_listeners_of_the_callers(self, draft: Draft) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        listeners += await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            with use_framing_mode(draft.name):
                server: Server = await nursery.start(
                    partial(serve_websocket, echo, listeners=listeners)
                )
            for listener in listeners:
                port = listener.socket.getsockname()[1]
                async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
            await server.aclose()
        assert [listener.socket.fileno() for listener in listeners] == [-1, -1]

    async def test_a_listener_that_is_no_socket_has_no_port(self) -> None:
        class Knocking(trio.abc.Listener[trio.abc.Stream]):
            def __init__(self) -> None:
                self.send, self.receive = trio.open_memory_channel[trio.abc.Stream](0)

            async def accept(self) -> trio.abc.Stream:
                return await self.receive.receive()

            async def aclose(self) -> None:
                await self.receive.aclose()

        door = Knocking()
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo, listeners=[door])
            server: Server = await nursery.start(serve)
            assert server.port is None
            client_stream, server_stream = trio.testing.memory_stream_pair()
            await door.send.send(server_stream)
            async with open_client(client_stream, draft_old()) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            await server.aclose()

    async def test_a_unix_and_a_tls_listener(
        self, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, tmp_path: Any
    ) -> None:
        unix = trio.socket.socket(socket.AF_UNIX)
        await unix.bind(str(tmp_path / "socket"))
        unix.listen()
        [tcp] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        listeners = [trio.SocketListener(unix), trio.SSLListener(tcp, server_ssl)]
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo, listeners=listeners)
            server: Server = await nursery.start(serve)
            assert server.port == tcp.socket.getsockname()[1]
            stream = await trio.open_unix_socket(str(tmp_path / "socket"))
            async with open_client(stream, draft_old()) as client:
                await client.send("over a file")
                assert await client.receive() == "over a file"
            url = f"wss://127.0.0.1:{server.port}/"
            async with open_websocket(url, ssl_context=client_ssl) as client:
                await client.send("over TLS")
                assert await client.receive() == "over TLS"
            await server.aclose()


def draft_old() -> Draft:
    from trio_draftws.drafts import draft_named

    return draft_named("old")


class TestDrafts:
    async def test_requests_that_look_the_same_follow_the_framing_mode(self) -> None:
        for mode in ("old", "new"):
            with use_framing_mode(mode):
                async with serving() as (_, url):
                    async with open_websocket(url) as client:
                        await client.send("hello")
                        assert await client.receive() == "hello"

    async def test_fewer_drafts_by_name(self) -> None:
        async with serving(drafts=["new"]) as (_, url):
            async with open_websocket(url, draft="new") as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            with pytest.raises(HandshakeError, match="426"):
                async with open_websocket(url, draft="hixie-75"):
                    pass

    async def test_conn_headers_sees_the_request_and_gives_state(self, draft: Draft) -> None:
        async def conn_headers(request: Request) -> tuple[dict[str, str], str]:
            assert request.draft is draft
            assert request.line == b"GET /a%20b?c=d HTTP/1.1"
            assert (request.path, request.query) == ("/a b", "c=d")
            return {"Set-Cookie": "seen=1"}, f"state for {request.headers['X-Name']}"

        async def handler(connection: Connection, state: str) -> None:
            assert connection.state is state
            await connection.send(state)

        with use_framing_mode(draft.name):
            async with serving(handler, conn_headers=conn_headers) as (_, url):
                async with open_websocket(
                    url + "a b?c=d", draft=draft, headers={"X-Name": "me"}
                ) as client:
                    assert client.headers["Set-Cookie"] == "seen=1"
                    assert await client.receive() == "state for me"

    async def test_subprotocols(self, draft: Draft) -> None:
        def last(asked: Request) -> str | None:
            return asked.subprotocols[-1] if asked.subprotocols else None

        with use_framing_mode(draft.name):
            for choice in (["chat"], last):
                async with serving(subprotocols=choice) as (server, url):
                    async with open_websocket(url, draft=draft, subprotocols=["chat"]) as client:
                        assert client.subprotocol == "chat"
                        await client.send("hello")
                        await client.receive()
                        assert [one.subprotocol for one in server.connections] == ["chat"]
                    async with open_websocket(url, draft=draft) as client:
                        assert client.subprotocol is None

    async def test_a_selector_that_makes_up_a_name(self, caplog: pytest.LogCaptureFixture) -> None:
        async with serving(subprotocols=lambda asked: "other") as (_, url):
            with pytest.raises(HandshakeError, match="500"):
                async with open_websocket(url, subprotocols=["chat"]):
                    pass
        assert "subprotocols returned 'other' for a client that offers ['chat']" in caplog.text


async def fail() -> None:
    raise LookupError("in a nursery of the handler's")


class TestOrigins:
    async def test_only_pages_that_are_named(self, draft: Draft) -> None:
        with use_framing_mode(draft.name):
            async with serving(origins=["http://Example.com", "null"]) as (_, url):
                for origin in ("http://example.com", "HTTP://EXAMPLE.COM", "null"):
                    async with open_websocket(url, draft=draft, origin=origin) as client:
                        await client.send("hello")
                        assert await client.receive() == "hello"
                for origin in ("http://example.com.evil", "http://example.com:81", ""):
                    with pytest.raises(HandshakeError, match="403: 'This server is not for"):
                        async with open_websocket(url, draft=draft, origin=origin):
                            pass

    async def test_clients_that_name_none(self) -> None:
        for origins, may in (([None], True), (["http://a"], False), ([], False), (None, True)):
            async with serving(origins=origins) as (_, url):
                if may:
                    async with open_websocket(url) as client:
                        await client.send("hello")
                        assert await client.receive() == "hello"
                else:
                    with pytest.raises(HandshakeError, match="for clients without an Origin"):
                        async with open_websocket(url):
                            pass

    async def test_one_str_is_a_mistake(self) -> None:
        with pytest.raises(TypeError, match="a list of origins"):
            await serve_websocket(echo, 0, origins="http://example.com")


class TestHandlers:
    async def test_one_that_raises_touches_nobody_else(
        self, draft: Draft, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def handler(connection: Connection, state: Any) -> None:
            async for message in connection:
                if message == "raise":
                    raise ValueError("this handler is broken")
                if message == "raise a group":
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(fail)
                await connection.send(message)

        with use_framing_mode(draft.name):
            async with serving(handler) as (_, url), open_websocket(url, draft=draft) as healthy:
                for message in ("raise", "raise a group"):
                    async with open_websocket(url, draft=draft) as client:
                        await client.send(message)
                        with pytest.raises(PeerClosed):
                            await client.receive()
                    await healthy.send("still here")
                    assert await healthy.receive() == "still here"
        assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
        assert "this handler is broken" in caplog.text
        assert f"server {draft.name}" in caplog.text

    async def test_one_whose_connection_other_code_closes_is_no_mistake(
        self, draft: Draft, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As a program does that logs a user out: the handler may let through what it is told."""

        async def in_a_nursery(connection: Connection, state: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.receive)

        async def close(connection: Connection) -> None:
            await connection.aclose(4001)

        async def abort(connection: Connection) -> None:
            connection.abort()

        caplog.set_level(logging.INFO, "trio_draftws")
        with use_framing_mode(draft.name):
            for handler in (echo, in_a_nursery):
                for end in (close, abort):
                    caplog.clear()
                    async with serving(handler) as (server, url):
                        async with open_websocket(url, draft=draft) as client:
                            await trio.testing.wait_all_tasks_blocked(0.01)
                            [connection] = server.connections
                            async with trio.open_nursery() as nursery:
                                nursery.start_soon(end, connection)
                                with pytest.raises((trio.EndOfChannel, ConnectionLost)):
                                    await client.receive()
                    records = [record.levelname for record in caplog.records]
                    assert records == ["INFO"] * len(records), (handler, end)

    async def test_one_that_returns_closes_the_connection(self, draft: Draft) -> None:
        async def handler(connection: Connection, state: Any) -> None:
            await connection.send("bye")

        with use_framing_mode(draft.name):
            async with serving(handler) as (server, url):
                async with open_websocket(url, draft=draft) as client:
                    assert [message async for message in client] == ["bye"]
                assert server.connections == set()

    async def test_control_c_in_a_handler_ends_the_program(self) -> None:
        async def handler(connection: Connection, state: Any) -> None:
            raise KeyboardInterrupt

        async def connect(server: Server) -> None:
            with pytest.raises((PeerClosed, ConnectionLost)):
                async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                    await client.receive()

        async def serve() -> None:
            async with trio.open_nursery() as nursery:

                class Status:
                    def started(self, server: Server) -> None:
                        nursery.start_soon(connect, server)

                with pytest.raises(KeyboardInterrupt):
                    await serve_websocket(handler, 0, host="127.0.0.1", task_status=Status())  # type: ignore[arg-type]

        await serve()

    async def test_control_c_while_it_listens_comes_out_as_it_is(self) -> None:
        class Interrupted(trio.abc.Listener[trio.abc.Stream]):
            async def accept(self) -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                raise KeyboardInterrupt

            async def aclose(self) -> None:
                await trio.lowlevel.checkpoint()

        with pytest.raises(KeyboardInterrupt):
            await serve_websocket(echo, listeners=[Interrupted()])

    async def test_in_a_nursery_of_the_callers(self, draft: Draft) -> None:
        """Ending the server ends the handlers there too, and nothing else."""
        ended: list[str] = []

        async def handler(connection: Connection, state: Any) -> None:
            try:
                await echo(connection, state)
            finally:
                ended.append("handler")

        async with trio.open_nursery() as nursery, trio.open_nursery() as handlers:
            other = trio.Event()
            handlers.start_soon(other.wait)
            with use_framing_mode(draft.name):
                serve = partial(
                    serve_websocket, handler, 0, host="127.0.0.1", handler_nursery=handlers
                )
                server: Server = await nursery.start(serve)
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                async with trio.open_nursery() as closing:
                    closing.start_soon(server.aclose)
                    with pytest.raises(PeerClosed):
                        await client.receive()
            assert ended == ["handler"]
            assert len(handlers.child_tasks) == 1
            other.set()

    async def test_a_nursery_of_the_callers_that_is_cancelled(self, draft: Draft) -> None:
        """Its handlers end and their peers are told; the server goes on without them."""

        async def hold_nursery(task_status: trio.TaskStatus[trio.Nursery]) -> None:
            async with trio.open_nursery() as handlers:
                task_status.started(handlers)
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            handlers: trio.Nursery = await nursery.start(hold_nursery)
            with use_framing_mode(draft.name):
                serve = partial(
                    serve_websocket, echo, 0, host="127.0.0.1", handler_nursery=handlers
                )
                server: Server = await nursery.start(serve)
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                handlers.cancel_scope.cancel()
                with pytest.raises(PeerClosed):
                    await client.receive()
            await server.aclose()

    async def test_hundreds_of_connections_at_once(self) -> None:
        """Each echoes ten messages, and one in ten handlers raises at the end."""

        count = 300

        async def handler(connection: Connection, state: Any) -> None:
            async for message in connection:
                if message == "raise":
                    raise ValueError("one of many")
                await connection.send(message)

        drafts = ("hixie-75", "old")
        done: list[int] = []
        logging.getLogger("trio_draftws").disabled = True
        try:
            # On a busy machine so many openings take their time.
            async with serving(handler, backlog=count, handshake_timeout=60) as (server, url):
                everybody = trio.Event()
                there = 0

                async def talk(number: int) -> None:
                    nonlocal there
                    draft = drafts[number % len(drafts)]
                    async with open_websocket(url, draft=draft, handshake_timeout=60) as client:
                        there += 1
                        if there == count:
                            assert len(server.connections) == count
                            everybody.set()
                        await everybody.wait()
                        for message in range(10):
                            await client.send(f"{number} {message}")
                            assert await client.receive() == f"{number} {message}"
                        if number % 10 == 0:
                            await client.send("raise")
                            with pytest.raises(PeerClosed):
                                await client.receive()
                    done.append(number)

                async with trio.open_nursery() as nursery:
                    for number in range(count):
                        nursery.start_soon(talk, number)
        finally:
            logging.getLogger("trio_draftws").disabled = False
        assert sorted(done) == list(range(count))


class TestEnding:
    @in_turn(how=("aclose", "cancel"))
    async def test_every_connection_is_closed_in_order(self, draft: Draft, how: str) -> None:
        """Ten clients, each in the middle of something, each see the draft's close."""
        closed: list[str] = []
        cleaned_up: list[str] = []

        async def handler(connection: Connection, state: Any) -> None:
            try:
                await echo(connection, state)
            except trio.Cancelled:
                # A handler may say good-bye before its connection is closed.
                with trio.CancelScope(shield=True):
                    await connection.send("good-bye")
                cleaned_up.append("handler")
                raise

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                with use_framing_mode(draft.name):
                    serve = partial(serve_websocket, handler, 0, host="127.0.0.1")
                    server: Server = await nursery.start(serve)
                url = f"ws://127.0.0.1:{server.port}/"
                ready = 0
                all_ready = trio.Event()

                async def connect() -> None:
                    nonlocal ready
                    # The clients are not what is cancelled here.
                    with trio.CancelScope(shield=True):
                        async with open_websocket(url, draft=draft) as client:
                            await client.send("hello")
                            assert await client.receive() == "hello"
                            ready += 1
                            if ready == 10:
                                all_ready.set()
                            assert await client.receive() == "good-bye"
                            with pytest.raises(PeerClosed):
                                await client.receive()
                            closed.append("client")

                for _ in range(10):
                    nursery.start_soon(connect)
                await all_ready.wait()
                if how == "cancel":
                    scope.cancel()
                else:
                    await server.aclose()
                    assert server.connections == set()
        assert (len(closed), len(cleaned_up)) == (10, 10)

    async def test_the_port_is_free_at_once(self) -> None:
        """Also while a handler takes its time to end."""
        slow = trio.Event()

        async def handler(connection: Connection, state: Any) -> None:
            try:
                await connection.receive()
            finally:
                with trio.CancelScope(shield=True):
                    await slow.wait()

        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, handler, 0, host="127.0.0.1")
            server: Server = await nursery.start(serve)
            async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
                assert server.port is not None
                nursery.start_soon(server.aclose)
                await trio.testing.wait_all_tasks_blocked(0.01)
                with pytest.raises(HandshakeError):
                    async with open_websocket(f"ws://127.0.0.1:{server.port}/"):
                        pass
                again = partial(serve_websocket, echo, server.port, host="127.0.0.1")
                second: Server = await nursery.start(again)
                slow.set()
            await second.aclose()

    @pytest.mark.parametrize("head", [b"", START])
    async def test_an_opening_that_is_not_done_gets_503(self, head: bytes) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo, 0, host="127.0.0.1")
            server: Server = await nursery.start(serve)
            assert server.port is not None
            stream = await trio.open_tcp_stream("127.0.0.1", server.port)
            if head:
                await stream.send_all(head)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await server.aclose()
            answer = b"".join([chunk async for chunk in stream])
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            await stream.aclose()

    async def test_a_client_that_does_not_answer_is_waited_for_close_timeout(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with trio.open_nursery() as nursery:
            with use_framing_mode(draft.name):
                serve = partial(serve_websocket, echo, 0, host="127.0.0.1", close_timeout=3)
                server: Server = await nursery.start(serve)
            stream = await trio.open_tcp_stream("127.0.0.1", server.port or 0)
            async with open_client(stream, draft, close_timeout=1) as client:
                await client.send("hello")
                await client.receive()
                mute(client)
                started = trio.current_time()
                await server.aclose()
                assert trio.current_time() - started == pytest.approx(3)

    async def test_a_handler_may_end_its_own_server(self, draft: Draft) -> None:
        servers: list[Server] = []

        async def handler(connection: Connection, state: Any) -> None:
            async for message in connection:
                await connection.send(message)
                await servers[0].aclose()

        async with trio.open_nursery() as nursery:
            with use_framing_mode(draft.name):
                serve = partial(serve_websocket, handler, 0, host="127.0.0.1")
                servers.append(await nursery.start(serve))
            url = f"ws://127.0.0.1:{servers[0].port}/"
            async with open_websocket(url, draft=draft) as client:
                await client.send("hello")
                assert [message async for message in client] == ["hello"]

    async def test_aclose_cancelled_ends_it_all_the_same(self) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo, 0, host="127.0.0.1")
            server: Server = await nursery.start(serve)
            with trio.CancelScope() as scope:
                scope.cancel()
                await server.aclose()
            assert scope.cancelled_caught
        await server.aclose()

    async def test_connections_over_streams_that_are_not_ours_end_too(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Their streams are closed for good in a handler's scope that is cancelled by then."""
        send, accepted = trio.open_memory_channel[trio.abc.Stream](0)

        class Listener(trio.abc.Listener[trio.abc.Stream]):
            async def accept(self) -> trio.abc.Stream:
                return await accepted.receive()

            async def aclose(self) -> None:
                await trio.lowlevel.checkpoint()

        async def sleep(connection: Connection, state: Any) -> None:
            await trio.sleep_forever()

        with use_framing_mode(draft.name):
            async with serving(sleep, listeners=[Listener()]) as (server, _):
                ours, theirs = await stream_pair("lockstep")
                await send.send(theirs)
                async with open_client(ours, draft) as client:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(server.aclose)
                        with pytest.raises(PeerClosed):
                            await client.receive()
                    assert server.connections == set()

    async def test_one_accepted_in_the_last_pass_is_sent_off(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It has no visit yet when the others are told to end: its task begins later."""
        ended = trio.Event()

        async def late(visit: Any, *arguments: Any) -> None:
            await ended.wait()
            await visit(*arguments)

        begin: Any = late
        ours, theirs = await stream_pair("tcp")
        async with trio.open_nursery() as nursery:
            monkeypatch.setattr(nursery, "start_soon", partial(nursery.start_soon, begin))
            async with serving(listeners=[Given(theirs)], handler_nursery=nursery) as (server, _):
                await trio.testing.wait_all_tasks_blocked()
                await server.aclose()
                ended.set()
                answer = await ours.receive_some()
                assert answer.startswith(b"HTTP/1.1 503 ")
                await ours.aclose()


class TestFaults:
    async def test_a_fault_of_our_own_is_one_error_with_its_cause(self) -> None:
        async def fail() -> None:
            raise RuntimeError("a bug")

        async def conn_headers(request: Request) -> Any:
            # That of the tasks that `accept` starts
            trio.lowlevel.current_task().child_nurseries[-1].start_soon(fail)
            await trio.sleep_forever()

        ours, theirs = await stream_pair("tcp")
        await ours.send_all(request_13())
        with pytest.raises(InternalError, match="a task of trio_draftws failed") as caught:
            async with accept(theirs, conn_headers=conn_headers):
                pass
        assert isinstance(caught.value.__cause__, BaseException)
        await ours.aclose()
        await trio.aclose_forcefully(theirs)

    async def test_what_the_body_of_accept_raises_comes_out_unwrapped(self, draft: Draft) -> None:
        for error in (ValueError("mine"), KeyboardInterrupt(), ExceptionGroup("g", [OSError()])):
            client_stream, server_stream = await stream_pair("tcp")
            async with trio.open_nursery() as nursery:

                async def connect(stream: trio.abc.Stream = client_stream) -> None:
                    async with open_client(stream, draft) as client:
                        with pytest.raises(PeerClosed):
                            await client.receive()

                nursery.start_soon(connect)
                with use_framing_mode(draft.name):
                    with pytest.raises(type(error)) as caught:
                        async with accept(server_stream):
                            raise error
                assert caught.value is error


async def test_many_servers_in_one_nursery_do_not_meet() -> None:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving()) for _ in range(5)]
        for _, url in servers:
            async with open_websocket(url) as client:
                await client.send(url)
                assert await client.receive() == url


async def test_the_log_names_who_was_there(caplog: pytest.LogCaptureFixture) -> None:
    """Also one that has gone before it could be asked, and one that has no address."""
    caplog.set_level(logging.INFO, "trio_draftws")
    ours, theirs = await stream_pair("tcp")
    assert isinstance(ours, trio.SocketStream)
    port = ours.socket.getsockname()[1]
    await ours.aclose()
    gone = trio.SocketStream(trio.socket.socket())
    end, memory = trio.testing.memory_stream_pair()
    await end.aclose()
    async with serving(listeners=[Given(theirs, gone, memory)]):
        await trio.testing.wait_all_tasks_blocked(0.01)
    said = [record.message.partition(":")[0] for record in caplog.records]
    assert sorted(said) == [
        f"no connection with 127.0.0.1 port {port}",
        "no connection with a StapledStream",
        "no connection with a peer that has gone",
    ]


async def test_a_handler_that_returns_while_the_server_shuts_down() -> None:
    """Its client sees 1001 as all others do."""

    async def handler(connection: Connection, state: object) -> None:
        with trio.CancelScope(shield=True):
            await leave.wait()

    leave = trio.Event()
    async with served_on_port(handler) as server:
        async with open_websocket(server.url, draft="rfc6455") as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.server.aclose)
                await trio.testing.wait_all_tasks_blocked()
                leave.set()
                with pytest.raises(PeerClosed) as closed:
                    await client.receive()
    assert closed.value.code == 1001
    assert server.server.statistics().closed == {1001: 1}
