"""How many clients a server has at once, in all and from one host.

A client counts from the moment it is accepted, so openings count as connections do. One too many
is refused with 503, and the others are not affected. The refusals are bounded as well: for up to
`MAX_REFUSING` clients at a time the request is read first, so that they get the answer in order.
Any more get the same answer at once, without their request being read, if it can be written
without waiting.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from functools import partial

import attrs

from trio_draftws.drafts import Address, Reject, ip_of

MAX_REFUSING = 100

FULL = "This server has reached its limit of connections.\n"
FULL_FOR_HOST = "This server has reached its limit of connections from your address.\n"


@attrs.define(eq=False, kw_only=True)
class Admission:
    """Whether one client may connect, and what it counts for meanwhile."""

    release: Callable[[], None]
    """To be called once the client's stream is closed; it then no longer counts."""
    refusal: Reject | None = None
    """Why it may not connect; None if it may."""
    read_request: bool = True
    """Whether to read its request before it is refused."""
    of_proxy: bool = False
    """Whether it is that of a proxy, whose client has to be counted for its host."""


@attrs.define(eq=False, kw_only=True)
class ConnectionLimiter:
    """Counts clients, and refuses those beyond a limit."""

    max_connections: float
    max_connections_per_host: float
    admitted: int = 0
    """How many clients there are now, without those being refused."""
    refusing: int = 0
    """How many clients are being refused after their request was read."""
    hosts: dict[str, int] = attrs.field(factory=dict)
    """How many admitted clients each host has; kept only if that is limited."""
    _shared: Admission = attrs.field(init=False)
    """The admission of every client whose host is not counted."""

    def __attrs_post_init__(self) -> None:
        self._shared = Admission(release=self._release)

    def admit(self, remote: Address | None, is_proxy: bool = False) -> Admission:
        """Counts a client that was just accepted. `Admission.release` has to be called later.

        Args:
            remote: its address; without an IP address it does not count for any host.
            is_proxy: whether it may speak for a client that is not known yet; `count_host` has to
                be called once that is known.
        """
        host = None if is_proxy else self._counted_host(remote)
        if self.admitted >= self.max_connections:
            return self._refuse(FULL)
        if host is not None and not self._add_host(host):
            return self._refuse(FULL_FOR_HOST)
        self.admitted += 1
        if host is not None:
            return Admission(release=partial(self._release_host, host))
        return Admission(release=self._release, of_proxy=True) if is_proxy else self._shared

    def count_host(self, admission: Admission, remote: Address | None) -> None:
        """Counts a client of a proxy for its host, now that it is known.

        Args:
            admission: what `admit` returned for the proxy.
            remote: the client's address.

        Raises:
            Reject: it may not connect; it still counts among all until it is released.
        """
        host = self._counted_host(remote)
        if host is None:
            return
        if not self._add_host(host):
            raise Reject(503, body=FULL_FOR_HOST)
        admission.release = partial(self._release_host, host)

    @property
    def counts_hosts(self) -> bool:
        """Whether there is a limit for each host."""
        return self.max_connections_per_host < math.inf

    def _counted_host(self, remote: Address | None) -> str | None:
        """Returns what a client counts for; None if hosts are not limited, or it has none."""
        return network_of(remote.host) if remote is not None and self.counts_hosts else None

    def _add_host(self, host: str) -> bool:
        """Counts a client for its host, and returns True; False if there are enough already."""
        count = self.hosts.get(host, 0)
        if count >= self.max_connections_per_host:
            return False
        self.hosts[host] = count + 1
        return True

    def _refuse(self, why: str) -> Admission:
        read_request = self.refusing < MAX_REFUSING
        self.refusing += read_request
        return Admission(
            release=partial(self._release_refused, read_request),
            refusal=Reject(503, body=why),
            read_request=read_request,
        )

    def _release(self) -> None:
        self.admitted -= 1

    def _release_host(self, host: str) -> None:
        self._release()
        self.hosts[host] -= 1
        if not self.hosts[host]:
            del self.hosts[host]

    def _release_refused(self, read_request: bool) -> None:
        self.refusing -= read_request


def network_of(host: str) -> str | None:
    """Returns what counts as one host: an IPv4 address, or an IPv6 network of 64 bits; None if it
    is no IP address.

    Whoever has one address of such a network has them all, and would otherwise count as 2**64
    hosts. In the network of link-local addresses each address is a different host.
    """
    ip = ip_of(host)
    if ip is None:
        return None
    if ip.version == 4 or ip.is_link_local:
        return str(ip)
    return f"{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64"
