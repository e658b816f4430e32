"""How a draft's frames look on the wire, for whoever shows them to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from .assembler import BINARY, TEXT
from .codec import Codec
from .decoder import FrameCodec
from .header import CLOSE, CONTINUATION, PING, PONG, HeaderFormat
from .hixie import HixieCodec
from .whatwg_2010 import Whatwg2010Codec

FrameFormat: TypeAlias = HeaderFormat | Literal["sentinels", "length-64"]
"""A header of two bytes and what stands in it (hybi-01 on); a text between two sentinels (hixie-75
and hixie-76); or a type and a length of 64 bits (whatwg-2010-08)."""

FRAME_NAMES: Mapping[int, str] = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}
"""The name of each kind of frame in hybi-01 to RFC 6455, by its opcode in RFC 6455."""


def frame_format(codec: Codec) -> FrameFormat | None:
    """How the frames of `codec` look; None if that is not described here."""
    if isinstance(codec, FrameCodec):
        return codec.dialect
    if isinstance(codec, Whatwg2010Codec):
        return "length-64"
    if isinstance(codec, HixieCodec):
        return "sentinels"
    return None
