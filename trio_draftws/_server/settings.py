"""The settings of a server."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._settings.checks import (
    check_async_function,
    check_function,
    check_kind,
    check_ssl_context,
    tuple_of,
)
from trio_draftws._settings.keywords import Default
from trio_draftws._settings.limits import check_positive
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws.drafts import Draft, HeaderFields, HTTPResponse, Request

from .flash_policy import FlashPolicy
from .origins import OriginPolicy

HANDLER_ARGUMENTS = ("connection", "state")
Handler: TypeAlias = Callable[[Connection, Any], Awaitable[object]]
"""What a server runs for each connection, with the state that `conn_headers` returned."""
ConnHeaders: TypeAlias = Callable[[Request], Awaitable[tuple[HeaderFields, Any]]]
"""Sees a request before it is answered: returns fields for the answer and the connection's
state, or raises `Reject`. A state that is an async context manager is left, not entered, where no
connection comes of it."""
HTTPHandler: TypeAlias = Callable[[Request], Awaitable[HTTPResponse]]
"""Sees a request that is no WebSocket request: returns the answer, or raises `Reject`."""
FramingModeSelector: TypeAlias = Callable[[Request], str]
SubprotocolSelector: TypeAlias = Callable[[Sequence[str]], "str | None"]


def _check_drafts(name: str, given: object) -> None:
    if given is not None:
        tuple_of(name, given, "names of drafts", str, Draft)


def _check_framing_mode(name: str, given: object) -> None:
    if isinstance(given, str):
        raise TypeError(
            f"{name} is a function of the request; for one mode write "
            f"`with use_framing_mode({given!r})`"
        )
    if given is not None:
        check_function(name, given, "request")


def _check_server_ssl_context(name: str, given: object) -> None:
    check_ssl_context(name, given, server_side=True)


def _check_stream_factory(name: str, given: object) -> None:
    if given is not None:
        check_async_function(name, given, "stream")


def _check_nursery(name: str, given: object) -> None:
    if given is not None:
        check_kind(name, given, trio.Nursery, "a trio.Nursery")


class AcceptSettings(ConnectionSettings, total=False):
    """What a server demands and offers."""

    http_handler: Annotated[
        HTTPHandler | Mapping[str, HTTPHandler | HTTPResponse] | None, Default(None)
    ]
    """`async def http_handler(request) -> HTTPResponse`: answers what is no WebSocket request, so
    that a page and its connections share one port. It is asked for GET and HEAD alone, may raise
    `Reject`, and the connection closes behind its answer. Or a mapping from paths, as `handler`, to
    such functions or to answers that are always the same; 404 where a path leads nowhere, 426 where
    it leads to connections alone. By default such requests get 426. `origins` and `drafts` are no
    concern of theirs."""
    flash_policy: Annotated[FlashPolicy, Default(False)]
    """Whether to answer the Flash players through which browsers without WebSocket had it, when
    they ask on this port whether they may connect. True lets all; a list says from which domains,
    as `example.com` or `*.example.com`; or it is the whole policy, in XML. It has to come before
    TLS, so not where `ssl_context` is. **Such a player can send any bytes at all, any origin too**,
    though no cookies that it does not know. By default it is refused, as is all that is no HTTP."""
    drafts: Annotated[Iterable[str | Draft] | None, Default(None)]
    """The names of the drafts to speak; by default all."""
    framing_mode: Annotated[FramingModeSelector | None, Default(None, _check_framing_mode)]
    """A function that is given a request which looks the same in several drafts, and returns the
    name of the one to speak. By default the context variable of that name says so for all."""
    origins: Annotated[Iterable[str | None] | OriginPolicy | None, Default(None)]
    """The origins of the pages that may connect, as `https://example.com`; None among them stands
    for clients that name none, which no browser is. Or a function that is given the request and
    says whether it may; `same_host` is one. By default all may, **and a server that trusts cookies
    must say which**: a browser lets any page connect, with the visitor's cookies (RFC 6455 section
    10.2). The first request with cookies to a server that was not told is logged as a warning."""
    subprotocols: Annotated[Sequence[str] | SubprotocolSelector, Default(())]
    """Those to agree to, the favourite first; or a function that is given those asked for and
    returns one of them, or None."""
    ssl_context: Annotated[ssl.SSLContext | None, Default(None, _check_server_ssl_context)]
    """Serve wss, with the certificate that this holds."""
    stream_factory: Annotated[StreamFactory | None, Default(None, _check_stream_factory)]
    """An async callable, stream to stream: makes the stream to speak on from the one that was
    accepted, in place of `ssl_context`."""


class ServerSettings(AcceptSettings, total=False):
    """How many a server serves, and where their handlers run."""

    handler_nursery: Annotated[trio.Nursery | None, Default(None, _check_nursery)]
    """Run the handlers in this nursery."""
    max_connections: Annotated[float, Default(math.inf, check_positive)]
    """How many clients may be there at once, those included whose opening is not done. Another one
    gets 503. One that has gone counts no more, even if its handler takes no notice and goes on.
    There is no limit by default, since it depends on the program; the system has one, of open
    files."""
    max_connections_per_host: Annotated[float, Default(math.inf, check_positive)]
    """The same for one address; where that is IPv6, for all that share its first 64 bits. There is
    no limit by default, since behind a proxy all clients have one address. Streams without an
    address are not counted here."""


class ListenSettings(ServerSettings, total=False):
    """Where a server listens."""

    host: Annotated[str | bytes | None, Default(None)]
    """The interface to listen on; None for all."""
    backlog: Annotated[int | None, Default(None)]
    """How many connections may wait to be accepted; by default Trio's choice."""
    listeners: Annotated[Sequence[trio.abc.Listener[Any]] | None, Default(None)]
    """Listen on these, in place of `port`, `host` and `backlog`."""
