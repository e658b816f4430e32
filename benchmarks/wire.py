"""Bytes made beforehand: how a client opens, sends and closes in each dialect, and what it says.

A dialect is what stands on the wire: none at all ("bare"), or a draft of WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

TEXT = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ -"
MASK = bytes.fromhex("37fa213d")
# RFC 6455 section 5.2: FIN, and the opcode
TEXT_FRAME, BINARY_FRAME = 0x81, 0x82

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
class HeaderFormat:
    """The bytes of one client."""

    request: bytes
    answer_body: int
    """How many bytes follow the head of the answer."""
    frame: Callable[[bytes], bytes]
    """A message in one frame, as the client sends it."""
    echo: Callable[[bytes], bytes]
    """The same message, as the server sends it back."""
    close: bytes


def text(size: int) -> bytes:
    return (TEXT * (size // len(TEXT) + 1))[:size]


def two_byte_text(size: int) -> bytes:
    """Text of characters that are two bytes each in UTF-8."""
    return "ä".encode() * (size // 2)


def every_byte(size: int) -> bytes:
    """Binary data, which is no UTF-8."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]


CONTENTS: dict[str, Callable[[int], bytes]] = {
    "ascii": text,
    "two-byte": two_byte_text,
    "binary": every_byte,
}


def payload_of(content: str, size: int) -> bytes:
    """A message of so many bytes."""
    return CONTENTS[content](size)


def _sentinel(payload: bytes) -> bytes:
    return b"\x00" + payload + b"\xff"


def _length64(payload: bytes) -> bytes:
    return b"\xff" + len(payload).to_bytes(8, "big") + payload


def header(first: int, size: int, masked: int = 0) -> bytes:
    """What stands before a payload, or before its masking key; `masked` is 0 or 0x80."""
    # RFC 6455 section 5.2
    if size < 126:
        return bytes([first, masked | size])
    if size < 1 << 16:
        return bytes([first, masked | 126]) + size.to_bytes(2, "big")
    return bytes([first, masked | 127]) + size.to_bytes(8, "big")


def unmasked_frame(payload: bytes, first: int = TEXT_FRAME) -> bytes:
    return header(first, len(payload)) + payload


def masked_frame(payload: bytes, first: int = TEXT_FRAME) -> bytes:
    return header(first, len(payload), 0x80) + MASK + with_mask(payload, MASK)


def with_mask(payload: bytes, key: bytes) -> bytes:
    """Puts a masking key on, or takes it off."""
    size = len(payload)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


DIALECTS = {
    "bare": HeaderFormat(b"", 0, bytes, bytes, b""),
    "old": HeaderFormat(HEAD + KEYS, 16, _sentinel, _sentinel, b"\xff\x00"),
    "new": HeaderFormat(HEAD + KEYS, 16, _length64, _length64, bytes(9)),
    "rfc6455": HeaderFormat(
        HEAD + RFC6455,
        0,
        masked_frame,
        unmasked_frame,
        # Code 1000, under a mask of zeros
        b"\x88\x82\0\0\0\0\x03\xe8",
    ),
}


# The drafts before hybi have text only.
BINARY_DIALECTS = {
    "bare": DIALECTS["bare"],
    "rfc6455": attrs.evolve(
        DIALECTS["rfc6455"],
        frame=partial(masked_frame, first=BINARY_FRAME),
        echo=partial(unmasked_frame, first=BINARY_FRAME),
    ),
}


def dialect_of(name: str, content: str = "ascii") -> HeaderFormat:
    """The one with that name, for messages of that content."""
    return (BINARY_DIALECTS if content == "binary" else DIALECTS)[name]
