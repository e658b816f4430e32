"""Listens with Trio, and notices when the program closes a listener.

A listener that the program has closed accepts nobody any more, and the others go on. When all are
closed there is nothing left to serve, so the server ends. Trio's own functions would raise
`trio.ClosedResourceError` in a group, and close the other listeners.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NoReturn

import attrs
import trio

from trio_draftws._transport.listeners import cannot_listen

from .server import Server, StreamServer


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
    """As `trio.serve_tcp`, with an `OSError` that names host and port."""
    try:
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    except OSError as error:
        raise cannot_listen(error, host, port) from error
    await serve_listeners(
        streams, serve_stream, listeners, handler_nursery=handler_nursery, task_status=task_status
    )


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
        task_status=_ListeningStatus(streams, listeners, task_status),
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
    listeners: Sequence[trio.abc.Listener[Any]]
    task_status: trio.TaskStatus[Server]

    def started(self, _: object = None) -> None:
        """Called by Trio once it listens."""
        self.task_status.started(self.streams.listening_on(self.listeners))
