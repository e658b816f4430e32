"""Compressing and inflating the payload of messages: RFC 7692 section 7.2.

A message is a raw DEFLATE stream that is flushed to a byte boundary; the last four bytes of the
flush are always the same, so they are not sent. A compressor or an inflater is made for the first
message that needs it, and without context takeover it is dropped after each message.

isal has the same functions as zlib. Differences: it raises an error class of its own, has no window
of 8 bits for compressing, and a second flush in a row gives another block.
"""

from __future__ import annotations

import math
import sys
import zlib
from typing import Any

from trio_draftws.drafts._events import Buffer

from .compression import Backend, Compression, Window, library_of

# RFC 7692 section 7.2.1: the end of an empty stored block
TAIL = b"\x00\x00\xff\xff"
# After a final block the input is read in slices, since zlib copies the rest of it at each of them.
_SLICE = 1024
# A final block can be as short as two bytes, but zlib has to be set up anew after each. A few are
# fine: each should have so many bytes, or a frame of its own. At most so many bytes may be missing
# in total, until longer blocks make up for them.
FINAL_BLOCK_SIZE = 8
MOST_MISSING = 8000


class Deflater:
    """Compresses what one side sends."""

    __slots__ = ("_compressor", "_held", "_library", "_settings", "_window")

    def __init__(self, window: Window, settings: Compression) -> None:
        self._window = window
        self._settings = settings
        self._library = library_of(settings.backend)
        self._compressor: Any = None
        # The tail of the previous fragment, which is sent only if another one follows.
        self._held = b""

    def deflate(self, payload: Buffer, *, ends: bool) -> bytes:
        """Compresses a payload, or a part of one, such that the peer can inflate all of it at once.

        Args:
            ends: whether the message ends with it (or the frame, if each is compressed by itself).
        """
        compressor = self._compressor
        if compressor is None:
            compressor = self._compressor = self._new_compressor()
        data = b"".join(
            (self._held, compressor.compress(payload), compressor.flush(zlib.Z_SYNC_FLUSH))
        )
        self._held = b""
        if not ends:
            self._held = data[-len(TAIL) :]
        elif not self._window.takeover:
            self._compressor = None
        # A second flush of zlib gives nothing: RFC 7692 section 7.2.3.6, the empty block
        return data[: -len(TAIL)] if data else b"\x00" if ends else b""

    def _new_compressor(self) -> Any:
        library, settings, bits = self._library, self._settings, self._window.bits
        if bits == 8:
            # zlib has no such window, but with 9 bits it looks back 250 bytes at most, since a
            # match of 258 has to fit ahead. isal looks back 512.
            library, bits = zlib, 9
        level, mem_level = settings.levels
        return library.compressobj(level, zlib.DEFLATED, -bits, mem_level)


class Inflater:
    """Inflates what one side receives."""

    __slots__ = (
        "_bytes",
        "_had_final_block",
        "_history",
        "_inflater",
        "_library",
        "_missing",
        "_window",
        "blocks",
        "is_wasteful",
        "left",
    )

    def __init__(self, window: Window, backend: Backend = "zlib") -> None:
        self._window = window
        self._library = library_of(backend)
        self._inflater: Any = None
        # What blocks after a final one may refer to; zlib itself forgets it there.
        self._history = bytearray()
        self._had_final_block = False
        # How many bytes came since the last final block, and `FINAL_BLOCK_SIZE` for each frame
        self._bytes = 0
        # How many bytes the final blocks so far should have had, and had not
        self._missing = 0
        #: Whether too many final blocks had too little in them.
        self.is_wasteful = False
        #: How many final blocks ended in the last call.
        self.blocks = 0
        #: How many bytes the last call did not use.
        self.left = 0

    def begin_frame(self) -> None:
        """Begins a frame, which may have a final block."""
        self._bytes += FINAL_BLOCK_SIZE

    def inflate(
        self, data: Buffer, room: float, *, ends: bool, most_blocks: float = math.inf
    ) -> bytes:
        """Inflates a part of a message's payload (or of a frame's).

        Args:
            room: how many bytes it may inflate to. If there are more, one more is returned, no
                memory is taken for the rest, and the object must not be used any more.
            ends: whether the message ends with it (or the frame, if each is compressed by itself).
            most_blocks: stop after so many final blocks; the last `left` bytes are then to be
                passed again.

        Raises:
            zlib.error: the data is broken.
        """
        most = sys.maxsize if math.isinf(room) else int(room) + 1
        tail = TAIL if ends else b""
        self.blocks = self.left = 0
        self._bytes += len(data)
        inflated, behind = self._run(b"".join((data, tail)) if ends else data, most)
        if behind is not None:
            inflated += self._go_on(behind, tail, most - len(inflated), most_blocks)
            self._bytes -= self.left
        if ends and not self.left and len(inflated) < most:
            if not self._window.takeover:
                self._history.clear()
            if self._had_final_block or not self._window.takeover:
                self._inflater = None
                self._had_final_block = False
        return inflated

    def _go_on(self, behind: bytes, tail: bytes, most: int, most_blocks: float) -> bytes:
        """Inflates what follows a final block (RFC 7692 section 7.2.3.4), and ends in `tail`."""
        parts = []
        rest = memoryview(behind)
        while True:
            left = max(0, len(rest) - len(tail))
            if self._inflater is None:  # A final block has just ended.
                self.blocks += 1
                self._missing = max(0, self._missing + FINAL_BLOCK_SIZE - (self._bytes - left))
                self._bytes = left
                self.is_wasteful = self._missing > MOST_MISSING
                # The tail adds nothing here, nor after a zero, which is an empty block
                if tail and rest in (tail, b"\x00" + tail):
                    break
                if self.is_wasteful or (left and self.blocks >= most_blocks):
                    self.left = left
                    break
            if not (rest and most):
                break
            part = rest[:_SLICE]
            inflated, unused = self._run(part, most)
            parts.append(inflated)
            most -= len(inflated)
            rest = rest[len(part) - len(unused or b"") :]
        return b"".join(parts)

    def _run(self, data: Buffer, most: int) -> tuple[bytes, bytes | None]:
        """Inflates `most` bytes at most; also returns what follows a final block if one ended."""
        inflater = self._inflater
        if inflater is None:
            inflater = self._library.decompressobj(-self._window.bits, self._history)
            self._inflater = inflater
        try:
            inflated: bytes = inflater.decompress(data, most)
        except self._library.error as error:
            raise zlib.error(str(error)) from None
        if inflated:
            self._remember(inflated)
        if not inflater.eof:
            return inflated, None
        unused = inflater.unused_data
        self._inflater = None
        self._had_final_block = True
        return inflated, unused

    def _remember(self, inflated: bytes) -> None:
        size = 1 << self._window.bits
        if len(inflated) >= size:
            self._history = bytearray(inflated[-size:])
            return
        self._history += inflated
        if len(self._history) > 2 * size:
            del self._history[:-size]
