"""Cancelling at every checkpoint, and what the peer sees of it.

`cancelled_at(k, action)` runs `action` and cancels it at its k-th cancellation point: where its
task is suspended, or where it only asks whether it is cancelled. Each test does that for every k
until the action gets through.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    HandshakeError,
    PeerClosed,
    Request,
    Server,
    _connection,
    _pace,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)

from .pairs import connected, open_client, stream_pair

Action = Callable[[], Awaitable[object]]


@attrs.define(eq=False)
class Canceller(trio.abc.Instrument):
    """Counts the cancellation points of one task, and cancels a scope at the k-th."""

    task: trio.lowlevel.Task
    scope: trio.CancelScope
    at: int
    count: int = 0

    def reach(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.reach()


async def cancelled_at(k: int, action: Action, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Runs `action`, cancelled at its k-th point; False when it has fewer than k."""
    task = trio.lowlevel.current_task()
    ask_trio = trio.lowlevel.checkpoint_if_cancelled
    with trio.CancelScope() as scope:
        canceller = Canceller(task, scope, k)

        async def checkpoint_if_cancelled() -> None:
            if trio.lowlevel.current_task() is task:
                canceller.reach()
            await ask_trio()

        trio.lowlevel.add_instrument(canceller)
        for module in (trio.lowlevel, _connection, _pace):
            monkeypatch.setattr(module, "checkpoint_if_cancelled", checkpoint_if_cancelled)
        try:
            await action()
        finally:
            monkeypatch.undo()
            trio.lowlevel.remove_instrument(canceller)
    return canceller.count >= k


async def at_every_point(
    scenario: Callable[[int], Awaitable[bool]], *, at_least: int, at_most: int = 2000
) -> None:
    """Runs `scenario(k)` for k = 1, 2, ... until it says that it was not cancelled."""
    for k in range(1, at_most):
        if not await scenario(k):
            assert k > at_least, f"only {k - 1} points were found"
            return
    raise AssertionError("the scenario never got through")


async def test_send(transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `send` returned for arrives, whole and in order; what was cancelled does not."""

    async def scenario(k: int) -> bool:
        sent: list[str] = []
        received: list[str | bytes] = []
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for number in range(8):
                        text = f"{number}" + "x" * 30_000
                        await client.send(text)
                        sent.append(text)

                async def receive() -> None:
                    while not received or received[-1] != "end":
                        received.append(await server.receive())

                nursery.start_soon(receive)
                was_cancelled = await cancelled_at(k, send, monkeypatch)
                await client.send("end")
        assert received == [*sent, "end"]
        return was_cancelled

    await at_every_point(scenario, at_least=8)


async def test_receive(transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled `receive` loses nothing, also with half a message read."""
    texts = [f"{number}" + "x" * (number * 20_000) for number in range(6)]

    async def scenario(k: int) -> bool:
        received: list[str | bytes] = []
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for text in texts:
                        frame = b"".join(server._codec.encode(text))
                        half = len(frame) // 2
                        for part in (frame[:half], frame[half:]):
                            server._outbox.put([part])
                            server._outbox.flush()
                            await trio.lowlevel.checkpoint()

                async def receive() -> None:
                    while len(received) < len(texts):
                        received.append(await client.receive())

                nursery.start_soon(send)
                was_cancelled = await cancelled_at(k, receive, monkeypatch)
                await receive()
        assert received == texts
        return was_cancelled

    await at_every_point(scenario, at_least=6)


async def test_send_stream(transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent whole, or not at all; where it was begun, the connection closes."""
    parts = ["first", "x" * 70_000, "last"]

    async def source() -> AsyncIterator[str]:
        for part in parts:
            await trio.lowlevel.checkpoint()
            yield part

    async def scenario(k: int) -> bool:
        received: list[str | bytes] = []
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    received.extend([message async for message in server])
                    await server.aclose()

                nursery.start_soon(receive)
                was_cancelled = await cancelled_at(
                    k, lambda: client.send_stream(source()), monkeypatch
                )
                if not client.closed:
                    await client.send("end")
                else:
                    assert draft.fragments
                    assert was_cancelled
                    received.append("closed")
                await client.aclose()
        outcomes: list[list[str | bytes]] = [["".join(parts), "end"]]
        if was_cancelled:
            outcomes += [["end"], ["closed"]]
        assert received in outcomes
        return was_cancelled

    await at_every_point(scenario, at_least=4)


async def test_receive_stream(
    transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given of a message is its beginning, and what comes behind it is whole."""
    texts = [f"{number}" + "x" * (number * 40_000) for number in range(4)]

    async def scenario(k: int) -> bool:
        given: list[list[str]] = []
        received: list[str | bytes] = []
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    for text in [*texts, "end"]:
                        await server.send(text)

                async def receive() -> None:
                    for _ in texts:
                        async with client.receive_stream() as stream:
                            given.append([])
                            async for part in stream:
                                given[-1].append(str(part))

                nursery.start_soon(send)
                was_cancelled = await cancelled_at(k, receive, monkeypatch)
                while not received or received[-1] != "end":
                    received.append(await client.receive())
        begun = ["".join(parts) for parts in given]
        for text, told in zip(texts, begun, strict=False):
            assert text.startswith(told)
        assert begun[:-1] == texts[: len(begun)][:-1]
        assert [*texts[: len(begun)], *received] == [*texts, "end"]
        return was_cancelled

    await at_every_point(scenario, at_least=6)


async def test_wait_readable(transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(k: int) -> bool:
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.send, "kept")
                was_cancelled = await cancelled_at(k, client.wait_readable, monkeypatch)
                assert await client.receive() == "kept"
        return was_cancelled

    await at_every_point(scenario, at_least=1)


@pytest.mark.parametrize("role", ["client", "server"])
async def test_aclose(
    transport: str, draft: Draft, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It closes all the same: what was sent arrives, and the peer is told."""

    async def scenario(k: int) -> bool:
        received: list[str | bytes] = []
        async with connected(transport, draft) as sides:
            closer, other = sides if role == "client" else reversed(sides)
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    received.extend([message async for message in other])
                    await other.aclose()

                nursery.start_soon(receive)
                await closer.send("last words")
                was_cancelled = await cancelled_at(k, closer.aclose, monkeypatch)
                assert closer.closed
                with pytest.raises(trio.ClosedResourceError):
                    await closer.send("too late")
        assert received == ["last words"]
        if draft.closing_handshake:
            closes = (closer.close_sent, closer.close_received, other.close_received)
            assert None not in closes
        return was_cancelled

    await at_every_point(scenario, at_least=1)


async def test_send_close(transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled, nothing was said, and it can be said again."""
    if transport == "tls" and not draft.closing_handshake:
        pytest.skip("hixie-75 ends its side of TCP, which TLS cannot")

    async def scenario(k: int) -> bool:
        async with connected(transport, draft) as (client, server):
            async with trio.open_nursery() as nursery:

                async def answer() -> None:
                    with pytest.raises(PeerClosed):
                        await server.receive()
                    await server.aclose()

                nursery.start_soon(answer)
                was_cancelled = await cancelled_at(k, client.send_close, monkeypatch)
                if not client.closed:
                    await client.send_close()
                with pytest.raises(PeerClosed):
                    await client.receive()
        return was_cancelled

    await at_every_point(scenario, at_least=1)


async def test_opening_and_closing_a_client(
    transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is always closed, and the server is never left waiting."""

    async def scenario(k: int) -> bool:
        client_stream, server_stream = await stream_pair(transport)
        seen: list[str] = []
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                try:
                    with use_framing_mode(draft.name):
                        async with accept(server_stream) as server:
                            seen.append("open")
                            await server.receive()
                except (HandshakeError, PeerClosed, ConnectionLost) as error:
                    seen.append(type(error).__name__)

            async def open_and_close() -> None:
                async with open_client(client_stream, draft):
                    pass

            nursery.start_soon(serve)
            was_cancelled = await cancelled_at(k, open_and_close, monkeypatch)
        assert seen in (["HandshakeError"], ["open", "PeerClosed"], ["open", "ConnectionLost"])
        if not was_cancelled:
            assert seen == ["open", "PeerClosed"]
        return was_cancelled

    await at_every_point(scenario, at_least=3)


async def test_accepting_and_closing(
    transport: str, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told 503 or sees the stream end; never a connection that is none."""

    # A lockstep stream takes nothing while its peer is writing too, so the 503 gets nowhere.
    close_timeout = 0.01 if transport == "lockstep" else 5

    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        await trio.lowlevel.checkpoint()
        return {}, None

    async def scenario(k: int) -> bool:
        client_stream, server_stream = await stream_pair(transport)
        seen: list[str] = []
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                try:
                    async with open_client(client_stream, draft) as client:
                        seen.append("open")
                        await client.receive()
                except (HandshakeError, PeerClosed, ConnectionLost) as error:
                    seen.append(f"{type(error).__name__} {getattr(error, 'status', '')}".strip())

            async def accept_and_close() -> None:
                with use_framing_mode(draft.name):
                    async with accept(
                        server_stream, conn_headers=conn_headers, close_timeout=close_timeout
                    ):
                        pass

            nursery.start_soon(connect)
            was_cancelled = await cancelled_at(k, accept_and_close, monkeypatch)
        assert seen in (
            ["Rejected 503"],
            ["HandshakeError"],
            ["open", "PeerClosed"],
            ["open", "ConnectionLost"],
        )
        if not was_cancelled:
            assert seen == ["open", "PeerClosed"]
        return was_cancelled

    await at_every_point(scenario, at_least=3)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_open_websocket_against_a_server(
    scheme: str,
    draft: Draft,
    server_ssl: ssl.SSLContext,
    client_ssl: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dialling, TLS, opening, one message and its echo, closing: at the end nobody is left."""

    async def echo(connection: Connection, state: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async with trio.open_nursery() as nursery:
        context = server_ssl if scheme == "wss" else None
        with use_framing_mode(draft.name):
            server: Server = await nursery.start(
                partial(serve_websocket, echo, 0, host="127.0.0.1", ssl_context=context)
            )
        url = f"{scheme}://127.0.0.1:{server.port}/"

        async def talk() -> None:
            context = client_ssl if scheme == "wss" else None
            async with open_websocket(url, draft=draft, ssl_context=context) as client:
                await client.send("hello")
                assert await client.receive() == "hello"

        async def scenario(k: int) -> bool:
            return await cancelled_at(k, talk, monkeypatch)

        await at_every_point(scenario, at_least=10)
        await talk()
        await server.aclose()
        assert server.connections == set()


async def test_serving_cancelled_at_every_point(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a server's task is cancelled, its client is told or finds nobody there."""

    async def scenario(k: int) -> bool:
        seen: list[str] = []
        talked = trio.Event()
        async with trio.open_nursery() as nursery:

            async def handler(connection: Connection, state: Any) -> None:
                async for message in connection:
                    await connection.send(message)

            async def connect(port: int) -> None:
                try:
                    async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft) as client:
                        await client.send("hello")
                        seen.append(str(await client.receive()))
                        talked.set()
                        await client.receive()
                except (HandshakeError, PeerClosed, ConnectionLost) as error:
                    seen.append(type(error).__name__)
                talked.set()

            class Status:
                def started(self, server: Server) -> None:
                    assert server.port is not None
                    nursery.start_soon(connect, server.port)
                    nursery.start_soon(stop, server)

            async def stop(server: Server) -> None:
                await talked.wait()
                await server.aclose()

            async def serve() -> None:
                with use_framing_mode(draft.name):
                    await serve_websocket(handler, 0, host="127.0.0.1", task_status=Status())  # type: ignore[arg-type]

            was_cancelled = await cancelled_at(k, serve, monkeypatch)
        assert seen in (
            [],
            ["hello", "PeerClosed"],
            ["HandshakeError"],
            ["DialFailed"],
            ["Rejected"],
            ["PeerClosed"],
        )
        return was_cancelled

    await at_every_point(scenario, at_least=3)
