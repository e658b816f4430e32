"""The client: `open_websocket`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from ._call import make_call
from ._checks import check_kind, needs_trio
from ._connection.connection import Connection
from ._connection.instrument import Instrument, Instruments
from ._connection.scope import open_scope
from ._dial import UnixPath, choose_route
from ._exceptions import code_after
from ._limits import Limits
from ._transport.sockets import StreamFactory
from .drafts import COMPRESSION, Compression, Draft, HeaderFields


@asynccontextmanager
async def open_websocket(
    url: str,
    *,
    draft: str | Draft | None = None,
    headers: HeaderFields = (),
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    cookies: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    compression: Compression | None = COMPRESSION,
    ssl_context: ssl.SSLContext | None = None,
    stream_factory: StreamFactory | None = None,
    stream: trio.abc.Stream | None = None,
    unix_socket: UnixPath | None = None,
    proxy: str | None = None,
    proxy_ssl_context: ssl.SSLContext | None = None,
    max_redirects: int = 5,
    handshake_timeout: float = 10,
    close_timeout: float = 5,
    idle_timeout: float = 3600,
    ping_interval: float = 20,
    ping_timeout: float = 20,
    write_timeout: float = 60,
    max_message_size: int = 2**20,
    max_head_size: int = 2**14,
    instruments: Iterable[Instrument] = (),
) -> AsyncGenerator[Connection, None]:
    """Connects to a server: `async with open_websocket(url) as connection`.

    The block's end closes the connection in order, within `close_timeout`: with 1000, with 1011
    when it raises, or with 1001 when it is cancelled; what it raises comes out as it is. Entering
    is a checkpoint; cancelling it closes what was opened so far.

    Args:
        url: `ws://` or `wss://`, a host, perhaps a port, path and query; a user and a password
            (`ws://user:password@host`) are what `auth` takes.
        draft: the name of the draft to speak; by default what `framing_mode` says. `"auto"`
            climbs down from the newest, a new TCP connection each time, until the server knows
            one; each attempt has its own `handshake_timeout`. Where no draft is named and
            `framing_mode` was never set in this context, it is `"old"` first, and those of
            `"auto"` when the server refuses that, or at once where `"old"` cannot ask for this.
        headers: further fields for the request.
        origin: the origin to send. None is sent by default, except by hixie-75, whose requests
            have one always: `http(s)://host[:port]`.
        subprotocols: those to ask for, the favourite first; see `connection.subprotocol`.
        cookies: a value for each name, sent in one Cookie field. Those that the server sets are
            `connection.response.cookies`; nothing keeps them.
        auth: a user and a password for basic authentication, which is as safe as the way to the
            server: use it with wss.
        compression: how to compress messages, where the draft and the server can; by default with
            permessage-deflate, None not at all. See `connection.compression`.
        ssl_context: for wss; by default `ssl.create_default_context()`, which checks the
            certificate and the host's name.
        stream_factory: makes the stream to speak on from the one that was dialled, in place of
            TLS: an async callable, stream to stream.
        stream: speak over this, in place of dialling; TLS and the request are the URL's. It is
            closed on every path, and a `trio.SocketStream` is taken over, and dead from then on. It
            is good for one attempt in one draft.
        unix_socket: dial the Unix socket at this path; TLS and the request are the URL's.
        proxy: go through this proxy: `http://host:port` or `https://`, by CONNECT; `socks5://`,
            with the extra `proxy` installed. A user and a password go before the host. The proxy
            resolves the server's name. `"environment"` takes the one that `https_proxy`,
            `http_proxy`, `all_proxy` and `no_proxy` name. None is used by default.
        proxy_ssl_context: for an https proxy; by default `ssl.create_default_context()`.
        max_redirects: how many redirects to follow; 0 makes each a `Rejected`. None leads from
            wss to ws. At another origin (scheme, host or port), `Authorization`, `Cookie` and
            `Proxy-Authorization` are left out. None is followed where `stream`, `unix_socket` or
            `stream_factory` is given. Each place has its own `handshake_timeout`.
        handshake_timeout: seconds for DNS, TCP, the proxy, TLS and the opening handshake together.
        close_timeout: seconds for the closing handshake.
        idle_timeout: seconds without a byte from the server after which it is given up.
        ping_interval: seconds of silence after which the server is pinged, where the draft has
            pings.
        ping_timeout: seconds without a byte after such a ping, after which it is given up.
        write_timeout: seconds in which the server takes nothing of what waits for it, after which
            it is given up. It may be as slow as it likes while it takes something.
        max_message_size: the most bytes that a received message may have.
        max_head_size: the most bytes that the head of the server's answer may have.
        instruments: are told what happens to the connection, as for metrics.

    Times may be `math.inf`.

    Raises:
        ValueError: the URL is no WebSocket URL, no draft has that name, or the draft cannot ask
            for that; an argument is out of range, or two contradict each other.
        TypeError: an argument is nothing of its kind.
        RuntimeError: it was called outside of Trio.
        ImportError: the proxy needs the extra `proxy`.
        DialFailed: a `HandshakeError`; no connection came about.
        ProxyFailed: a `DialFailed`; the proxy could not be reached, or refused.
        TLSFailed: a `HandshakeError`; the cause says why, as a certificate that is not trusted.
        Rejected: a `HandshakeError`; the server answered something else than 101.
        RedirectRefused: a `Rejected`; a redirect that was not followed.
        InvalidAnswer: a `HandshakeError`; the server does not speak the draft.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the server ended or broke the connection before it answered.
    """
    needs_trio("open_websocket")
    if stream is not None:
        check_kind("stream", stream, trio.abc.Stream, "a trio.abc.Stream")
    try:
        limits = Limits(
            handshake_timeout=handshake_timeout,
            close_timeout=close_timeout,
            idle_timeout=idle_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            write_timeout=write_timeout,
            max_message_size=max_message_size,
            max_head_size=max_head_size,
        )
        if stream is not None and draft == "auto":
            raise ValueError('draft="auto" takes several connections; a stream is one')
        call = make_call(
            url,
            limits,
            choose_route(stream, unix_socket, proxy, proxy_ssl_context),
            draft,
            headers,
            origin,
            subprotocols,
            cookies,
            auth,
            compression,
            ssl_context,
            stream_factory,
            max_redirects,
        )
        told = Instruments.of(instruments)
    except BaseException:
        if stream is not None:
            await trio.aclose_forcefully(stream)
        raise
    async with open_scope(told) as scope:
        connection = await call.open(scope)
        try:
            yield connection
        except BaseException as error:
            # A cancellation would take the place of what the block raised.
            with trio.CancelScope(shield=True):
                await connection.aclose(code_after(error))
            raise
        await connection.aclose()
