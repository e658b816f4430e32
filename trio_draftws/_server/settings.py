"""The settings of a server: their types, defaults, checks and descriptions."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.info import State
from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._settings.checks import (
    check_function,
    check_kind,
    check_ssl_context,
    check_stream_factory,
)
from trio_draftws._settings.keywords import Default
from trio_draftws._settings.limits import check_positive
from trio_draftws._transport.addresses import TrustedProxies
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws.drafts import Draft, DraftName, HeaderFields, HTTPResponse, Request, Response

from .flash_policy import FlashPolicy
from .origins import OriginPolicy

HANDLER_ARGUMENTS = ("connection", "state")
Handler: TypeAlias = Callable[[Connection[State], State], Awaitable[object]]
"""What a server runs for each connection, with the state that `conn_headers` returned."""
ConnHeaders: TypeAlias = Callable[[Request], Awaitable[tuple[HeaderFields, State]]]
"""Called with a request before it is answered: returns header fields for the answer and the
connection's state, or raises `Reject`. A state that is an async context manager is exited, without
having been entered, if the opening handshake fails after that."""
HTTPHandler: TypeAlias = Callable[[Request], Awaitable[HTTPResponse]]
"""Called with a request that is not for a WebSocket: returns the answer, or raises `Reject`."""
FramingModeSelector: TypeAlias = Callable[[Request], DraftName | str]
SubprotocolSelector: TypeAlias = Callable[[Request], "str | None"]
"""Called with a request: returns one of `request.subprotocols` or None, or raises `Reject`."""
AnswerHook: TypeAlias = Callable[[Request | None, Response], object]
"""Called with a request, None if it was not read or is not HTTP, and the head of its answer."""


def _check_framing_mode(name: str, given: object) -> None:
    if isinstance(given, str):
        raise TypeError(
            f"{name} is a function of the request; for one mode write "
            f"`with use_framing_mode({given!r})`"
        )
    if given is not None:
        check_function(name, given, "request")


def _check_answer_hook(name: str, given: object) -> None:
    if given is not None:
        check_function(name, given, "request", "answer")


def _check_server_ssl_context(name: str, given: object) -> None:
    check_ssl_context(name, given, server_side=True)


def _check_nursery(name: str, given: object) -> None:
    if given is not None:
        check_kind(name, given, trio.Nursery, "a trio.Nursery")


class AcceptSettings(ConnectionSettings, total=False):
    """What a server demands of a client, and offers to it."""

    http_handler: Annotated[
        HTTPHandler | Mapping[str, HTTPHandler | HTTPResponse] | None, Default(None)
    ]
    """`async def http_handler(request) -> HTTPResponse`: answers requests that are not for a
    WebSocket, so that a page and its connections can share a port. It is called for GET and HEAD
    only, may raise `Reject`, and the connection is closed after its answer. Or a mapping from
    paths, like `handler`, to such functions or to constant responses; a path that is not in it gets
    404, or 426 if only `handler` has it. By default such requests get 426. `origins` and `drafts`
    do not apply to them."""
    flash_policy: Annotated[FlashPolicy, Default(False)]
    """Whether to send a policy to Flash players, through which browsers without WebSocket got it,
    when they ask on this port whether they may connect. True allows all; a list names the domains,
    as `example.com` or `*.example.com`; or it is the whole policy, in XML. Players ask without TLS,
    so a server with `ssl_context` cannot answer them. **Such a player can send any bytes, including
    any origin**, though no cookies that it does not know. By default it is refused, like everything
    that is not HTTP."""
    drafts: Annotated[Iterable[DraftName | str | Draft] | None, Default(None)]
    """The drafts to accept, by name; by default all."""
    framing_mode: Annotated[FramingModeSelector | None, Default(None, _check_framing_mode)]
    """A function called with a request that looks the same in several drafts; it returns the name
    of the one to speak. By default that is the value of the context variable `framing_mode`."""
    origins: Annotated[Iterable[str | None] | OriginPolicy | None, Default(None)]
    """The origins of the pages that may connect, as `https://example.com`; None in the list allows
    clients that send no origin, which no browser does. Or a function that is called with the
    request and returns whether it may connect, such as `same_host`. By default all may, **and a
    server that relies on cookies must set this**: a browser lets any page connect, with the user's
    cookies (RFC 6455 section 10.2). If it is not set, the first request with cookies is logged as a
    warning."""
    subprotocols: Annotated[Sequence[str] | SubprotocolSelector, Default(())]
    """The subprotocols to agree to, the preferred one first; or a function that is called with the
    request, and returns one of `request.subprotocols`, which the client offers, or None, for none.
    It is called after `conn_headers`, also if the client offers none, and may raise `Reject`."""
    on_answer: Annotated[AnswerHook | None, Default(None, _check_answer_hook)]
    """A function `on_answer(request, answer)` that is called with every answer just before it is
    written, for an audit log or metrics: a 101, a refusal, a page, or the 503 of a server that is
    full or shutting down. `request` is the `Request`, or None if it was not read or is not HTTP;
    `answer` is a `Response`, with `status`, `reason` and `headers`. It only looks: what it raises
    is logged, and the answer is sent all the same. It is not called for a `flash_policy`, which is
    not HTTP. The answer may still not arrive, for example because the client has gone."""
    ssl_context: Annotated[ssl.SSLContext | None, Default(None, _check_server_ssl_context)]
    """Serves wss, with the certificate in this context."""
    stream_factory: Annotated[StreamFactory | None, Default(None, check_stream_factory)]
    """An async function from a stream to a stream: it returns the stream to speak on, given the
    accepted one. Instead of `ssl_context`."""
    trusted_proxies: Annotated[TrustedProxies, Default(())]
    """The proxies in front of this server that say who the client is, in `X-Forwarded-For` and
    `X-Forwarded-Proto` or in `Forwarded` (RFC 7239): IP addresses and networks, such as `"::1"` and
    `"10.0.0.0/8"`, as `str` or as objects of `ipaddress`, and `"unix"` for all who connect to a
    Unix socket. `remote`, `secure` and the URL of requests and connections, the log, and
    `max_connections_per_host` are then the client's. **Such a proxy has to replace or extend each
    of these fields, never pass on what a client wrote alone.** By default, and from anybody else,
    the fields mean nothing."""


class ServerSettings(AcceptSettings, total=False):
    """How many clients a server serves, and where their handlers run."""

    handler_nursery: Annotated[trio.Nursery | None, Default(None, _check_nursery)]
    """The nursery to run the handlers in; by default one that the server opens."""
    max_connections: Annotated[float, Default(math.inf, check_positive)]
    """How many clients may be connected at once, including those whose opening handshake is not
    done. One more gets 503. A client that has gone no longer counts, even if its handler still
    runs. There is no limit by default, since it depends on the program; the system limits open
    files."""
    max_connections_per_host: Annotated[float, Default(math.inf, check_positive)]
    """The same for one IP address, or for all IPv6 addresses with the same first 64 bits. There is
    no limit by default, since behind a proxy that is not in `trusted_proxies` all clients have the
    same address; a client behind one that is counts as soon as its request was read. Streams
    without an address do not count here."""


class ListenSettings(ServerSettings, total=False):
    """Where a server listens."""

    host: Annotated[str | bytes | None, Default(None)]
    """The interface to listen on; None for all."""
    backlog: Annotated[int | None, Default(None)]
    """How many connections may wait to be accepted; by default what Trio chooses."""
    listeners: Annotated[Sequence[trio.abc.Listener[Any]] | None, Default(None)]
    """Listeners to use instead of `port`, `host` and `backlog`."""
