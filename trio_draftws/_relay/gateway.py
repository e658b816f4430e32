"""`open_gateway`: each client that connects is bridged to a connection of its own to one server.

The connection to that server, the upstream, is opened before the client gets its answer. So a
refusal by the upstream becomes the answer to the client, and so does the subprotocol that the
upstream chose. A task in the gateway's nursery keeps the connection until the state that
`conn_headers` returns is exited as a context manager: by the handler or, if the client's opening
handshake fails, by the server.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import attrs
import trio

from trio_draftws._client.connector import make_connector
from trio_draftws._client.open import open_websocket
from trio_draftws._client.settings import ClientSettings, DialSettings
from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import open_scope
from trio_draftws._exceptions import DialFailed, HandshakeTimeout, Rejected, TLSFailed
from trio_draftws._settings.checks import needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import (
    Draft,
    HandshakeError,
    HeaderFields,
    InvalidAnswer,
    Reject,
    Request,
    WebSocketURL,
    auto_drafts,
    draft_named,
)

from .bridge import BinaryPolicy, bridge, check_binary_policy

if TYPE_CHECKING:
    from typing_extensions import Unpack

Opener: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

# Another server is more often a modern one, and a client waits while it is asked.
DEFAULTS: DialSettings = {"draft": "rfc6455", "handshake_timeout": 5}

logger = logging.getLogger("trio_draftws")

# The statuses that are meant for the client, not for the gateway
FORWARDED_STATUSES = (401, 403, 404, 410, 429, 503)
FORWARDED_RESPONSE_FIELDS = ("Content-Type", "Retry-After", "Set-Cookie", "WWW-Authenticate")
# The credentials
FORWARDED_REQUEST_FIELDS = ("cookie", "authorization")
TOO_SLOW = "The server behind this gateway does not answer.\n"
UNREACHABLE = "The server behind this gateway cannot be reached.\n"
NO_TLS = "There is no TLS with the server behind this gateway.\n"
REFUSED = "The server behind this gateway refused with status {}.\n"
OTHER_DRAFT = "The server behind this gateway does not answer as its draft says.\n"
BROKEN = "The server behind this gateway broke off the opening handshake.\n"
INVALID_REQUEST = "What was asked for cannot be asked of the server behind this gateway.\n"
# The body of a 502: that of the first kind of error that matches
BAD_GATEWAY_TEXTS = (
    (DialFailed, UNREACHABLE),
    (TLSFailed, NO_TLS),
    (InvalidAnswer, OTHER_DRAFT),
    (HandshakeError, BROKEN),
    (Exception, INVALID_REQUEST),
)

# The subprotocol that the upstream chose: set by `conn_headers`, and returned by
# `choose_subprotocol`, which is called later in the same task.
_upstream_subprotocol: ContextVar[str | None] = ContextVar("upstream_subprotocol")


@attrs.define(eq=False)
class _Upstream(AbstractAsyncContextManager[Connection]):
    """The connection to the upstream server for one client; leaving the block closes it."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ready: trio.Event = attrs.field(factory=trio.Event)
    """Set when `connection` or `failure` is."""
    connection: Connection | None = None
    failure: Exception | None = None

    async def run(self, opener: Opener) -> None:
        """Opens the connection, and keeps it open until `scope` is cancelled."""
        try:
            with self.scope:
                async with opener() as self.connection:
                    self.ready.set()
                    await trio.sleep_forever()
        except Exception as error:  # noqa: BLE001
            # Not raised, so that other connections go on; `conn_headers` reports it to the client.
            self.failure = error
        finally:
            self.ready.set()

    async def __aenter__(self) -> Connection:
        assert self.connection is not None
        return self.connection

    async def __aexit__(self, *why: object) -> None:
        self.scope.cancel()


@attrs.define(eq=False, kw_only=True)
class Gateway:
    """Three arguments for `serve_websocket` that make it a gateway; from `open_gateway`."""

    to: str
    """The URL of the server to connect to."""
    draft: str | Draft
    """The draft to speak with that server, by name or as a `Draft`; `"auto"` tries several."""
    binary: BinaryPolicy
    """What happens to binary messages if the other side's draft has none, as for `bridge`."""
    _settings: DialSettings
    _nursery: trio.Nursery

    async def conn_headers(self, request: Request) -> tuple[HeaderFields, object]:
        """Opens the connection to the server; for `serve_websocket(conn_headers=...)`.

        A checkpoint; cancelling it closes that connection.

        Args:
            request: the client's `Request`.

        Returns:
            The header fields to add to the answer, which are the server's cookies, and the state to
            call `handler` with.

        Raises:
            Reject: no connection could be opened. If the server answered 401, 403, 404, 410, 429 or
                503, the client gets that status and body. The status is 504 if the server did not
                answer in time, and 502 for any other failure.
        """
        opener = self._opener_for(request)
        upstream = _Upstream()
        self._nursery.start_soon(upstream.run, opener)
        opened = False
        try:
            # Some of the client's time is left for sending the answer.
            left = trio.current_effective_deadline() - trio.current_time()
            with trio.move_on_after(left * 0.8):
                await upstream.ready.wait()
            if upstream.connection is None:
                raise _reject_for(upstream.failure) from upstream.failure
            opened = True
        finally:
            if not opened:
                upstream.scope.cancel()
        _upstream_subprotocol.set(upstream.connection.subprotocol)
        cookies = upstream.connection.response.headers.get_raw("Set-Cookie")
        return [("Set-Cookie", cookie) for cookie in cookies], upstream

    def choose_subprotocol(self, request: Request) -> str | None:
        """Returns the subprotocol that the server chose, or None.

        For `serve_websocket(subprotocols=...)`.

        Args:
            request: the client's `Request`; it is not looked at.
        """
        return _upstream_subprotocol.get()

    async def handler(self, client: Connection, upstream: object) -> None:
        """Bridges the two connections until both have ended; for `serve_websocket(handler, ...)`.

        A failure is logged, not raised. A checkpoint; cancelling it closes both connections, each
        with the closing handshake of its draft.

        Args:
            client: the client's `Connection`.
            upstream: the state that `conn_headers` returned.

        Raises:
            TypeError: `upstream` is not what `conn_headers` returned.
        """
        if not isinstance(upstream, _Upstream):
            raise TypeError("give gateway.conn_headers to serve_websocket beside gateway.handler")
        async with upstream as server:
            try:
                await bridge(client, server, binary=self.binary)
            except trio.BrokenResourceError as error:
                # The side that ended so; neither did if the gateway refused a message.
                sides = (("client", client), ("server", server))
                who = [who for who, side in sides if endpoint_of(side).end_type is type(error)]
                by = who[0] if who else "gateway"
                logger.info("%r and %r ended, by the %s: %s", client, server, by, error)

    def _opener_for(self, request: Request) -> Opener:
        target = WebSocketURL.parse(self.to)
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.decode().lower() in FORWARDED_REQUEST_FIELDS
            and not (target.user is not None and name.lower() == b"authorization")
        ]
        if request.remote is not None and not request.remote.is_unix:
            forwarded = [*request.headers.get_all("X-Forwarded-For"), request.remote.host]
            headers.append((b"X-Forwarded-For", ", ".join(forwarded).encode("latin-1")))
        return partial(
            open_websocket,
            _upstream_url(request, target),
            auth=target.user,
            headers=headers,
            origin=request.origin or None,
            subprotocols=self._supported_subprotocols(request.subprotocols),
            **self._settings,
        )

    def _supported_subprotocols(self, subprotocols: Sequence[str]) -> list[str]:
        """Returns the subprotocols that the upstream's draft can express."""
        syntax = (
            auto_drafts()[0] if self.draft == "auto" else draft_named(self.draft)
        ).subprotocols
        names = []
        for name in subprotocols:
            try:
                syntax.write([name])
            except ValueError:
                continue
            names.append(name)
        return names[:1] if syntax.separator is None else names


def _upstream_url(request: Request, target: WebSocketURL) -> str:
    """Returns the upstream URL, with the client's path and query if `target` has none."""
    if target.resource != "/":
        return target.location
    if not request.raw_target.startswith(b"/"):
        raise Reject(400, body="The request's target must be a path.\n")
    asked = quote(request.raw_target, safe="/?:@!$&'()*+,;=~-._%[]")
    return target.location.removesuffix("/") + asked


def _reject_for(error: Exception | None) -> Reject:
    """Returns the answer to the client after the upstream could not be opened."""
    if error is None or isinstance(error, HandshakeTimeout):
        return Reject(504, body=TOO_SLOW)
    if not isinstance(error, Rejected):
        texts = ((kind, text) for kind, text in BAD_GATEWAY_TEXTS if isinstance(error, kind))
        return Reject(502, body=next(texts)[1])
    if error.status not in FORWARDED_STATUSES:
        return Reject(502, body=REFUSED.format(error.status))
    fields = [
        (name, value) for name in FORWARDED_RESPONSE_FIELDS for value in error.headers.get_raw(name)
    ]
    # `error.body` has the chunked coding removed already.
    other_coding = error.headers.get("Transfer-Encoding", "chunked").lower() != "chunked"
    coded = other_coding or "Content-Encoding" in error.headers
    return Reject(error.status, fields, b"" if coded else error.body)


@expand_signature(DialSettings, **DEFAULTS)
@block("gateway")
async def open_gateway(
    to: str, *, binary: BinaryPolicy = "refuse", **settings: Unpack[DialSettings]
) -> AsyncGenerator[Gateway, None]:
    """Prepares the arguments that make a server a gateway to another one: `async with
    open_gateway(url) as gateway`.

    In the block, call `serve_websocket(gateway.handler, ..., conn_headers=gateway.conn_headers,
    subprotocols=gateway.choose_subprotocol)`. For each client, a connection to the other server is
    opened before the client gets its answer. The client's subprotocols, Origin, cookies,
    Authorization and X-Forwarded-For are sent to that server, and its cookies to the client. Then
    the two connections are joined by `bridge`. A connection that fails is logged, and does not
    affect the others.

    However the block ends, the connections to the server are then closed with a closing handshake.
    Entering and leaving are checkpoints; cancelling the block closes the connections in the same
    way.

    Args:
        to: the server's URL, a str. If it has no path, the client's path and query are added to it;
            otherwise they are dropped. A user and password in it are sent to the server, instead of
            the client's Authorization.
        binary: as for `bridge`; by default `"refuse"`.
        settings: the keyword arguments that `DialSettings` describes: how to connect to the server.
            All have defaults; here `draft` is `"rfc6455"` and `handshake_timeout` 5 seconds by
            default. The opening handshake with the server is also given up when four fifths of the
            client's `handshake_timeout` have passed.

    Returns:
        An async context manager, which gives the `Gateway`.

    Raises:
        ValueError: `to` is no WebSocket URL, no draft has that name, `binary` is unknown, or an
            argument is out of range.
        TypeError: an argument has the wrong type.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("open_gateway")
    WebSocketURL.parse(to)
    check_binary_policy(binary)
    settings = with_defaults(DialSettings, {**DEFAULTS, **settings}, "open_gateway")
    draft = "rfc6455" if settings["draft"] is None else settings["draft"]
    settings["draft"] = draft
    # What no client could be opened with raises here, and not for each client.
    make_connector(to, None, with_defaults(ClientSettings, settings, "open_gateway"))
    Instruments.of(settings["instruments"])
    async with open_scope() as scope:
        yield Gateway(to=to, draft=draft, binary=binary, settings=settings, nursery=scope.nursery)
