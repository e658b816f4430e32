"""Who may come in: how many clients a server has at once, in all and from one host.

A client counts from the moment in which it is accepted, so openings count as connections do. One
too many is told so, and those inside do not notice. Those who are being told are bounded as well:
a hundred at a time are heard and answered in order; whoever else comes meanwhile gets the same
answer at once, unheard, where that can be said without waiting.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio

from trio_draftws._transport.sockets import DirectStream
from trio_draftws.drafts import Draft, Reject

MAX_REFUSING = 100

FULL = "This server has as many connections as it takes.\n"
FULL_FOR_HOST = "This server has as many connections from your address as it takes.\n"


@attrs.frozen
class Place:
    """Where one client stands: inside, or before the door."""

    leave: Callable[[], None]
    """To be called when its client has gone."""
    refusal: Reject | None = None
    """Why it may not come in."""
    heard: bool = True
    """Whether there is room to hear what it wants before it is told."""


@attrs.define(eq=False, kw_only=True)
class ConnectionLimiter:
    """Counts those inside."""

    max_connections: float
    max_connections_per_host: float
    inside: int = 0
    refusing: int = 0
    hosts: dict[str, int] = attrs.field(factory=dict)
    """How many of those inside are from each host; kept only where that is bounded."""
    _inside: Place = attrs.field(init=False)
    """One for all whose host does not matter."""

    def __attrs_post_init__(self) -> None:
        self._inside = Place(self._leave)

    def enter(self, remote: str | None) -> Place:
        """The place of a client that was accepted; `Place.leave` has to follow.

        Args:
            remote: the address that it connects from; what has none is not counted by host.
        """
        host: str | None = None
        if remote is not None and self.max_connections_per_host < math.inf:
            host = network_of(remote)
        if self.inside >= self.max_connections:
            return self._refuse(FULL)
        if host is not None:
            count = self.hosts.get(host, 0)
            if count >= self.max_connections_per_host:
                return self._refuse(FULL_FOR_HOST)
            self.hosts[host] = count + 1
        self.inside += 1
        return self._inside if host is None else Place(partial(self._leave_host, host))

    def _refuse(self, why: str) -> Place:
        heard = self.refusing < MAX_REFUSING
        self.refusing += heard
        leave = partial(self._leave_refused, heard)
        return Place(leave, refusal=Reject(503, body=why), heard=heard)

    def _leave(self) -> None:
        self.inside -= 1

    def _leave_host(self, host: str) -> None:
        self._leave()
        self.hosts[host] -= 1
        if not self.hosts[host]:
            del self.hosts[host]

    def _leave_refused(self, heard: bool) -> None:
        self.refusing -= heard


def network_of(address: str) -> str:
    """What counts as one host: an IPv4 address, or an IPv6 network of 64 bits.

    Who has one address of such a network has them all, and would otherwise be 2**64 hosts. In the
    network of link-local addresses each is another host.
    """
    if ":" not in address:
        return address
    ip = ipaddress.IPv6Address(address)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    if ip.is_link_local:
        return address
    return f"{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64"


@attrs.define
class PeerInfo:
    """Who is at the other end, and what is known of it so far."""

    peer: str = ""
    """Who that is, in words."""
    remote: str | None = None
    """The address that it connects from, if it has one."""
    draft: Draft | None = None
    """What it asks for."""
    handler: Callable[..., Awaitable[object]] | None = None
    """Where its path leads, if there are routes."""

    @classmethod
    def on(cls, stream: trio.abc.Stream) -> PeerInfo:
        """Whoever is at the other end of `stream`."""
        address = _address_of(stream)
        if isinstance(address, tuple):
            host, port = address[:2]
            return cls(f"{host} port {port}", str(host))
        if address is None:
            return cls("a peer that has gone")
        if isinstance(stream, DirectStream):
            return cls("a socket without an address")
        return cls(f"a {type(stream).__name__}")

    def __str__(self) -> str:
        return self.peer if self.draft is None else f"{self.peer} ({self.draft.name})"


def _address_of(stream: trio.abc.Stream) -> Any:
    """The peer's address as its socket has it, empty where there is none; None if it has gone."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, (trio.SocketStream, DirectStream)):
        return ""
    try:
        return stream.socket.getpeername()
    except OSError:
        return None
