"""A gateway: each client that connects is joined with a connection of its own to one server.

The connection to the server is opened before the client is answered. So the server's refusal is the
client's, and what the server agrees to is what the client is told. A task in the gateway's nursery
holds it, until the state that `conn_headers` gives the handler is left: by the handler or, where no
connection with the client comes about, by the server.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

import attrs
import trio

from trio_draftws._client.open import open_websocket
from trio_draftws._client.settings import DialSettings
from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.scope import open_scope
from trio_draftws._exceptions import DialFailed, HandshakeTimeout, Rejected, TLSFailed
from trio_draftws._settings.checks import needs_trio
from trio_draftws._settings.keywords import complete, shows
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

Dial: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

logger = logging.getLogger("trio_draftws")

# What the server has to say to a client, and not to the gateway
REFUSALS = (401, 403, 404, 410, 429, 503)
FIELDS_OF_A_REFUSAL = ("Content-Type", "Retry-After", "Set-Cookie", "WWW-Authenticate")
# What says who is asking
FIELDS_OF_A_REQUEST = ("cookie", "authorization")
TOO_SLOW = "The server behind this gateway does not answer.\n"
UNREACHABLE = "The server behind this gateway cannot be reached.\n"
NO_TLS = "There is no TLS with the server behind this gateway.\n"
REFUSED = "The server behind this gateway refused with status {}.\n"
OTHER_DRAFT = "The server behind this gateway does not answer as its draft says.\n"
BROKEN = "The server behind this gateway broke off the opening handshake.\n"
UNSAYABLE = "What was asked for cannot be asked of the server behind this gateway.\n"
# The first that fits an error says what the client is told with a 502.
WHY_BAD_GATEWAY = (
    (DialFailed, UNREACHABLE),
    (TLSFailed, NO_TLS),
    (InvalidAnswer, OTHER_DRAFT),
    (HandshakeError, BROKEN),
    (Exception, UNSAYABLE),
)

# What the server agreed to, from where it is known to where the client's is chosen: one task
_agreed: ContextVar[str | None] = ContextVar("agreed")


@attrs.define(eq=False)
class _Behind(AbstractAsyncContextManager[Connection]):
    """The connection to the server, for one client: entered for it, and left to end it."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    settled: trio.Event = attrs.field(factory=trio.Event)
    """Set when it is known whether there is one."""
    connection: Connection | None = None
    failure: Exception | None = None

    async def hold(self, dial: Dial) -> None:
        """Opens it, and keeps it until it is given up."""
        try:
            with self.scope:
                async with dial() as self.connection:
                    self.settled.set()
                    await trio.sleep_forever()
        except Exception as error:  # noqa: BLE001
            # One connection's failure is nobody else's; `conn_headers` says what it was.
            self.failure = error
        finally:
            self.settled.set()

    async def __aenter__(self) -> Connection:
        assert self.connection is not None
        return self.connection

    async def __aexit__(self, *why: object) -> None:
        self.scope.cancel()


@attrs.define(eq=False)
class Gateway:
    """What makes a server a gateway, as `open_gateway` gives it: three of its arguments."""

    to: str
    draft: str | Draft
    binary: BinaryPolicy
    _settings: DialSettings
    _nursery: trio.Nursery

    async def conn_headers(self, request: Request) -> tuple[HeaderFields, object]:
        """Opens the connection to the server, for `serve_websocket(conn_headers=...)`.

        A checkpoint; cancelling it gives that connection up.

        Raises:
            Reject: there is none. The server's 401, 403, 404, 410, 429 and 503 are passed on, with
                what it said; 504 says that it did not answer in time, and 502 what else was wrong,
                as that it cannot be reached.
        """
        dial = self._dial(request)
        behind = _Behind()
        self._nursery.start_soon(behind.hold, dial)
        opened = False
        try:
            # Less than what is left: the client is to be told.
            left = trio.current_effective_deadline() - trio.current_time()
            with trio.move_on_after(left * 0.8):
                await behind.settled.wait()
            if behind.connection is None:
                raise _refusal(behind.failure) from behind.failure
            opened = True
        finally:
            if not opened:
                behind.scope.cancel()
        _agreed.set(behind.connection.subprotocol)
        cookies = behind.connection.response.headers.get_raw("Set-Cookie")
        return [("Set-Cookie", cookie) for cookie in cookies], behind

    def choose_subprotocol(self, asked: Sequence[str]) -> str | None:
        """What the server agreed to, for `serve_websocket(subprotocols=...)`."""
        return _agreed.get()

    async def handler(self, client: Connection, behind: object) -> None:
        """Joins the two until both have ended, for `serve_websocket(handler, ...)`.

        A checkpoint; cancelling it closes both in order.
        """
        if not isinstance(behind, _Behind):
            raise TypeError("give gateway.conn_headers to serve_websocket beside gateway.handler")
        async with behind as server:
            try:
                await bridge(client, server, binary=self.binary)
            except trio.BrokenResourceError as error:
                # By the kind of its end: what was refused here is nobody's.
                sides = (("client", client), ("server", server))
                who = [who for who, side in sides if endpoint_of(side).end_type is type(error)]
                by = who[0] if who else "gateway"
                logger.info("%r and %r ended, by the %s: %s", client, server, by, error)

    def _dial(self, request: Request) -> Dial:
        target = WebSocketURL.parse(self.to)
        headers = [
            (name, value)
            for name, value in request.headers.raw
            if name.decode().lower() in FIELDS_OF_A_REQUEST
            and not (target.user is not None and name.lower() == b"authorization")
        ]
        if request.remote is not None:
            forwarded = [*request.headers.get_all("X-Forwarded-For"), request.remote]
            headers.append((b"X-Forwarded-For", ", ".join(forwarded).encode("latin-1")))
        return partial(
            open_websocket,
            _url_for(request, target),
            auth=target.user,
            headers=headers,
            origin=request.origin or None,
            subprotocols=self._sayable(request.subprotocols),
            **self._settings,
        )

    def _sayable(self, subprotocols: Sequence[str]) -> list[str]:
        """Those that can be asked for behind: one draft allows what another does not."""
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


def _url_for(request: Request, target: WebSocketURL) -> str:
    """The server's URL: with the path and query that were asked for, if it has none itself."""
    if target.resource != "/":
        return target.location
    if not request.raw_target.startswith(b"/"):
        raise Reject(400, body="The request's target must be a path.\n")
    asked = quote(request.raw_target, safe="/?:@!$&'()*+,;=~-._%[]")
    return target.location.removesuffix("/") + asked


def _refusal(error: Exception | None) -> Reject:
    """What the client is told where there is no connection to the server."""
    if error is None or isinstance(error, HandshakeTimeout):
        return Reject(504, body=TOO_SLOW)
    if not isinstance(error, Rejected):
        texts = ((kind, text) for kind, text in WHY_BAD_GATEWAY if isinstance(error, kind))
        return Reject(502, body=next(texts)[1])
    if error.status not in REFUSALS:
        return Reject(502, body=REFUSED.format(error.status))
    fields = [
        (name, value) for name in FIELDS_OF_A_REFUSAL for value in error.headers.get_raw(name)
    ]
    # The chunks it came in are gone.
    other_coding = error.headers.get("Transfer-Encoding", "chunked").lower() != "chunked"
    coded = other_coding or "Content-Encoding" in error.headers
    return Reject(error.status, fields, b"" if coded else error.body)


@shows(DialSettings)
@asynccontextmanager
async def open_gateway(
    to: str, *, binary: BinaryPolicy = "refuse", **settings: Unpack[DialSettings]
) -> AsyncGenerator[Gateway, None]:
    """Makes a server a gateway to another: `async with open_gateway(url) as gateway`.

    In the block, give `gateway.handler` to `serve_websocket`, and `gateway.conn_headers` and
    `gateway.choose_subprotocol` to its arguments `conn_headers` and `subprotocols`. For each client
    a connection to the server is opened before the client is answered; subprotocols, Origin,
    cookies, Authorization and X-Forwarded-For are passed on, as are the server's cookies. Then the
    two are joined as by `bridge`. A connection that fails is logged, and no other notices.

    At the end of the block, whatever its reason, the connections to the server are closed in order.
    Entering and leaving are checkpoints; cancelling the block closes them in order too.

    Args:
        to: the server's URL. The path and query that a client asks for are put behind it if it
            has none; else they are left out. A user and a password in it are sent to the server, in
            place of the client's Authorization.
        binary: as for `bridge`.
        settings: how to connect to the server; each is described where the type checker finds it,
            in `DialSettings`. By default `draft` is `"rfc6455"` and `handshake_timeout` 5 seconds;
            the opening handshake with the server also ends when four fifths of the client's are
            over.

    Raises:
        ValueError: `to` is no WebSocket URL, no draft has that name, `binary` is unknown, or an
            argument is out of range.
        TypeError: an argument is nothing of its kind.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("open_gateway")
    WebSocketURL.parse(to)
    check_binary_policy(binary)
    ours: DialSettings = {"draft": "rfc6455", "handshake_timeout": 5}
    settings = complete(DialSettings, {**ours, **settings}, "open_gateway")
    draft = settings["draft"] or "rfc6455"
    if draft != "auto":
        draft_named(draft)
    async with open_scope() as scope:
        yield Gateway(to, draft, binary, settings, scope.nursery)
