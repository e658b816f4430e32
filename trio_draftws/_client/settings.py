"""The keyword arguments of `open_websocket`, `reconnecting` and `open_gateway`."""

from __future__ import annotations

import math
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._exceptions import is_transient
from trio_draftws._settings.checks import (
    check_any_function,
    check_auth,
    check_function,
    check_int,
    check_ssl_context,
    check_stream_factory,
)
from trio_draftws._settings.keywords import Default
from trio_draftws._settings.limits import check_number, check_positive
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws.drafts import Draft, DraftName, HandshakeError, HeaderFields

from .dial import UnixPath

HeadersFunction: TypeAlias = Callable[[], HeaderFields | Awaitable[HeaderFields]]
"""Called before each attempt to connect, synchronous or async: returns fields for its request."""


def _check_client_ssl_context(name: str, given: object) -> None:
    check_ssl_context(name, given, server_side=False)


def _check_redirects(name: str, given: object) -> None:
    check_int(name, given, 0, math.inf)


def _check_auth(name: str, given: object) -> None:
    if given is not None:
        check_auth(given)


def _check_headers(name: str, given: object) -> None:
    # Fields themselves are checked together with the draft, which writes some of its own.
    if callable(given):
        check_any_function(name, given)


def _check_retry(name: str, given: object) -> None:
    check_function(name, given, "error")


def _check_share(name: str, value: float) -> None:
    check_number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, not {value}")


def _check_growth(name: str, value: float) -> None:
    check_number(name, value)
    if not value >= 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


class DialSettings(ConnectionSettings, total=False):
    """In which draft a client connects, and by which route."""

    # `str` is all of them, but editors complete the others.
    draft: Annotated[DraftName | Literal["auto"] | str | Draft | None, Default(None)]  # noqa: PYI051
    """The draft to speak, by name or as a `Draft`. `"auto"` tries one draft after another, the
    newest first, each over a new connection and with a `handshake_timeout` of its own, until the
    server accepts one. By default it is the draft of `framing_mode`; if that was never set in this
    context either, `"old"` is tried first, and the drafts of `"auto"` if the server refuses it, or
    if `"old"` cannot express the request."""
    ssl_context: Annotated[ssl.SSLContext | None, Default(None, _check_client_ssl_context)]
    """For wss; by default `ssl.create_default_context()`, which verifies the server's certificate
    and host name."""
    stream_factory: Annotated[StreamFactory | None, Default(None, check_stream_factory)]
    """An async function that is called with the stream that was dialled and returns the stream to
    speak on; used instead of TLS."""
    unix_socket: Annotated[UnixPath | None, Default(None)]
    """The path of a Unix socket to dial; TLS and the request still follow the URL."""
    proxy: Annotated[str | None, Default(None)]
    """The URL of a proxy to go through: `http://host:port` or `https://host:port`, by CONNECT, or
    `socks5://host:port`, which needs the extra `proxy`. A user and password go before the host. The
    proxy resolves the server's name. With `"environment"` it is the proxy that `https_proxy`,
    `http_proxy`, `all_proxy` and `no_proxy` select. By default no proxy is used."""
    proxy_ssl_context: Annotated[ssl.SSLContext | None, Default(None)]
    """For the TLS to an https proxy; by default `ssl.create_default_context()`."""
    max_redirects: Annotated[int, Default(5, _check_redirects)]
    """How many redirects to follow; with 0 each is a `Rejected`. No redirect from wss to ws is
    followed, and none at all if `stream`, `unix_socket` or `stream_factory` is given. A request to
    another origin (scheme, host or port) omits `Authorization`, `Cookie` and `Proxy-Authorization`.
    Each location has a `handshake_timeout` of its own."""


class ClientSettings(DialSettings, total=False):
    """What a client's request contains, and how it connects."""

    headers: Annotated[HeaderFields | HeadersFunction, Default((), _check_headers)]
    """Additional header fields for the request. Or a function without arguments, synchronous or
    async, that returns them, for a token that expires: it is called before each attempt to connect,
    so for each step of `reconnecting`, but once for all redirects and drafts of an attempt. An
    async one has a `handshake_timeout` of its own. What it raises comes out unchanged; only a
    `HandshakeError` is passed to `retry`, like those of the attempt."""
    origin: Annotated[str | None, Default(None)]
    """The Origin to send. By default none is sent, except in hixie-75, whose requests always have
    one: `http(s)://host[:port]`."""
    subprotocols: Annotated[Sequence[str], Default(())]
    """The subprotocols to ask for, in order of preference; `connection.subprotocol` is the one that
    the server chose."""
    cookies: Annotated[Mapping[str, str] | None, Default(None)]
    """Names and values to send in one Cookie field. The cookies that the server sets are in
    `connection.response.cookies`; they are not kept for later connections."""
    auth: Annotated[tuple[str, str] | None, Default(None, _check_auth)]
    """A user name and password for basic authentication (RFC 7617). They are sent unencrypted
    unless the URL is wss."""


class ReconnectSettings(ClientSettings, total=False):
    """When and how often a client connects again."""

    initial_backoff: Annotated[float, Default(1, check_positive)]
    """Seconds to wait before the second attempt."""
    max_backoff: Annotated[float, Default(60, check_positive)]
    """The longest wait, in seconds."""
    backoff_factor: Annotated[float, Default(2, _check_growth)]
    """The factor by which each wait is longer than the one before; at least 1."""
    backoff_jitter: Annotated[float, Default(0.5, _check_share)]
    """The share of each wait, from 0 to 1, that may be cut off at random, so that the clients of a
    restarted server do not all connect at once."""
    settled_after: Annotated[float, Default(10, check_positive)]
    """Seconds that a connection must last for the waits to be short again."""
    retry: Annotated[Callable[[HandshakeError], bool], Default(is_transient, _check_retry)]
    """A function that is called with the `HandshakeError` of an attempt and returns whether to try
    again; if it returns False, the error is raised. By default `is_transient`."""
