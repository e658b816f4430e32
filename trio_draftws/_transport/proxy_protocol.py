"""The PROXY protocol, versions 1 and 2: a proxy that passes bytes on says first who the client is.

The specification is HAProxy's `proxy-protocol.txt`. The rules:

1. Whoever may send a header has to send one, and nobody else may: without one there is no telling
   the bytes of a header from those of a client (its section 2).
2. No byte behind the header is read, so whatever follows, TLS or HTTP, finds its own bytes. Each
   read asks for the bytes that are known to be missing, which a line of version 1 says two at a
   time.
3. The socket then has the addresses of the header, for everything that is built upon it.
"""

from __future__ import annotations

import os
import re
import socket
from typing import Any

import attrs
import trio

from trio_draftws._settings.checks import check_awaitable, check_kind, check_stream_factory
from trio_draftws.drafts import HandshakeError, shown

from .addresses import TrustedPeers, TrustedProxies, ends_of, unpack_remote
from .sockets import DirectStream, StreamFactory, TCPStream, below_tls, take_over

# Section 2.1: an unsigned line, 107 bytes at most
LINE_BEGIN = b"PROXY "
SHORTEST_LINE = len(b"PROXY UNKNOWN\r\n")
LONGEST_LINE = 107
_LINE = re.compile(rb"PROXY (TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN_LINE = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_LINE_FAMILIES = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}

# Section 2.2: a signature, version and command, family and protocol, and the length of the rest
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEGIN = len(SIGNATURE) + 4
LOCAL, PROXY = 0x20, 0x21
UNSPECIFIED = 0x00
# The sizes of the two addresses, without their ports
TCP_FAMILIES = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}
UNIX_STREAM, UNIX_SIZE = 0x31, 108
# Section 2.2.6: whether the client came to the proxy over TLS
TLV_SSL, CLIENT_SSL = 0x20, 0x01


@attrs.frozen
class ProxyHeader:
    """What a proxy says of its client."""

    remote: Any
    """The client's address, as a socket has it."""
    local: Any
    """The address that the client connected to."""
    secure: bool = False
    """Whether the client came over TLS, which ends at the proxy."""


class ProxiedSocket(socket.socket):
    """The socket of a proxy, with the addresses that it says."""

    __slots__ = ("_header",)

    def __init__(self, fileno: int, header: ProxyHeader) -> None:
        super().__init__(fileno=fileno)
        self._header = header

    @property
    def secure(self) -> bool:
        """Whether the client came over TLS."""
        return self._header.secure

    def getpeername(self) -> Any:
        """Returns the client's address."""
        return self._header.remote

    def getsockname(self) -> Any:
        """Returns the address that the client connected to."""
        return self._header.local


@attrs.frozen
class ProxyProtocol:
    """A stream factory that reads the header, and applies another factory to what follows."""

    trusted: TrustedPeers
    stream_factory: StreamFactory | None = None

    async def __call__(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Returns the stream behind the header. A checkpoint.

        Raises:
            HandshakeError: the peer may not send a header, or has not sent a proper one.
        """
        stream = take_over(stream)
        remote = unpack_remote(ends_of(stream))
        if not isinstance(stream, TCPStream) or not self.trusted.trusts(remote):
            await trio.lowlevel.checkpoint()
            raise HandshakeError(
                f"{remote or 'a stream without an address'} may not say who the client is: it is "
                "none of the proxies that proxy_protocol_factory trusts"
            )
        header = await _read_header(stream)
        if header is not None:
            taken = ProxiedSocket(stream.socket.detach(), header)
            taken.setblocking(False)
            stream.use_socket(taken)
        if self.stream_factory is None:
            return stream
        made = await check_awaitable("stream_factory", self.stream_factory(stream))
        check_kind("what stream_factory returned", made, trio.abc.Stream, "a trio.abc.Stream")
        return made


def proxy_protocol_factory(
    trusted: TrustedProxies, stream_factory: StreamFactory | None = None
) -> StreamFactory:
    """Returns a `stream_factory` for servers behind a proxy that speaks the PROXY protocol.

    Such a proxy passes bytes on, and says first who the client is: HAProxy with `send-proxy` or
    `send-proxy-v2`, nginx's stream module with `proxy_protocol on`, and the load balancers of many
    clouds. The factory reads that, in version 1 or 2, and `Connection.remote` and
    `Connection.local` are then the addresses of the client and of what it connected to. If the
    proxy says that it speaks for itself, as to find out whether the server is there, they are its
    own. If it says that the client came over TLS, which HAProxy does with `send-proxy-v2-ssl`,
    `Request.secure` is true.

    A connection that does not begin with such a header is refused, and so is every connection
    whose address is not in `trusted`. Give the factory to the server as it is: within another
    function, `max_connections_per_host` counts all clients of a proxy as one host.

    Calling the factory is a checkpoint; if it is cancelled, close the stream.

    Args:
        trusted: the proxies: IP addresses and networks, as `str` or as objects of `ipaddress`, and
            `"unix"` for all who connect to a Unix socket.
        stream_factory: what to apply to the stream behind the header, as
            `ssl_stream_factory(context)`; by default nothing.

    Raises:
        TypeError: `trusted` is not several addresses, or `stream_factory` not an async function.
        ValueError: `trusted` is empty, or something in it is neither an address nor a network.
    """
    peers = TrustedPeers.of("trusted", trusted)
    if not peers:
        raise ValueError("trusted is empty, so every connection would be refused")
    check_stream_factory("stream_factory", stream_factory)
    return ProxyProtocol(peers, stream_factory)


async def _read_header(stream: TCPStream) -> ProxyHeader | None:
    """Reads the header, and no byte behind it. A checkpoint.

    Raises:
        HandshakeError: it is not a proper header, or the stream ended or broke.
    """
    header = b""
    try:
        while missing := _missing(header):
            data = await stream.receive_some(missing)
            if not data:
                raise HandshakeError("the peer ended the stream within the PROXY header")
            header += data
    except trio.BrokenResourceError as error:
        raise HandshakeError(f"the connection broke within the PROXY header: {error}") from error
    return _parse_binary(header) if header.startswith(SIGNATURE) else _parse_line(header)


def _missing(header: bytes) -> int:
    """Returns how many more bytes the header has at least; 0 if it is complete.

    Raises:
        HandshakeError: it does not begin like one, or is too long.
    """
    size = len(header)
    if not header:
        return SHORTEST_LINE
    if header[: len(SIGNATURE)] == SIGNATURE[:size]:
        if size < BEGIN:
            return BEGIN - size
        return BEGIN + int.from_bytes(header[BEGIN - 2 : BEGIN], "big") - size
    if header[: len(LINE_BEGIN)] != LINE_BEGIN[:size]:
        raise _malformed(header)
    if b"\r\n" in header:
        return 0
    missing = max(SHORTEST_LINE - size, 1 if header.endswith(b"\r") else 2)
    if size + missing > LONGEST_LINE:
        raise _malformed(header)
    return missing


def _parse_line(header: bytes) -> ProxyHeader | None:
    """Reads a header of version 1 (section 2.1)."""
    if _UNKNOWN_LINE.fullmatch(header):
        return None
    found = _LINE.fullmatch(header)
    if found is None:
        raise _malformed(header)
    family = _LINE_FAMILIES[found[1]]
    try:
        remote, local = (
            (_host(family, socket.inet_pton(family, host.decode())), int(port))
            for host, port in ((found[2], found[4]), (found[3], found[5]))
        )
    except OSError:
        raise _malformed(header) from None
    if max(remote[1], local[1]) > 65535:
        raise _malformed(header)
    return ProxyHeader(remote, local)


def _parse_binary(header: bytes) -> ProxyHeader | None:
    """Reads a header of version 2 (section 2.2)."""
    command, family = header[len(SIGNATURE) : BEGIN - 2]
    body = header[BEGIN:]
    if command == LOCAL or (command == PROXY and family == UNSPECIFIED):
        return None
    if command == PROXY and family in TCP_FAMILIES:
        of, size = TCP_FAMILIES[family]
        end = 2 * size + 4
        if len(body) >= end:
            remote = _host(of, body[:size]), int.from_bytes(body[end - 4 : end - 2], "big")
            local = _host(of, body[size : 2 * size]), int.from_bytes(body[end - 2 : end], "big")
            return ProxyHeader(remote, local, _says_tls(body[end:]))
    if command == PROXY and family == UNIX_STREAM and len(body) >= 2 * UNIX_SIZE:
        end = 2 * UNIX_SIZE
        secure = _says_tls(body[end:])
        return ProxyHeader(_path(body[:UNIX_SIZE]), _path(body[UNIX_SIZE:end]), secure)
    raise _malformed(header)


def _says_tls(fields: bytes) -> bool:
    """Returns whether the client came over TLS, by what follows the addresses: fields of one byte
    for the kind, two for the length, and a value. All others are skipped.
    """
    while fields:
        size = 3 + int.from_bytes(fields[1:3], "big")
        if fields[0] == TLV_SSL:
            return len(fields) > 3 and bool(fields[3] & CLIENT_SSL)
        fields = fields[size:]
    return False


def _host(family: int, packed: bytes) -> str:
    return socket.inet_ntop(family, packed)


def _path(padded: bytes) -> str:
    # One that begins with a 0 is no file.
    return os.fsdecode(padded[:1] + padded[1:].partition(b"\0")[0]).rstrip("\0")


def came_over_tls(stream: trio.abc.Stream) -> bool:
    """Returns whether a proxy says that the client came to it over TLS."""
    stream = below_tls(stream)
    taken = stream.socket if isinstance(stream, DirectStream) else None
    return isinstance(taken, ProxiedSocket) and taken.secure


def _malformed(header: bytes) -> HandshakeError:
    return HandshakeError(f"expected a PROXY header, got {shown(header[:LONGEST_LINE])}")
