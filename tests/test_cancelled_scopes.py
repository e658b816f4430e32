"""A client, a server and a whole conversation, cancelled at every checkpoint.

The stream is always closed, and nobody is left waiting or told something that is not so.
"""

from __future__ import annotations

import ssl
from functools import partial

import pytest
import trio
import trio.testing

from trio_draftws import (
    ConnectionLost,
    Draft,
    HandshakeError,
    PeerClosed,
    Request,
    Server,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)

from .cancelling import Cancel, at_every_point
from .conversation import Script, View, check, follow, lead
from .pairs import SOME_DRAFTS, open_client, stream_pair
from .turns import each_draft, in_turn, over_streams
from .wire import echo

both_roles = in_turn("role", ["client", "server"])


async def cancel_conversation(role: str, transport: str, draft: Draft, script: Script) -> None:
    """Cancels one side of it anywhere, and looks at what the other was told."""

    async def scenario(cancel: Cancel) -> bool:
        client_end, server_end = await stream_pair(transport)
        client, server = View(script), View(script)
        clients = partial(lead, client_end, draft, client)
        servers = partial(follow, server_end, draft, server)
        async with trio.open_nursery() as nursery:
            if role == "client":
                nursery.start_soon(servers)
                was_cancelled = await cancel(clients)
            else:
                nursery.start_soon(clients)
                was_cancelled = await cancel(servers)
        check(draft, client, server)
        if was_cancelled and role == "client":
            assert server.end is not None
        elif was_cancelled:
            assert client.end is not None or client.heard_all
        else:
            assert client.heard_all
            assert isinstance(server.end, PeerClosed)
        return was_cancelled

    await at_every_point(scenario, at_least=12)


@both_roles
@over_streams(transports=["memory", "lockstep"])
async def test_a_conversation(
    role: str, transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    # Where both sides write at once, lockstep streams wait until one gives up: hence the clock.
    await cancel_conversation(role, transport, draft, Script())


@both_roles
@over_streams(SOME_DRAFTS, ["tcp", "tls", "foreign"])
async def test_a_conversation_of_large_messages(role: str, transport: str, draft: Draft) -> None:
    await cancel_conversation(role, transport, draft, Script(padding=50_000))


@over_streams(transports=["memory", "tcp", "tls"])
async def test_accepting_and_closing(transport: str, draft: Draft) -> None:
    await cancel_accepting(transport, draft)


@each_draft
async def test_accepting_and_closing_in_lockstep(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    # Such a stream takes nothing while its peer is writing too, so the 503 gets nowhere: hence the
    # clock.
    await cancel_accepting("lockstep", draft)


async def cancel_accepting(transport: str, draft: Draft) -> None:
    """The client is told 503 or sees the stream end; never a connection that is none."""

    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        await trio.lowlevel.checkpoint()
        return {}, None

    async def scenario(cancel: Cancel) -> bool:
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
                    async with accept(server_stream, conn_headers=conn_headers):
                        pass

            nursery.start_soon(connect)
            was_cancelled = await cancel(accept_and_close)
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
@each_draft
async def test_open_websocket_against_a_server(
    scheme: str,
    draft: Draft,
    server_ssl: ssl.SSLContext,
    client_ssl: ssl.SSLContext,
) -> None:
    """Dialling, TLS, opening, one message and its echo, closing: at the end nobody is left."""

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

        async def scenario(cancel: Cancel) -> bool:
            return await cancel(talk)

        await at_every_point(scenario, at_least=10)
        await talk()
        await server.aclose()
        assert server.connections == set()


@each_draft
async def test_serving_cancelled_at_every_point(draft: Draft) -> None:
    """However a server's task is cancelled, its client is told or finds nobody there."""

    async def scenario(cancel: Cancel) -> bool:
        seen: list[str] = []
        talked = trio.Event()
        async with trio.open_nursery() as nursery:

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
                    await serve_websocket(echo, 0, host="127.0.0.1", task_status=Status())  # type: ignore[arg-type]

            was_cancelled = await cancel(serve)
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
