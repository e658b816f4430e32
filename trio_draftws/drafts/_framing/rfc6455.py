"""Frames with opcodes of their final numbers, and masked payload: hybi-07 to RFC 6455.

This is the hot path. Most of what a connection receives is whole messages of one short frame, which
have a fast path. Everything else, and everything wrong, is left to `FrameDecoder`.
"""

from __future__ import annotations

from collections.abc import Callable

from trio_draftws.drafts._events import Buffer, Event, Role

from .codec import CodecFactory, NegotiatedParameters, ShortReceive, ShortSend
from .compression import Deflate
from .encoder import JOIN_UP_TO, FrameEncoder
from .fast_path import LONGEST, MASKED, WHOLE_BINARY, WHOLE_TEXT, short_frame, take_short_messages
from .frame_codec import FrameCodec
from .header import OPCODES, RSV1, HeaderFormat
from .masking import KEY_SIZE, apply_mask, new_key
from .short_io import short_messages_receiver, short_messages_sender

# The first byte of a message of one frame
_WHOLE = frozenset((WHOLE_TEXT, WHOLE_BINARY))
_COMPRESSED = frozenset(RSV1 | first for first in _WHOLE)


class Rfc6455Encoder(FrameEncoder):
    """Writes frames whose payload a client masks."""

    __slots__ = ()

    def write_frame(
        self, opcode: int, payload: Buffer, *, final: bool = True, rsv: int = 0
    ) -> list[Buffer]:
        size = len(payload)
        new_key = self.new_key
        if new_key is None:
            header = self._format.header(opcode, size, final=final, rsv=rsv)
        else:
            key = new_key()
            header = self._format.header(opcode, size, final=final, rsv=rsv, mask_bit=MASKED)
            header += key
            payload = apply_mask(payload, key)
        if size <= JOIN_UP_TO:
            return [header + payload]
        return [header, payload]


class Rfc6455Codec(FrameCodec):
    """hybi-07 section 4, RFC 6455 section 5."""

    __slots__ = ("_longest_received", "_longest_sent", "_utf8_errors")

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        header_format: HeaderFormat,
        deflate: Deflate | None = None,
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__(role, max_message_size, header_format, deflate)
        self._encoder = Rfc6455Encoder(role, header_format, deflate, new_key)
        # The longest messages that take the fast path; compressed ones do not.
        self._longest_received = int(min(LONGEST, max_message_size))
        self._longest_sent = LONGEST
        if deflate is not None:
            self._longest_sent = min(LONGEST, deflate.settings.threshold - 1)
        self._utf8_errors = header_format.utf8_errors

    @property
    def receive_short(self) -> ShortReceive:
        return short_messages_receiver(
            self._expects_masked, self._longest_received, self._utf8_errors
        )

    @property
    def send_short(self) -> ShortSend:
        return short_messages_sender(self._longest_sent, self._encoder.new_key)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        if not compress:
            frame = short_frame(event, self._longest_sent, self._encoder.new_key)
            if frame is not None:
                return [frame]
        return self._encoder.encode(event, compress)

    def _take_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        if not self._messages.kind:
            first = data[position]
            if first in _WHOLE:
                position = self._take_more_messages(data, position, events)
                if position == len(data) or self._work <= 0:
                    return position
            elif first in _COMPRESSED and self._inflater is not None:
                behind = self._take_compressed(data, position, events)
                if behind > position:
                    return behind
        return super()._take_frame(data, position, events)

    def _take_compressed(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes a compressed message of one frame, of at most 64 KiB, if all of it has come."""
        mask_bit, key_size = (MASKED, KEY_SIZE) if self._expects_masked else (0, 0)
        key_at = position + 2
        begin = key_at + key_size
        if begin + 2 > len(data):
            return position
        length = data[position + 1] - mask_bit
        if length == 126:
            length = data[key_at] << 8 | data[key_at + 1]
            key_at += 2
            begin += 2
            # A length that could be shorter is left to `FrameDecoder`.
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
            self._expects_masked,
            self._longest_received,
            self._utf8_errors,
            most,
        )


def rfc6455(*, fails_bad_utf8: bool, too_big: int, strict: bool) -> CodecFactory:
    """Makes codecs of hybi-07 to RFC 6455.

    Args:
        fails_bad_utf8: whether bad UTF-8 fails the connection with 1007, and 1005, 1006 and 1015
            are refused in a closing frame (version 8 on); else bad UTF-8 becomes U+FFFD (7).
        too_big: the close code for a message over the limit: 1004 before version 13, then 1009.
        strict: whether lengths must be in their shortest form, and close codes be those of RFC
            6455 (version 13).
    """
    header_format = HeaderFormat(
        wire_opcodes=OPCODES,
        more_bit=False,
        masking="payload",
        close_body="status",
        fails_bad_utf8=fails_bad_utf8,
        too_big=too_big,
        strict=strict,
    )

    def make(
        role: Role, max_message_size: float, negotiated: NegotiatedParameters | None = None, /
    ) -> Rfc6455Codec:
        deflate = negotiated.deflate if negotiated else None
        return Rfc6455Codec(role, max_message_size, header_format, deflate)

    return make
