"""Instruments: a program's methods that are called as things happen to connections.

Without instruments this costs nothing. If one listens to messages or bytes, each connection gets an
`InstrumentedCodec` round its codec: the call comes as soon as a message was decoded or encoded.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from trio_draftws._settings.checks import tuple_of
from trio_draftws.drafts import Buffer, Close, Fragment, Ping, Pong, Request

from .around_handler import run_within
from .connection import Connection

logger = logging.getLogger("trio_draftws")


class Instrument:
    """Base class of instruments, whose methods are called when something happens to a connection.

    Override the methods that you need, and give instances as `instruments=[...]` to
    `serve_websocket`, `accept` or `open_websocket`. Each method is called at once, in the task in
    which it happens, and everything waits until it returns: be quick, and do not block. If one
    raises, that is logged, and no method of that instrument is called again; connections are not
    affected.
    """

    def around_handler(
        self, connection: Connection
    ) -> AbstractContextManager[object] | AbstractAsyncContextManager[object]:
        """Returns a context manager that a server enters around the handler of a connection.

        It is entered and exited in the handler's task, so the handler sees the context variables
        that it sets. Entering comes after `connection_opened`. It exits with what the handler
        raised, which may be a `trio.Cancelled`, before the connection is closed; with several
        instruments the last one exits first. It cannot swallow an exception of the handler, but it
        may be, or contain, a cancel scope that ends the handler. If it is both a context manager
        and an async one, it is used as an async one, which may wait: the handler begins only after
        that. If it fails, that is logged, and the handler runs, and ends, as without it.
        """
        return nullcontext()

    def connection_opened(self, connection: Connection) -> None:
        """Called when the opening handshake is done."""

    def connection_closed(self, connection: Connection) -> None:
        """Called when the connection has ended and its stream is closed."""

    def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
        """Called when a server of ours refused a request.

        Args:
            request: the request; None if it was not read, or could not be.
            status: the HTTP status of the answer.
            peer: the client, in words, as in the log.
        """

    def opening_failed(self, error: Exception, peer: str) -> None:
        """Called when an opening handshake failed in any other way.

        On a client this is every `HandshakeError`, also where the server refused.

        Args:
            error: what went wrong.
            peer: the other side, in words, as in the log.
        """

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        """Called when a whole message has come, which may be before anybody receives it."""

    def message_sent(self, connection: Connection, message: str | Buffer) -> None:
        """Called when a message is sent, as it was given to `send`; it may wait to be written."""

    def part_received(self, connection: Connection, part: Fragment) -> None:
        """Called when a part has come of a message that is being received part by part."""

    def part_sent(self, connection: Connection, part: Fragment) -> None:
        """Called when a part is sent of a message that is being sent part by part."""

    def control_received(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        """Called when a ping, a pong or a closing frame has come."""

    def control_sent(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        """Called when a ping, a pong or a closing frame is sent."""

    def bytes_received(self, connection: Connection, size: int) -> None:
        """Called when one read brought `size` bytes, before the calls for what is in them."""

    def bytes_sent(self, connection: Connection, size: int) -> None:
        """Called after each `…_sent`, with the bytes that it takes on the wire."""

    def latency_measured(self, connection: Connection, seconds: float) -> None:
        """Called when a ping of ours was answered, after so many seconds."""


_HOOKS = [name for name in vars(Instrument) if not name.startswith("_")]
_FRAME_HOOKS = [name for name in _HOOKS if name.startswith(("message", "part", "control", "bytes"))]


class Instruments:
    """The instruments of one scope; only methods that are overridden are called."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._listeners: dict[str, list[Instrument]] = {}
        for instrument in tuple_of("instruments", instruments, "instruments", Instrument):
            for name in _HOOKS:
                overridden = getattr(getattr(instrument, name), "__func__", None)
                if overridden is not getattr(Instrument, name):
                    self._listeners.setdefault(name, []).append(instrument)
        self.hears_frames: bool = not self._listeners.keys().isdisjoint(_FRAME_HOOKS)

    @classmethod
    def of(cls, instruments: Iterable[Instrument]) -> Instruments | None:
        """Returns them; None if none of them overrides a method.

        Raises:
            TypeError: one of them is no `Instrument`, or it is one alone.
        """
        made = cls(instruments)
        return made if made._listeners else None

    def tell(self, name: str, *facts: object) -> None:
        """Calls the method `name` of each instrument that overrides it."""
        for instrument in self._listeners.get(name, ()):
            try:
                getattr(instrument, name)(*facts)
            except Exception as error:  # noqa: BLE001
                self._drop(instrument, error)

    def around(
        self, handler: Callable[[Connection, Any], Awaitable[object]]
    ) -> Callable[[Connection, Any], Awaitable[object]]:
        """Returns a handler that runs this one within what `around_handler` returns; this one
        itself if no instrument overrides that, so that nothing more is kept in memory for it.
        """
        if not self._listeners.get("around_handler"):
            return handler
        return partial(self._run_around, handler)

    async def _run_around(
        self,
        handler: Callable[[Connection, Any], Awaitable[object]],
        connection: Connection,
        state: object,
    ) -> None:
        managers = [
            (partial(instrument.around_handler, connection), partial(self._drop, instrument))
            for instrument in self._listeners["around_handler"]
        ]
        await run_within(managers, partial(handler, connection, state))

    def _drop(self, instrument: Instrument, error: Exception) -> None:
        """Logs what it raised, and calls it no more. What it has around handlers that run already
        still exits, and may fail as often without a word.
        """
        if not any(instrument in listeners for listeners in self._listeners.values()):
            return
        message = "the instrument %r failed, and is not called again"
        logger.error(message, instrument, exc_info=error)
        # New lists, since an old one may be being gone through.
        self._listeners = {
            hook: [one for one in listeners if one is not instrument]
            for hook, listeners in self._listeners.items()
        }
