"""`connect_websocket`: one connection as a client, which is no block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.in_nursery import check_nursery, open_in_nursery
from trio_draftws._connection.instrument import Instruments
from trio_draftws._settings.checks import check_kind, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults

from .connector import make_connector
from .settings import ClientSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@expand_signature(ClientSettings)
async def connect_websocket(
    nursery: trio.Nursery,
    url: str,
    *,
    stream: trio.abc.Stream | None = None,
    **settings: Unpack[ClientSettings],
) -> Connection:
    """Connects to a server: `connection = await connect_websocket(nursery, url)`.

    Like `open_websocket`, but the connection is no block. It may be used and closed by any task, in
    any order; `await connection.aclose()` closes it, and so does the end of a block
    `async with connection:`. Until it is closed, by either side, what it needs runs as a task in
    `nursery`. So the nursery waits for it at its end, as for any task. When the nursery is
    cancelled, the connection is closed with code 1001, in at most `close_timeout` seconds.

    A checkpoint: it dials and performs the opening handshake. Cancelling it closes whatever was
    opened so far. If only the nursery is cancelled meanwhile, that takes effect once the connection
    is open, as with `nursery.start`.

    A bug in this library ends the connection, not the nursery: it is logged, and whoever uses the
    connection gets an `InternalError`.

    Args:
        nursery: the `trio.Nursery` to run in.
        url: as for `open_websocket`.
        stream: as for `open_websocket`; it is always closed in the end. Default None.
        settings: the keyword arguments that `ClientSettings` describes; all have defaults.

    Returns:
        The open `Connection`.

    Raises:
        RuntimeError: the nursery is closed, or it was called outside of Trio.
        ValueError, TypeError, ImportError, HandshakeError: as `open_websocket`, unwrapped.
    """
    needs_trio("connect_websocket")
    if stream is not None:
        check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        check_nursery("connect_websocket", nursery)
        settings = with_defaults(ClientSettings, settings, "connect_websocket")
        connector = make_connector(url, stream, settings)
        instruments = Instruments.of(settings["instruments"])
        return await open_in_nursery(nursery, instruments, connector.open)
    except BaseException:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise
