"""Compressing and inflating the payload of messages: RFC 7692 section 7.2.

A message is a raw DEFLATE stream that is flushed to a byte boundary; the last four bytes of the
flush are always the same, so they stay off the wire. zlib's state is made with the first message
that needs it, and without context takeover it is dropped behind each.
"""

from __future__ import annotations

import math
import sys
import zlib

from ._codec import Buffer
from ._compression import Compression, Window

# RFC 7692 section 7.2.1: the end of an empty stored block
TAIL = b"\x00\x00\xff\xff"
# Behind a final block, what follows is read in slices: zlib copies the rest of its input at each.
_SLICE = 1024


class Deflater:
    """Compresses what one side sends."""

    __slots__ = ("_held", "_settings", "_window", "_zlib")

    def __init__(self, window: Window, settings: Compression) -> None:
        self._window = window
        self._settings = settings
        self._zlib: zlib._Compress | None = None
        # The tail of the fragment before; it is the message's own unless another one follows.
        self._held = b""

    def deflate(self, payload: Buffer, *, ends: bool) -> bytes:
        """A payload, or a part of one, such that the other side can inflate all of it at once.

        Args:
            ends: whether the message (or the frame, where each is for itself) ends with it.
        """
        if self._zlib is None:
            # zlib has no window of 8 bits, but with 9 it looks back 250 bytes at most: a match of
            # 258 has to fit ahead.
            bits = max(9, self._window.bits)
            self._zlib = zlib.compressobj(
                self._settings.level, zlib.DEFLATED, -bits, self._settings.mem_level
            )
        data = self._held + self._zlib.compress(payload) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        self._held = b""
        if not ends:
            self._held = data[-len(TAIL) :]
        elif not self._window.takeover:
            self._zlib = None
        # A flush right behind another gives nothing: RFC 7692 section 7.2.3.6, the empty block
        return data[: -len(TAIL)] if data else b"\x00" if ends else b""


class Inflater:
    """Inflates what one side receives."""

    __slots__ = ("_had_final_block", "_history", "_window", "_zlib")

    def __init__(self, window: Window) -> None:
        self._window = window
        self._zlib: zlib._Decompress | None = None
        # What blocks behind a final one may refer to: zlib itself forgets it there.
        self._history = bytearray()
        self._had_final_block = False

    def inflate(self, data: Buffer, room: float, *, ends: bool) -> bytes:
        """What a part of a message's payload (or of a frame's) says.

        Args:
            room: how many bytes it may say. Where it says more, one more is returned, and no
                memory is taken for the rest: there is no going on then.
            ends: whether the message (or the frame, where each is for itself) ends with it.

        Raises:
            zlib.error: it was not compressed like this.
        """
        most = sys.maxsize if math.isinf(room) else int(room) + 1
        inflated = self._run(data, most)
        if ends and len(inflated) < most:
            inflated += self._run(TAIL, most - len(inflated))
            if not self._window.takeover:
                self._history.clear()
            if self._had_final_block or not self._window.takeover:
                self._zlib = None
                self._had_final_block = False
        return inflated

    def _run(self, data: Buffer, most: int) -> bytes:
        """Inflates `most` bytes at most."""
        if self._zlib is None:
            self._zlib = self._new_zlib()
        inflated = self._zlib.decompress(data, most)
        self._remember(inflated)
        if not self._zlib.eof:
            return inflated
        # RFC 7692 section 7.2.3.4: behind a final block, others follow at the next byte.
        self._had_final_block = True
        parts = [inflated]
        rest = memoryview(self._zlib.unused_data)
        while rest:
            part, rest = rest[:_SLICE], rest[_SLICE:]
            while part:
                if self._zlib.eof:
                    self._zlib = self._new_zlib()
                if not (most := most - len(parts[-1])):
                    return b"".join(parts)
                parts.append(self._zlib.decompress(part, most))
                self._remember(parts[-1])
                part = memoryview(self._zlib.unused_data)
        if self._zlib.eof:
            self._zlib = self._new_zlib()
        return b"".join(parts)

    def _new_zlib(self) -> zlib._Decompress:
        return zlib.decompressobj(-self._window.bits, bytes(self._history))

    def _remember(self, inflated: bytes) -> None:
        size = 1 << self._window.bits
        if len(inflated) >= size:
            self._history = bytearray(inflated[-size:])
            return
        self._history += inflated
        if len(self._history) > 2 * size:
            del self._history[:-size]
