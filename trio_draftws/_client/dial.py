"""The routes to a server: TCP, a Unix socket, a proxy, or a stream that the caller gives."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Awaitable
from typing import Protocol, TypeAlias

import attrs
import trio

from trio_draftws._exceptions import DialFailed, dial_failure_reason
from trio_draftws._settings.checks import check_ssl_context
from trio_draftws._transport import platform
from trio_draftws._transport.dialling import open_tcp
from trio_draftws._transport.sockets import take_over
from trio_draftws.drafts import WebSocketURL

from .proxy import ProxyURL, proxy_from_environment, tunnel_through

UnixPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class DialRoute(Protocol):
    """A way to reach a server."""

    @property
    def reaches_any_server(self) -> bool:
        """Whether it can reach any server, so that redirects can be followed."""
        ...

    def describe(self, target: WebSocketURL) -> str:
        """Describes it for a message, such as "TCP connection to h port 80"."""
        ...

    def dial(self, target: WebSocketURL) -> Awaitable[trio.abc.Stream]:
        """Returns a new stream.

        Raises:
            OSError: there is none.
            DialFailed: there is none.
        """
        ...


@attrs.frozen(kw_only=True)
class TCPRoute:
    reaches_any_server: bool = True

    def describe(self, target: WebSocketURL) -> str:
        return f"TCP connection to {target.host} port {target.port}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        return await open_tcp(target.host, target.port)


@attrs.frozen(kw_only=True)
class UnixSocketRoute:
    path: UnixPath
    reaches_any_server: bool = False

    def describe(self, target: WebSocketURL) -> str:
        return f"connection to the Unix socket {os.fsdecode(self.path)!r}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        if not platform.HAS_UNIX_SOCKETS:
            raise platform.not_here("Unix sockets")
        stream = await trio.open_unix_socket(os.fspath(self.path))
        try:
            stream.socket.getpeername()
        except OSError:
            # Linux does not connect to a socket for which as many wait as its backlog holds, and
            # says EAGAIN, which Trio takes for a connection on its way.
            stream.socket.close()
            raise BlockingIOError(errno.EAGAIN, "too many wait there already") from None
        return stream


@attrs.frozen(kw_only=True)
class GivenStreamRoute:
    """The stream that the caller gave; it can be used once."""

    stream: trio.abc.Stream
    reaches_any_server: bool = False

    def describe(self, target: WebSocketURL) -> str:
        return "connection over the stream that was given"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        return self.stream


@attrs.frozen(kw_only=True)
class ProxyRoute:
    """Through a proxy."""

    proxy: ProxyURL | None
    """None for the proxy that the environment names for each server."""
    ssl_context: ssl.SSLContext | None
    """For the TLS to an https proxy."""
    reaches_any_server: bool = True

    def proxy_for(self, target: WebSocketURL) -> ProxyURL | None:
        return proxy_from_environment(target) if self.proxy is None else self.proxy

    def describe(self, target: WebSocketURL) -> str:
        proxy = self.proxy_for(target)
        route = TCPRoute().describe(target)
        return route if proxy is None else f"{route} through the proxy {proxy}"

    async def dial(self, target: WebSocketURL) -> trio.abc.Stream:
        proxy = self.proxy_for(target)
        if proxy is None:
            return await TCPRoute().dial(target)
        return await tunnel_through(proxy, target, self.ssl_context)


def choose_route(
    stream: trio.abc.Stream | None,
    unix_socket: UnixPath | None,
    proxy: str | None,
    proxy_ssl_context: ssl.SSLContext | None,
) -> DialRoute:
    """Returns the route that these arguments of `open_websocket` ask for.

    Raises:
        ValueError: they contradict each other, or `proxy` is no proxy's URL.
        ImportError: the proxy needs a package that is not installed.
        TypeError: one of them has the wrong type.
    """
    if unix_socket is not None and not isinstance(unix_socket, (str, bytes, os.PathLike)):
        raise TypeError(f"unix_socket is the path of a socket, not {unix_socket!r}")
    check_ssl_context("proxy_ssl_context", proxy_ssl_context, server_side=False)
    if [stream, unix_socket, proxy].count(None) < 2:
        raise ValueError("give one of stream, unix_socket and proxy")
    if proxy_ssl_context is not None and proxy is None:
        raise ValueError("proxy_ssl_context is for a proxy; there is none")
    if stream is not None:
        return GivenStreamRoute(stream=stream)
    if unix_socket is not None:
        return UnixSocketRoute(path=unix_socket)
    if proxy == "environment":
        return ProxyRoute(proxy=None, ssl_context=proxy_ssl_context)
    if proxy is not None:
        return ProxyRoute(proxy=ProxyURL.parse(proxy), ssl_context=proxy_ssl_context)
    return TCPRoute()


async def dial(route: DialRoute, target: WebSocketURL) -> trio.abc.Stream:
    """Dials the server; returns a stream of ours if what was dialled is a socket.

    Raises:
        DialFailed: the server could not be reached.
    """
    try:
        return take_over(await route.dial(target))
    except OSError as error:
        raise DialFailed(f"no {route.describe(target)}: {dial_failure_reason(error)}") from error
