"""Frames for people: where each begins and ends on the wire, and what it means.

Codecs do not report where a frame ends, and need not. The same bytes go through a codec as well, so
nothing is checked here: an invalid frame is shown as it is. Of each payload only the start is kept,
however long it is.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod

import attrs

from ._events import Role
from ._framing.assembler import BINARY, TEXT
from ._framing.frame_codec import FrameCodec
from ._framing.header import CLOSE, CONTINUATION, PING, PONG, RSV1, HeaderFormat
from ._framing.hixie import HixieCodec
from ._framing.masking import KEY_SIZE, apply_mask
from ._framing.whatwg_2010 import Whatwg2010Codec
from ._registry import Draft

# How many bytes of a payload are shown
MAX_SHOWN = 32
NAMES = {
    CONTINUATION: "continuation",
    TEXT: "text",
    BINARY: "binary",
    CLOSE: "close",
    PING: "ping",
    PONG: "pong",
}


@attrs.frozen
class Frame:
    """One frame. `str` gives it as one line: its bytes in hex, and what they mean."""

    start: bytes
    """Its header and the beginning of its payload, as they are on the wire."""
    meaning: str
    cut: bool = False
    """Whether it is longer than `start`."""

    def __str__(self) -> str:
        return f"{self.start.hex(' ')}{' …' if self.cut else ''}  {self.meaning}"


class FrameReader(ABC):
    """Finds the frames in the bytes of one direction."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        # How many bytes are still to be skipped, of a payload whose start was returned
        self._left = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Returns the frames whose header and start of payload `data` completes."""
        self._buffer += data
        frames: list[Frame] = []
        while self._buffer:
            if self._left:
                skipped = min(self._left, len(self._buffer))
                del self._buffer[:skipped]
                self._left -= skipped
            elif (frame := self._take()) is not None:
                frames.append(frame)
            else:
                break
        return frames

    @abstractmethod
    def _take(self) -> Frame | None:
        """Removes the first frame from the buffer and returns it; None if it is incomplete."""

    def _cut_off(self, header: int, length: int) -> tuple[bytes, bytes] | None:
        """Removes a frame of `header` and `length` bytes from the buffer.

        Returns its start, and the part of the payload in that; None if the frame is incomplete.
        """
        shown = header + min(length, MAX_SHOWN)
        if len(self._buffer) < shown:
            return None
        start = bytes(self._buffer[:shown])
        del self._buffer[:shown]
        self._left = header + length - shown
        return start, start[header:]


class SentinelFrames(FrameReader):
    """hixie-75 and hixie-76: text between sentinels, and reserved frames with a length."""

    def __init__(self, *, closing_frame: bool) -> None:
        super().__init__()
        self._closing_frame = closing_frame
        # Of an unfinished frame that ends with a sentinel: its start, and its size so far
        self._start = bytearray()
        self._size = 0

    def _take(self) -> Frame | None:
        first = self._start[0] if self._start else self._buffer[0]
        return self._take_with_length(first) if first & 0x80 else self._take_to_sentinel(first)

    def _take_to_sentinel(self, first: int) -> Frame | None:
        end = self._buffer.find(b"\xff") + 1
        part = self._buffer[: end or len(self._buffer)]
        self._size += len(part)
        self._start += part[: 1 + MAX_SHOWN + 1 - len(self._start)]
        del self._buffer[: len(part)]
        if not end:
            return None
        start, size = bytes(self._start), self._size
        self._start, self._size = bytearray(), 0
        length = size - 2
        payload = start[1 : 1 + min(length, MAX_SHOWN)]
        what = "text" if first == 0 else f"reserved, type {first:#04x}"
        return Frame(
            start, f"{what}, {_content(payload, length, text=first == 0)}", size > len(start)
        )

    def _take_with_length(self, first: int) -> Frame | None:
        length = 0
        for position, digit in enumerate(self._buffer[1:11], 2):
            length = length << 7 | digit & 0x7F
            if not digit & 0x80:
                return self._with_length(first, position, length)
        return None

    def _with_length(self, first: int, header: int, length: int) -> Frame | None:
        taken = self._cut_off(header, length)
        if taken is None:
            return None
        start, payload = taken
        if first == 0xFF and not length and self._closing_frame:
            return Frame(start, "close")
        meaning = f"reserved, type {first:#04x}, {_content(payload, length)}"
        return Frame(start, meaning, bool(self._left))


class Length64Frames(FrameReader):
    """whatwg-2010-08: a type byte and a length of 64 bits."""

    def _take(self) -> Frame | None:
        kind, length = self._buffer[0], int.from_bytes(self._buffer[1:9], "big")
        taken = self._cut_off(9, length) if len(self._buffer) >= 9 else None
        if taken is None:
            return None
        start, payload = taken
        if kind == 0x00 and not length:
            return Frame(start, "close")
        what = "text" if kind == 0xFF else f"reserved, type {kind:#04x}"
        meaning = f"{what}, {_content(payload, length, text=kind == 0xFF)}"
        return Frame(start, meaning, bool(self._left))


class HeaderFrames(FrameReader):
    """hybi-01 to RFC 6455: a header of two bytes or more, in a `HeaderFormat`."""

    def __init__(self, header_format: HeaderFormat, sender: Role, masking_key: bytes) -> None:
        super().__init__()
        self._format = header_format
        self._whole_masked = sender == "client" and header_format.masking in (
            "frame-key",
            "whole-frame",
        )
        self._masking_key = masking_key

    def _take(self) -> Frame | None:
        prefix = key = b""
        head = bytes(self._buffer[:10])
        if self._whole_masked:  # hybi-04 section 4.3
            prefix, head = head[:KEY_SIZE], bytes(self._buffer[KEY_SIZE : KEY_SIZE + 10])
            key = self._key_of(prefix)
            head = bytes(apply_mask(head, key)) if head else b""
        if len(head) < 2:
            return None
        size, length = 2, head[1] & 0x7F
        if length > 125:  # RFC 6455 section 5.2
            size = 4 if length == 126 else 10
            if len(head) < size:
                return None
            length = int.from_bytes(head[2:size], "big")
        offset = size
        if self._format.masking == "payload" and head[1] & 0x80:
            offset = 0
            prefix = key = bytes(self._buffer[size : size + KEY_SIZE])
            if len(key) < KEY_SIZE:
                return None
        taken = self._cut_off(size + len(prefix), length)
        if taken is None:
            return None
        start, payload = taken
        if key:
            payload = bytes(apply_mask(payload, key, offset))
        return Frame(start, self._meaning(head[0], prefix, payload, length), bool(self._left))

    def _key_of(self, prefix: bytes) -> bytes:
        if self._format.masking == "whole-frame":
            return prefix
        return hashlib.sha1(prefix + self._masking_key, usedforsecurity=False).digest()

    def _meaning(self, first: int, key: bytes, payload: bytes, length: int) -> str:
        kind = self._format.opcodes[first & 0x0F]
        bit = "MORE" if self._format.more_bit else "FIN"
        facts = [
            f"reserved opcode {first & 0x0F:#x}" if kind is None else NAMES[kind],
            bit if first & 0x80 else f"no {bit}",
        ]
        facts += [f"RSV{place}" for place in (1, 2, 3) if first & 0x80 >> place]
        if key:
            facts.append(f"mask {key.hex()}")
        if kind == CLOSE and self._format.close_body == "status" and length >= 2:
            facts.append(f"code {int.from_bytes(payload[:2], 'big')}")
            if length > 2:
                facts.append(f"reason of {_content(payload[2:], length - 2, text=True)}")
        else:
            facts.append(_content(payload, length, text=kind == TEXT and not first & RSV1))
        return ", ".join(facts)


class UnknownFrames(FrameReader):
    """Any other framing: the bytes as they come."""

    def _take(self) -> Frame | None:
        length = len(self._buffer)
        taken = self._cut_off(0, length)
        assert taken is not None
        return Frame(taken[0], f"{length} bytes", bool(self._left))


def _content(payload: bytes, length: int, *, text: bool = False) -> str:
    """Returns how long a payload is, and how it begins."""
    size = f"{length} byte{'' if length == 1 else 's'}"
    if not payload:
        return size
    more = "…" if length > len(payload) else ""
    if not text:
        return f"{size}: {payload.hex(' ')}{more}"
    # "ignore" drops a last character that was cut in two.
    shown = payload.decode("utf-8", "ignore" if more else "backslashreplace")
    return f"{size}: {shown!r}{more}"


def frame_reader(draft: Draft, sender: Role, masking_key: bytes = b"") -> FrameReader:
    """Returns a reader for the frames that one side sends.

    Args:
        draft: the draft of the frames.
        sender: the side that sends them.
        masking_key: the connection's masking key in hybi-04, where it has one; else empty.
    """
    codec = draft.codec(sender, math.inf)
    if isinstance(codec, FrameCodec):
        return HeaderFrames(codec.header_format, sender, masking_key)
    if isinstance(codec, Whatwg2010Codec):
        return Length64Frames()
    if isinstance(codec, HixieCodec):
        return SentinelFrames(closing_frame=draft.closing_handshake)
    return UnknownFrames()
