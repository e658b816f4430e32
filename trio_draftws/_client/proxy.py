"""Proxies: a tunnel through one, by HTTP's CONNECT or by SOCKS5.

CONNECT is a head each way, which is spoken here; SOCKS5 is spoken by `python-socks`, which is
imported where it is used. Either way the name of the server is resolved by the proxy.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from typing import TYPE_CHECKING

import attrs
import trio

from trio_draftws._exceptions import ProxyFailed, why_not_dialled
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
MAX_HEAD = 2**14
# How a proxy of HTTP may fail
FAULTS = (HandshakeError, BadHead, trio.BrokenResourceError)


@attrs.frozen
class ProxyURL:
    """A proxy: `http://user:password@host:port`, or `https`, or `socks5`."""

    scheme: str
    host: str
    port: int
    user: tuple[str, str] | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: object) -> ProxyURL:
        """Takes `url` apart.

        Raises:
            TypeError: it is no str.
            ValueError: it is no proxy's URL.
            ImportError: python-socks is not installed, and such a proxy needs it.
        """
        split = split_url(url, what="proxy", schemes=tuple(DEFAULT_PORTS))
        if split.resource not in ("", "/"):
            raise ValueError("a proxy's URL has no path")
        port = split.port or DEFAULT_PORTS[split.scheme]
        proxy = cls(split.scheme, split.host, port, split.user)
        if proxy.is_socks:
            _socks_proxy(proxy)
        elif split.user is not None:
            write_basic(*split.user)
        return proxy

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def proxy_from_environment(target: WebSocketURL) -> ProxyURL | None:
    """The proxy that the usual variables name for that server: `https_proxy` for wss,
    `http_proxy` for ws, `all_proxy` for either; none where `no_proxy` names the server
    (`goes_without` says how).

    Raises:
        ValueError: what they name is no proxy.
    """
    # Importing it takes as long as ten handshakes.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    url = proxies.get("https" if target.secure else "http") or proxies.get("all")
    if not url:
        return None
    no_proxy = proxies.get("no")
    # Without the variable, the settings of the system may say it.
    if proxy_bypass(target.host_field) if no_proxy is None else goes_without(no_proxy, target):
        return None
    return ProxyURL.parse(url if "://" in url else f"http://{url}")


def goes_without(no_proxy: str, target: WebSocketURL) -> bool:
    """Whether `no_proxy` names that server.

    It is a list, with commas or spaces between: `*` for all; `example.com`, which stands for the
    names below it too, as do `.example.com` and `*.example.com`; addresses in any spelling, IPv6
    ones with or without brackets; networks such as `10.0.0.0/8`. All but networks may end in a
    port. A dot at the end of a name means nothing, and what is none of all that names no server.
    """
    return any(_names(entry, target) for entry in re.split(r"[\s,]+", no_proxy) if entry)


def _names(entry: str, target: WebSocketURL) -> bool:
    if entry == "*":
        return True
    address = _address(target.host)
    try:
        network = ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass
    else:
        # Also an address alone: a network of one.
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
    """The address that a host is, if it is one; an IPv4 address that is written as IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


async def tunnel_through(
    proxy: ProxyURL, target: WebSocketURL, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    """A stream to the server, through the proxy; cancelled, or failing, it leaves nothing open.

    Raises:
        ProxyFailed: the proxy cannot be reached or will not do it.
    """
    if proxy.is_socks:
        return await _socks(proxy, target)
    try:
        stream = take_over(await open_tcp(proxy.host, proxy.port))
    except OSError as error:
        raise ProxyFailed(
            f"the proxy {proxy} cannot be reached: {why_not_dialled(error)}"
        ) from error
    try:
        if proxy.scheme == "https":
            context = ssl_context or ssl.create_default_context()
            stream = await apply_stream_factory(
                stream, ssl_stream_factory(context, server_hostname=proxy.host)
            )
        await _connect(stream, proxy, target)
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error, FAULTS) and not isinstance(error, ProxyFailed):
            fault = tls_failed(error) or error
            raise ProxyFailed(f"the proxy {proxy} failed: {fault}") from fault
        raise
    return stream


async def _connect(stream: trio.abc.Stream, proxy: ProxyURL, target: WebSocketURL) -> None:
    """RFC 9110 section 9.3.6."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    authority = f"{host}:{target.port}".encode()
    fields = [(b"Host", authority)]
    if proxy.user is not None:
        fields.append((b"Proxy-Authorization", write_basic(*proxy.user).encode()))
    reader = HeadReader(stream)
    request = write_head(b"CONNECT %b HTTP/1.1" % authority, fields)
    _, response = await reader.exchange(request, MAX_HEAD)
    if not 200 <= response.status < 300:
        raise ProxyFailed(
            f"the proxy {proxy} refused with status {response.status} "
            f"{escaped(response.reason)}".rstrip(),
            response.status,
            advice=_about_status(response.status, proxy),
        )
    if reader.rest():
        # No server speaks first, so this would be the proxy in its place.
        raise ProxyFailed(f"the proxy {proxy} said more than its answer")


def _about_status(status: int, proxy: ProxyURL) -> str:
    # The first is what it should be (RFC 9110 section 15.5.8), the other what tinyproxy says.
    if status not in (407, 401):
        return ""
    if proxy.user is None:
        return f"write its user and password: {proxy.scheme}://user:password@{_place(proxy)}"
    return "it does not take that user and password"


def _place(proxy: ProxyURL) -> str:
    host = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    return f"{host}:{proxy.port}"


async def _socks(proxy: ProxyURL, target: WebSocketURL) -> trio.abc.Stream:
    from python_socks import ProxyConnectionError, ProxyError

    try:
        # Ours is the deadline.
        stream = await _socks_proxy(proxy).connect(target.host, target.port, timeout=float("inf"))
    except ProxyConnectionError as error:
        raise ProxyFailed(
            f"the proxy {proxy} cannot be reached: {why_not_dialled(error)}"
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
