"""`serve_websocket`: listens, and has every accepted stream served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_draftws._connection.info import State
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import open_scope
from trio_draftws._settings.checks import check_address, needs_trio, tuple_of
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws._transport.listeners import is_closed
from trio_draftws._transport.sockets import take_over

from .admission import ConnectionLimiter
from .events import ServerEvents
from .listening import serve_listeners, serve_tcp
from .options import ServerOptions
from .routing import Routes, with_routes
from .server import Server, StreamServer
from .settings import HANDLER_ARGUMENTS, ConnHeaders, Handler, ListenSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack


@expand_signature(ListenSettings)
async def serve_websocket(
    handler: Handler[State] | Mapping[str, Handler[State]],
    port: int = 80,
    *,
    conn_headers: ConnHeaders[State] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **settings: Unpack[ListenSettings],
) -> None:
    """Serves WebSocket connections until it is cancelled or `Server.aclose` is called.

    `server = await nursery.start(partial(serve_websocket, handler, port))` starts it and returns
    the `Server` once it listens. It uses `trio.serve_tcp`, or `trio.serve_listeners` if it is given
    listeners. A listener of yours that you close accepts nobody any more; when you have closed all
    of them, or one of the server's own, the server ends as after `Server.aclose`.

    A checkpoint. However it ends, every connection is closed in order first: with 1001, within
    `close_timeout`. After `Server.aclose` it returns; cancelled, it raises `trio.Cancelled`.

    Args:
        handler: `async def handler(connection, state)`, run for each connection. When it returns,
            the connection is closed; when it raises, that is logged, and no other connection is
            affected. Or a mapping from paths to such functions, as
            `{"/chat": chat, "/rooms/*": rooms}`; see `Routes`. A request for any other path gets
            404, before `conn_headers` is called.
        port: the TCP port; with 0 the system picks one, which is `server.port`.
        conn_headers: `async def conn_headers(request) -> (headers, state)`, called with each
            request before it is answered. It returns header fields to add to the answer, and the
            state that the handler gets; or it raises `Reject`. If the opening handshake fails after
            that, a state that is an async context manager is exited, with the exception; it is
            never entered.
        settings: each is described in `ListenSettings`, where type checkers and editors find it.

    Raises:
        OSError: it cannot listen at the host and port that the message names; raised from
            `nursery.start`.
        ValueError: no draft has that name, a route is not valid, or an argument is out of range.
        TypeError: an argument, or what a route leads to, is of the wrong type. Whether a function
            is async is checked at once if it was written as a `def`, else when it is called.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("serve_websocket")
    settings = with_defaults(ListenSettings, settings, "serve_websocket")
    host, backlog, listeners = settings["host"], settings["backlog"], settings["listeners"]
    check_address(port, host, backlog)
    if listeners is not None:
        listeners = tuple_of("listeners", listeners, "listeners", trio.abc.Listener)
        if not listeners:
            raise ValueError("listeners is empty; there is nothing to listen on")
        if any(map(is_closed, listeners)):
            raise ValueError("listeners has one that is closed; there is nothing to listen on")
    served: Handler | Routes[Handler] = with_routes("handler", handler, *HANDLER_ARGUMENTS)
    options = ServerOptions.of(settings, conn_headers, served)
    limiter = ConnectionLimiter(
        max_connections=settings["max_connections"],
        max_connections_per_host=settings["max_connections_per_host"],
    )
    instruments = Instruments.of(settings["instruments"])
    async with open_scope(instruments, many=True) as scope:
        streams = StreamServer(
            options=options, scope=scope, limiter=limiter, events=ServerEvents(instruments)
        )
        serve_stream = streams.serve_stream
        nursery = settings["handler_nursery"]
        if nursery is None:
            nursery = await scope.nursery.start(streams.handler_nursery)
        else:
            serve_stream = streams.serve_stream_in_own_scope
        serve: partial[Any]
        if listeners is None:
            serve = partial(serve_tcp, streams, serve_stream, port, host=host, backlog=backlog)
        else:
            serve = partial(serve_listeners, streams, serve_stream, list(listeners))
        starter: Any = _StreamStarter(nursery, serve_stream)
        await streams.run(partial(serve, handler_nursery=starter), task_status)


@attrs.frozen
class _StreamStarter:
    """What Trio's functions get as the nursery of the handlers: it starts our own coroutine for
    each stream.

    Trio would start one of its own around that, whose frame, and the stream that we have taken
    over, would stay in memory as long: 0.7 KiB per connection.
    """

    nursery: trio.Nursery
    serve_stream: Callable[[trio.abc.Stream], Awaitable[None]]

    def start_soon(self, run: Callable[..., Awaitable[object]], *args: object) -> None:
        """Called by Trio with its coroutine function, a stream, and a handler."""
        streams = [arg for arg in args if isinstance(arg, trio.abc.Stream)]
        if len(streams) == 1:
            self.nursery.start_soon(self.serve_stream, take_over(streams[0]))
        else:  # pragma: no cover - no version of Trio so far
            self.nursery.start_soon(run, *args)
