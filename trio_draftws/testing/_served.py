"""A server for one's handler: in memory, or on a port of its own."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from trio_draftws._client.open import open_websocket
from trio_draftws._connection.connection import Connection
from trio_draftws._exceptions import DialFailed
from trio_draftws._server.routing import Routes, with_routes
from trio_draftws._server.serve import serve_websocket
from trio_draftws._server.server import Server
from trio_draftws._server.settings import HANDLER_ARGUMENTS, Handler
from trio_draftws._settings.checks import check_awaitable, needs_trio
from trio_draftws.drafts import Draft, draft_named

from ._nursery import plain_nursery
from ._pair import URL, as_it_is

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from trio_draftws._client.settings import ClientSettings
    from trio_draftws._server.settings import ConnHeaders, ServerSettings


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
            raise ConnectionRefusedError from None
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
class ServerUnderTest:
    """A server that runs a handler, as `served` and `served_on_port` open it."""

    server: Server
    """The server itself."""
    errors: list[Exception]
    """What the handler has raised so far, also that its peer has gone. The server takes it as
    always: it logs it, and closes with 1011."""
    url: str
    """Where it is: `ws://127.0.0.1:PORT/` on a port; in memory `ws://localhost/`, which leads
    nobody there."""
    draft: str | Draft
    """What its clients speak, unless they name another."""
    _dial: Callable[[], Awaitable[trio.abc.Stream]]

    @property
    def port(self) -> int:
        """The port that it listens on; there is none in memory."""
        assert self.server.port is not None, "this server listens in memory: take its `dial`"
        return self.server.port

    @property
    def connections(self) -> set[Connection]:
        """Those that are open now, as `Server.connections`."""
        return self.server.connections

    async def aclose(self) -> None:
        """Ends the server, as `Server.aclose`: a checkpoint; cancelled, the server ends all the
        same.
        """
        await self.server.aclose()

    @asynccontextmanager
    async def open_websocket(
        self, url: str = "/", **settings: Unpack[ClientSettings]
    ) -> AsyncGenerator[Connection, None]:
        """A client of this server: `async with server.open_websocket("/chat") as connection`.

        As `trio_draftws.open_websocket` in all, checkpoints and cancelling included, but that it
        has one stream to this server: so `draft="auto"` is none that it knows, no redirect is
        followed, and there is no TLS unless `stream_factory` makes it.

        Args:
            url: a whole URL, or a path and perhaps a query at this server.
            settings: those of `trio_draftws.open_websocket`. By default `draft` is the one that the
                server was opened with.

        Raises:
            DialFailed: the server has ended; and all that `trio_draftws.open_websocket` raises.
        """
        given: object = url
        if isinstance(given, str) and given.startswith("/"):
            url = self.url.rstrip("/") + url
        both: ClientSettings = {
            **settings,
            "draft": settings.get("draft") or self.draft,
            "stream_factory": settings.get("stream_factory") or as_it_is,
        }
        async with open_websocket(url, stream=await self.dial(), **both) as connection:
            yield connection

    async def dial(self) -> trio.abc.Stream:
        """A stream to this server on which nothing was said yet, as for `RawClient`.

        A checkpoint; cancelling it leaves no stream.

        Raises:
            DialFailed: the server has ended.
        """
        try:
            return await self._dial()
        except OSError as error:
            raise DialFailed("the server has ended") from error


@asynccontextmanager
async def served(
    handler: Handler | Mapping[str, Handler] = echo,
    *,
    draft: str | Draft = "rfc6455",
    conn_headers: ConnHeaders | None = None,
    **settings: Unpack[ServerSettings],
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a handler as a server would, without sockets: `async with served(handler) as server`.

    It is `serve_websocket` that runs it, so all is as it will be: origins, `conn_headers`,
    `http_handler`, caps, close codes, the log. The block's end closes the server in order; what the
    block raises comes out as it is. Entering is a checkpoint; cancelling the block closes as well.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such.
        draft: the draft that the clients of `server.open_websocket` speak. The server speaks all;
            a request that looks the same in several it takes for this one.
        conn_headers: as that of `serve_websocket`.
        settings: those of `serve_websocket`, but for where it listens.

    Raises:
        ValueError, TypeError: as `serve_websocket`, for an argument.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served")
    for name in ("port", "host", "backlog", "listeners"):
        if name in settings:
            raise TypeError(f"served listens in memory and has no {name}; served_on_port listens")
    listener = _MemoryListener.open()
    errors: list[Exception] = []
    place = {"listeners": [listener], "conn_headers": conn_headers}
    serve = _serve(handler, draft, errors, settings, **place)

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return listener.dial()

    async with _serving(serve) as server:
        yield ServerUnderTest(server, errors, URL, draft, dial)


@asynccontextmanager
async def served_on_port(
    handler: Handler | Mapping[str, Handler] = echo,
    *,
    draft: str | Draft = "rfc6455",
    host: str = "127.0.0.1",
    conn_headers: ConnHeaders | None = None,
    **settings: Unpack[ServerSettings],
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a handler on a port that is free, for clients which must have a URL.

    `async with served_on_port(handler) as server`, and its URL is `server.url`. In all else it is
    as `served`: entering is a checkpoint; cancelling the block closes as well.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such.
        draft: as for `served`.
        host: the interface to listen on.
        conn_headers: as that of `serve_websocket`.
        settings: those of `served`.

    Raises:
        OSError: it cannot listen there.
        ValueError, TypeError: as `serve_websocket`, for an argument.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served_on_port")
    errors: list[Exception] = []
    place = {"port": 0, "host": host, "conn_headers": conn_headers}
    serve = _serve(handler, draft, errors, settings, **place)
    async with _serving(serve) as server:
        assert server.port is not None
        name = f"[{host}]" if ":" in host else host
        url = f"ws://{name}:{server.port}/"
        dial = partial(trio.open_tcp_stream, host, server.port)
        yield ServerUnderTest(server, errors, url, draft, dial)


def _serve(
    handler: Handler | Mapping[str, Handler],
    draft: str | Draft,
    errors: list[Exception],
    settings: ServerSettings,
    **place: Any,
) -> Callable[..., Awaitable[object]]:
    """`serve_websocket` with its arguments, which adds what the handler raises to `errors`."""
    checked: Handler | Routes[Handler] = with_routes("handler", handler, *HANDLER_ARGUMENTS)
    row = draft_named(draft)
    if row.opening.request_body:
        # Behind the keys of such a request may be any of them.
        ours: ServerSettings = {"framing_mode": lambda request: row.name}
        settings = {**ours, **settings}

    def noting(handler: Handler) -> Handler:
        async def noted(connection: Connection, state: Any) -> None:
            try:
                await check_awaitable("handler", handler(connection, state))
            except Exception as error:
                errors.append(error)
                raise

        return noted

    noted: Handler | dict[str, Handler]
    if isinstance(checked, Mapping):
        noted = {path: noting(one) for path, one in checked.items()}
    else:
        noted = noting(checked)
    return partial(serve_websocket, noted, **place, **settings)


@asynccontextmanager
async def _serving(serve: Callable[..., Awaitable[object]]) -> AsyncGenerator[Server, None]:
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(serve)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.aclose()
