"""The server: read a head, answer, run the handler; and `accept` for one stream.

How a server ends, whether its scope is cancelled or `Server.aclose` is called: the listeners close;
then each handler's own scope is cancelled, wherever the handler runs; openings that are not done
get 503; each connection is closed with 1001 when its handler has returned; the task of the scope
ends last.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.observers import ConnectionInstruments
from trio_draftws._connection.scope import Scope, open_scope, what_ends_the_program
from trio_draftws._connection.statistics import ServerStatistics, Tally
from trio_draftws._exceptions import FlashPolicyServed, PageServed, RequestRefused, code_after
from trio_draftws._settings.checks import (
    awaitable,
    check_address,
    check_async_function,
    check_function,
    check_kind,
    needs_trio,
    several,
)
from trio_draftws._settings.framing_mode import framing_mode
from trio_draftws._settings.keywords import complete, shows
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.handshake_io import check_subprotocols
from trio_draftws._transport.listeners import cannot_listen
from trio_draftws._transport.sockets import DirectStream, take_over
from trio_draftws._transport.tls import ssl_stream_factory
from trio_draftws.drafts import (
    Close,
    Draft,
    HandshakeError,
    HTTPResponse,
    Request,
    allowed_drafts,
    draft_named,
    escaped,
)

from .admission import ConnectionLimiter, PeerInfo, Place
from .flash_policy import PolicyFile
from .handshake import ServerOptions, answer, turn_away
from .origins import OriginCheck
from .routing import Routes, with_routes
from .settings import AcceptSettings, ConnHeaders, HTTPHandler, ListenSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup

Handler: TypeAlias = Callable[[Connection, Any], Awaitable[object]]
"""What a server runs for each connection, with the state that `conn_headers` returned."""

HANDLER_ARGUMENTS = ("connection", "state")

logger = logging.getLogger("trio_draftws")

# What a handler may let through when its peer has gone: news, and no mistake of the handler's
PEER_WENT = (trio.BrokenResourceError, trio.EndOfChannel)


@attrs.define(eq=False, repr=False)
class Server:
    """A running server, as `nursery.start(partial(serve_websocket, ...))` returns it."""

    connections: set[Connection] = attrs.field(factory=set, init=False)
    """Those that are open now."""
    listeners: Sequence[trio.abc.Listener[Any]] = attrs.field(default=(), init=False)
    """What it listens on: its own, or those it was given."""
    port: int | None = attrs.field(default=None, init=False)
    """The port that the first listener which has one listens on; it stays when that closes."""
    _handler: Handler | None
    """What serves every path; None where routes lead to several."""
    _terms: ServerOptions
    _scope: Scope
    _door: ConnectionLimiter
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _visits: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    """What to cancel when it ends: the scope of all its handlers, or of each."""
    _inside: int = attrs.field(default=0, init=False)
    """How many streams it is serving."""
    _tally: Tally = attrs.field(factory=Tally, init=False)
    _ending: bool = attrs.field(default=False, init=False)
    _all_left: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __repr__(self) -> str:
        return f"<Server port={self.port} connections={len(self.connections)}>"

    def statistics(self) -> ServerStatistics:
        """What it has done since it started, and what is open now; also when it has ended.

        It takes a microsecond for each connection that is open.
        """
        current = [endpoint_of(connection).totals for connection in self.connections]
        return self._tally.sum_up(current, opening=self._inside - len(current))

    async def aclose(self) -> None:
        """Ends the server: listeners first, then every handler, then every connection with 1001.

        Returns when all is closed, and `serve_websocket` returns too. A checkpoint; if it is
        cancelled, the server ends all the same.
        """
        self._accepting.cancel()
        await self._ended.wait()

    async def _serve(self, serve: Callable[..., Awaitable[object]], started: _Started) -> None:
        """Runs `serve`, one of Trio's, until it is told to stop; then sees everyone off."""
        try:
            with self._accepting:
                await serve(task_status=started)
        except BaseExceptionGroup as group:
            # Of the nursery in which Trio listens
            end = what_ends_the_program(group)
            if end is None:
                raise
            raise end from group
        finally:
            # Here the listeners are closed.
            with trio.CancelScope(shield=True):
                await self._see_off()
            self._ended.set()

    async def _see_off(self) -> None:
        self._ending = True
        # Whoever was accepted in this pass has not been welcomed yet.
        await trio.lowlevel.checkpoint()
        for visit in self._visits:
            visit.cancel()
        if self._inside:
            await self._all_left.wait()

    async def _house(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The nursery of the handlers: a scope for all of them, where each could have one. It would
        take 0.7 KiB for each connection.
        """
        async with trio.open_nursery() as nursery:
            self._visits.add(nursery.cancel_scope)
            task_status.started(nursery)
            await trio.sleep_forever()

    async def _welcome_abroad(self, stream: trio.abc.Stream) -> None:
        """As `_welcome`, in somebody else's nursery, which is not ours to cancel."""
        with trio.CancelScope() as visit:
            self._visits.add(visit)
            if self._ending:
                visit.cancel()
            try:
                await self._welcome(stream)
            finally:
                self._visits.discard(visit)

    async def _welcome(self, stream: trio.abc.Stream) -> None:
        """Serves one stream, and closes it in the end.

        What lives as long as the connection is this one coroutine, since each has a frame.
        """
        self._inside += 1
        caller = PeerInfo.on(stream)
        caller.handler = self._handler
        peer = caller.peer
        place = self._door.enter(caller.remote)
        connection: Connection | None = None
        code = 1001
        try:
            connection = await self._open(stream, place, caller)
            handler = caller.handler
            del caller
            # Whom no route leads on is refused.
            if connection is None or handler is None:
                return
            self.connections.add(connection)
            # Its place is free as soon as its stream is, even if its handler takes no notice.
            endpoint_of(connection).when_transport_over(place.leave)
            self._tally.accepted += 1
            await awaitable("handler", handler(connection, connection.state))
            code = 1000
            if (end := endpoint_of(connection).loss) is not None:
                _note_end_under_handler(connection, end, peer)
        except BaseException as error:  # noqa: BLE001
            code = code_after(error)
            failure, cancelled = _parted(error)
            if failure is not None and connection is not None:
                _note_failed_handler(connection, failure, peer)
            # It knows this frame, which would know it, and all that the handler's frames hold.
            del failure
            if cancelled is not None:
                raise cancelled from None
        finally:
            try:
                if connection is None:
                    place.leave()
                else:
                    await self._part(connection, code)
                await _close_for_good(stream)
            finally:
                self._inside -= 1
                if self._ending and not self._inside:
                    self._all_left.set()

    async def _open(
        self, stream: trio.abc.Stream, place: Place, caller: PeerInfo
    ) -> Connection | None:
        """Opens as a server; returns None where that has failed, which is noted."""
        try:
            if place.refusal is not None and not place.heard:
                await turn_away(stream, self._terms, place.refusal)
            return await answer(stream, self._terms, self._scope, caller, place.refusal)
        except BaseException as error:  # noqa: BLE001
            failure, cancelled = _parted(error)
            if failure is not None:
                self._note_failed_opening(failure, caller)
            else:
                self._note_no_connection(HandshakeError("the server is shutting down"), caller)
            del failure  # as in `_welcome`
            if cancelled is not None:
                raise cancelled from None
            return None

    async def _part(self, connection: Connection, code: int) -> None:
        endpoint = endpoint_of(connection)
        if not endpoint.close_at_once():
            await endpoint.close_shielded(Close(code))
        self.connections.discard(connection)
        self._tally.note_closed(endpoint.close_code, endpoint.totals)

    def _note_no_connection(self, error: HandshakeError, caller: PeerInfo) -> None:
        request: Request | None = None
        if isinstance(error, RequestRefused):
            self._tally.refused[error.status] += 1
            request = error.request
        elif isinstance(error, PageServed):
            self._tally.pages[error.status] += 1
        elif isinstance(error, FlashPolicyServed):
            self._tally.flash_policies += 1
        else:
            self._tally.failed += 1
        _tell_why_not(self._scope.instruments, error, caller.peer)
        facts = _facts(caller.peer, draft=caller.draft, request=request)
        logger.info("no connection with %s: %s", caller, error, extra=facts)

    def _note_failed_opening(self, error: Exception, caller: PeerInfo) -> None:
        if isinstance(error, HandshakeError):
            self._note_no_connection(error, caller)
        else:
            self._tally.failed += 1
            _tell_why_not(self._scope.instruments, error, caller.peer)
            facts = _facts(caller.peer, draft=caller.draft)
            logger.error("the opening for %s failed", caller, exc_info=error, extra=facts)


async def _close_for_good(stream: trio.abc.Stream) -> None:
    """Closes what was accepted, if what was made of it has not."""
    if isinstance(stream, DirectStream):
        stream.close()
    else:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


@attrs.frozen
class _Starter:
    """Starts the server's own coroutine for each stream, where Trio's `serve_listeners` starts one
    round it that would keep its frame, and the dead stream that we took over, as long: 0.7 KiB for
    each connection.
    """

    nursery: trio.Nursery
    serve: Callable[[trio.abc.Stream], Awaitable[None]]

    def start_soon(self, run: Callable[..., Awaitable[object]], *args: object) -> None:
        """Called by Trio with its coroutine function, a stream, and a handler."""
        streams = [arg for arg in args if isinstance(arg, trio.abc.Stream)]
        if len(streams) == 1:
            self.nursery.start_soon(self.serve, take_over(streams[0]))
        else:  # pragma: no cover - no Trio so far
            self.nursery.start_soon(run, *args)


@attrs.define
class _Started:
    """Passes Trio's word on that the listeners are there."""

    server: Server
    task_status: trio.TaskStatus[Server]

    def started(self, listeners: Sequence[trio.abc.Listener[Any]] = ()) -> None:
        self.server.listeners = listeners
        self.server.port = next(filter(None, map(_port_of, listeners)), None)
        self.task_status.started(self.server)


@shows(ListenSettings)
async def serve_websocket(
    handler: Handler | Mapping[str, Handler],
    port: int = 80,
    *,
    conn_headers: ConnHeaders | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **settings: Unpack[ListenSettings],
) -> None:
    """Serves WebSocket connections until it is cancelled or `Server.aclose` is called.

    `server = await nursery.start(partial(serve_websocket, handler, port))` starts it and returns
    when it listens. Either way of ending it closes every connection in order. It stands on
    `trio.serve_tcp`, or on `trio.serve_listeners` when it is given listeners. A checkpoint; where
    the end was asked for with `Server.aclose`, it returns, and where it was cancelled, it raises
    `trio.Cancelled`, each time when all is closed.

    Args:
        handler: `async def handler(connection, state)`, run for each connection. When it returns,
            the connection is closed; when it raises, that is logged, and nobody else is touched.
            Or a mapping from paths to such functions, as `{"/chat": chat, "/rooms/*": rooms}`; see
            `Routes`. A path that leads nowhere gets 404, before `conn_headers` sees it.
        port: the TCP port; 0 picks one, told by `server.port`.
        conn_headers: `async def conn_headers(request) -> (headers, state)`: sees each request
            before it is answered, and says which fields to add to the answer and what the handler
            gets as its state; or raises `Reject`. If the opening fails behind it, a state that is
            an async context manager is left, with what was raised; it is never entered.
        settings: each is described where the type checker finds it, in `ListenSettings`.

    Raises:
        OSError: it cannot listen there, at the host and port that the message names; raised from
            `nursery.start`.
        ValueError: no draft has that name, a route cannot be, or an argument is out of range.
        TypeError: an argument, or what a route leads to, is nothing of its kind. Whether a function
            is async can be told where it is a `def`; of others it is told when it is called.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("serve_websocket")
    settings = complete(ListenSettings, settings, "serve_websocket")
    host, backlog = settings["host"], settings["backlog"]
    listeners, handler_nursery = settings["listeners"], settings["handler_nursery"]
    check_address(port, host, backlog)
    if listeners is not None:
        listeners = several("listeners", listeners, "listeners", trio.abc.Listener)
        if not listeners:
            raise ValueError("listeners is empty; there is nothing to listen on")
    served: Handler | Routes[Handler] = with_routes("handler", handler, *HANDLER_ARGUMENTS)
    routes = served if isinstance(served, Routes) else None
    terms = _make_terms(conn_headers, settings, routes)
    door = ConnectionLimiter(
        max_connections=settings["max_connections"],
        max_connections_per_host=settings["max_connections_per_host"],
    )
    told = Instruments.of(settings["instruments"])
    async with open_scope(told, many=True) as scope:
        server = Server(None if isinstance(served, Routes) else served, terms, scope, door)
        welcome = server._welcome
        if handler_nursery is None:
            handler_nursery = await scope.nursery.start(server._house)
        else:
            welcome = server._welcome_abroad
        serve: partial[Any]
        if listeners is None:
            serve = partial(_serve_tcp, welcome, port, host=host, backlog=backlog)
        else:
            serve = partial(trio.serve_listeners, welcome, list(listeners))
        starter: Any = _Starter(handler_nursery, welcome)
        serve = partial(serve, handler_nursery=starter)
        await server._serve(serve, _Started(server, task_status))


async def _serve_tcp(
    welcome: Callable[..., Awaitable[object]],
    port: int,
    *,
    host: str | bytes | None,
    backlog: int | None,
    handler_nursery: trio.Nursery,
    task_status: trio.TaskStatus[Any],
) -> None:
    """`trio.serve_tcp`, whose `OSError` names host and port."""
    try:
        await trio.serve_tcp(
            welcome,
            port,
            host=host,
            backlog=backlog,
            handler_nursery=handler_nursery,
            task_status=task_status,
        )
    except OSError as error:
        raise cannot_listen(error, host, port) from error


@shows(AcceptSettings)
@asynccontextmanager
async def accept(
    stream: trio.abc.Stream,
    *,
    conn_headers: ConnHeaders | None = None,
    **settings: Unpack[AcceptSettings],
) -> AsyncGenerator[Connection, None]:
    """Serves one connection on any stream: `async with accept(stream) as connection`.

    The stream is closed on every path; a `trio.SocketStream` is taken over, and dead from then on.
    The block's end closes the connection in order, with the code that `open_websocket` would; what
    it raises comes out as it is. What `conn_headers` returned is `connection.state`. Entering is a
    checkpoint; cancelling it tells the client 503 and closes the stream.

    Args:
        stream: what the client is at the other end of.
        conn_headers: as that of `serve_websocket`.
        settings: each is described where the type checker finds it, in `AcceptSettings`.

    Raises:
        RequestRefused: a `HandshakeError`; the request was refused, and the client told.
        PageServed: a `HandshakeError`; it was no WebSocket request, and `http_handler` answered it.
        FlashPolicyServed: a `HandshakeError`; it was a Flash player, told the `flash_policy`.
        TLSFailed: a `HandshakeError`; the cause says why.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the client ended or broke the connection before it was open.
        ValueError: no draft has that name, or an argument is out of range.
        TypeError: an argument is nothing of its kind.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("accept")
    check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        settings = complete(AcceptSettings, settings, "accept")
        terms = _make_terms(conn_headers, settings)
        told = Instruments.of(settings["instruments"])
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    # Afterwards the stream may be dead.
    caller = PeerInfo.on(stream)
    async with open_scope(told) as scope:
        try:
            connection = await answer(stream, terms, scope, caller)
        except Exception as error:
            _tell_why_not(scope.instruments, error, caller.peer)
            raise
        try:
            yield connection
        except BaseException as error:
            # A cancellation would take the place of what the block raised.
            await endpoint_of(connection).close_shielded(Close(code_after(error)))
            raise
        await connection.aclose()


def _make_terms(
    conn_headers: ConnHeaders | None,
    settings: AcceptSettings,
    routes: Routes[Handler] | None = None,
) -> ServerOptions:
    stream_factory, ssl_context = settings["stream_factory"], settings["ssl_context"]
    if ssl_context is not None:
        if stream_factory is not None:
            raise ValueError("give ssl_context or stream_factory, not both")
        stream_factory = ssl_stream_factory(ssl_context)
    if conn_headers is not None:
        check_async_function("conn_headers", conn_headers, "request")
    http_handler = settings["http_handler"]
    pages: HTTPHandler | Routes[HTTPHandler | HTTPResponse] | None = None
    if http_handler is not None:
        pages = with_routes("http_handler", http_handler, "request", or_else=(HTTPResponse,))
    subprotocols = settings["subprotocols"]
    if callable(subprotocols):
        check_function("subprotocols", subprotocols, "asked")
    else:
        subprotocols = check_subprotocols(subprotocols)
    drafts = settings["drafts"]
    if drafts is not None:
        drafts = several("drafts", drafts, "names of drafts", str, Draft)
    # A name that no draft has is the caller's mistake, not a client's.
    draft_named(framing_mode.get())
    return ServerOptions(
        limits=Limits.of(settings),
        drafts=allowed_drafts(drafts),
        origins=OriginCheck.of(settings["origins"]),
        conn_headers=conn_headers,
        http_handler=pages,
        flash_policy=PolicyFile.of(settings["flash_policy"]),
        framing_mode=settings["framing_mode"] or (lambda request: framing_mode.get()),
        subprotocols=subprotocols,
        compression=settings["compression"],
        stream_factory=stream_factory,
        routes=routes,
    )


def _parted(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """What has failed, and what is to be raised on, as a cancellation: a handler's own nursery
    joins the two.
    """
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        cancelled, failure = error.split(trio.Cancelled)
        if isinstance(failure, ExceptionGroup):
            return failure, cancelled
    return None, error


def _facts(
    peer: str,
    connection: Connection | None = None,
    *,
    draft: Draft | None = None,
    request: Request | None = None,
) -> dict[str, Any]:
    """What a log record is given beside its text."""
    if connection is not None:
        request, draft = connection.request, connection.draft
    return {
        "peer": peer,
        "draft": None if draft is None else draft.name,
        "connection_id": None if connection is None else connection.id,
        "path": None if request is None else escaped(request.path),
    }


def _tell_why_not(instruments: ConnectionInstruments | None, error: Exception, peer: str) -> None:
    """Tells that no connection came about; what else was served is no failure."""
    if instruments is None or isinstance(error, (PageServed, FlashPolicyServed)):
        return
    if isinstance(error, RequestRefused):
        instruments.tell("opening_refused", error.request, error.status, peer)
    else:
        instruments.tell("opening_failed", error, peer)


def _note_failed_handler(connection: Connection, error: Exception, peer: str) -> None:
    """What a handler raised is a mistake of its own, unless it only lets through the news."""
    if connection.closed and (news := _news(error)) is not None:
        _note_end_under_handler(connection, news, peer)
        return
    facts = _facts(peer, connection)
    logger.error("the handler of %r with %s failed", connection, peer, exc_info=error, extra=facts)


def _note_end_under_handler(connection: Connection, end: BaseException, peer: str) -> None:
    facts = _facts(peer, connection)
    logger.info("%r with %s ended under its handler: %s", connection, peer, end, extra=facts)


def _news(error: BaseException) -> BaseException | None:
    """What says that the peer has gone, if an error says nothing else; a nursery may wrap it."""
    if isinstance(error, BaseExceptionGroup):
        if error.split(PEER_WENT)[1] is not None:
            return None
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    return error if isinstance(error, PEER_WENT) else None


def _port_of(listener: trio.abc.Listener[Any]) -> int | None:
    if isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    if isinstance(listener, trio.SocketListener):
        address = listener.socket.getsockname()
        if isinstance(address, tuple):
            return int(address[1])
    return None
