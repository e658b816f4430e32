"""The settings of a client."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._exceptions import is_transient
from trio_draftws._settings.checks import (
    check_async_function,
    check_auth,
    check_function,
    check_int,
    check_ssl_context,
)
from trio_draftws._settings.keywords import Default
from trio_draftws._settings.limits import check_number, check_positive
from trio_draftws._transport.sockets import StreamFactory
from trio_draftws.drafts import Draft, HandshakeError, HeaderFields

from .dial import UnixPath


def _check_client_ssl_context(name: str, given: object) -> None:
    check_ssl_context(name, given, server_side=False)


def _check_stream_factory(name: str, given: object) -> None:
    if given is not None:
        check_async_function(name, given, "stream")


def _check_redirects(name: str, given: object) -> None:
    check_int(name, given, 0, math.inf)


def _check_auth(name: str, given: object) -> None:
    if given is not None:
        check_auth(given)


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
    """In which draft a client connects, and which way."""

    draft: Annotated[str | Draft | None, Default(None)]
    """The name of the draft to speak; by default what `framing_mode` says. `"auto"` climbs down
    from the newest, a new TCP connection each time, until the server knows one; each attempt has
    its own `handshake_timeout`. Where no draft is named and `framing_mode` was never set in this
    context, it is `"old"` first, and those of `"auto"` when the server refuses that, or at once
    where `"old"` cannot ask for this."""
    ssl_context: Annotated[ssl.SSLContext | None, Default(None, _check_client_ssl_context)]
    """For wss; by default `ssl.create_default_context()`, which checks the certificate and the
    host's name."""
    stream_factory: Annotated[StreamFactory | None, Default(None, _check_stream_factory)]
    """An async callable, stream to stream: makes the stream to speak on from the one that was
    dialled, in place of TLS."""
    unix_socket: Annotated[UnixPath | None, Default(None)]
    """Dial the Unix socket at this path; TLS and the request are the URL's."""
    proxy: Annotated[str | None, Default(None)]
    """Go through this proxy: `http://host:port` or `https://`, by CONNECT; `socks5://`, with the
    extra `proxy` installed. A user and a password go before the host. The proxy resolves the
    server's name. `"environment"` takes the one that `https_proxy`, `http_proxy`, `all_proxy` and
    `no_proxy` name. None is used by default."""
    proxy_ssl_context: Annotated[ssl.SSLContext | None, Default(None)]
    """For an https proxy; by default `ssl.create_default_context()`."""
    max_redirects: Annotated[int, Default(5, _check_redirects)]
    """How many redirects to follow; 0 makes each a `Rejected`. None leads from wss to ws. At
    another origin (scheme, host or port), `Authorization`, `Cookie` and `Proxy-Authorization` are
    left out. None is followed where `stream`, `unix_socket` or `stream_factory` is given. Each
    place has its own `handshake_timeout`."""


class ClientSettings(DialSettings, total=False):
    """What a client asks for."""

    headers: Annotated[HeaderFields, Default(())]
    """Further fields for the request."""
    origin: Annotated[str | None, Default(None)]
    """The origin to send. None is sent by default, except by hixie-75, whose requests have one
    always: `http(s)://host[:port]`."""
    subprotocols: Annotated[Sequence[str], Default(())]
    """Those to ask for, the favourite first; `connection.subprotocol` is the one agreed on."""
    cookies: Annotated[Mapping[str, str] | None, Default(None)]
    """A value for each name, sent in one Cookie field. Those that the server sets are
    `connection.response.cookies`; nothing keeps them."""
    auth: Annotated[tuple[str, str] | None, Default(None, _check_auth)]
    """A user and a password for basic authentication, which is as safe as the way to the server:
    use it with wss."""


class ReconnectSettings(ClientSettings, total=False):
    """How a client comes back."""

    initial_backoff: Annotated[float, Default(1, check_positive)]
    """Seconds to wait before the second attempt."""
    max_backoff: Annotated[float, Default(60, check_positive)]
    """The most seconds to wait."""
    backoff_factor: Annotated[float, Default(2, _check_growth)]
    """How much longer each wait is than the one before it."""
    backoff_jitter: Annotated[float, Default(0.5, _check_share)]
    """The share of each wait, from 0 to 1, of which a random part is left out, so that the clients
    of a server that was started again do not come all at once."""
    settled_after: Annotated[float, Default(10, check_positive)]
    """Seconds that a connection must have lived to begin with short waits again."""
    retry: Annotated[Callable[[HandshakeError], bool], Default(is_transient, _check_retry)]
    """Is given the `HandshakeError` of an attempt and says whether to go on; by default
    `is_transient`. The error comes out where it says no."""
