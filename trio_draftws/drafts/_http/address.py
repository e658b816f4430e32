"""Where an end of a connection is: a host and a port, or a Unix socket."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple, TypeAlias

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

UNIX = "unix:"

# RFC 7239 section 6: an IPv6 address stands in brackets, and has to if a port follows. In
# X-Forwarded-For it may stand without.
_NODE = re.compile(
    r"(?:\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}|_[0-9A-Za-z._-]*))?"
    r"|([0-9A-Fa-f:.]+)"
)


class Address(NamedTuple):
    """The address of one end of a connection. `str(address)` is as in a URL: `[::1]:80`."""

    host: str
    """An IP address, such as `192.0.2.1` or `2001:db8::1`; or `unix:` and the path of a Unix
    socket, after which nothing follows if the socket has none, as is usual for a client's."""
    port: int | None = None
    """The port; None for a Unix socket, and if a proxy did not say it."""

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.host.startswith(UNIX)


def ip_of(host: str) -> IPAddress | None:
    """Returns the IP address that `host` is, or None. An IPv4 address that is written as an IPv6
    address (RFC 4291 section 2.5.5.2) is the IPv4 address.
    """
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def address_in(text: str) -> Address | None:
    """Returns the address that a proxy wrote, with or without a port; None if it is not one.

    A zone (RFC 4007 section 11) is none: it means something only on the machine that wrote it.
    """
    node = _NODE.fullmatch(text)
    ip = None if node is None else ip_of(node[1] or node[2] or node[4])
    if node is None or ip is None:
        return None
    # RFC 7239 section 6.2: a port may be hidden behind a name
    if node[3] is None or node[3].startswith("_"):
        return Address(str(ip))
    port = int(node[3])
    return Address(str(ip), port) if 0 < port < 65536 else None
