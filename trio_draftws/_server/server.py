"""A running server: how it serves one stream, and how it ends.

A server ends when its scope is cancelled, when `Server.aclose` is called, or when the program has
closed all listeners. Either way:

1. The listeners close.
2. After `Server.aclose` with a grace, handlers and opening handshakes have that time to finish by
   themselves. A cancellation, or a second call, ends the wait.
3. The cancel scope of each handler is cancelled, also of those that run in a nursery of the caller.
   Opening handshakes that are not done get 503.
4. Each connection is closed with 1001, or the code of `Server.aclose`, in the task of its handler,
   once that has returned.
5. The task of the scope ends last, since closing needs it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import attrs
import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.scope import Scope, what_ends_the_program
from trio_draftws._connection.sending import check_close_for_all
from trio_draftws._exceptions import close_code_after
from trio_draftws._settings.checks import check_awaitable
from trio_draftws._settings.limits import check_number
from trio_draftws._transport.sockets import DirectStream
from trio_draftws.drafts import Close, CloseCode, HandshakeError

from .admission import Admission, ConnectionLimiter
from .events import ServerEvents
from .handshake import ServerHandshake
from .options import ServerOptions
from .peer import PeerInfo
from .responses import reject_now
from .settings import Handler
from .statistics import ServerStatistics

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup


@attrs.frozen(eq=False, repr=False)
class Server:
    """A running server, as `nursery.start(partial(serve_websocket, ...))` returns it."""

    _streams: StreamServer

    @property
    def connections(self) -> set[Connection]:
        """The connections that are open now."""
        return self._streams.connections

    @property
    def listeners(self) -> Sequence[trio.abc.Listener[Any]]:
        """What it listens on: its own listeners, or those it was given."""
        return self._streams.listeners

    @property
    def port(self) -> int | None:
        """The TCP port of the first listener that has one. It stays when that closes."""
        return self._streams.port

    def __repr__(self) -> str:
        return f"<Server port={self.port} connections={len(self.connections)}>"

    def statistics(self) -> ServerStatistics:
        """Returns what it has done since it started, and what is open now; also after its end.

        It takes about a microsecond for each connection that is open.
        """
        return self._streams.statistics()

    async def aclose(
        self,
        code: int = CloseCode.GOING_AWAY,
        reason: str = "",
        *,
        close_connections: bool = True,
        grace: float = 0.0,
    ) -> None:
        """Ends the server: listeners first, then every handler, then every connection.

        With a grace, handlers may finish by themselves once the listeners are closed; their
        connections are closed with 1000, as ever when a handler returns. So may opening handshakes
        that are under way. When the grace has passed, handlers are cancelled, as they are at once
        without one, and opening handshakes get 503.

        It returns when everything is closed; then `serve_websocket` returns too. A checkpoint; if
        it is cancelled, the server ends all the same, at the time that was set. A further call may
        hasten the end, and then its code and reason count; it cannot put it off. If the task of
        `serve_websocket` is cancelled meanwhile, the grace is over. A handler that calls this waits
        for itself, until the grace has passed.

        Args:
            code: the close code for connections whose handlers are cancelled, left out where the
                draft has none; by default 1001. 1012 tells clients that the server restarts.
            reason: for their peers, left out where the draft has none; by default empty. At most
                123 bytes of UTF-8.
            close_connections: False leaves connections to their handlers for as long as they take,
                as `grace=math.inf` does.
            grace: seconds for handlers to finish by themselves; by default 0.

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            ValueError: the grace is negative or NaN, or was given with `close_connections=False`;
                nothing was done.
            TypeError: an argument is of the wrong type; nothing was done.
        """
        close = Close(code, reason)
        check_close_for_all(close)
        check_number("grace", grace)
        if not grace >= 0:
            raise ValueError(f"grace must be at least 0, not {grace}")
        if not isinstance(close_connections, bool):
            raise TypeError(f"close_connections is True or False, not {close_connections!r}")
        if not close_connections:
            if grace:
                raise ValueError(
                    "close_connections=False leaves connections open however long that takes: "
                    "leave it out, or grace"
                )
            grace = math.inf
        await self._streams.stop(close, grace)


@attrs.define(eq=False, kw_only=True)
class StreamServer:
    """Serves every stream that was accepted, each in its own task, and ends them all."""

    connections: set[Connection] = attrs.field(factory=set, init=False)
    """Those that are open now."""
    listeners: Sequence[trio.abc.Listener[Any]] = attrs.field(default=(), init=False)
    port: int | None = attrs.field(default=None, init=False)
    """The TCP port of the first listener that has one."""
    _options: ServerOptions
    _scope: Scope
    _limiter: ConnectionLimiter
    _events: ServerEvents
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Cancelled when the server is to end."""
    _finishing: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """In which handlers may finish by themselves after that; its deadline is the end of it."""
    _final_close: Close = attrs.field(default=Close(CloseCode.GOING_AWAY), init=False)
    """What connections are closed with when it shuts down."""
    _handler_scopes: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    """What to cancel when it ends: one scope for all handlers, or one for each."""
    _active: int = attrs.field(default=0, init=False)
    """How many streams it is serving."""
    _accepts_no_more: bool = attrs.field(default=False, init=False)
    _is_shutting_down: bool = attrs.field(default=False, init=False)
    _all_done: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when it accepts no more and serves no stream any more."""
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    def statistics(self) -> ServerStatistics:
        """As `Server.statistics`."""
        current = [endpoint_of(connection).totals for connection in self.connections]
        return self._events.statistics(current, opening=self._active - len(current))

    async def run(
        self, serve: Callable[..., Awaitable[object]], task_status: trio.TaskStatus[Server]
    ) -> None:
        """Runs `serve`, which listens, until it ends or `stop` is called; then shuts down in order.
        `task_status` gets the `Server` as soon as it listens.
        """
        try:
            with self._accepting:
                await serve(task_status=task_status)
            with self._finishing:
                await self._note_listeners_closed()
                await self._wait_all_done()
        except BaseExceptionGroup as group:
            # From the nursery in which Trio listens
            end = what_ends_the_program(group)
            if end is None:
                raise
            raise end from group
        finally:
            # By now the listeners are closed.
            with trio.CancelScope(shield=True):
                await self._shut_down()
            self._ended.set()

    async def stop(self, close: Close, grace: float) -> None:
        """Ends the server, and waits until it has ended. A checkpoint.

        Args:
            close: what connections are closed with whose handlers do not return by themselves.
            grace: for how many seconds they may; if a call before this one gave less, that counts.
        """
        deadline = trio.current_time() + grace
        if not self._accepting.cancel_called or deadline < self._finishing.deadline:
            self._final_close = close
            self._finishing.deadline = deadline
        if not grace:
            self._finishing.cancel()
        self._accepting.cancel()
        await self._ended.wait()

    def begin_stop(self) -> None:
        """Ends the server soon, unless that has begun; no checkpoint."""
        if not self._accepting.cancel_called:
            self._finishing.cancel()
            self._accepting.cancel()

    async def _note_listeners_closed(self) -> None:
        self._accepts_no_more = True
        # Streams that were accepted in this pass of the scheduler have a task that has not begun.
        await trio.lowlevel.checkpoint()

    async def _wait_all_done(self) -> None:
        if self._active:
            await self._all_done.wait()

    async def _shut_down(self) -> None:
        self._is_shutting_down = True
        await self._note_listeners_closed()
        for scope in self._handler_scopes:
            scope.cancel()
        await self._wait_all_done()

    async def handler_nursery(self, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """Runs the nursery of the handlers, until it is cancelled.

        It is one cancel scope for all of them; one each would cost 0.7 KiB per connection.
        """
        async with trio.open_nursery() as nursery:
            self._handler_scopes.add(nursery.cancel_scope)
            task_status.started(nursery)
            await trio.sleep_forever()

    async def serve_stream_in_own_scope(self, stream: trio.abc.Stream) -> None:
        """As `serve_stream`, in a nursery of the caller, which we must not cancel."""
        with trio.CancelScope() as scope:
            self._handler_scopes.add(scope)
            if self._is_shutting_down:
                scope.cancel()
            try:
                await self.serve_stream(stream)
            finally:
                self._handler_scopes.discard(scope)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serves one stream: admits it, opens it, runs the handler, and closes it.

        Only this coroutine lives as long as the connection, since each has a frame in memory.
        """
        self._active += 1
        peer = PeerInfo.of(stream)
        admission = self._admit(peer)
        connection: Connection | None = None
        code: int = CloseCode.GOING_AWAY
        try:
            opened = await self._open(stream, admission, peer)
            if opened is None:
                return
            connection, handler = opened
            del opened, peer
            self.connections.add(connection)
            # It stops counting when its stream is closed, even if its handler goes on.
            endpoint_of(connection).when_transport_over(admission.release)
            self._events.connection_opened()
            await check_awaitable("handler", handler(connection, connection.state))
            # While the server shuts down, it goes away, even if the handler took no notice.
            if not self._is_shutting_down:
                code = CloseCode.NORMAL_CLOSURE
            if (loss := endpoint_of(connection).loss) is not None:
                self._events.connection_lost(connection, loss)
        except BaseException as error:  # noqa: BLE001
            code = close_code_after(error)
            failure, cancelled = _split_failure(error)
            if failure is not None and connection is not None:
                self._events.handler_failed(connection, failure)
            # Its traceback refers to this frame, which would refer to it, and to the handler's.
            del failure
            if cancelled is not None:
                raise cancelled from None
        finally:
            try:
                if connection is None:
                    admission.release()
                else:
                    await self._close(connection, code)
                await _close_forcefully(stream)
            finally:
                self._active -= 1
                if self._accepts_no_more and not self._active:
                    self._all_done.set()

    def _admit(self, peer: PeerInfo) -> Admission:
        # Where hosts are not limited, nobody has to know who it is.
        remote = peer.remote if self._limiter.counts_hosts else None
        return self._limiter.admit(remote, self._options.is_proxy(remote))

    async def _open(
        self, stream: trio.abc.Stream, admission: Admission, peer: PeerInfo
    ) -> tuple[Connection, Handler] | None:
        """Returns the connection and what serves it, or None if the opening handshake failed, which
        is then reported.
        """
        handshake = ServerHandshake(
            stream=stream,
            peer=peer,
            options=self._options,
            scope=self._scope,
            refusal=admission.refusal,
            count_client=(
                partial(self._limiter.count_host, admission) if admission.of_proxy else None
            ),
            handler=self._options.handler,
        )
        try:
            if admission.refusal is not None and not admission.read_request:
                await reject_now(stream, self._options, admission.refusal)
            connection = await handshake.open()
            # A path that leads to no handler was refused.
            assert handshake.handler is not None
            return connection, self._events.instrumented(handshake.handler)
        except BaseException as error:  # noqa: BLE001
            failure, cancelled = _split_failure(error)
            if failure is None:
                failure = HandshakeError("the server is shutting down")
            self._events.opening_failed(
                failure,
                handshake.peer.name,
                handshake.draft,
                handshake.request,
                is_mistake=handshake.is_programs_mistake,
            )
            del failure  # as in `serve_stream`
            if cancelled is not None:
                raise cancelled from None
            return None

    async def _close(self, connection: Connection, code: int) -> None:
        endpoint = endpoint_of(connection)
        if not endpoint.close_at_once():
            going = self._is_shutting_down and code == CloseCode.GOING_AWAY
            await endpoint.close_shielded(self._final_close if going else Close(code))
        self.connections.discard(connection)
        self._events.connection_closed(endpoint.first_close_code, endpoint.totals)

    def listening_on(self, listeners: Sequence[trio.abc.Listener[Any]]) -> Server:
        """Keeps what it listens on, and returns the `Server` to hand to the program."""
        self.listeners = listeners
        self.port = next(filter(None, map(_port_of, listeners)), None)
        return Server(self)


async def _close_forcefully(stream: trio.abc.Stream) -> None:
    """Closes what was accepted, if the handshake or the connection has not."""
    if isinstance(stream, DirectStream):
        stream.close()
    else:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(stream)


def _split_failure(error: BaseException) -> tuple[Exception | None, BaseException | None]:
    """Returns what failed, and what has to be raised on, such as a cancellation. If a handler has
    its own nursery, a group may hold both.
    """
    if isinstance(error, Exception):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        cancelled, failure = error.split(trio.Cancelled)
        if isinstance(failure, ExceptionGroup):
            return failure, cancelled
    return None, error


def _port_of(listener: trio.abc.Listener[Any]) -> int | None:
    if isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    if isinstance(listener, trio.SocketListener):
        address = listener.socket.getsockname()
        if isinstance(address, tuple):
            return int(address[1])
    return None
