"""A connection's text messages as JSON. A connection is above: here is what this needs of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import trio

from trio_draftws._settings.checks import check_function
from trio_draftws.drafts import Buffer, Close, CloseCode


class TextConnection(Protocol):
    """Sends and receives text like `Connection`."""

    async def aclose(self) -> None: ...

    async def send(self, message: str | Buffer, *, text: bool = ...) -> None: ...

    async def receive_text(self) -> str: ...


class Refuse(Protocol):
    """Ends a connection because of a message that came; returns the error to raise."""

    def __call__(self, reason: str, answer: Close, cause: Exception, /) -> Exception: ...


class JSONChannel(trio.abc.Channel[Any]):
    """A connection's text messages as JSON values, as `connection.json()` gives them."""

    __slots__ = ("_connection", "_dumps", "_loads", "_refuse")

    def __init__(
        self,
        connection: TextConnection,
        refuse: Refuse,
        loads: Callable[[str], Any],
        dumps: Callable[[Any], str | Buffer],
    ) -> None:
        check_function("loads", loads, "text")
        check_function("dumps", dumps, "value")
        self._connection = connection
        self._refuse = refuse
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
            raise self._refuse(
                f"a message is no JSON: {error}",
                Close(CloseCode.INVALID_PAYLOAD, "invalid JSON"),
                error,
            ) from error

    async def aclose(self) -> None:
        """Closes the connection, like `Connection.aclose` with code 1000."""
        await self._connection.aclose()
