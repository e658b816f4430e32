"""A server for one's handler: in memory, or on a port of its own."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from trio_draftws._checks import awaitable, needs_trio
from trio_draftws._client import open_websocket
from trio_draftws._connection.connection import Connection
from trio_draftws._exceptions import DialFailed
from trio_draftws._routes import Routes, with_routes
from trio_draftws._server import HANDLER_ARGUMENTS, Handler, Server, serve_websocket
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws.drafts import Draft, HeaderFields

from ._nursery import plain_nursery
from ._pair import URL, as_it_is
from ._settings import Settings

if TYPE_CHECKING:
    from typing_extensions import Unpack


async def echo(connection: Connection, state: object = None) -> None:
    """A handler that sends each message back, until its peer has ended.

    It receives and sends, which are checkpoints as `Connection` says; cancelling it loses nothing.
    """
    async for message in connection:
        await connection.send(message)


@attrs.define(eq=False)
class _MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts those who `dial`, in memory."""

    _coming: trio.MemorySendChannel[trio.abc.Stream]
    _here: trio.MemoryReceiveChannel[trio.abc.Stream]

    @classmethod
    def open(cls) -> _MemoryListener:
        return cls(*trio.open_memory_channel[trio.abc.Stream](math.inf))

    def dial(self) -> trio.abc.Stream:
        ours, theirs = trio.testing.memory_stream_pair()
        try:
            self._coming.send_nowait(theirs)
        except trio.BrokenResourceError:
            raise DialFailed("the server has ended") from None
        return ours

    async def accept(self) -> trio.abc.Stream:
        return await self._here.receive()

    async def aclose(self) -> None:
        waiting = self._here.statistics().current_buffer_used
        unheard = [self._here.receive_nowait() for _ in range(waiting)]
        self._here.close()
        for stream in unheard:
            await trio.aclose_forcefully(stream)
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class MemoryServer:
    """A server that listens in memory, as `served` opens it."""

    server: Server
    """The server itself: its `connections`, its `aclose`."""
    errors: list[Exception]
    """What the handler has raised so far, also that its peer has gone. The server takes it as
    always: it logs it, and closes with 1011."""
    _listener: _MemoryListener

    @asynccontextmanager
    async def open_websocket(
        self,
        url: str = "/",
        *,
        draft: str | Draft | None = None,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        stream_factory: StreamFactory | None = None,
        **settings: Unpack[Settings],
    ) -> AsyncGenerator[Connection, None]:
        """A client of this server: `async with server.open_websocket("/chat") as connection`.

        As `trio_draftws.open_websocket` in all, checkpoints and cancelling included, but that it
        dials in memory; so `draft="auto"` is none that it knows, no redirect is followed, and there
        is no TLS unless `stream_factory` makes it.

        Args:
            url: a whole URL, or a path and perhaps a query at `ws://localhost`.
            draft: the draft to speak; by default what `framing_mode` says.
            headers: further fields for the request.
            origin: the origin to send.
            subprotocols: those to ask for.
            stream_factory: makes the stream to speak on, as one on which things go wrong.
            settings: settings of the client.

        Raises:
            DialFailed: the server has ended; and all that `trio_draftws.open_websocket` raises.
        """
        given: object = url
        if isinstance(given, str) and given.startswith("/"):
            url = URL.rstrip("/") + url
        async with open_websocket(
            url,
            stream=self.dial(),
            draft=draft,
            headers=headers,
            origin=origin,
            subprotocols=subprotocols,
            stream_factory=stream_factory or as_it_is,
            **settings,
        ) as connection:
            yield connection

    def dial(self) -> trio.abc.Stream:
        """A stream to this server on which nothing was said yet, as for `RawClient`.

        Raises:
            DialFailed: the server has ended.
        """
        return self._listener.dial()


@asynccontextmanager
async def served(
    handler: Handler | Mapping[str, Handler], **settings: Any
) -> AsyncGenerator[MemoryServer, None]:
    """Runs a handler as a server would, without sockets: `async with served(handler) as server`.

    It is `serve_websocket` that runs it, so all is as it will be: origins, `conn_headers`,
    `http_handler`, caps, close codes, the log. The block's end closes the server in order; what the
    block raises comes out as it is. Entering is a checkpoint; cancelling the block closes as well.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such.
        settings: those of `serve_websocket`, but for where it listens.

    Raises:
        ValueError, TypeError: as `serve_websocket`, for an argument.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served")
    for name in ("port", "host", "backlog", "listeners"):
        if name in settings:
            raise TypeError(f"served listens in memory and has no {name}; served_on_port listens")
    checked: Handler | Routes[Handler] = with_routes("handler", handler, *HANDLER_ARGUMENTS)
    errors: list[Exception] = []

    def noting(handler: Handler) -> Handler:
        async def noted(connection: Connection, state: Any) -> None:
            try:
                await awaitable("handler", handler(connection, state))
            except Exception as error:
                errors.append(error)
                raise

        return noted

    noted: Handler | dict[str, Handler]
    if isinstance(checked, Mapping):
        noted = {path: noting(one) for path, one in checked.items()}
    else:
        noted = noting(checked)
    listener = _MemoryListener.open()
    async with _serving(
        partial(serve_websocket, noted, listeners=[listener], **settings)
    ) as server:
        yield MemoryServer(server, errors, listener)


@asynccontextmanager
async def served_on_port(
    handler: Handler | Mapping[str, Handler] = echo, *, host: str = "127.0.0.1", **settings: Any
) -> AsyncGenerator[Server, None]:
    """Runs a handler on a port that is free, for clients which must have a URL.

    `async with served_on_port(handler) as server`, and its port is `server.port`. The block's end
    closes the server in order; what the block raises comes out as it is. Entering is a checkpoint;
    cancelling the block closes as well.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such.
        host: the interface to listen on.
        settings: the others of `serve_websocket`.

    Raises:
        OSError: it cannot listen there.
        ValueError, TypeError: as `serve_websocket`, for an argument.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served_on_port")
    async with _serving(partial(serve_websocket, handler, 0, host=host, **settings)) as server:
        yield server


@asynccontextmanager
async def _serving(serve: Callable[..., Awaitable[object]]) -> AsyncGenerator[Server, None]:
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(serve)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.aclose()
