"""The other end of a measured connection, in either role: a blocking socket, and plain bytes.

A client's frames are masked with zeros, which leaves their payload as it is.
"""

from __future__ import annotations

import base64
import hashlib
import re
import socket

from .wire import DIALECTS

TIMEOUT = 30
CHUNK = 1 << 16

# RFC 6455 section 5.2: opcodes, with FIN
TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
# Section 1.3
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(first: int, payload: bytes = b"", *, masked: bool) -> bytes:
    """A frame that begins with the byte `first`; a client's frames are masked."""
    size, mask = len(payload), 0x80 if masked else 0
    if size < 126:
        header = bytes([first, mask | size])
    else:
        header = bytes([first, mask | 126]) + size.to_bytes(2, "big")
    return header + (bytes(4) if masked else b"") + payload


def field(head: bytes, name: bytes) -> bytes:
    """The value of a header field."""
    found = re.search(rb"\r\n" + name + rb": *([^\r\n]*)", head, re.IGNORECASE)
    return found[1] if found else b""


def answer_to(request: bytes, *, deflate: bool = False) -> bytes:
    """A server's answer in rfc6455, or in hixie-75 if the request has no key."""
    key = field(request, b"Sec-WebSocket-Key")
    if not key:
        origin, host = field(request, b"Origin"), field(request, b"Host")
        # hixie-75 section 5.2
        return (
            b"HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
            b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n"
            b"WebSocket-Origin: %b\r\nWebSocket-Location: ws://%b/\r\n\r\n" % (origin, host)
        )
    # RFC 6455 section 4.2.2
    proof = base64.b64encode(hashlib.sha1(key + GUID).digest())
    extensions = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (proof, extensions)
    )


def read_head(sock: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = sock.recv(CHUNK)
        if not chunk:
            raise ConnectionError(f"the other side ended the opening after {head!r}")
        head += chunk
    return head


def dial(port: int) -> socket.socket:
    """Opens a connection in rfc6455 as a client."""
    sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(DIALECTS["rfc6455"].request)
    read_head(sock)
    return sock


def answer(listener: socket.socket) -> socket.socket:
    """Accepts a connection in rfc6455 as a server."""
    sock, _ = listener.accept()
    sock.settimeout(TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(answer_to(read_head(sock)))
    return sock


def listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT)
    return listener


def read(sock: socket.socket, size: int) -> bytes:
    """Reads exactly so many bytes."""
    came = b""
    while len(came) < size:
        chunk = sock.recv(size - len(came))
        if not chunk:
            raise ConnectionError(f"the other side ended the connection after {came!r}")
        came += chunk
    return came


def exchange(sock: socket.socket, sent: bytes, expected: bytes) -> None:
    """Sends something and reads what is expected in return."""
    sock.sendall(sent)
    came = read(sock, len(expected))
    if came != expected:
        raise ConnectionError(f"{came!r} came, not {expected!r}")


def exchange_message(sock: socket.socket) -> None:
    """Sends a message as a client, and reads its echo."""
    exchange(sock, frame(TEXT, b"hello", masked=True), frame(TEXT, b"hello", masked=False))
