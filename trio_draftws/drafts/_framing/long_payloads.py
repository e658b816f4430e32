"""Payloads whose length stands before them: what comes of a long one is put where it will stay.

A codec says what a frame's payload is; here it is taken, and joined to the message that it is a
part of. From a certain length on, who reads is given memory of that message to read to. A length
costs nobody memory: so much address space is reserved as is in proportion to what has come, and
memory is taken when something is put there.
"""

from __future__ import annotations

from typing import Literal

from trio_draftws.drafts._events import Event, Fragment, RemoteProtocolError

from .assembler import Assembler
from .bounded_decoder import BoundedDecoder

# From so many bytes that are missing of a frame on, they are put where they will stay.
WORTH_A_PLACE = 16384


class TakesPayloads(BoundedDecoder):
    """The half of a codec that takes the payload of frames, once their header was taken."""

    __slots__ = ("_final", "_key", "_key_offset", "_left", "_messages")

    def __init__(self, max_message_size: float, utf8_errors: Literal["strict", "replace"]) -> None:
        super().__init__()
        self._messages = Assembler(max_message_size, utf8_errors)
        # The frame that is coming: how many bytes are missing, how they are masked, and whether its
        # message ends with it
        self._left = 0
        self._key = b""
        self._key_offset = 0
        self._final = True

    def stream(self) -> Fragment | None:
        """As `Codec.stream`."""
        if self.place is not None:
            self.place.release()
            self.place = None
        return self._messages.stream()

    def _take_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes what has come of a frame's payload, and ends the message if that is its end."""
        came = min(self._left, len(data) - position)
        end = position + came
        if self._left - came >= WORTH_A_PLACE and self._may_have_place(came):
            self.place = self._messages.reserve(self._left, came)
            self.place[:came] = memoryview(data)[position:end]
            self._fill(came, events)
            return end
        key, offset = self._key, self._key_offset
        self._left -= came
        self._key_offset += came
        with memoryview(data)[position:end] as part:
            if self._left or not self._final:
                self._messages.add(part, key, offset)
            else:
                events.append(self._messages.end(part, key, offset))
        return end

    # Where it will stay

    def _fill_place(self, data: bytes, position: int, events: list[Event]) -> int:
        """Puts what came there, as a read into `place` does; returns where the rest begins."""
        while self.place is not None and position < len(data):
            size = min(len(self.place), len(data) - position)
            self.place[:size] = memoryview(data)[position : position + size]
            self._fill(size, events)
            position += size
        return position

    def _may_have_place(self, came: int) -> bool:
        # What was kept back comes first, and is not put anywhere.
        if self._later or self._messages.streaming:
            return False
        return self._messages.may_reserve(came) >= WORTH_A_PLACE

    def _fill(self, size: int, events: list[Event]) -> None:
        assert self.place is not None
        with self.place as place:
            self.place = None if size == len(place) else place[size:]
        offset = self._key_offset
        self._left -= size
        self._key_offset += size
        try:
            self._messages.take(size, self._key, offset)
        except RemoteProtocolError:
            self.place = None
            self._messages.forget()
            raise
        if self.place is None and self._left:
            self.place = self._messages.reserve(self._left)
        elif self._final and not self._left:
            events.append(self._messages.end(b""))
