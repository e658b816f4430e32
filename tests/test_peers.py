"""Against real peers, in every role and draft that each of them has."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from tests.drafts.backends import needs_isal
from tests.peers.catalogue import (
    CLIENTS,
    SERVERS,
    ClientReport,
    Peer,
    PeerServers,
    require,
    run_peer_client,
)
from trio_draftws import (
    DRAFTS,
    Compression,
    Connection,
    ConnectionLost,
    Draft,
    InvalidAnswer,
    PeerClosed,
    open_websocket,
    serve_websocket,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


def _text(size: int) -> str:
    """`size` bytes of UTF-8, with characters of one to four bytes."""
    sample = "häß€漢😀"
    text = sample * (size // len(sample.encode()))
    return text + "x" * (size - len(text.encode()))


TEXTS = [_text(size) for size in (15, 300, 70_000)]
# Every byte, one of which is no UTF-8; each of the three forms of a length.
BINARIES = [bytes(range(125)), bytes(range(256)) * 2, bytes(range(256)) * 300]

# Far above what a peer needs. The close deadline is longer, so that a close which only the
# deadline brought about is seen as a failure.
LIMIT = 10
CLOSE_TIMEOUT = 15

ORIGIN = "http://localhost"

ROWS = {name: draft for draft in DRAFTS for name in (draft.name, *draft.aliases)}


def _spoken(draft: str) -> Draft | str:
    """What to tell our client.

    Peers tell hybi-01 from hixie-76 by a field that hybi-01 does not have: Sec-WebSocket-Draft.
    """
    if draft != "hybi-01":
        return draft
    row = ROWS[draft]
    opening: Any = row.opening
    return attrs.evolve(row, opening=attrs.evolve(opening, draft_number="1"))


def _rows(
    peers: tuple[Peer, ...],
    *,
    subprotocols: bool = False,
    ending: bool = False,
) -> list[object]:
    """Each peer in each draft that the library has a row for, among those that the peer speaks."""
    return [
        pytest.param(peer, draft, id=f"{peer.name}-{draft}")
        for peer in peers
        for draft in (peer.subprotocols if subprotocols else peer.drafts)
        if draft in ROWS and not (ending and draft in peer.never_ends)
    ]


def _messages(draft: str) -> list[str | bytes]:
    return [*TEXTS, *BINARIES] if ROWS[draft].binary else [*TEXTS]


def _with_frame(draft: str, without: tuple[str, ...]) -> bool:
    """Whether a closing frame is to come from a peer that sends none in the drafts `without`."""
    return ROWS[draft].closing_handshake and draft not in without


@pytest.fixture(scope="module")
def servers() -> Generator[PeerServers]:
    with closing(PeerServers()) as servers:
        yield servers


@asynccontextmanager
async def _connect(
    servers: PeerServers,
    peer: Peer,
    draft: str,
    subprotocols: tuple[str, ...] = (),
    compression: Compression | None = None,
) -> AsyncGenerator[Connection]:
    """Our client, connected to a peer's server."""
    require(peer)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(servers.running(peer))
        stack.enter_context(trio.fail_after(LIMIT))
        for attempt in range(1, peer.attempts + 1):
            dial = open_websocket(
                server.url,
                draft=_spoken(draft),
                origin=ORIGIN,
                subprotocols=subprotocols,
                close_timeout=CLOSE_TIMEOUT,
                compression=Compression() if compression is None else compression,
            )
            try:
                connection = await stack.enter_async_context(dial)
            except InvalidAnswer:
                if attempt == peer.attempts:
                    raise
            else:
                break
        assert (connection.compression is not None) is (connection.draft.name in peer.deflate)
        yield connection


async def _echoes(connection: Connection, draft: str) -> None:
    for message in _messages(draft):
        await connection.send(message)
        assert await connection.receive() == message


@pytest.mark.shows("echo", "we end")
@pytest.mark.parametrize(("peer", "draft"), _rows(SERVERS))
async def test_server(servers: PeerServers, peer: Peer, draft: str) -> None:
    """A peer's server echoes, and answers a ping, and us when we close."""
    async with _connect(servers, peer, draft) as connection:
        assert connection.draft.name == ROWS[draft].name
        if connection.draft.ping:
            await connection.ping()
        await _echoes(connection, draft)
        await connection.aclose(4002, "enough")
        assert connection.closed
        answer = connection.close_received
        assert (answer is not None) is _with_frame(draft, peer.answers_no_close)
        if answer is not None and connection.draft.close_status:
            assert answer.code == peer.answers_code.get(draft, 4002)


@pytest.mark.parametrize("peer", SERVERS, ids=lambda peer: peer.name)
async def test_server_is_found_out(servers: PeerServers, peer: Peer) -> None:
    """`draft="auto"` finds the newest draft that a server speaks."""
    newest = max((ROWS[draft] for draft in peer.drafts), key=DRAFTS.index)
    async with _connect(servers, peer, "auto") as connection:
        assert connection.draft is newest
        await _echoes(connection, newest.name)


@pytest.mark.shows("peer ends")
@pytest.mark.parametrize(("peer", "draft"), _rows(SERVERS, ending=True))
async def test_server_ends(servers: PeerServers, peer: Peer, draft: str) -> None:
    """A peer's server closes, and we see it as what it is."""
    async with _connect(servers, peer, draft) as connection:
        await _echoes(connection, draft)
        await connection.send("bye")
        lost = draft in peer.sends_no_close
        with pytest.raises(ConnectionLost if lost else PeerClosed) as caught:
            await connection.receive()
        if isinstance(caught.value, PeerClosed) and connection.draft.close_status:
            assert (caught.value.code, caught.value.reason) == (4001, "bye")
        await connection.aclose()
        came = connection.close_received is not None
        assert came is _with_frame(draft, peer.sends_no_close)


@pytest.mark.shows("subprotocol")
@pytest.mark.parametrize(("peer", "draft"), _rows(SERVERS, subprotocols=True))
async def test_server_subprotocol(servers: PeerServers, peer: Peer, draft: str) -> None:
    """A peer's server agrees to our subprotocol."""
    async with _connect(servers, peer, draft, ("proto1",)) as connection:
        assert connection.subprotocol == "proto1"
        await _echoes(connection, draft)


def _line_after_line(size: int) -> str:
    lines = (f"line {number} of a text that repeats itself\n" for number in range(size))
    return "".join(islice(lines, size // 30 + 1))[:size]


def _compressing(peers: tuple[Peer, ...]) -> list[object]:
    """Peers that compress, with the newest draft in which they do."""
    return [
        pytest.param(peer, peer.deflate[-1], id=peer.name)
        for peer in peers
        if peer.deflate and peer.deflate[-1] in ROWS
    ]


@needs_isal
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize(("peer", "draft"), _compressing(SERVERS))
async def test_isal_with_a_server(
    servers: PeerServers, peer: Peer, draft: str, takeover: bool
) -> None:
    """What isal compresses a peer inflates, and the other way round."""
    isal = Compression(
        backend="isal", inflate_backend="isal", client_no_context_takeover=not takeover
    )
    async with _connect(servers, peer, draft, compression=isal) as connection:
        for _ in range(3):
            await _echoes(connection, draft)
        for size in (255, 256, 16384, 65536, 200_000):
            message = _line_after_line(size)
            await connection.send(message)
            assert await connection.receive() == message


@needs_isal
@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize(("peer", "draft"), _compressing(CLIENTS))
async def test_isal_with_a_client(peer: Peer, draft: str, takeover: bool) -> None:
    isal = Compression(
        backend="isal",
        inflate_backend="isal",
        threshold=1,
        server_no_context_takeover=not takeover,
    )
    await _serve_client(peer, draft, EchoHandler(), deflate=True, compression=isal)


@attrs.define
class EchoHandler:
    """Echoes, pings once, and notes what it saw."""

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
                # The peer answers while it waits for an echo.
                if connection.draft.ping and not self.received:
                    await connection.ping()
                self.received.append(message)
                await connection.send(message)
                if len(self.received) == self.messages:
                    break
        except ConnectionLost:
            self.lost = True
        if self.messages:
            await connection.aclose(4002, "enough")
        self.ended.set()


def _looks_like(spoken: Draft, wanted: Draft) -> bool:
    """Whether requests of two drafts look the same, if for the field that names the origin."""
    if wanted.version is not None:
        return spoken.version == wanted.version
    return spoken.name == wanted.name


async def _serve_client(
    peer: Peer,
    draft: str,
    handler: EchoHandler,
    *,
    subprotocol: str | None = None,
    deflate: bool = False,
    compression: Compression | None = None,
) -> tuple[Connection, ClientReport]:
    """Let a peer's client talk to our server."""
    require(peer)
    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(
                serve_websocket,
                handler,
                0,
                host="127.0.0.1",
                subprotocols=() if subprotocol is None else ("proto0", subprotocol),
                close_timeout=1 if peer.waits_for_tcp else CLOSE_TIMEOUT,
                compression=Compression() if compression is None else compression,
            )
        )
        report = await run_peer_client(
            peer,
            f"ws://127.0.0.1:{server.port}/chat?room=1",
            draft,
            _messages(draft),
            subprotocol=subprotocol,
            deflate=deflate,
            close=not handler.messages,
        )
        with trio.fail_after(LIMIT):
            await handler.ended.wait()
            await server.aclose()
    assert list(report.echoes) == _messages(draft)
    assert handler.received == _messages(draft)
    connection = handler.connection
    assert connection is not None
    assert _looks_like(connection.draft, ROWS[draft])
    assert connection.subprotocol == subprotocol
    assert report.subprotocol in (None, subprotocol)
    offered = connection.headers.get_all("Sec-WebSocket-Extensions")
    assert any("permessage-deflate" in value for value in offered) is deflate
    assert (connection.compression is not None) is deflate
    return connection, report


@pytest.mark.shows("echo", "peer ends")
@pytest.mark.parametrize(
    ("peer", "draft", "deflate"),
    [
        pytest.param(peer, draft, deflate, id=f"{peer.name}-{draft}{'-deflate' * deflate}")
        for peer in CLIENTS
        for draft in peer.drafts
        if draft in ROWS
        for deflate in ((False, True) if draft in peer.deflate else (False,))
    ],
)
async def test_client(peer: Peer, draft: str, deflate: bool) -> None:
    """A peer's client talks to our echo server, answers a ping, and closes."""
    handler = EchoHandler()
    connection, report = await _serve_client(peer, draft, handler, deflate=deflate)
    with_frame = _with_frame(draft, peer.sends_no_close)
    assert handler.lost is (draft in peer.sends_no_close)
    assert report.closed == ("clean" if with_frame else "tcp")
    close = connection.close_received
    assert (close is not None) is with_frame
    if close is not None and connection.draft.close_status:
        assert (close.code, close.reason) == (4001, "bye")


@pytest.mark.shows("we end")
@pytest.mark.parametrize(("peer", "draft"), _rows(CLIENTS))
async def test_client_is_closed(peer: Peer, draft: str) -> None:
    """A peer's client sees our server close."""
    handler = EchoHandler(messages=len(_messages(draft)))
    connection, report = await _serve_client(peer, draft, handler)
    answer = connection.close_received
    assert (answer is not None) is _with_frame(draft, peer.answers_no_close)
    if answer is not None and connection.draft.close_status:
        assert answer.code == peer.answers_code.get(draft, 4002)
    with_frame = connection.draft.closing_handshake and not peer.waits_for_tcp
    assert report.closed == ("clean" if with_frame else "tcp")
    if with_frame and connection.draft.close_status:
        assert (report.code, report.reason) == (4002, "enough")


@pytest.mark.shows("subprotocol")
@pytest.mark.parametrize(("peer", "draft"), _rows(CLIENTS, subprotocols=True))
async def test_client_subprotocol(peer: Peer, draft: str) -> None:
    """A peer's client asks for a subprotocol, and is content with our answer."""
    await _serve_client(peer, draft, EchoHandler(), subprotocol="proto1")
