"""Bytes made beforehand: how a client opens, sends and closes in each dialect.

A dialect is what stands on the wire: none at all ("bare"), or a draft of WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

TEXT = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ -"
MASK = bytes.fromhex("37fa213d")

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
# The keys of the example in hixie-76 section 1.2, and its body
KEYS = (
    b"Upgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: http://127.0.0.1\r\n"
    b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
    b"\r\n^n:ds[4U"
)
# The key of the example in RFC 6455 section 1.3. No extension is offered, so nobody compresses.
RFC6455 = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# hixie-75 section 4.1
HIXIE_75 = (
    b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\r\n"
)


@attrs.frozen
class Dialect:
    """The bytes of one client."""

    request: bytes
    answer_body: int
    """How many bytes follow the head of the answer."""
    frame: Callable[[bytes], bytes]
    """A text message, as the client sends it."""
    echo: Callable[[bytes], bytes]
    """The same message, as the server sends it back."""
    close: bytes


def text(size: int) -> bytes:
    return (TEXT * (size // len(TEXT) + 1))[:size]


def _sentinel(payload: bytes) -> bytes:
    return b"\x00" + payload + b"\xff"


def _length64(payload: bytes) -> bytes:
    return b"\xff" + len(payload).to_bytes(8, "big") + payload


def _header(size: int, masked: int) -> bytes:
    # RFC 6455 section 5.2: text, in one frame
    if size < 126:
        return bytes([0x81, masked | size])
    if size < 1 << 16:
        return bytes([0x81, masked | 126]) + size.to_bytes(2, "big")
    return bytes([0x81, masked | 127]) + size.to_bytes(8, "big")


def _unmasked_frame(payload: bytes) -> bytes:
    return _header(len(payload), 0) + payload


def _masked_frame(payload: bytes) -> bytes:
    size = len(payload)
    mask = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")
    return _header(size, 0x80) + MASK + masked


DIALECTS = {
    "bare": Dialect(b"", 0, bytes, bytes, b""),
    "old": Dialect(HEAD + KEYS, 16, _sentinel, _sentinel, b"\xff\x00"),
    "new": Dialect(HEAD + KEYS, 16, _length64, _length64, bytes(9)),
    "rfc6455": Dialect(
        HEAD + RFC6455,
        0,
        _masked_frame,
        _unmasked_frame,
        # Code 1000, under a mask of zeros
        b"\x88\x82\0\0\0\0\x03\xe8",
    ),
}
