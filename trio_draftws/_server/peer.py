"""Who is at the other end of an accepted stream."""

from __future__ import annotations

from typing import Any

import attrs
import trio

from trio_draftws._transport.sockets import DirectStream


@attrs.frozen
class PeerInfo:
    """The client at the other end of a stream."""

    name: str
    """How the log names it: its address, or what kind of stream it uses."""
    remote: str | None = None
    """Its IP address, if it has one."""

    @classmethod
    def of(cls, stream: trio.abc.Stream) -> PeerInfo:
        """Returns who is at the other end of `stream`."""
        address = _address_of(stream)
        if isinstance(address, tuple):
            host, port = address[:2]
            return cls(f"{host} port {port}", str(host))
        if address is None:
            return cls("a peer that has gone")
        if isinstance(stream, DirectStream):
            return cls("a socket without an address")
        # As a stream of `trio_draftws.testing` has, or one of the program's own
        name = getattr(stream, "peer_name", None)
        return cls(name if isinstance(name, str) and name else f"a {type(stream).__name__}")


def _address_of(stream: trio.abc.Stream) -> Any:
    """Returns the peer's address as its socket has it, empty if there is none; None if the peer
    has gone.
    """
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, (trio.SocketStream, DirectStream)):
        return ""
    try:
        return stream.socket.getpeername()
    except OSError:
        return None
