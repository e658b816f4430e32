"""Connections for programs that are written for anyio and run on its trio backend.

anyio is not needed by anything else here: `pip install anyio`, version 4 or later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio

from trio_draftws import Connection

try:
    import anyio
    import anyio.abc
except ImportError as _missing:
    raise ImportError(
        "trio_draftws.anyio needs anyio, which is not installed: pip install anyio", name="anyio"
    ) from _missing

__all__ = ["ConnectionAttribute", "ConnectionObjectStream"]


class ConnectionAttribute(anyio.TypedAttributeSet):
    """What `ConnectionObjectStream.extra` knows."""

    connection: Connection = anyio.typed_attribute()
    """The connection: its draft, subprotocol, request and all else."""


class ConnectionObjectStream(anyio.abc.ObjectStream["str | bytes"]):
    """A connection as an `anyio.abc.ObjectStream` of `str` and `bytes`, on anyio's trio backend.

    Each method does what that of the connection does, and is a checkpoint like it; errors are
    anyio's, with that of the connection as their cause.
    """

    def __init__(self, connection: Connection) -> None:
        """Makes a stream of an open connection.

        Args:
            connection: from `open_websocket`, `accept` or a server.

        Raises:
            TypeError: it is no connection.
        """
        if not isinstance(connection, Connection):
            raise TypeError(
                f"ConnectionObjectStream takes a trio_draftws.Connection, not {connection!r}"
            )
        self._connection = connection
        self._eof_sent = False
        self._closed = False

    async def send(self, item: str | bytes) -> None:
        """Sends one message, like `Connection.send`.

        Args:
            item: a `str` is sent as text, and `bytes` as a binary message.

        Raises:
            LocalProtocolError: the draft cannot express it; the connection stays open.
            TypeError: it is of another type; the connection stays open.
            anyio.ClosedResourceError: we closed the connection.
            anyio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        with _as_anyio_errors():
            await self._connection.send(item)

    async def receive(self) -> str | bytes:
        """Receives one message, like `Connection.receive`.

        Returns:
            A text message as `str`, a binary one as `bytes`.

        Raises:
            anyio.EndOfStream: the peer closed the connection as the draft says.
            anyio.BrokenResourceError: the connection was lost, or the peer broke the draft.
            anyio.ClosedResourceError: we closed the connection.
            anyio.BusyResourceError: another task is receiving.
        """
        with _as_anyio_errors():
            return await self._connection.receive()

    async def send_eof(self) -> None:
        """Sends a closing frame, like `Connection.send_close`: after it we can only receive.

        A second call does nothing.

        Raises:
            anyio.ClosedResourceError: we closed the connection.
            anyio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        if self._eof_sent and not self._closed:
            await trio.lowlevel.checkpoint()
            return
        with _as_anyio_errors():
            await self._connection.send_close()
        self._eof_sent = True

    async def aclose(self) -> None:
        """Closes the connection, like `Connection.aclose` with code 1000."""
        self._closed = True
        await self._connection.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The connection, as `extra(ConnectionAttribute.connection)` gives it."""
        return {ConnectionAttribute.connection: lambda: self._connection}


@contextmanager
def _as_anyio_errors() -> Iterator[None]:
    try:
        yield
    except trio.EndOfChannel as error:
        raise anyio.EndOfStream(str(error)) from error
    except trio.ClosedResourceError as error:
        raise anyio.ClosedResourceError(str(error)) from error
    except trio.BrokenResourceError as error:
        raise anyio.BrokenResourceError(str(error)) from error
    except trio.BusyResourceError as error:
        raise anyio.BusyResourceError("receiving from") from error
