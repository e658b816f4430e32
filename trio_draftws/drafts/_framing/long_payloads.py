"""Takes payload whose length stands before it; long payload is read into its final place.

The payload of each frame is joined to its message. If much of it is missing, the reader gets a part
of the message's memory to read into, which saves a copy. An announced length alone takes no memory:
address space is reserved in proportion to what has come, and memory is used when it is written to.
"""

from __future__ import annotations

from typing import Literal

from trio_draftws.drafts._events import Event, Fragment, RemoteProtocolError

from .assembler import Assembler
from .bounded_decoder import BoundedDecoder

# If at least so many bytes of a frame are missing, there is a buffer to read them into.
WORTH_A_BUFFER = 16384


class PayloadDecoder(BoundedDecoder):
    """Takes the payload of frames; a subclass takes their headers."""

    __slots__ = ("_final", "_key", "_key_offset", "_messages", "_missing")

    def __init__(self, max_message_size: float, utf8_errors: Literal["strict", "replace"]) -> None:
        super().__init__()
        self._messages = Assembler(max_message_size, utf8_errors)
        # The current frame: how many bytes are missing, how they are masked, and whether its
        # message ends with it
        self._missing = 0
        self._key = b""
        self._key_offset = 0
        self._final = True

    def stream(self) -> Fragment | None:
        """See `Codec.stream`."""
        if self._buffer is not None:
            self._buffer.release()
            self._buffer = None
        return self._messages.stream()

    def _take_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes what has come of a frame's payload; returns where the rest begins."""
        came = min(self._missing, len(data) - position)
        end = position + came
        if self._missing - came >= WORTH_A_BUFFER and self._may_use_buffer(came):
            self._buffer = self._messages.reserve(self._missing, came)
            self._buffer[:came] = memoryview(data)[position:end]
            self._take_from_buffer(came, events)
            return end
        key, offset = self._key, self._key_offset
        self._missing -= came
        self._key_offset += came
        with memoryview(data)[position:end] as part:
            if self._missing or not self._final:
                self._messages.add(part, key, offset)
            else:
                events.append(self._messages.end(part, key, offset))
        return end

    # Reading into the message's memory

    def _copy_to_buffer(self, data: bytes, position: int, events: list[Event]) -> int:
        """Copies bytes into the buffer, as a read would; returns where the rest begins."""
        while self._buffer is not None and position < len(data):
            size = min(len(self._buffer), len(data) - position)
            self._buffer[:size] = memoryview(data)[position : position + size]
            self._take_from_buffer(size, events)
            position += size
        return position

    def _may_use_buffer(self, came: int) -> bool:
        # Bytes that were kept come first, and need no buffer.
        if self._later or self._messages.streaming:
            return False
        return self._messages.may_reserve(came) >= WORTH_A_BUFFER

    def _take_from_buffer(self, size: int, events: list[Event]) -> None:
        assert self._buffer is not None
        with self._buffer as buffer:
            self._buffer = None if size == len(buffer) else buffer[size:]
        offset = self._key_offset
        self._missing -= size
        self._key_offset += size
        try:
            self._messages.take(size, self._key, offset)
        except RemoteProtocolError:
            self._buffer = None
            self._messages.forget()
            raise
        if self._buffer is None and self._missing:
            self._buffer = self._messages.reserve(self._missing)
        elif self._final and not self._missing:
            events.append(self._messages.end(b""))
