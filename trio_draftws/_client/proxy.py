"""Proxies: a tunnel through one, by HTTP's CONNECT or by SOCKS5.

CONNECT takes one head each way and is implemented here. SOCKS5 is left to `python-socks`, which is
imported only when needed. Either way the proxy resolves the server's name.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from typing import TYPE_CHECKING

import attrs
import trio

from trio_draftws._exceptions import ProxyFailed, dial_failure_reason
from trio_draftws._transport.dialling import open_tcp
from trio_draftws._transport.head_reader import HeadReader
from trio_draftws._transport.opening import apply_stream_factory, tls_failed
from trio_draftws._transport.sockets import take_over
from trio_draftws._transport.tls import ssl_stream_factory
from trio_draftws.drafts import (
    BadHead,
    HandshakeError,
    WebSocketURL,
    escaped,
    split_authority,
    split_url,
    write_basic,
    write_head,
)

if TYPE_CHECKING:
    from python_socks.async_.trio.v2 import Proxy as SOCKSProxy

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
MAX_HEAD_SIZE = 2**14
# What may be raised while a tunnel through an HTTP proxy is opened
HTTP_PROXY_ERRORS = (HandshakeError, BadHead, trio.BrokenResourceError)


@attrs.frozen(kw_only=True)
class ProxyURL:
    """The URL of a proxy: `http://user:password@host:port`, or with `https` or `socks5`."""

    scheme: str
    host: str
    port: int
    user: tuple[str, str] | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: object) -> ProxyURL:
        """Parses `url`.

        Raises:
            TypeError: it is not a str.
            ValueError: it is not the URL of a proxy.
            ImportError: the proxy needs python-socks, which is not installed.
        """
        split = split_url(url, what="proxy", schemes=tuple(DEFAULT_PORTS))
        if split.resource not in ("", "/"):
            raise ValueError("a proxy's URL has no path")
        port = split.port or DEFAULT_PORTS[split.scheme]
        proxy = cls(scheme=split.scheme, host=split.host, port=port, user=split.user)
        if proxy.is_socks:
            _socks_proxy(proxy)
        elif split.user is not None:
            write_basic(*split.user)
        return proxy

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    @property
    def address(self) -> str:
        """Its host and port, as in a URL."""
        return _with_port(self.host, self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"


def proxy_from_environment(target: WebSocketURL) -> ProxyURL | None:
    """Returns the proxy for that server from the environment variables; None if there is none.

    They are `https_proxy` for wss, `http_proxy` for ws and `all_proxy` for both, unless `no_proxy`
    lists the server (see `bypasses_proxy`).

    Raises:
        ValueError: a variable does not hold the URL of a proxy.
    """
    # Imported here because it takes as long as ten handshakes
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    url = proxies.get("https" if target.secure else "http") or proxies.get("all")
    if not url:
        return None
    no_proxy = proxies.get("no")
    # Without the variable, the system's settings may list the server.
    if proxy_bypass(target.host_field) if no_proxy is None else bypasses_proxy(no_proxy, target):
        return None
    return ProxyURL.parse(url if "://" in url else f"http://{url}")


def bypasses_proxy(no_proxy: str, target: WebSocketURL) -> bool:
    """Returns whether `no_proxy` lists that server.

    The entries are separated by commas or spaces: `*` for every server; `example.com`,
    `.example.com` or `*.example.com` for that name and the names below it; addresses in any
    spelling, IPv6 ones with or without brackets; networks such as `10.0.0.0/8`. All but networks
    may end in a port. A dot at the end of a name is ignored, and so is any other entry.
    """
    return any(_matches(entry, target) for entry in re.split(r"[\s,]+", no_proxy) if entry)


def _matches(entry: str, target: WebSocketURL) -> bool:
    if entry == "*":
        return True
    address = _address(target.host)
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        # A single address is a network too.
        first = _address(str(network.network_address)) if network.num_addresses == 1 else None
        return address is not None and (address == first or address in network)
    try:
        host, port = split_authority(entry.removeprefix("*").lstrip("."))
    except ValueError:
        return False
    if port not in (None, target.port):
        return False
    if address is not None:
        return address == _address(host)
    name = host.removesuffix(".")
    return f".{target.host.removesuffix('.')}".endswith(f".{name}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parses a host that is an address, else returns None; an IPv4-mapped one becomes IPv4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


async def tunnel_through(
    proxy: ProxyURL, target: WebSocketURL, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    """Opens a stream to the server through the proxy. If it is cancelled or fails, none is left.

    Raises:
        ProxyFailed: the proxy cannot be reached, or refuses.
    """
    if proxy.is_socks:
        return await _connect_socks(proxy, target)
    try:
        stream = take_over(await open_tcp(proxy.host, proxy.port))
    except OSError as error:
        raise ProxyFailed(
            f"the proxy {proxy} cannot be reached: {dial_failure_reason(error)}"
        ) from error
    try:
        if proxy.scheme == "https":
            context = ssl_context or ssl.create_default_context()
            stream = await apply_stream_factory(
                stream, ssl_stream_factory(context, server_hostname=proxy.host)
            )
        await _send_connect(stream, proxy, target)
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error, HTTP_PROXY_ERRORS) and not isinstance(error, ProxyFailed):
            fault = tls_failed(error) or error
            raise ProxyFailed(f"the proxy {proxy} failed: {fault}") from fault
        raise
    return stream


async def _send_connect(stream: trio.abc.Stream, proxy: ProxyURL, target: WebSocketURL) -> None:
    """Opens the tunnel by CONNECT (RFC 9110 section 9.3.6)."""
    authority = _with_port(target.host, target.port).encode()
    fields = [(b"Host", authority)]
    if proxy.user is not None:
        fields.append((b"Proxy-Authorization", write_basic(*proxy.user).encode()))
    reader = HeadReader(stream)
    request = write_head(b"CONNECT %b HTTP/1.1" % authority, fields)
    _, response = await reader.exchange(request, MAX_HEAD_SIZE)
    if not 200 <= response.status < 300:
        raise ProxyFailed(
            f"the proxy {proxy} refused with status {response.status} "
            f"{escaped(response.reason)}".rstrip(),
            response.status,
            advice=_advice_for_status(response.status, proxy),
        )
    if reader.rest():
        # A WebSocket server never speaks first, so these bytes are the proxy's.
        raise ProxyFailed(f"the proxy {proxy} said more than its answer")


def _advice_for_status(status: int, proxy: ProxyURL) -> str:
    # 407 is the right one (RFC 9110 section 15.5.8); tinyproxy answers 401.
    if status not in (407, 401):
        return ""
    if proxy.user is None:
        return f"write its user and password: {proxy.scheme}://user:password@{proxy.address}"
    return "it does not take that user and password"


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _connect_socks(proxy: ProxyURL, target: WebSocketURL) -> trio.abc.Stream:
    from python_socks import ProxyConnectionError, ProxyError

    try:
        # The caller has set a deadline.
        stream = await _socks_proxy(proxy).connect(target.host, target.port, timeout=float("inf"))
    except ProxyConnectionError as error:
        raise ProxyFailed(
            f"the proxy {proxy} cannot be reached: {dial_failure_reason(error)}"
        ) from error
    except (ProxyError, trio.BrokenResourceError) as error:
        raise ProxyFailed(f"the proxy {proxy} failed: {error}") from error
    return stream.trio_stream


def _socks_proxy(proxy: ProxyURL) -> SOCKSProxy:
    try:
        from python_socks import ProxyType
        from python_socks.async_.trio.v2 import Proxy
    except ImportError as error:
        raise ImportError(
            "SOCKS proxies need python-socks: pip install 'trio_draftws[proxy]'"
        ) from error
    user, password = proxy.user or (None, None)
    for part in proxy.user or ():
        # RFC 1929 section 2; python-socks writes ASCII
        if not (part.isascii() and 0 < len(part) < 256):
            raise ValueError("a SOCKS proxy's user and password have 1 to 255 characters of ASCII")
    return Proxy(ProxyType.SOCKS5, proxy.host, proxy.port, user, password, rdns=True)
