"""Messages from frames with a header of two bytes: what hybi-01 to RFC 6455 have in common.

A frame is a header, its length and its payload, masked and numbered as a `Dialect` says. A message
is one frame or several; control frames may come between those. The rules:

1. A header is checked as far as it has come, in the order of its bytes, and before any memory is
   taken for its payload; so every split of the wire finds the same violation.
2. What is kept between two calls is the start of a header or of a control frame, 139 bytes at
   most, and the bytes of one message in one buffer. There is no object per fragment.
3. Payloads are looked at as they come: where bad UTF-8 fails the connection, it does so at the
   first byte that no further ones can mend.
"""

from __future__ import annotations

import codecs
from abc import abstractmethod
from collections.abc import Callable

from ._codec import (
    Buffer,
    Close,
    DecodesInOrder,
    Event,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    encode_text,
    refuse_to_encode,
)
from ._dialect import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CONTROL,
    MAX_CONTROL_PAYLOAD,
    PING,
    PONG,
    TEXT,
    Dialect,
    control_payload,
)
from ._masking import KEY_SIZE, apply_mask, new_key

# Empty fragments cost their receiver time, and never reach a limit in bytes.
MAX_EMPTY_FRAGMENTS = 1000
# Up to here one buffer of header and payload is cheaper to write than two.
JOIN_UP_TO = 4096
_HEADER_SIZE = 10


class FrameCodec(DecodesInOrder):
    """One `Dialect` to events and back; a subclass says how a frame is written."""

    __slots__ = (
        "_body",
        "_closed",
        "_dialect",
        "_empty_fragments",
        "_final",
        "_key",
        "_key_offset",
        "_kind",
        "_left",
        "_max_message_size",
        "_new_key",
        "_rest",
        "_role",
        "_unchecked",
    )

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        dialect: Dialect,
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__()
        self._role = role
        self._max_message_size = max_message_size
        self._dialect = dialect
        self._new_key = new_key
        # Bytes that say nothing before more of them come
        self._rest = b""
        # The data frame that is coming: how many bytes are missing, and how they are masked
        self._left = 0
        self._final = True
        self._key = b""
        self._key_offset = 0
        # The message that is coming: CONTINUATION while there is none
        self._kind = CONTINUATION
        self._body = bytearray()
        self._unchecked = b""  # the start of a character, at the end of `_body`
        self._empty_fragments = 0
        self._closed = False

    @property
    def mid_message(self) -> bool:
        return bool(self._kind or self._rest)

    # Out

    def encode(self, event: Event) -> list[Buffer]:
        if isinstance(event, str):
            return self._write(TEXT, encode_text(event))
        if isinstance(event, (bytes, bytearray, memoryview)):
            return self._write(BINARY, _as_bytes(event))
        if isinstance(event, Close):
            return self._write(CLOSE, self._dialect.encode_close(event, self._role))
        if isinstance(event, Ping):
            return self._write(PING, control_payload("a ping's payload", event.payload))
        if isinstance(event, Pong):
            return self._write(PONG, control_payload("a pong's payload", event.payload))
        raise refuse_to_encode(event, "every event")

    @abstractmethod
    def _write(self, kind: int, payload: Buffer, *, final: bool = True) -> list[Buffer]:
        """One frame, in one buffer or two."""

    # In

    def _decode(self, view: memoryview, events: list[Event]) -> None:
        data = bytes(view)
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position = 0
        try:
            while position < len(data) and not self._closed:
                if self._left:
                    position = self._take_payload(data, position, events)
                else:
                    position = self._take_frame(data, position, events)
        except RemoteProtocolError:
            self._forget_message()
            raise

    def _take_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes a header, and what has come of its payload."""
        start, head, key = self._begin_frame(data, position)
        if len(head) < 2:
            return self._wait(data, position)
        kind, length = self._check_header(head[0], head[1])
        size = 2
        if length > 125:
            size = 4 if length == 126 else _HEADER_SIZE
            if len(head) < size:
                return self._wait(data, position)
            length = self._check_length(head[2:size])
        if kind < CONTROL and length > self._max_message_size - len(self._body):
            raise RemoteProtocolError(
                self._dialect.too_big, f"a message is longer than {self._max_message_size} bytes"
            )
        begin = start + size
        offset = size
        if head[1] & 0x80:  # RFC 6455 section 5.3: the key is the last of the header
            begin += KEY_SIZE
            offset = 0
            key = data[begin - KEY_SIZE : begin]
            if len(key) < KEY_SIZE:
                return self._wait(data, position)
        end = begin + length
        if kind >= CONTROL:
            if end > len(data):
                return self._wait(data, position)
            payload = data[begin:end]
            if key:
                payload = bytes(apply_mask(payload, key, offset))
            events.append(self._control(kind, payload))
            return end
        self._kind = kind or self._kind
        self._final = bool(head[0] & 0x80) is not self._dialect.more_bit
        self._left = length
        self._key = key
        self._key_offset = offset
        self._count_empty_fragments(length)
        return self._take_payload(data, begin, events)

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, bytes, bytes]:
        """Where the header begins, as much of it as has come, unmasked, and the key if it was."""
        return position, data[position : position + _HEADER_SIZE], b""

    def _wait(self, data: bytes, position: int) -> int:
        self._rest = data[position:]
        return len(data)

    def _check_header(self, first: int, second: int) -> tuple[int, int]:
        """What kind of frame two bytes announce, and the seven bits of its length."""
        if first & 0x70:  # RFC 6455 section 5.2: RSV1 to RSV3
            raise RemoteProtocolError(1002, "a reserved bit is set, and no extension was agreed to")
        kind = self._dialect.kinds[first & 0x0F]
        if kind is None:
            raise RemoteProtocolError(1002, f"the opcode {first & 0x0F:#x} is reserved")
        if self._dialect.masking != "payload":
            if second & 0x80:  # hybi-01 to hybi-06 section 4.2: RSV4
                raise RemoteProtocolError(1002, "a reserved bit is set")
        elif bool(second & 0x80) is not (self._role == "server"):  # RFC 6455 section 5.1
            side = "client's frame is not" if self._role == "server" else "server's frame is"
            raise RemoteProtocolError(1002, f"a {side} masked")
        length = second & 0x7F
        if kind >= CONTROL:  # RFC 6455 section 5.5
            if bool(first & 0x80) is self._dialect.more_bit:
                raise RemoteProtocolError(1002, "a control frame is fragmented")
            if length > MAX_CONTROL_PAYLOAD:
                raise RemoteProtocolError(1002, "a control frame has more than 125 bytes")
        elif not (kind or self._kind):  # RFC 6455 section 5.4
            raise RemoteProtocolError(1002, "a fragment continues no message")
        elif kind and self._kind:
            raise RemoteProtocolError(1002, "a message begins before another has ended")
        return kind, length

    def _check_length(self, field: bytes) -> int:
        length = int.from_bytes(field, "big")
        if length >> 63:  # RFC 6455 section 5.2
            raise RemoteProtocolError(1002, "a frame's length has its top bit set")
        if self._dialect.strict and length < (126 if len(field) == 2 else 1 << 16):
            raise RemoteProtocolError(1002, "a frame's length is not in its shortest form")
        return length

    def _count_empty_fragments(self, length: int) -> None:
        if length or self._final:
            self._empty_fragments = 0
            return
        self._empty_fragments += 1
        if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
            # Below version 13 there is no code for what is allowed and still too much.
            raise RemoteProtocolError(
                1008 if self._dialect.strict else 1002,
                f"more than {MAX_EMPTY_FRAGMENTS} fragments in a row are empty",
            )

    def _control(self, kind: int, payload: bytes) -> Event:
        if kind == PING:
            return Ping(payload)
        if kind == PONG:
            return Pong(payload)
        close = self._dialect.decode_close(payload)
        self._closed = True
        self._forget_message()
        return close

    def _take_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes what has come of a data frame, and ends the message if that is its end."""
        end = min(position + self._left, len(data))
        part: bytes | bytearray = data[position:end]
        if self._key:
            part = apply_mask(part, self._key, self._key_offset)
            self._key_offset += len(part)
        self._left -= len(part)
        if self._left or not self._final:
            self._check_utf8(part)
            self._body += part
            return end
        if self._body:
            self._body += part
            part = self._body
        events.append(self._dialect.text(part) if self._kind == TEXT else bytes(part))
        self._forget_message()
        return end

    def _check_utf8(self, part: bytes | bytearray) -> None:
        """Looks at text that goes on; no byte is looked at more than twice, here or at the end."""
        if self._kind != TEXT or not self._dialect.fails_bad_utf8:
            return
        unchecked = self._unchecked + part
        try:
            checked = codecs.utf_8_decode(unchecked)[1]
        except UnicodeDecodeError:
            raise RemoteProtocolError(1007, "a text is not UTF-8") from None
        self._unchecked = rest = unchecked[checked:]
        # RFC 3629 section 4: ED goes on with 80 to 9F. Python waits for the third byte here, in
        # case that somebody wants surrogates.
        if rest[:1] == b"\xed" and rest[1:] >= b"\xa0":
            raise RemoteProtocolError(1007, "a text is not UTF-8")

    def _forget_message(self) -> None:
        self._kind = CONTINUATION
        if self._body:
            self._body = bytearray()
        self._unchecked = b""


def _as_bytes(message: Buffer) -> Buffer:
    """`message` itself, if its length is that of its bytes and they lie side by side."""
    if isinstance(message, memoryview) and not (
        message.ndim == message.itemsize == 1 and message.c_contiguous
    ):
        return message.tobytes()
    return message
