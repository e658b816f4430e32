"""Frames with opcodes of their final numbers, and a masked payload: hybi-07 to RFC 6455.

This is the hot path. Most of what a connection gets is whole messages of one short frame, and those
are read here, a few operations each, for as long as one follows another. Everything else, and
everything wrong, is left to `FrameCodec`, which then finds it at the same byte.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ._codec import Agreement, Buffer, CodecFactory, Event, Role, not_encodable
from ._compression import Deflate
from ._dialect import OPCODES, Dialect
from ._frames import JOIN_UP_TO, FrameCodec
from ._masking import KEY_SIZE, apply_mask, new_key, unmask
from ._messages import BINARY, TEXT

# RFC 6455 section 5.2: FIN and the opcode, and the bit that says "masked"
_WHOLE_TEXT = 0x80 | TEXT
_WHOLE_BINARY = 0x80 | BINARY
_MASKED = 0x80

_SHORT = 126
# What begins a short message, by its size; masked or not, and then by kind
_SHORT_HEADERS = {
    masked: {
        kind: tuple(bytes((0x80 | kind, bit | size)) for size in range(_SHORT))
        for kind in (TEXT, BINARY)
    }
    for masked, bit in ((False, 0), (True, _MASKED))
}


@functools.cache
def _reading(masked: bool, longest: float, utf8_errors: str) -> tuple[bool, int, int, float, str]:
    # Cached, as it is the same for most codecs.
    header_size = 2 + KEY_SIZE if masked else 2
    return masked, _MASKED if masked else 0, header_size, longest, utf8_errors


class Rfc6455Codec(FrameCodec):
    """hybi-07 section 4, RFC 6455 section 5."""

    __slots__ = (
        "_masked",
        "_reading",
        "_short_binaries",
        "_short_texts",
        "_short_to_send",
    )

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        dialect: Dialect,
        deflate: Deflate | None = None,
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__(role, max_message_size, dialect, deflate, new_key=new_key)
        # RFC 6455 section 5.1: what a client sends is masked, and nothing else is
        self._masked = role == "client"
        self._short_texts = _SHORT_HEADERS[self._masked][TEXT]
        self._short_binaries = _SHORT_HEADERS[self._masked][BINARY]
        # How what comes is masked, what that adds to a header, how long a message is that is taken
        # in the short way, and what becomes of bad UTF-8
        longest = min(_SHORT - 1, max_message_size)
        self._reading = _reading(not self._masked, longest, dialect.utf8_errors)
        # How long a message is at most that is sent in the short way: what is compressed is not.
        self._short_to_send = _SHORT - 1
        if deflate is not None:
            self._short_to_send = min(_SHORT - 1, deflate.settings.threshold - 1)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        if type(event) is str:
            try:
                payload = event.encode()
            except UnicodeEncodeError as error:
                raise not_encodable(error) from None
            headers = self._short_texts
        elif type(event) is bytes:
            payload = event
            headers = self._short_binaries
        else:
            return super().encode(event, compress)
        size = len(payload)
        if size > self._short_to_send or compress:
            kind = TEXT if headers is self._short_texts else BINARY
            if self._deflate is None:
                return self._write(kind, payload)
            return self._write_message(self._deflate, kind, payload, compress)
        if self._masked:
            key = self._new_key()
            return [b"".join((headers[size], key, apply_mask(payload, key)))]
        return [headers[size] + payload]

    def _write(
        self, kind: int, payload: Buffer, *, final: bool = True, marks: int = 0
    ) -> list[Buffer]:
        size = len(payload)
        mask_bit = _MASKED if self._masked else 0
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
            position = self._take_short_messages(data, position, events)
            if position == len(data):
                return position
        return super()._take_frame(data, position, events)

    def _take_short_messages(self, data: bytes, position: int, events: list[Event]) -> int:
        size = len(data)
        masked, mask_bit, header_size, longest, errors = self._reading
        while (begin := position + header_size) <= size:
            length = data[position + 1] - mask_bit
            end = begin + length
            if not 0 <= length <= longest or end > size:
                break
            payload = unmask(data, begin, end) if masked else data[begin:end]
            first = data[position]
            if first == _WHOLE_TEXT:
                try:
                    events.append(payload.decode("utf-8", errors))
                except UnicodeDecodeError:
                    break
            elif first == _WHOLE_BINARY:
                events.append(payload)
            else:
                break
            position = end
        return position


def rfc6455(*, fails_bad_utf8: bool, too_big: int, strict: bool) -> CodecFactory:
    """Makes codecs of hybi-07 to RFC 6455.

    `fails_bad_utf8`: bad UTF-8 fails the connection with 1007 (version 8 on), and 1005, 1006 and
    1015 are refused in a closing frame; else U+FFFD stands for it (version 7).
    `too_big`: the close code for a message over the limit, 1004 before version 13 and then 1009.
    `strict`: lengths have to be in their shortest form, and codes to close with those of RFC 6455
    (version 13).
    """
    dialect = Dialect(
        opcodes=OPCODES,
        more_bit=False,
        masking="payload",
        close_body="status",
        fails_bad_utf8=fails_bad_utf8,
        too_big=too_big,
        strict=strict,
    )

    def make(
        role: Role, max_message_size: float, agreement: Agreement | None = None, /
    ) -> Rfc6455Codec:
        deflate = agreement.deflate if agreement else None
        return Rfc6455Codec(role, max_message_size, dialect, deflate)

    return make
