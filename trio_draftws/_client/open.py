"""The client: `open_websocket`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import open_scope
from trio_draftws._exceptions import code_after
from trio_draftws._settings.checks import check_kind, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults

from .connector import make_connector
from .settings import ClientSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@expand_signature(ClientSettings)
@asynccontextmanager
async def open_websocket(
    url: str, *, stream: trio.abc.Stream | None = None, **settings: Unpack[ClientSettings]
) -> AsyncGenerator[Connection, None]:
    """Connects to a server: `async with open_websocket(url) as connection`.

    The block's end closes the connection in order, within `close_timeout`: with 1000, with 1011
    when it raises, or with 1001 when it is cancelled; what it raises comes out as it is. Entering
    is a checkpoint; cancelling it closes what was opened so far.

    Args:
        url: `ws://` or `wss://`, a host, perhaps a port, path and query; a user and a password
            (`ws://user:password@host`) are what `auth` takes.
        stream: speak over this, in place of dialling; TLS and the request are the URL's. It is
            closed on every path, and a `trio.SocketStream` is taken over, and dead from then on. It
            is good for one attempt in one draft.
        settings: each is described where the type checker finds it, in `ClientSettings`.

    Raises:
        ValueError: the URL is no WebSocket URL, no draft has that name, or the draft cannot ask
            for that; an argument is out of range, or two contradict each other.
        TypeError: an argument is nothing of its kind.
        RuntimeError: it was called outside of Trio.
        ImportError: the proxy needs the extra `proxy`.
        DialFailed: a `HandshakeError`; no connection came about.
        ProxyFailed: a `DialFailed`; the proxy could not be reached, or refused.
        TLSFailed: a `HandshakeError`; the cause says why, as a certificate that is not trusted.
        Rejected: a `HandshakeError`; the server answered something else than 101.
        RedirectRefused: a `Rejected`; a redirect that was not followed.
        InvalidAnswer: a `HandshakeError`; the server does not speak the draft.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the server ended or broke the connection before it answered.
    """
    needs_trio("open_websocket")
    if stream is not None:
        check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        settings = with_defaults(ClientSettings, settings, "open_websocket")
        call = make_connector(url, stream, settings)
        told = Instruments.of(settings["instruments"])
    except BaseException:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise
    async with open_scope(told) as scope:
        connection = await call.open(scope)
        try:
            yield connection
        except BaseException as error:
            # A cancellation would take the place of what the block raised.
            with trio.CancelScope(shield=True):
                await connection.aclose(code_after(error))
            raise
        await connection.aclose()
