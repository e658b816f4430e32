"""Where the two ends of a stream are, in as little memory as possible, and whom a server trusts.

A socket knows its peer's address only while the peer is there, and a log has to name it afterwards.
So both addresses are kept for each connection, packed: two of IPv4 with their ports take 48 bytes,
where the objects would take 336.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, TypeAlias

import attrs
import trio

from trio_draftws._settings.checks import tuple_of
from trio_draftws.drafts import UNIX, Address, IPAddress, escaped, ip_of

from .sockets import DirectStream, TCPStream, below_tls

PackedEnds: TypeAlias = "bytes | tuple[Address | None, Address | None]"
"""Who is at the other end of a stream, and who at this one. Bytes if both are IP addresses: the
length of the first, and both of them, where port 0 stands for none. Read them with `unpack_remote`
and `unpack_local`."""

NO_ENDS: PackedEnds = (None, None)

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
TrustedProxies: TypeAlias = Iterable[str | IPAddress | IPNetwork]
"""Whom to believe who a client is: IP addresses and networks, as `str` or as objects of
`ipaddress`, and `"unix"` for all who connect to a Unix socket."""

_IP_TYPES = (
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def ends_of(*streams: trio.abc.Stream) -> PackedEnds:
    """Returns the addresses of the first stream whose socket has some, while its peer is there;
    else `NO_ENDS`.

    Args:
        streams: a stream, and what it was made of, which is asked if it hides its socket.
    """
    for stream in streams:
        # The common case first: checks against abstract classes take a few microseconds.
        bottom = stream if type(stream) is TCPStream else below_tls(stream)
        if isinstance(bottom, (DirectStream, trio.SocketStream)):
            try:
                remote, local = bottom.socket.getpeername(), bottom.socket.getsockname()
            except OSError:
                continue
            if isinstance(remote, tuple):
                return _packed(remote[:2], local[:2])
            return _unix_address(remote), _unix_address(local)
    return NO_ENDS


def pack_ends(remote: Address | None, local: Address | None) -> PackedEnds:
    """Returns both addresses as one object."""
    if remote is None or local is None or remote.is_unix or local.is_unix:
        return remote, local
    return _packed((remote.host, remote.port or 0), (local.host, local.port or 0))


def unpack_remote(ends: PackedEnds) -> Address | None:
    """Returns the remote address."""
    return _unpacked(ends[1 : ends[0] + 1]) if isinstance(ends, bytes) else ends[0]


def unpack_local(ends: PackedEnds) -> Address | None:
    """Returns the local address."""
    return _unpacked_local(ends[ends[0] + 1 :]) if isinstance(ends, bytes) else ends[1]


def _packed(remote: tuple[Any, ...], local: tuple[Any, ...]) -> PackedEnds:
    try:
        first = _packed_address(*remote)
        return bytes((len(first),)) + first + _packed_address(*local)
    except (TypeError, OSError, OverflowError):
        # An IPv6 address with a zone, or a socket of another family
        return Address(str(remote[0]), remote[1] or None), Address(str(local[0]), local[1] or None)


def _packed_address(host: str, port: int) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_pton(family, host) + port.to_bytes(2, "big")


def _unpacked(packed: bytes) -> Address:
    host, port = packed[:-2], packed[-2:]
    family = socket.AF_INET6 if len(host) == 16 else socket.AF_INET
    return Address(socket.inet_ntop(family, host), int.from_bytes(port, "big") or None)


# That of a listener is the same for all of its connections.
_unpacked_local = lru_cache(maxsize=16)(_unpacked)


@lru_cache(maxsize=16)
def _unix_address(path: str | bytes) -> Address:
    # Linux has names that are no files: bytes, which begin with a 0. Other programs show it as @.
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    if text.startswith("\0"):
        text = f"@{text[1:]}"
    # Whoever connects may have named its socket anything, and it goes into the log.
    return Address(UNIX + escaped(text))


@attrs.frozen
class TrustedPeers:
    """IP addresses, networks and Unix sockets: those that may speak for others."""

    _networks: dict[tuple[int, int], set[int]]
    """By the size of an address in bits, and how many of those do not count: those that do."""
    _unix: bool = False

    @classmethod
    def of(cls, name: str, given: object) -> TrustedPeers:
        """Makes it from the argument `name`.

        Raises:
            TypeError: it is not several addresses, or one of them is of the wrong type.
            ValueError: one of them is neither an address nor a network, nor `"unix"`.
        """
        listed = tuple_of(name, given, "IP addresses and networks", str, *_IP_TYPES)
        networks: dict[tuple[int, int], set[int]] = {}
        for one in listed:
            if one != "unix":
                network = _network(name, one)
                shift = network.max_prefixlen - network.prefixlen
                key = (network.max_prefixlen, shift)
                networks.setdefault(key, set()).add(int(network.network_address) >> shift)
        return cls(networks, "unix" in listed)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._unix or bool(self._networks)

    def trusts(self, address: Address | None) -> bool:
        """Whether whoever has that address is one of them."""
        if address is None or not self:
            return False
        if address.is_unix:
            return self._unix
        ip = ip_of(address.host)
        return ip is not None and any(
            size == ip.max_prefixlen and int(ip) >> shift in networks
            for (size, shift), networks in self._networks.items()
        )


def _network(name: str, given: object) -> IPNetwork:
    try:
        network = ipaddress.ip_network(given)  # type: ignore[arg-type]
    except ValueError:
        hint = ""
        try:
            hint = f"; write {str(ipaddress.ip_network(given, strict=False))!r}"  # type: ignore[arg-type]
        except ValueError:
            if given == "*":
                hint = "; all addresses are '0.0.0.0/0' and '::/0'"
        raise ValueError(
            f"{name} has {given!r}, which is neither an IP address nor a network, such as "
            f"'10.0.0.0/8', nor 'unix'{hint}"
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        # As `ip_of` does with addresses
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network
