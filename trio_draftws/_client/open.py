"""`open_websocket`: one connection as a client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import trio

from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import open_scope
from trio_draftws._settings.checks import check_kind, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults

from .connector import make_connector
from .settings import ClientSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@expand_signature(ClientSettings)
@block(
    "connection",
    loop="async for message in connection:",
    instead="`await connect_websocket(nursery, ...)` gives a connection that is no block",
)
async def open_websocket(
    url: str, *, stream: trio.abc.Stream | None = None, **settings: Unpack[ClientSettings]
) -> AsyncGenerator[Connection, None]:
    """Connects to a server: `async with open_websocket(url) as connection`.

    Leaving the block closes the connection with a closing handshake (RFC 6455 section 7.1.2), in at
    most `close_timeout` seconds: with code 1000, with 1011 if the block raised, or with 1001 if it
    was cancelled. What the block raises is raised unchanged.

    Entering is a checkpoint: it dials and performs the opening handshake. Cancelling it closes
    whatever was opened so far. Leaving is a checkpoint too; cancelling it does not cut the closing
    handshake short.

    Args:
        url: a str: `ws://` or `wss://`, a host, and optionally a port, path and query. A user and
            password (`ws://user:password@host`) are sent like those of `auth`.
        stream: a `trio.abc.Stream` to use instead of dialling; TLS and the request still follow
            the URL. It is always closed in the end. A `trio.SocketStream` is taken over, and can no
            longer be used by itself. A stream allows one attempt, in one draft. Default None.
        settings: the keyword arguments that `ClientSettings` describes; all have defaults.

    Returns:
        An async context manager, which gives the open `Connection`.

    Raises:
        ValueError: the URL is no WebSocket URL, no draft has that name, the draft cannot express
            the request, an argument is out of range, or two arguments contradict each other.
        TypeError: an argument has the wrong type.
        RuntimeError: it was called outside of Trio.
        ImportError: the proxy needs the extra `proxy`, which is not installed.
        DialFailed: a `HandshakeError`; the server could not be reached.
        ProxyFailed: a `DialFailed`; the proxy could not be reached, or refused.
        TLSFailed: a `HandshakeError`; TLS failed, for example because a certificate is not trusted.
        Rejected: a `HandshakeError`; the server answered with another status than 101.
        RedirectRefused: a `Rejected`; a redirect was not followed.
        InvalidAnswer: a `HandshakeError`; the server's answer is not that of the draft.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the server closed or broke the connection before it answered.
    """
    needs_trio("open_websocket")
    if stream is not None:
        check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        settings = with_defaults(ClientSettings, settings, "open_websocket")
        connector = make_connector(url, stream, settings)
        instruments = Instruments.of(settings["instruments"])
    except BaseException:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise
    async with open_scope(instruments) as scope:
        connection = await connector.open(scope)
        try:
            yield connection
        except BaseException as error:
            # Shielded, since a Cancelled in here would replace what the block raised
            with trio.CancelScope(shield=True):
                await connection.aclose(scope.close_code_after(error))
            raise
        await connection.aclose()
