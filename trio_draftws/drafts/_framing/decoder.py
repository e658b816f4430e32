"""Frames with a header of two bytes: what hybi-01 to RFC 6455 have in common.

A frame is a header, its length and its payload, masked and numbered as a `HeaderFormat` says.
A message is one frame or several; control frames may come between those. The rules:

1. A header is checked as far as it has come, in the order of its bytes, and before any memory is
   taken for its payload; so every split of the wire finds the same violation.
2. What is kept between two calls is the start of a header or of a control frame, 139 bytes at
   most, and the one message that `Assembler` holds.
3. What is compressed is inflated as it comes, up to one byte past the limit. zlib tells that it
   is broken without what it says up to there; so of a message that is wrong in another way too,
   either violation may be found.
4. What one call does is bounded: when it has taken or inflated enough, what follows stays as it
   came until it is asked for.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Callable, Hashable

from .assembler import BINARY, TEXT
from .close_codes import CloseCode
from .codec import (
    Buffer,
    Close,
    Event,
    Fragment,
    LocalProtocolError,
    MessageOverLimit,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    no_message,
)
from .compression import Deflate
from .deflate import Deflater, Inflater
from .header import (
    CLOSE,
    CONTINUATION,
    CONTROL,
    MAX_CONTROL_PAYLOAD,
    PING,
    PONG,
    RSV1,
    HeaderFormat,
    control_payload,
)
from .long_payloads import TakesPayloads
from .masking import KEY_SIZE, apply_mask, new_key
from .payload import encode_long_text

# Empty fragments cost their receiver time, and never reach a limit in bytes.
MAX_EMPTY_FRAGMENTS = 1000
# Up to here one buffer of header and payload is cheaper to write than two.
JOIN_UP_TO = 4096
# When one call has inflated so many bytes, it takes no further frame.
ENOUGH = 65536
# Of the longest header, without a key
HEADER_SIZE = 10
# What is compressed is looked at in pieces of so many bytes: of one, the end may have to wait.
INFLATED_AT_ONCE = 16384


class FrameCodec(TakesPayloads):
    """One `HeaderFormat` to events and back; a subclass says how a frame is written."""

    __slots__ = (
        "_compressed",
        "_compresses",
        "_deflate",
        "_deflater",
        "_dialect",
        "_empty_fragments",
        "_empty_pings",
        "_enough_at",
        "_hears_masked",
        "_inflater",
        "_max_message_size",
        "_new_key",
        "_rest",
        "_role",
        "_sending",
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
        super().__init__(max_message_size, dialect.utf8_errors)
        self._role = role
        self._max_message_size = max_message_size
        self._dialect = dialect
        self._new_key = new_key
        # RFC 6455 section 5.1: whether a payload comes masked, behind a key of its own
        self._hears_masked = role == "server" and dialect.masking == "payload"
        # There is no short way for those whose header is masked.
        comes_plain = role == "client" or dialect.masking in ("none", "payload")
        self._empty_pings = dialect.empty_pings if comes_plain else {}
        # Bytes that say nothing before more of them come
        self._rest = b""
        # Whether the data frame that is coming is compressed
        self._compressed = False
        self._empty_fragments = 0
        # The message that is being sent in fragments, and whether those are compressed
        self._sending: int | None = None
        self._compresses = False
        self._deflate = deflate
        # How many bytes may be inflated in all before this call takes no further frame
        self._enough_at = ENOUGH
        if deflate is not None:
            ours, theirs = deflate.client, deflate.server
            if role == "server":
                ours, theirs = theirs, ours
            self._deflater = Deflater(ours, deflate.settings)
            self._inflater = Inflater(theirs, deflate.settings.inflate_backend)

    @property
    def mid_message(self) -> bool:
        return bool(self._messages.kind or self._rest)

    @property
    def dialect(self) -> HeaderFormat:
        """What its frames look like, for who wants to read them without a codec."""
        return self._dialect

    # Out

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        payload: Buffer
        if isinstance(event, str):
            kind, payload = TEXT, encode_long_text(event)
        elif isinstance(event, (bytes, bytearray, memoryview)):
            kind, payload = BINARY, _as_bytes(event)
        else:
            return self._write_other(event, compress)
        if self._deflate is None:
            return self._write(kind, payload)
        return self._write_message(self._deflate, kind, payload, compress)

    def _write_other(self, event: Event, compress: bool | None) -> list[Buffer]:
        if isinstance(event, Fragment):
            return self._write_fragment(event, compress)
        if isinstance(event, Close):
            if self._role == "server" or self._dialect.masking == "none":
                plain = self._dialect.plain_closes.get(event)
                if plain is not None:
                    return list(plain)
            return self._write(CLOSE, self._dialect.encode_close(event, self._role))
        if isinstance(event, Ping):
            return self._write(PING, control_payload("a ping's payload", event.payload))
        if isinstance(event, Pong):
            return self._write(PONG, control_payload("a pong's payload", event.payload))
        raise no_message(event)

    def _write_message(
        self, deflate: Deflate, kind: int, payload: Buffer, compress: bool | None
    ) -> list[Buffer]:
        if not deflate.applies_to(len(payload), compress):
            return self._write(kind, payload)
        return self._write(kind, self._deflater.deflate(payload, ends=True), marks=RSV1)

    def _write_fragment(self, fragment: Fragment, compress: bool | None) -> list[Buffer]:
        payload: Buffer
        if isinstance(fragment.data, str):
            kind, payload = TEXT, encode_long_text(fragment.data)
        elif isinstance(fragment.data, (bytes, bytearray, memoryview)):
            # A copy, if need be: there is nobody who would make one later.
            kind, payload = BINARY, bytes(fragment.data)
        else:
            raise no_message(fragment.data)
        opcode = CONTINUATION
        marks = 0
        if self._sending is None:
            opcode = self._sending = kind
            self._compresses = self._deflate is not None and compress is not False
            # RFC 7692 section 6: the mark of a message is on its first frame
            marks = RSV1 if self._compresses else 0
        elif kind != self._sending:
            raise LocalProtocolError("a message is text or binary in all its fragments")
        if fragment.final:
            self._sending = None
        if self._compresses:
            assert self._deflate is not None
            # There each frame stands for itself, and is marked for itself.
            per_frame = self._deflate.per_frame
            marks = RSV1 if per_frame else marks
            payload = self._deflater.deflate(payload, ends=fragment.final or per_frame)
        return self._write(opcode, payload, final=fragment.final, marks=marks)

    def shared(self, message: str | bytes, compress: bool | None = None) -> Hashable | None:
        # RFC 6455 section 10.3: no two frames have the same mask
        if self._role == "client" and self._dialect.masking != "none":
            return None
        if self._deflate is None:
            return id(self._dialect)
        size = len(encode_long_text(message) if isinstance(message, str) else message)
        if not self._deflate.applies_to(size, compress):
            return id(self._dialect)
        if self._deflate.server.takeover:
            return None
        return id(self._dialect), self._deflate.server, self._deflate.settings

    @abstractmethod
    def _write(
        self, kind: int, payload: Buffer, *, final: bool = True, marks: int = 0
    ) -> list[Buffer]:
        """One frame, in one buffer or two; `marks` are further bits of its first byte."""

    # In

    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        self._enough_at = self.inflated + ENOUGH
        if self.place is not None:
            position = self._fill_place(data, position, events)
        if self._rest:
            data = self._rest + data[position:]
            position = 0
            self._rest = b""
        try:
            while position < len(data) and self._work > 0:
                if self._left:
                    self._work -= 1
                    position = self._take_payload(data, position, events)
                else:
                    position = self._take_frame(data, position, events)
        except RemoteProtocolError:
            self._messages.forget()
            raise
        if self._messages.streaming:
            self._messages.hand_on(events)
        self._keep(data, position)

    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        del data, events, most
        return position

    def _is_between(self) -> bool:
        return not (self._rest or self._left or self._messages.kind)

    def _take_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes a header, and what has come of its payload; or whole pings and pongs."""
        if data[position] in self._empty_pings:
            behind = self._take_pings(data, position, events)
            if behind > position:
                return behind
        self._work -= 1
        start, head, key = self._begin_frame(data, position)
        if len(head) < 2:
            return self._wait(data, position)
        kind, length = self._check_header(head[0], head[1])
        size = 2
        if length > 125:
            size = 4 if length == 126 else HEADER_SIZE
            if len(head) < size:
                return self._wait(data, position)
            length = self._check_length(head[2:size])
        compressed = False
        if kind < CONTROL:
            compressed = self._deflate is not None and self._is_compressed(head[0], kind)
            if not compressed and length > self._messages.room:
                raise self._too_big()
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
        if kind:
            self._messages.begin(kind)
        self._compressed = compressed
        if compressed:
            self._inflater.begin_frame()
        self._final = bool(head[0] & 0x80) is not self._dialect.more_bit
        self._left = length
        self._key = key
        self._key_offset = offset
        if length or self._final:
            self._empty_fragments = 0
        else:
            self._count_empty_fragment()
        return self._take_payload(data, begin, events)

    def _take_pings(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes whole pings and pongs, as many as follow each other; says where the rest begins.

        They come in masses if somebody means ill. It stops before anything wrong.
        """
        size = len(data)
        mask_bit, header_size = (0x80, 2 + KEY_SIZE) if self._hears_masked else (0, 2)
        empty_pings = self._empty_pings
        most = len(events) + self._work
        before = len(events)
        while len(events) < most and (begin := position + header_size) <= size:
            ping = empty_pings.get(data[position])
            length = data[position + 1] - mask_bit
            end = begin + length
            if ping is None or not 0 <= length <= MAX_CONTROL_PAYLOAD or end > size:
                break
            if length:
                payload = data[begin:end]
                if mask_bit:
                    payload = bytes(apply_mask(payload, data[begin - KEY_SIZE : begin]))
                ping = type(ping)(payload)
            events.append(ping)
            position = end
        if len(events) > before:
            self._work = most - len(events)
            self.heard_control = True
        return position

    def _begin_compressed(self, kind: int, length: int, key: bytes) -> None:
        """A message begins whose one frame is compressed."""
        self._messages.begin(kind)
        self._inflater.begin_frame()
        self._compressed = self._final = True
        self._left = length
        self._key = key
        self._key_offset = 0
        self._empty_fragments = 0

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, bytes, bytes]:
        """Where the header begins, as much of it as has come, unmasked, and the key if it was."""
        return position, data[position : position + HEADER_SIZE], b""

    def _wait(self, data: bytes, position: int) -> int:
        self._rest = data[position:]
        return len(data)

    def _check_header(self, first: int, second: int) -> tuple[int, int]:
        """What kind of frame two bytes announce, and the seven bits of its length."""
        # RFC 6455 section 5.2: RSV1 to RSV3
        if first & 0x70 and (self._deflate is None or first & 0x70 != RSV1):
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed to"
            )
        kind = self._dialect.kinds[first & 0x0F]
        if kind is None:
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, f"the opcode {first & 0x0F:#x} is reserved"
            )
        if self._dialect.masking != "payload":
            if second & 0x80:  # hybi-01 to hybi-06 section 4.2: RSV4
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        elif bool(second & 0x80) is not (self._role == "server"):  # RFC 6455 section 5.1
            side = "client's frame is not" if self._role == "server" else "server's frame is"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"a {side} masked")
        length = second & 0x7F
        if kind >= CONTROL:  # RFC 6455 section 5.5
            if bool(first & 0x80) is self._dialect.more_bit:
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented")
            if length > MAX_CONTROL_PAYLOAD:
                raise RemoteProtocolError(
                    CloseCode.PROTOCOL_ERROR, "a control frame has more than 125 bytes"
                )
            if first & RSV1:  # RFC 7692 section 6.1
                raise RemoteProtocolError(
                    CloseCode.PROTOCOL_ERROR, "a control frame is marked as compressed"
                )
        elif not (kind or self._messages.kind):  # RFC 6455 section 5.4
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a fragment continues no message")
        elif kind and self._messages.kind:
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a message begins before another has ended"
            )
        return kind, length

    def _is_compressed(self, first: int, kind: int) -> bool:
        """Whether a data frame is compressed."""
        assert self._deflate is not None
        marked = bool(first & RSV1)
        if kind or self._deflate.per_frame:
            return marked
        if marked:  # RFC 7692 section 6.2
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a fragment that continues is marked as compressed"
            )
        return self._compressed

    def _too_big(self) -> RemoteProtocolError:
        reason = f"a message is longer than {self._max_message_size} bytes"
        return MessageOverLimit(self._dialect.too_big, reason)

    def _check_length(self, field: bytes) -> int:
        length = int.from_bytes(field, "big")
        if length >> 63:  # RFC 6455 section 5.2
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a frame's length has its top bit set"
            )
        if self._dialect.strict and length < (126 if len(field) == 2 else 1 << 16):
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a frame's length is not in its shortest form"
            )
        return length

    def _count_empty_fragment(self) -> None:
        self._empty_fragments += 1
        if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
            raise self._too_much(f"more than {MAX_EMPTY_FRAGMENTS} fragments in a row are empty")

    def _control(self, kind: int, payload: bytes) -> Event:
        if kind != CLOSE:
            self.heard_control = True
            return Ping(payload) if kind == PING else Pong(payload)
        close = self._dialect.decode_close(payload)
        self._closed = True
        self._work = 0
        self._messages.forget()
        return close

    def _take_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        if not self._compressed:
            return super()._take_payload(data, position, events)
        end = min(position + self._left, len(data), position + INFLATED_AT_ONCE)
        part: bytes | bytearray = data[position:end]
        if self._key:
            part = apply_mask(part, self._key, self._key_offset)
        inflated = self._inflate(part)
        came = len(part) - self._inflater.left
        self._left -= came
        self._key_offset += came
        if self._left or not self._final:
            self._messages.add(inflated)
        else:
            events.append(self._messages.end(inflated))
        return position + came

    def _inflate(self, part: bytes | bytearray) -> bytes:
        assert self._deflate is not None
        ends = self._left == len(part) and (self._final or self._deflate.per_frame)
        room = self._messages.room
        try:
            # The frame itself was counted already.
            most_blocks = self._work + 1
            inflated = self._inflater.inflate(part, room, ends=ends, most_blocks=most_blocks)
        except zlib.error:
            # RFC 6455 section 7.4.1, "data that is not consistent"; version 7 has no such code
            known = self._dialect.fails_bad_utf8
            code = CloseCode.INVALID_PAYLOAD if known else CloseCode.PROTOCOL_ERROR
            raise RemoteProtocolError(code, "what is compressed cannot be inflated") from None
        if len(inflated) > room:
            # Cut smaller, it would be looked at up to there before more came.
            self._messages.check(memoryview(inflated)[: int(room)])
            raise self._too_big()
        if self._inflater.is_wasteful:
            self._messages.check(inflated)
            raise self._too_much("too many final blocks have next to nothing in them")
        self.inflated += len(inflated)
        self._work -= self._inflater.blocks
        if self._inflater.left or self.inflated >= self._enough_at:
            self._work = 0
        return inflated

    def _too_much(self, reason: str) -> RemoteProtocolError:
        """What is allowed, and still too much; below version 13 there is no code for that."""
        strict = self._dialect.strict
        code = CloseCode.POLICY_VIOLATION if strict else CloseCode.PROTOCOL_ERROR
        return RemoteProtocolError(code, reason)


def _as_bytes(message: Buffer) -> Buffer:
    """`message` itself, if its length is that of its bytes and they lie side by side."""
    if isinstance(message, memoryview) and not (
        message.ndim == message.itemsize == 1 and message.c_contiguous
    ):
        return message.tobytes()
    return message
