"""Compressing and inflating the payload of messages: RFC 7692 section 7.2.

A message is a raw DEFLATE stream that is flushed to a byte boundary; the last four bytes of the
flush are always the same, so they stay off the wire. A compressor or an inflater is made with the
first message that needs it, and without context takeover it is dropped behind each.

isal has the same functions as zlib. What differs: it raises an error of its own, it has no window
of 8 bits for compressing, and a flush right behind another gives a block once more.
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
# Behind a final block, what follows is read in slices: zlib copies the rest of its input at each.
_SLICE = 1024
# A final block may say nothing in two bytes, but zlib has to begin anew behind it. That is fine now
# and then: each ought to have so many bytes, or a frame of its own, and so many may be missing in
# all until longer ones make up for them.
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
        # The tail of the fragment before; it is the message's own unless another one follows.
        self._held = b""

    def deflate(self, payload: Buffer, *, ends: bool) -> bytes:
        """A payload, or a part of one, such that the other side can inflate all of it at once.

        Args:
            ends: whether the message (or the frame, where each is for itself) ends with it.
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
        # zlib's flush right behind another gives nothing: RFC 7692 section 7.2.3.6, the empty block
        return data[: -len(TAIL)] if data else b"\x00" if ends else b""

    def _new_compressor(self) -> Any:
        library, settings, bits = self._library, self._settings, self._window.bits
        if bits == 8:
            # There is no such window, but with one of 9 bits zlib looks back 250 bytes at most: a
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
        # What blocks behind a final one may refer to: zlib itself forgets it there.
        self._history = bytearray()
        self._had_final_block = False
        # How many came since the last final block, and some for each frame
        self._bytes = 0
        # How many final blocks so far ought to have had, and had not
        self._missing = 0
        #: Whether there were so many final blocks with so little in them that none may follow.
        self.is_wasteful = False
        #: How many final blocks ended in the last call.
        self.blocks = 0
        #: How many bytes it did not get to then.
        self.left = 0

    def begin_frame(self) -> None:
        """A frame begins, which may well have a final block."""
        self._bytes += FINAL_BLOCK_SIZE

    def inflate(
        self, data: Buffer, room: float, *, ends: bool, most_blocks: float = math.inf
    ) -> bytes:
        """What a part of a message's payload (or of a frame's) says.

        Args:
            room: how many bytes it may say. Where it says more, one more is returned, and no
                memory is taken for the rest: there is no going on then.
            ends: whether the message (or the frame, where each is for itself) ends with it.
            most_blocks: behind so many final blocks it stops; `left` tells how much is to be
                given again.

        Raises:
            zlib.error: it was not compressed like this.
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
        """Inflates what is behind a final block (RFC 7692 section 7.2.3.4), and ends in `tail`."""
        parts = []
        rest = memoryview(behind)
        while True:
            left = max(0, len(rest) - len(tail))
            if self._inflater is None:  # A final block has just ended.
                self.blocks += 1
                self._missing = max(0, self._missing + FINAL_BLOCK_SIZE - (self._bytes - left))
                self._bytes = left
                self.is_wasteful = self._missing > MOST_MISSING
                # The tail says nothing here, nor does it behind a zero: an empty block that is one
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
        """Inflates `most` bytes at most; and what is behind a final block, if one ended."""
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
