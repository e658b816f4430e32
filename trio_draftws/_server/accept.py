"""`accept`: the server's side of one connection, on a stream of the caller's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.info import State
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import open_scope
from trio_draftws._exceptions import close_code_after
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
@asynccontextmanager
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
    """
    needs_trio("accept")
    check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        settings = with_defaults(AcceptSettings, settings, "accept")
        options = ServerOptions.of(settings, conn_headers)
        instruments = Instruments.of(settings["instruments"])
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    # Looked up now: the caller's stream can no longer say once it is taken over.
    peer = PeerInfo.of(stream)
    async with open_scope(instruments) as scope:
        handshake = ServerHandshake(stream=stream, peer=peer, options=options, scope=scope)
        try:
            connection = await handshake.open()
        except Exception as error:
            report_failed_opening(instruments, error, handshake.peer.name)
            raise
        try:
            yield connection
        except BaseException as error:
            # Shielded: a cancellation must not replace what the block raised.
            await endpoint_of(connection).close_shielded(Close(close_code_after(error)))
            raise
        await connection.aclose()
