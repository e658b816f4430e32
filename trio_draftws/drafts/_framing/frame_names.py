"""What the frames of hybi-01 to RFC 6455 are called, for people."""

from __future__ import annotations

from collections.abc import Mapping

from .assembler import BINARY, TEXT
from .header import CLOSE, CONTINUATION, PING, PONG

FRAME_NAMES: Mapping[int, str] = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}
"""The name of each kind of frame, by its opcode in RFC 6455."""
