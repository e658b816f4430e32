"""Against real peers of the time, in every role and draft that each of them has."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from tests.peers.catalogue import (
    CLIENTS,
    SERVERS,
    Peer,
    require,
    run_peer_client,
    start_peer_server,
)
from trio_draftws import (
    Connection,
    ConnectionLost,
    InvalidAnswer,
    PeerClosed,
    open_websocket,
    serve_websocket,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


def _text(size: int) -> str:
    """`size` bytes of UTF-8, with characters of one to four bytes."""
    sample = "häß€漢😀"
    text = sample * (size // len(sample.encode()))
    return text + "x" * (size - len(text.encode()))


MESSAGES = [_text(size) for size in (15, 300, 70_000)]

# Far above what a peer needs. The close deadline is longer, so that a close which only the
# deadline brought about is seen as a failure.
LIMIT = 10
CLOSE_TIMEOUT = 15

ORIGIN = "http://localhost"


def _rows(peers: tuple[Peer, ...]) -> list[object]:
    return [
        pytest.param(peer, draft, id=f"{peer.name}-{draft}")
        for peer in peers
        for draft in peer.drafts
    ]


def _subprotocol_rows(peers: tuple[Peer, ...]) -> list[object]:
    return [
        pytest.param(peer, draft, id=f"{peer.name}-{draft}")
        for peer in peers
        for draft in peer.subprotocols
    ]


@asynccontextmanager
async def _connect(
    peer: Peer, draft: str, subprotocols: tuple[str, ...] = ()
) -> AsyncGenerator[Connection]:
    """Our client, connected to a peer's server that lives as long."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(start_peer_server(peer))
        stack.enter_context(trio.fail_after(LIMIT))
        for attempt in range(1, peer.attempts + 1):
            dial = open_websocket(
                server.url,
                draft=draft,
                origin=ORIGIN,
                subprotocols=subprotocols,
                close_timeout=CLOSE_TIMEOUT,
            )
            try:
                connection = await stack.enter_async_context(dial)
            except InvalidAnswer:
                if attempt == peer.attempts:
                    raise
            else:
                break
        yield connection


def _frame_came(connection: Connection) -> bool:
    return connection.close_received is not None


async def _echoes(connection: Connection) -> None:
    for message in MESSAGES:
        await connection.send(message)
        assert await connection.receive() == message


@pytest.mark.parametrize(("peer", "draft"), _rows(SERVERS))
async def test_server(peer: Peer, draft: str) -> None:
    """A peer's server echoes, and ends when we close."""
    require(peer)
    async with _connect(peer, draft) as connection:
        assert connection.draft.name == draft
        await _echoes(connection)
        await connection.aclose()
        assert connection.closed
        assert _frame_came(connection) is (draft == "hixie-76" and peer.answers_close)


@pytest.mark.parametrize(
    ("peer", "draft"),
    [
        pytest.param(peer, draft, id=f"{peer.name}-{draft}")
        for peer in SERVERS
        for draft in peer.drafts
        if draft not in peer.never_ends
    ],
)
async def test_server_ends(peer: Peer, draft: str) -> None:
    """A peer's server closes, and we see it as what it is."""
    require(peer)
    async with _connect(peer, draft) as connection:
        await _echoes(connection)
        await connection.send("bye")
        clean = draft == "hixie-75" or peer.sends_close
        with pytest.raises(PeerClosed if clean else ConnectionLost):
            await connection.receive()
        await connection.aclose()
        assert _frame_came(connection) is (draft == "hixie-76" and peer.sends_close)


@pytest.mark.parametrize(("peer", "draft"), _subprotocol_rows(SERVERS))
async def test_server_subprotocol(peer: Peer, draft: str) -> None:
    """A peer's server agrees to our subprotocol."""
    require(peer)
    async with _connect(peer, draft, ("proto1",)) as connection:
        assert connection.subprotocol == "proto1"
        await _echoes(connection)


@attrs.define
class EchoHandler:
    """Echoes, and notes what it saw."""

    # How many messages until it returns, which closes the connection; 0: it waits for the end.
    messages: int = 0
    received: list[str | bytes] = attrs.field(factory=list)
    connection: Connection | None = None
    lost: bool = False
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def __call__(self, connection: Connection, state: object) -> None:
        self.connection = connection
        try:
            async for message in connection:
                self.received.append(message)
                await connection.send(message)
                if len(self.received) == self.messages:
                    break
        except ConnectionLost:
            self.lost = True
        if self.messages:
            await connection.aclose()
        self.ended.set()


async def _serve_client(
    peer: Peer, draft: str, handler: EchoHandler, subprotocol: str | None = None
) -> str:
    """Let a peer's client talk to our server; its word for the end."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                serve_websocket,
                handler,
                0,
                host="127.0.0.1",
                subprotocols=() if subprotocol is None else ("proto0", subprotocol),
                close_timeout=1 if peer.waits_for_tcp else CLOSE_TIMEOUT,
            )
        )
        report = await run_peer_client(
            peer,
            f"ws://127.0.0.1:{server.port}/chat?room=1",
            draft,
            MESSAGES,
            subprotocol=subprotocol,
            close=not handler.messages,
        )
        with trio.fail_after(LIMIT):
            await handler.ended.wait()
            await server.aclose()
    assert list(report.echoes) == MESSAGES
    assert handler.received == MESSAGES
    assert handler.connection is not None
    assert handler.connection.draft.name == draft
    assert handler.connection.subprotocol == subprotocol
    assert report.subprotocol in (None, subprotocol)
    return report.closed


@pytest.mark.parametrize(("peer", "draft"), _rows(CLIENTS))
async def test_client(peer: Peer, draft: str) -> None:
    """A peer's client talks to our echo server, and closes."""
    require(peer)
    handler = EchoHandler()
    closed = await _serve_client(peer, draft, handler)
    assert handler.connection is not None
    with_frame = draft == "hixie-76" and peer.sends_close
    assert _frame_came(handler.connection) is with_frame
    assert handler.lost is (draft == "hixie-76" and not peer.sends_close)
    assert closed == ("clean" if with_frame else "tcp")


@pytest.mark.parametrize(("peer", "draft"), _rows(CLIENTS))
async def test_client_is_closed(peer: Peer, draft: str) -> None:
    """A peer's client sees our server close."""
    require(peer)
    handler = EchoHandler(messages=len(MESSAGES))
    closed = await _serve_client(peer, draft, handler)
    assert handler.connection is not None
    assert _frame_came(handler.connection) is (draft == "hixie-76" and peer.answers_close)
    with_frame = draft == "hixie-76" and not peer.waits_for_tcp
    assert closed == ("clean" if with_frame else "tcp")


@pytest.mark.parametrize(("peer", "draft"), _subprotocol_rows(CLIENTS))
async def test_client_subprotocol(peer: Peer, draft: str) -> None:
    """A peer's client asks for a subprotocol, and is content with our answer."""
    require(peer)
    await _serve_client(peer, draft, EchoHandler(), "proto1")
