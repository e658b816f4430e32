"""`served`, `served_on_port`: run a handler in a server, in memory or on a free port."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_draftws._client.open import open_websocket
from trio_draftws._client.settings import ClientSettings
from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection
from trio_draftws._connection.info import State
from trio_draftws._exceptions import DialFailed
from trio_draftws._server.routing import Routes, with_routes
from trio_draftws._server.serve import serve_websocket
from trio_draftws._server.server import Server
from trio_draftws._server.settings import (
    HANDLER_ARGUMENTS,
    ConnHeaders,
    Handler,
    ListenSettings,
    ServerSettings,
)
from trio_draftws._settings.checks import (
    check_address,
    check_awaitable,
    check_int,
    check_kind,
    needs_trio,
)
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import Draft, DraftName, draft_named

from ._memory import MemoryListener
from ._nursery import plain_nursery
from ._pair import no_tls

if TYPE_CHECKING:
    from typing_extensions import Unpack


async def echo(connection: Connection, state: object = None) -> None:
    """A handler that sends each message back, until the peer has closed.

    It receives and sends, with the checkpoints that `Connection` describes. If it is cancelled, a
    message that was received but not sent back is lost.

    Args:
        connection: the `Connection`.
        state: not used; a server passes the state of the connection.

    Raises:
        trio.BrokenResourceError: the connection broke.
    """
    async for message in connection:
        await connection.send(message)


@attrs.define(eq=False, kw_only=True)
class ServerUnderTest:
    """A server that runs a handler; from `served` and `served_on_port`."""

    server: Server
    """The server itself."""
    errors: list[Exception]
    """The exceptions that the handler has raised so far, including those for a lost connection. The
    server treats them as always: it logs them, and closes the connection with 1011."""
    url: str
    """Its URL: `ws://127.0.0.1:PORT/` on a port; in memory `ws://localhost/`, which only its own
    `open_websocket` connects to this server."""
    draft: DraftName | str | Draft
    """The draft that its `open_websocket` speaks by default."""
    _dial: Callable[[], Awaitable[trio.abc.Stream]] = attrs.field(repr=False)

    @property
    def port(self) -> int:
        """The port that it listens on, an int.

        Raises:
            AttributeError: it listens in memory, where there is none; use `open_websocket`, `dial`.
        """
        if self.server.port is None:
            raise AttributeError(
                "this server listens in memory and has no port: use its `open_websocket` or its "
                "`dial`, or served_on_port"
            )
        return self.server.port

    @property
    def connections(self) -> set[Connection]:
        """The connections that are open now, like `Server.connections`."""
        return self.server.connections

    async def aclose(self) -> None:
        """Closes the server, like `Server.aclose`.

        A checkpoint; if it is cancelled, the server ends all the same.
        """
        await self.server.aclose()

    @expand_signature(ClientSettings)
    @block(
        "connection",
        loop="async for message in connection:",
        instead="`await connect_websocket(nursery, ..., stream=await server.dial())` gives a "
        "connection that is no block",
    )
    async def open_websocket(
        self, url: str = "/", **settings: Unpack[ClientSettings]
    ) -> AsyncGenerator[Connection, None]:
        """Opens a client: `async with server.open_websocket("/chat") as connection`.

        Like `trio_draftws.open_websocket`, checkpoints and cancellation included, but over a single
        stream to this server. So `draft="auto"` is refused, no redirect is followed, and there is
        no TLS unless `stream_factory` adds it.

        Args:
            url: a str: a URL, or a path at this server, with or without a query; by default `"/"`.
            settings: the keyword arguments that `ClientSettings` describes. By default `draft` is
                the one that the server was opened with.

        Returns:
            An async context manager, which gives the open `Connection`.

        Raises:
            DialFailed: the server has ended. Everything else that `trio_draftws.open_websocket`
                raises may be raised too.
        """
        given: object = url
        if isinstance(given, str) and given.startswith("/"):
            url = self.url.rstrip("/") + url
        both: ClientSettings = {
            **settings,
            "draft": settings.get("draft") or self.draft,
            "stream_factory": settings.get("stream_factory") or no_tls,
        }
        async with open_websocket(url, stream=await self.dial(), **both) as connection:
            yield connection

    async def dial(self) -> trio.abc.Stream:
        """Opens a stream to this server, on which nothing has been sent, such as for `RawClient`.

        A checkpoint; cancelling it leaves no stream open.

        Returns:
            The client's end, a `trio.abc.Stream`.

        Raises:
            DialFailed: the server has ended.
        """
        try:
            return await self._dial()
        except OSError as error:
            raise DialFailed("the server has ended") from error


@expand_signature(ServerSettings)
@block("server")
async def served(
    handler: Handler[State] | Mapping[str, Handler[State]] = echo,
    *,
    draft: DraftName | str | Draft = "rfc6455",
    host: str = "localhost",
    buffer: float = math.inf,
    conn_headers: ConnHeaders[State] | None = None,
    **settings: Unpack[ServerSettings],
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a handler in a server without sockets: `async with served(handler) as server`.

    The server is a real `serve_websocket`, so origins, `conn_headers`, `http_handler`, limits,
    close codes and the log all work as in production; the log calls the clients "client 1",
    "client 2", and so on. Leaving the block closes the server and every connection, also if the
    block is cancelled; what the block raises is raised unchanged. Entering and leaving are
    checkpoints.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such functions;
            by default `echo`.
        draft: the draft that clients from `server.open_websocket` speak, by name or as a `Draft`;
            by default `"rfc6455"`. The server speaks every draft; if a request looks the same in
            several, it takes it for this one.
        host: the name of the host in `server.url`, a str; by default `"localhost"`.
        buffer: how many bytes each end of a stream holds that were not received yet, an int. Then
            `send` waits, as it does with TCP, where the peer does not receive. By default
            `math.inf`, for any number.
        conn_headers: as for `serve_websocket`; by default None.
        settings: the keyword arguments that `ServerSettings` describes.

    Returns:
        An async context manager, which gives a `ServerUnderTest`.

    Raises:
        ValueError: an argument is invalid, as for `serve_websocket`.
        TypeError: an argument has the wrong type, or says where to listen.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served")
    for name in ("port", "backlog", "listeners"):
        if name in settings:
            raise TypeError(f"served listens in memory and has no {name}; served_on_port listens")
    with_defaults(ServerSettings, settings, "served")
    _check_host_and_buffer(host, buffer)
    listener = MemoryListener(buffer=buffer)
    errors: list[Exception] = []
    listening = {"listeners": [listener], "conn_headers": conn_headers}
    serve = _prepare(handler, draft, errors, settings, **listening)

    async def dial() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return listener.dial()

    async with _running(serve) as server:
        url = f"ws://{_in_url(host)}/"
        yield ServerUnderTest(server=server, errors=errors, url=url, draft=draft, dial=dial)


@expand_signature(ServerSettings)
@block("server")
async def served_on_port(
    handler: Handler[State] | Mapping[str, Handler[State]] = echo,
    *,
    draft: DraftName | str | Draft = "rfc6455",
    host: str = "127.0.0.1",
    buffer: float = math.inf,
    conn_headers: ConnHeaders[State] | None = None,
    **settings: Unpack[ServerSettings],
) -> AsyncGenerator[ServerUnderTest, None]:
    """Runs a handler in a server on a free port: `async with served_on_port(handler) as server`.

    Clients connect to `server.url`. Apart from that it works like `served`, with the same
    arguments: entering and leaving are checkpoints, and leaving closes the server, also if the
    block is cancelled.

    Args:
        handler: `async def handler(connection, state)`, or a mapping from paths to such functions;
            by default `echo`.
        draft: as for `served`.
        host: the address or name to listen on, a str; by default `"127.0.0.1"`.
        buffer: how many bytes each end of a stream holds, an int, as nearly as the system allows:
            Linux holds a few KiB at least, and more than asked for. It is set on the server's
            sockets, and on those that `server.dial` and `server.open_websocket` open. By default
            `math.inf`, which leaves that to the system.
        conn_headers: as for `serve_websocket`; by default None.
        settings: the keyword arguments that `ServerSettings` describes.

    Returns:
        An async context manager, which gives a `ServerUnderTest`.

    Raises:
        OSError: it cannot listen there.
        ValueError: an argument is invalid, as for `serve_websocket`.
        TypeError: an argument has the wrong type.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("served_on_port")
    with_defaults(ListenSettings, settings, "served_on_port")
    _check_host_and_buffer(host, buffer)
    errors: list[Exception] = []
    listening = {"port": 0, "host": host, "conn_headers": conn_headers}
    serve = _prepare(handler, draft, errors, settings, **listening)

    async def dial() -> trio.abc.Stream:
        assert server.port is not None
        stream = await trio.open_tcp_stream(host, server.port)
        _limit_buffers(stream.socket, buffer)
        return stream

    async with _running(serve) as server:
        for listener in server.listeners:
            if isinstance(listener, trio.SocketListener):
                # Nobody knows the port yet, and what it accepts inherits this.
                _limit_buffers(listener.socket, buffer)
        url = f"ws://{_in_url(host)}:{server.port}/"
        yield ServerUnderTest(server=server, errors=errors, url=url, draft=draft, dial=dial)


def _check_host_and_buffer(host: str, buffer: float) -> None:
    check_address(0, host)
    check_kind("host", host, str, "a str")
    check_int("buffer", buffer, 1, math.inf)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _limit_buffers(sock: trio.socket.SocketType, buffer: float) -> None:
    if not math.isinf(buffer):
        for option in (trio.socket.SO_RCVBUF, trio.socket.SO_SNDBUF):
            sock.setsockopt(trio.socket.SOL_SOCKET, option, int(buffer))


def _prepare(
    handler: Handler[State] | Mapping[str, Handler[State]],
    draft: DraftName | str | Draft,
    errors: list[Exception],
    settings: ServerSettings,
    **listening: Any,
) -> Callable[..., Awaitable[object]]:
    """Returns `serve_websocket` with its arguments; errors of the handler go to `errors`."""
    checked: Handler | Routes[Handler] = with_routes("handler", handler, *HANDLER_ARGUMENTS)
    spoken = draft_named(draft)
    if spoken.opening.request_body:
        # Requests with such a body look the same in several drafts.
        defaults: ServerSettings = {"framing_mode": lambda request: spoken.name}
        settings = {**defaults, **settings}

    def recording_errors(handler: Handler) -> Handler:
        async def recording(connection: Connection, state: Any) -> None:
            try:
                await check_awaitable("handler", handler(connection, state))
            except Exception as error:
                errors.append(error)
                raise

        return recording

    recording: Handler | dict[str, Handler]
    if isinstance(checked, Mapping):
        recording = {path: recording_errors(one) for path, one in checked.items()}
    else:
        recording = recording_errors(checked)
    return partial(serve_websocket, recording, **listening, **settings)


@asynccontextmanager
async def _running(serve: Callable[..., Awaitable[object]]) -> AsyncGenerator[Server, None]:
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(serve)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.aclose()
