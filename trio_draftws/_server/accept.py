"""`accept`, `accept_websocket`: the server's side of one connection, on a stream that is given."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.in_nursery import check_nursery, open_in_nursery
from trio_draftws._connection.info import State
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import Scope, open_scope
from trio_draftws._settings.checks import check_kind, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import Close

from .events import report_failed_opening
from .handshake import ServerHandshake
from .options import ServerOptions
from .peer import PeerInfo
from .settings import AcceptSettings, ConnHeaders

if TYPE_CHECKING:
    from typing_extensions import Unpack


@expand_signature(AcceptSettings)
@block(
    "connection",
    loop="async for message in connection:",
    instead="`await accept_websocket(nursery, ...)` gives a connection that is no block",
)
async def accept(
    stream: trio.abc.Stream,
    *,
    conn_headers: ConnHeaders[State] | None = None,
    **settings: Unpack[AcceptSettings],
) -> AsyncGenerator[Connection[State], None]:
    """Serves one connection on any stream: `async with accept(stream) as connection`.

    The stream is always closed, even if entering fails. A `trio.SocketStream` is taken over and
    must not be used any more. What `conn_headers` returns as state is `connection.state`.

    The end of the block closes the connection as the end of `open_websocket` does, with the same
    close codes; an exception raised in the block comes out unchanged. Entering is a checkpoint; if
    it is cancelled, the client gets 503 and the stream is closed. Leaving is a checkpoint too, and
    always closes.

    Args:
        stream: what the client is connected to.
        conn_headers: as for `serve_websocket`.
        settings: each is described in `AcceptSettings`, where type checkers and editors find it.

    Raises:
        RequestRefused: a `HandshakeError`; the request was refused, and the client got that answer.
        PageServed: a `HandshakeError`; it was not a WebSocket request, and `http_handler` answered
            it.
        FlashPolicyServed: a `HandshakeError`; it was a Flash player, which got the `flash_policy`.
        TLSFailed: a `HandshakeError`; the cause says why.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the client ended or broke the connection before it was open.
        ValueError: no draft has that name, or an argument is out of range.
        TypeError: an argument is of the wrong type.
        RuntimeError: it was called outside of Trio.
        Exception: whatever `conn_headers` or another function of yours raised; the client got 500.
    """
    needs_trio("accept")
    opening = await _checked("accept", stream, conn_headers, settings)
    async with open_scope(opening.instruments) as scope:
        connection = await opening.open(scope)
        try:
            yield connection
        except BaseException as error:
            # Shielded: a cancellation must not replace what the block raised.
            await endpoint_of(connection).close_shielded(Close(scope.close_code_after(error)))
            raise
        await connection.aclose()


@expand_signature(AcceptSettings)
async def accept_websocket(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    *,
    conn_headers: ConnHeaders[State] | None = None,
    **settings: Unpack[AcceptSettings],
) -> Connection[State]:
    """Serves one connection: `connection = await accept_websocket(nursery, stream)`.

    Like `accept`, but the connection is no block. It may be used and closed by any task, in any
    order; `await connection.aclose()` closes it, and so does the end of a block
    `async with connection:`. Until it is closed, by either side, what it needs runs as a task in
    `nursery`. So the nursery waits for it at its end, as for any task. When the nursery is
    cancelled, the connection is closed with code 1001, in at most `close_timeout` seconds.

    The stream is always closed, even if this fails. A `trio.SocketStream` is taken over and must
    not be used any more. `conn_headers` runs in that task, in a copy of the caller's context.

    A checkpoint: it performs the opening handshake. If it is cancelled, the client gets 503 and the
    stream is closed. If only the nursery is cancelled meanwhile, that takes effect once the
    connection is open, as with `nursery.start`.

    A bug in this library ends the connection, not the nursery: it is logged, and whoever uses the
    connection gets an `InternalError`.

    Args:
        nursery: the `trio.Nursery` to run in.
        stream: what the client is connected to.
        conn_headers: as for `serve_websocket`.
        settings: each is described in `AcceptSettings`, where type checkers and editors find it.

    Returns:
        The open `Connection`.

    Raises:
        RuntimeError: the nursery is closed, or it was called outside of Trio.
        ValueError, TypeError, HandshakeError: as `accept`, unwrapped.
        Exception: whatever `conn_headers` or another function of yours raised; the client got 500.
    """
    needs_trio("accept_websocket")
    opening = await _checked("accept_websocket", stream, conn_headers, settings)
    try:
        check_nursery("accept_websocket", nursery)
        return await open_in_nursery(nursery, opening.instruments, opening.open)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


@attrs.frozen(kw_only=True)
class _Opening:
    """The checked arguments of `accept`."""

    stream: trio.abc.Stream
    peer: PeerInfo
    options: ServerOptions
    instruments: Instruments | None

    async def open(self, scope: Scope) -> Connection:
        """Performs the opening handshake.

        Raises:
            HandshakeError: there is no connection.
        """
        handshake = ServerHandshake(
            stream=self.stream, peer=self.peer, options=self.options, scope=scope
        )
        try:
            return await handshake.open()
        except Exception as error:
            report_failed_opening(self.instruments, error, handshake.peer.name)
            raise


async def _checked(
    function: str,
    stream: trio.abc.Stream,
    conn_headers: ConnHeaders[Any] | None,
    settings: AcceptSettings,
) -> _Opening:
    """Checks the arguments of a function of that name; closes the stream if they are wrong.

    Raises:
        TypeError, ValueError: they are.
    """
    check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        settings = with_defaults(AcceptSettings, settings, function)
        return _Opening(
            stream=stream,
            # Looked up now: the caller's stream can no longer say once it is taken over.
            peer=PeerInfo.of(stream),
            options=ServerOptions.of(settings, conn_headers),
            instruments=Instruments.of(settings["instruments"]),
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
