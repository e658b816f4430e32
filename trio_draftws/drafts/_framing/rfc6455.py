"""Frames with opcodes of their final numbers, and a masked payload: hybi-07 to RFC 6455.

This is the hot path. Most of what a connection gets is whole messages of one short frame, and those
have a short way. Everything else, and everything wrong, is left to `FrameCodec`.
"""

from __future__ import annotations

from collections.abc import Callable

from .codec import Buffer, CodecFactory, Event, NegotiatedParameters, Role, ShortReceive, ShortSend
from .compression import Deflate
from .decoder import JOIN_UP_TO, FrameCodec
from .fast_path import LONGEST, MASKED, WHOLE_BINARY, WHOLE_TEXT, short_frame, take_short_messages
from .header import OPCODES, RSV1, HeaderFormat
from .masking import KEY_SIZE, apply_mask, new_key
from .short_io import short_messages_receiver, short_messages_sender

# What begins a message of one frame
_WHOLE = frozenset((WHOLE_TEXT, WHOLE_BINARY))
_COMPRESSED = frozenset(RSV1 | first for first in _WHOLE)


class Rfc6455Codec(FrameCodec):
    """hybi-07 section 4, RFC 6455 section 5."""

    __slots__ = (
        "_masked",
        "_short_to_hear",
        "_short_to_send",
        "_utf8_errors",
    )

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        dialect: HeaderFormat,
        deflate: Deflate | None = None,
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__(role, max_message_size, dialect, deflate, new_key=new_key)
        # RFC 6455 section 5.1: what a client sends is masked, and nothing else is
        self._masked = role == "client"
        # How long a message is at most that is taken in the short way, and that is sent in it:
        # what is compressed is not.
        self._short_to_hear = int(min(LONGEST, max_message_size))
        self._short_to_send = LONGEST
        if deflate is not None:
            self._short_to_send = min(LONGEST, deflate.settings.threshold - 1)
        # What becomes of bad UTF-8
        self._utf8_errors = dialect.utf8_errors

    @property
    def receive_short(self) -> ShortReceive:
        return short_messages_receiver(self._hears_masked, self._short_to_hear, self._utf8_errors)

    @property
    def send_short(self) -> ShortSend:
        return short_messages_sender(self._short_to_send, self._new_key if self._masked else None)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        if not compress:
            new_key = self._new_key if self._masked else None
            frame = short_frame(event, self._short_to_send, new_key)
            if frame is not None:
                return [frame]
        return super().encode(event, compress)

    def _write(
        self, kind: int, payload: Buffer, *, final: bool = True, marks: int = 0
    ) -> list[Buffer]:
        size = len(payload)
        mask_bit = MASKED if self._masked else 0
        header = self._dialect.header(kind, size, final=final, marks=marks, mask_bit=mask_bit)
        if self._masked:
            key = self._new_key()
            header += key
            payload = apply_mask(payload, key)
        if size <= JOIN_UP_TO:
            return [b"".join((header, payload))]
        return [header, payload]

    def _take_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        if not self._messages.kind:
            first = data[position]
            if first in _WHOLE:
                position = self._take_more_messages(data, position, events)
                if position == len(data) or self._work <= 0:
                    return position
            elif first in _COMPRESSED and self._deflate is not None:
                behind = self._take_compressed(data, position, events)
                if behind > position:
                    return behind
        return super()._take_frame(data, position, events)

    def _take_compressed(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes a message of one frame with at most 64 KiB, if all of it has come."""
        mask_bit, key_size = (MASKED, KEY_SIZE) if self._hears_masked else (0, 0)
        key_at = position + 2
        begin = key_at + key_size
        if begin + 2 > len(data):
            return position
        length = data[position + 1] - mask_bit
        if length == 126:
            length = data[key_at] << 8 | data[key_at + 1]
            key_at += 2
            begin += 2
            # Whether this is its shortest form is for others to judge.
            if length <= LONGEST:
                return position
        elif not 0 <= length <= LONGEST:
            return position
        if begin + length > len(data):
            return position
        self._work -= 1
        self._begin_compressed(data[position] & 0x0F, length, data[key_at:begin])
        return self._take_payload(data, begin, events)

    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        return take_short_messages(
            data,
            position,
            events,
            self._hears_masked,
            self._short_to_hear,
            self._utf8_errors,
            most,
        )


def rfc6455(*, fails_bad_utf8: bool, too_big: int, strict: bool) -> CodecFactory:
    """Makes codecs of hybi-07 to RFC 6455.

    `fails_bad_utf8`: bad UTF-8 fails the connection with 1007 (version 8 on), and 1005, 1006 and
    1015 are refused in a closing frame; else U+FFFD stands for it (version 7).
    `too_big`: the close code for a message over the limit, 1004 before version 13 and then 1009.
    `strict`: lengths have to be in their shortest form, and codes to close with those of RFC 6455
    (version 13).
    """
    dialect = HeaderFormat(
        opcodes=OPCODES,
        more_bit=False,
        masking="payload",
        close_body="status",
        fails_bad_utf8=fails_bad_utf8,
        too_big=too_big,
        strict=strict,
    )

    def make(
        role: Role, max_message_size: float, agreement: NegotiatedParameters | None = None, /
    ) -> Rfc6455Codec:
        deflate = agreement.deflate if agreement else None
        return Rfc6455Codec(role, max_message_size, dialect, deflate)

    return make
