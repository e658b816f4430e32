"""Listens with Trio, and notices when the program closes a listener.

Trio's functions then close the other listeners, and raise `trio.ClosedResourceError` in a group. To
a server it is an end in order. Where the program has given the listeners, those that it has not
closed go on, and the server ends with the last.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import attrs
import trio

from trio_draftws._transport.listeners import cannot_listen

from .server import Server, StreamServer

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup


async def serve_tcp(
    streams: StreamServer,
    serve_stream: Callable[..., Awaitable[object]],
    port: int,
    *,
    host: str | bytes | None,
    backlog: int | None,
    handler_nursery: Any,
    task_status: trio.TaskStatus[Server],
) -> None:
    """As `trio.serve_tcp`, with an `OSError` that names host and port; the server stops when the
    program has closed one of the listeners.
    """
    try:
        await trio.serve_tcp(
            serve_stream,
            port,
            host=host,
            backlog=backlog,
            handler_nursery=handler_nursery,
            task_status=_ListeningStatus(streams, task_status),
        )
    except OSError as error:
        raise cannot_listen(error, host, port) from error
    except (trio.ClosedResourceError, BaseExceptionGroup) as error:
        if isinstance(error, BaseExceptionGroup) and error.split(trio.ClosedResourceError)[1]:
            raise
        streams.begin_stop()


async def serve_listeners(
    streams: StreamServer,
    serve_stream: Callable[..., Awaitable[object]],
    listeners: Sequence[trio.abc.Listener[Any]],
    *,
    handler_nursery: Any,
    task_status: trio.TaskStatus[Server],
) -> None:
    """As `trio.serve_listeners`; the server stops when the program has closed all of them."""
    left = _OpenListeners(len(listeners), streams.begin_stop)
    await trio.serve_listeners(
        serve_stream,
        [_NoticesClosing(listener, left) for listener in listeners],
        handler_nursery=handler_nursery,
        task_status=_ListeningStatus(streams, task_status, listeners),
    )


@attrs.define(eq=False)
class _OpenListeners:
    """How many listeners of a server are open."""

    _count: int
    _on_all_closed: Callable[[], None]

    def note_closed(self) -> None:
        """The program has closed one of them."""
        self._count -= 1
        if not self._count:
            self._on_all_closed()


@attrs.define(eq=False)
class _NoticesClosing(trio.abc.Listener[trio.abc.Stream]):
    """A listener that, once the program has closed it, accepts nobody, and raises nothing."""

    _listener: trio.abc.Listener[Any]
    _left: _OpenListeners

    async def accept(self) -> trio.abc.Stream:
        try:
            stream: trio.abc.Stream = await self._listener.accept()
            return stream
        except trio.ClosedResourceError:
            pass
        return await self._end()

    async def _end(self) -> NoReturn:
        self._left.note_closed()
        await trio.sleep_forever()

    async def aclose(self) -> None:
        await self._listener.aclose()


@attrs.frozen
class _ListeningStatus:
    """A `task_status` for Trio's functions, which passes on a `Server` in place of listeners."""

    streams: StreamServer
    task_status: trio.TaskStatus[Server]
    given: Sequence[trio.abc.Listener[Any]] = ()
    """The program's listeners, which Trio has wrapped ones of; empty if Trio has made its own."""

    def started(self, listeners: Sequence[trio.abc.Listener[Any]] = ()) -> None:
        """Called by Trio once it listens."""
        self.task_status.started(self.streams.listening_on(self.given or listeners))
