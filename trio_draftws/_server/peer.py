"""Who is at the other end of an accepted stream, and how the log names it."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._transport.addresses import (
    NO_ENDS,
    PackedEnds,
    ends_of,
    pack_ends,
    unpack_local,
    unpack_remote,
)
from trio_draftws._transport.proxy_protocol import came_over_tls
from trio_draftws._transport.sockets import DirectStream, below_tls
from trio_draftws._transport.tls import is_secure, ssl_object_of
from trio_draftws.drafts import Address, Draft, Headers, Request, forwarded_client


@attrs.frozen
class PeerInfo:
    """The client at the other end of a stream, or what is known of it so far."""

    ends: PackedEnds
    """Its address and ours."""
    kind: str
    """How the log names it if it has no address."""
    secure: bool = False
    """Whether it came over TLS, ours or that of a trusted proxy."""

    @classmethod
    def of(cls, stream: trio.abc.Stream) -> PeerInfo:
        """Returns who is at the other end of `stream`."""
        ends = ends_of(stream)
        return cls(ends, _kind_of(stream) if ends is NO_ENDS else "")

    def request(self, parsed: Request, draft: Draft | None, stream: trio.abc.Stream) -> Request:
        """Returns the request that it sent on `stream`, with all that is known beside its head."""
        return Request(
            parsed.line,
            parsed.headers,
            draft,
            self.secure,
            remote=self.remote,
            local=unpack_local(self.ends),
            ssl_object=ssl_object_of(stream),
        )

    @property
    def remote(self) -> Address | None:
        """Its address; None if it has none."""
        return unpack_remote(self.ends)

    @property
    def name(self) -> str:
        """How the log names it."""
        return self.kind if self.remote is None else _in_words(self.remote)

    def through(self, stream: trio.abc.Stream) -> PeerInfo:
        """Returns who it is once a stream factory has made `stream`, which may know better."""
        ends = ends_of(stream)
        secure = is_secure(stream) or came_over_tls(stream)
        return attrs.evolve(self, ends=self.ends if ends is NO_ENDS else ends, secure=secure)

    def behind(self, headers: Headers, trusts: Callable[[Address | None], bool]) -> PeerInfo:
        """Returns the client that it speaks for, if it is a trusted proxy.

        Raises:
            BadHead: the fields of the proxies contradict each other.
        """
        remote = self.remote
        if remote is None or not trusts(remote):
            return self
        client = forwarded_client(headers, remote, trusts)
        ends = pack_ends(client.address, unpack_local(self.ends))
        secure = self.secure if client.secure is None else client.secure
        return attrs.evolve(self, ends=ends, secure=secure)


def name_of(connection: Connection) -> str:
    """Returns how the log names the client of a connection."""
    remote = connection.remote
    return _kind_of(endpoint_of(connection).stream) if remote is None else _in_words(remote)


def _in_words(address: Address) -> str:
    return address.host if address.port is None else f"{address.host} port {address.port}"


def _kind_of(stream: trio.abc.Stream) -> str:
    stream = below_tls(stream)
    if isinstance(stream, (trio.SocketStream, DirectStream)):
        return "a peer that has gone"
    # As a stream of `trio_draftws.testing` has, or one of the program's own
    name = getattr(stream, "peer_name", None)
    return name if isinstance(name, str) and name else f"a {type(stream).__name__}"
