"""Frames of a type byte and a 64-bit length: the WHATWG editor's draft of August 2010.

Text is `ff`, eight bytes of length (big-endian, in bytes), UTF-8; nine zero bytes close. The draft
was never submitted to the IETF; these facts rest on the change itself (whatwg/html r5241) and on
the implementations of the time. Every other frame is skipped, never stored and never delivered.
"""

from __future__ import annotations

from collections.abc import Hashable

from trio_draftws.drafts._events import (
    Buffer,
    Close,
    EncodedText,
    Event,
    MessageOverLimit,
    RemoteProtocolError,
    Role,
    refuse_to_encode,
)

from .assembler import TEXT
from .codec import NegotiatedParameters, ShortReceive, ShortSend
from .fast_path import take_texts, text_frame
from .long_payloads import PayloadDecoder
from .payload import encode_long_text
from .short_io import texts_receiver, texts_sender

_HEADER_SIZE = 9
# Up to this size it is cheaper to write header and payload as one buffer than as two.
JOIN_UP_TO = 4096
# r5241: a text of less than 256 bytes begins with this, and its size
_SHORT_START = b"\xff" + bytes(7)


class Whatwg2010Codec(PayloadDecoder):
    """The framing of r5241, called `'new` by Racket's net/websocket."""

    __slots__ = ("_header", "_longest", "_max_message_size", "_skip")

    def __init__(self, role: Role, max_message_size: float) -> None:
        # As in hixie-76 section 4.2, bad UTF-8 becomes U+FFFD
        super().__init__(max_message_size, "replace")
        # Both sides use the same frames.
        del role
        self._max_message_size = max_message_size
        self._longest = int(min(max_message_size, 255))
        # The start of a header
        self._header = bytearray()
        # How many bytes of a reserved frame are still to be skipped
        self._skip = 0

    @property
    def mid_message(self) -> bool:
        return bool(self._messages.kind or self._header)

    @property
    def receive_short(self) -> ShortReceive:
        return texts_receiver(_SHORT_START, b"", self._longest)

    @property
    def send_short(self) -> ShortSend:
        return texts_sender(_SHORT_START, b"", 255)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        del compress
        frame = text_frame(event, _SHORT_START, b"", 255)
        if frame is not None:
            return [frame]
        if isinstance(event, (str, EncodedText)):
            payload = encode_long_text(event) if isinstance(event, str) else event.data
            size = len(payload)
            header = b"\xff%b" % size.to_bytes(8, "big")  # r5241: text
            return [b"".join((header, payload))] if size <= JOIN_UP_TO else [header, payload]
        if isinstance(event, Close):
            return [bytes(_HEADER_SIZE)]  # r5241: type 0x00 with length 0
        raise refuse_to_encode(event, "whatwg-2010-08", "text and close")

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable:
        del message, compress
        return Whatwg2010Codec

    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        if self._buffer is not None:
            position = self._copy_to_buffer(data, position, events)
        position = self._take_frames(data, position, events)
        if self._messages.streaming:
            self._messages.hand_on(events)
        self._keep(data, position)

    def _is_between(self) -> bool:
        return not (self._missing or self._skip or self._header)

    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        return take_texts(data, position, events, _SHORT_START, b"", self._longest, most)

    def _take_frames(self, data: bytes, position: int, events: list[Event]) -> int:
        size = len(data)
        while position < size and self._work > 0:
            self._work -= 1
            if self._missing:
                position = self._take_payload(data, position, events)
            elif self._skip:
                skipped = min(self._skip, size - position)
                self._skip -= skipped
                position += skipped
            else:
                position = self._begin_frame(data, position, events)
        return position

    def _begin_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes what has come of a header, or whole texts."""
        if not self._header and data[position] == 0xFF:
            behind = self._take_more_messages(data, position, events)
            if behind > position:
                return behind
        taken = min(_HEADER_SIZE - len(self._header), len(data) - position)
        self._header += data[position : position + taken]
        if len(self._header) == _HEADER_SIZE:
            self._decode_header(events)
        return position + taken

    def _decode_header(self, events: list[Event]) -> None:
        frame_type = self._header[0]
        length = int.from_bytes(self._header[1:], "big")
        self._header = bytearray()
        if length >= 1 << 63:
            raise RemoteProtocolError(None, "a frame's length has its top bit set")
        if frame_type == 0xFF:  # r5241: text
            if length > self._max_message_size:
                # The draft has no close code for it, so the connection is cut.
                raise MessageOverLimit(
                    None,
                    f"a message of {length} bytes is longer than {self._max_message_size} bytes",
                )
            if length:
                self._messages.begin(TEXT)
                self._missing = length
            else:
                events.append("")
        elif length:
            self._skip = length
        elif frame_type == 0x00:  # r5241: nine zero bytes close
            self._closed = True
            self._work = 0
            events.append(Close())


def whatwg_2010(
    role: Role, max_message_size: float, negotiated: NegotiatedParameters | None = None, /
) -> Whatwg2010Codec:
    """Makes a codec of r5241."""
    del negotiated
    return Whatwg2010Codec(role, max_message_size)
