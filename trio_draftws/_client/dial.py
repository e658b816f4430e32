"""How a client gets to its server: a stream over TCP, over a Unix socket, through a proxy, or one
that the caller has.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable
from typing import Protocol, TypeAlias

import attrs
import trio

from trio_draftws._exceptions import DialFailed, why_not_dialled
from trio_draftws._settings.checks import check_ssl_context
from trio_draftws._transport.dialling import open_tcp
from trio_draftws._transport.sockets import take_over
from trio_draftws.drafts import WebSocketURL

from .proxy import ProxyURL, proxy_from_environment, tunnel_through

UnixPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class DialRoute(Protocol):
    """A way to a server."""

    @property
    def anywhere(self) -> bool:
        """Whether it leads to every server, so that a redirect can be followed."""
        ...

    def via(self, target: WebSocketURL) -> str:
        """What it leads over or to, for a message: "TCP connection to h port 80"."""
        ...

    def dial(self, target: WebSocketURL) -> Awaitable[trio.abc.Stream]:
        """A new stream; whatever goes wrong is an `OSError` or a `DialFailed`."""
        ...


@attrs.frozen
class OverTCP:
    anywhere: bool = True

    def via(self, target: WebSocketURL) -> str:
        return f"TCP connection to {target.host} port {target.port}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        return await open_tcp(target.host, target.port)


@attrs.frozen
class OverUnixSocket:
    path: UnixPath
    anywhere: bool = False

    def via(self, target: WebSocketURL) -> str:
        return f"connection to the Unix socket {os.fsdecode(self.path)!r}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        return await trio.open_unix_socket(os.fspath(self.path))


@attrs.frozen
class OverStream:
    """Over a stream that is there; it can be used once."""

    stream: trio.abc.Stream
    anywhere: bool = False

    def via(self, target: WebSocketURL) -> str:
        return "connection over the stream that was given"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        return self.stream


@attrs.frozen
class ThroughProxy:
    """Through a proxy; None for the one that the environment names for each server."""

    proxy: ProxyURL | None
    ssl_context: ssl.SSLContext | None
    anywhere: bool = True

    def proxy_to(self, target: WebSocketURL) -> ProxyURL | None:
        return proxy_from_environment(target) if self.proxy is None else self.proxy

    def via(self, target: WebSocketURL) -> str:
        proxy = self.proxy_to(target)
        way = OverTCP().via(target)
        return way if proxy is None else f"{way} through the proxy {proxy}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        proxy = self.proxy_to(target)
        if proxy is None:
            return await OverTCP().dial(target)
        return await tunnel_through(proxy, target, self.ssl_context)


def choose_route(
    stream: trio.abc.Stream | None,
    unix_socket: UnixPath | None,
    proxy: str | None,
    proxy_ssl_context: ssl.SSLContext | None,
) -> DialRoute:
    """The way that these arguments of `open_websocket` ask for.

    Raises:
        ValueError: they ask for several, or the proxy's URL is none.
        ImportError: what speaks to such a proxy is not installed.
        TypeError: one of them is nothing of its kind.
    """
    if unix_socket is not None and not isinstance(unix_socket, (str, bytes, os.PathLike)):
        raise TypeError(f"unix_socket is the path of a socket, not {unix_socket!r}")
    check_ssl_context("proxy_ssl_context", proxy_ssl_context, server_side=False)
    if [stream, unix_socket, proxy].count(None) < 2:
        raise ValueError("give one of stream, unix_socket and proxy")
    if proxy_ssl_context is not None and proxy is None:
        raise ValueError("proxy_ssl_context is for a proxy; there is none")
    if stream is not None:
        return OverStream(stream)
    if unix_socket is not None:
        return OverUnixSocket(unix_socket)
    if proxy == "environment":
        return ThroughProxy(None, proxy_ssl_context)
    if proxy is not None:
        return ThroughProxy(ProxyURL.parse(proxy), proxy_ssl_context)
    return OverTCP()


async def dial(route: DialRoute, target: WebSocketURL) -> trio.abc.Stream:
    """A stream to the server, taken over where it is a socket.

    Raises:
        DialFailed: none came about.
    """
    try:
        return take_over(await route.dial(target))
    except OSError as error:
        raise DialFailed(f"no {route.via(target)}: {why_not_dialled(error)}") from error
