"""Frames between sentinels, 0x00 ... 0xFF: hixie-75 and hixie-76.

Text is `00`, UTF-8, `ff`. hixie-76 adds the closing frame `ff 00`. Every other frame is reserved:
it is skipped, never stored and never delivered.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import (
    Buffer,
    Close,
    EncodedText,
    Event,
    Fragment,
    MessageOverLimit,
    RemoteProtocolError,
    Role,
    refuse_to_encode,
)

from .assembler import TEXT, Assembler
from .bounded_decoder import BoundedDecoder
from .codec import CodecFactory, NegotiatedParameters, ShortReceive, ShortSend
from .fast_path import take_texts, text_frame
from .payload import encode_long_text
from .short_io import texts_receiver, texts_sender

# hixie-76 section 5.3: a text is 0x00, UTF-8, 0xFF; UTF-8 never holds an 0xFF
_START, _END = b"\x00", b"\xff"
# Up to here one buffer is cheaper to write than three.
JOIN_UP_TO = 4096
# A length of more than nine base-128 digits is past 2**63: no peer means it, and a run of 0x80
# bytes would otherwise never end.
LENGTH_DIGITS = 9

_TYPE, _TEXT, _SENTINEL_SKIP, _LENGTH, _LENGTH_SKIP = range(5)


class HixieCodec(BoundedDecoder):
    """hixie-76 sections 4 and 5.3; hixie-75 is the same without a closing frame."""

    __slots__ = (
        "_closing_frame",
        "_length",
        "_length_digits",
        "_longest",
        "_max_message_size",
        "_messages",
        "_state",
        "_type",
    )

    def __init__(self, role: Role, max_message_size: float, *, closing_frame: bool) -> None:
        super().__init__()
        # Both sides use the same frames.
        del role
        self._closing_frame = closing_frame
        self._max_message_size = max_message_size
        self._longest = int(min(max_message_size, sys.maxsize))
        self._state = _TYPE
        self._type = 0
        # hixie-76 section 4.2: bad UTF-8 becomes U+FFFD
        self._messages = Assembler(max_message_size, "replace")
        self._length = 0
        self._length_digits = 0

    @property
    def mid_message(self) -> bool:
        return self._state == _TEXT

    @property
    def receive_short(self) -> ShortReceive:
        return texts_receiver(_START, _END, self._longest)

    @property
    def send_short(self) -> ShortSend:
        return texts_sender(_START, _END, JOIN_UP_TO)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        del compress
        frame = text_frame(event, _START, _END, JOIN_UP_TO)
        if frame is not None:
            return [frame]
        if isinstance(event, str):
            return [_START, encode_long_text(event), _END]
        if isinstance(event, EncodedText):
            return [_START, event.data, _END]
        if isinstance(event, Close) and self._closing_frame:
            return [b"\xff\x00"]  # hixie-76 section 5.3, the closing handshake
        if self._closing_frame:
            raise refuse_to_encode(event, "hixie-76", "text and close")
        raise refuse_to_encode(event, "hixie-75", "text only")

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable:
        del message, compress
        return HixieCodec

    def stream(self) -> Fragment | None:
        return self._messages.stream()

    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        position = self._take_frames(data, position, events)
        if self._messages.streaming:
            self._messages.hand_on(events)
        self._keep(data, position)

    def _is_between(self) -> bool:
        return self._state == _TYPE

    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        return take_texts(data, position, events, _START, _END, self._longest, most)

    def _take_frames(self, data: bytes, position: int, events: list[Event]) -> int:
        size = len(data)
        while position < size and self._work > 0:
            self._work -= 1
            if self._state == _TYPE:
                position = self._begin_frame(data, position, events)
            elif self._state == _TEXT:
                position = self._decode_text(data, position, events)
            elif self._state == _SENTINEL_SKIP:
                end = data.find(b"\xff", position)
                if end < 0:
                    return size
                position = end + 1
                self._state = _TYPE
            elif self._state == _LENGTH:
                position = self._decode_length(data, position, events)
            else:
                skipped = min(self._length, size - position)
                self._length -= skipped
                position += skipped
                if not self._length:
                    self._state = _TYPE
        return position

    def _begin_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes the type of a frame, or whole texts."""
        self._type = data[position]
        if self._type == 0x00:  # hixie-76 section 4.2: text
            behind = self._take_more_messages(data, position, events)
            if behind > position:
                return behind
            self._state = _TEXT
        elif self._type < 0x80:  # reserved, to the next 0xFF
            self._state = _SENTINEL_SKIP
        else:  # reserved, behind a length
            self._state = _LENGTH
            self._length = self._length_digits = 0
        return position + 1

    def _decode_text(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes text up to its 0xFF, or all there is; scans each byte once."""
        end = data.find(b"\xff", position)
        stop = len(data) if end < 0 else end
        if stop - position > self._messages.room:
            self._messages.forget()
            raise MessageOverLimit(
                CloseCode.MESSAGE_TOO_BIG,
                f"a message is longer than {self._max_message_size} bytes",
            )
        self._messages.begin(TEXT)
        with memoryview(data)[position:stop] as part:
            if end < 0:
                self._messages.add(part)
                return stop
            events.append(self._messages.end(part))
        self._state = _TYPE
        return end + 1

    def _decode_length(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes one base-128 digit, most significant first; the last has its high bit clear."""
        digit = data[position]
        self._length = self._length << 7 | digit & 0x7F
        self._length_digits += 1
        if digit & 0x80:
            if self._length_digits == LENGTH_DIGITS:
                raise RemoteProtocolError(
                    None, f"a reserved frame's length has more than {LENGTH_DIGITS} digits"
                )
        elif self._length:
            self._state = _LENGTH_SKIP
        elif self._type == 0xFF and self._closing_frame:
            # hixie-76 section 4.2: nothing after the closing frame counts
            self._closed = True
            self._work = 0
            events.append(Close())
        else:
            self._state = _TYPE
        return position + 1


def hixie(*, closing_frame: bool) -> CodecFactory:
    """Makes sentinel codecs: `closing_frame` for hixie-76, none for hixie-75."""

    def make(
        role: Role, max_message_size: float, negotiated: NegotiatedParameters | None = None, /
    ) -> HixieCodec:
        del negotiated
        return HixieCodec(role, max_message_size, closing_frame=closing_frame)

    return make
