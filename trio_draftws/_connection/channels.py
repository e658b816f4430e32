"""A connection's text messages as JSON, and how a message of a kind that is not wanted is refused.

A connection is above: here is what these need of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import trio

from trio_draftws._exceptions import PeerViolation
from trio_draftws._settings.checks import check_function
from trio_draftws.drafts import Buffer, CloseCode


class Closable(Protocol):
    """Closes like `Connection`."""

    async def aclose(self, code: int = ..., reason: str = ...) -> None: ...


class TextConnection(Closable, Protocol):
    """Sends and receives text like `Connection`."""

    async def send(self, message: str | Buffer, *, text: bool = ...) -> None: ...

    async def receive_text(self) -> str: ...


async def refuse(connection: Closable, why: str, code: int, reason: str) -> PeerViolation:
    """Closes a connection because of a message that came; returns the error to raise.

    Args:
        connection: the connection.
        why: the text of the error.
        code: the close code.
        reason: for the peer.
    """
    await connection.aclose(code, reason)
    return PeerViolation(why, code)


class JSONChannel(trio.abc.Channel[Any]):
    """A connection's text messages as JSON values, as `connection.json()` gives them."""

    __slots__ = ("_connection", "_dumps", "_loads")

    def __init__(
        self,
        connection: TextConnection,
        loads: Callable[[str], Any],
        dumps: Callable[[Any], str | Buffer],
    ) -> None:
        check_function("loads", loads, "text")
        check_function("dumps", dumps, "value")
        self._connection = connection
        self._loads = loads
        self._dumps = dumps

    async def send(self, value: Any) -> None:
        """Sends a value as a text message, like `Connection.send`.

        Args:
            value: whatever `dumps` takes.

        Raises:
            TypeError: `dumps` returned neither `str` nor `bytes`. Like whatever `dumps` raises, it
                leaves the connection open, and nothing was sent.
            LocalProtocolError: what `dumps` returned is not UTF-8, or a `str` with a lone
                surrogate; the connection stays open.
            trio.ClosedResourceError, trio.BrokenResourceError: as `Connection.send`.
        """
        message = self._dumps(value)
        if not isinstance(message, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"dumps has to return str or bytes, not {type(message).__name__}")
        await self._connection.send(message, text=True)

    async def receive(self) -> Any:
        """Receives the value of a text message, like `Connection.receive`.

        Returns:
            What `loads` returned.

        Raises:
            PeerViolation: `loads` raised an error, which is the cause, and the connection was
                closed with 1007; or a binary message came, and it was closed with 1003; or as
                `Connection.receive`.
            PeerClosed, ConnectionLost, trio.ClosedResourceError, trio.BusyResourceError: as
                `Connection.receive`.
        """
        text = await self._connection.receive_text()
        try:
            return self._loads(text)
        except Exception as error:
            # RFC 6455 section 7.4.1: data that is not consistent with the type of the message.
            # What it is depends on `loads`; deeply nested JSON is a RecursionError.
            raise await refuse(
                self._connection,
                f"a message is no JSON: {error}",
                CloseCode.INVALID_PAYLOAD,
                "invalid JSON",
            ) from error

    async def aclose(self) -> None:
        """Closes the connection, like `Connection.aclose` with code 1000."""
        await self._connection.aclose()
