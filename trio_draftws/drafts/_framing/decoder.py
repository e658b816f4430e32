"""Reading frames with a header of two bytes, as hybi-01 to RFC 6455 have them.

A frame is a header, its length and its payload, masked and numbered as a `HeaderFormat` says.
A message is one frame or several; control frames may come between those. The rules:

1. A header is checked as far as it has come, in the order of its bytes, and before any memory is
   taken for its payload; so every split of the wire finds the same violation.
2. What is kept between two calls is the start of a header or of a control frame, 139 bytes at
   most, and the one message that `Assembler` holds.
3. Compressed payload is inflated as it comes, up to one byte past the limit. zlib reports broken
   data without what it inflated before it; so if a message is wrong in another way too, either
   violation may be found.
4. One call does a bounded amount of work: after so many frames or inflated bytes, the rest is kept
   undecoded for the next call.
"""

from __future__ import annotations

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import Event, Ping, Pong, RemoteProtocolError, Role

from .compression import Deflate
from .header import (
    CLOSE,
    CONTROL,
    MAX_CONTROL_PAYLOAD,
    PING,
    RSV1,
    HeaderFormat,
)
from .inflating import INFLATED_AT_ONCE, BoundedInflater
from .long_payloads import PayloadDecoder
from .masking import KEY_SIZE, apply_mask

# Empty fragments cost their receiver time, and never reach a limit in bytes.
MAX_EMPTY_FRAGMENTS = 1000
# Of the longest header, without a key
HEADER_SIZE = 10


class FrameDecoder(PayloadDecoder):
    """Reads what one side receives; a subclass knows where a masked header begins."""

    __slots__ = (
        "_compressed",
        "_empty_fragments",
        "_empty_pings",
        "_expects_masked",
        "_format",
        "_inflater",
        "_max_message_size",
        "_rest",
        "_role",
    )

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        header_format: HeaderFormat,
        deflate: Deflate | None = None,
    ) -> None:
        super().__init__(max_message_size, header_format.utf8_errors)
        self._role = role
        self._max_message_size = max_message_size
        self._format = header_format
        # RFC 6455 section 5.1: whether payload comes masked, with its key in front of it
        self._expects_masked = role == "server" and header_format.masking == "payload"
        # The fast path for pings cannot read headers that are masked.
        is_plain = role == "client" or header_format.masking in ("none", "payload")
        self._empty_pings = header_format.empty_pings if is_plain else {}
        # The start of a header or of a control frame
        self._rest = b""
        # Whether the current data frame is compressed
        self._compressed = False
        self._empty_fragments = 0
        self._inflater: BoundedInflater | None = None
        if deflate is not None:
            self._inflater = BoundedInflater(role, deflate, header_format, max_message_size)

    @property
    def mid_message(self) -> bool:
        return bool(self._messages.kind or self._rest)

    @property
    def header_format(self) -> HeaderFormat:
        """How the headers of its frames are laid out."""
        return self._format

    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        if self._inflater is not None:
            self._inflater.begin_call()
        if self._buffer is not None:
            position = self._copy_to_buffer(data, position, events)
        if self._rest:
            data = self._rest + data[position:]
            position = 0
            self._rest = b""
        try:
            while position < len(data) and self._work > 0:
                if self._missing:
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
        return not (self._rest or self._missing or self._messages.kind)

    def _take_frame(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes a header and what has come of its payload, or whole pings and pongs."""
        if data[position] in self._empty_pings:
            behind = self._take_pings(data, position, events)
            if behind > position:
                return behind
        self._work -= 1
        start, head, key = self._begin_frame(data, position)
        if len(head) < 2:
            return self._wait(data, position)
        opcode, length = self._check_header(head[0], head[1])
        size = 2
        if length > 125:
            size = 4 if length == 126 else HEADER_SIZE
            if len(head) < size:
                return self._wait(data, position)
            length = self._check_length(head[2:size])
        compressed = False
        if opcode < CONTROL:
            compressed = self._inflater is not None and self._is_compressed(head[0], opcode)
            if not compressed and length > self._messages.room:
                raise self._format.over_limit(self._max_message_size)
        begin = start + size
        offset = size
        if head[1] & 0x80:  # RFC 6455 section 5.3: the key is the last of the header
            begin += KEY_SIZE
            offset = 0
            key = data[begin - KEY_SIZE : begin]
            if len(key) < KEY_SIZE:
                return self._wait(data, position)
        end = begin + length
        if opcode >= CONTROL:
            if end > len(data):
                return self._wait(data, position)
            payload = data[begin:end]
            if key:
                payload = bytes(apply_mask(payload, key, offset))
            events.append(self._control(opcode, payload))
            return end
        if opcode:
            self._messages.begin(opcode)
        self._compressed = compressed
        if compressed:
            assert self._inflater is not None
            self._inflater.begin_frame()
        self._final = bool(head[0] & 0x80) is not self._format.more_bit
        self._missing = length
        self._key = key
        self._key_offset = offset
        if length or self._final:
            self._empty_fragments = 0
        else:
            self._count_empty_fragment()
        return self._take_payload(data, begin, events)

    def _take_pings(self, data: bytes, position: int, events: list[Event]) -> int:
        """Takes consecutive whole pings and pongs; returns where the rest begins.

        An attacker may send very many. It stops before anything wrong.
        """
        size = len(data)
        mask_bit, header_size = (0x80, 2 + KEY_SIZE) if self._expects_masked else (0, 2)
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
            self.decoded_control = True
        return position

    def _begin_compressed(self, opcode: int, length: int, key: bytes) -> None:
        """Begins a message of one compressed frame."""
        assert self._inflater is not None
        self._messages.begin(opcode)
        self._inflater.begin_frame()
        self._compressed = self._final = True
        self._missing = length
        self._key = key
        self._key_offset = 0
        self._empty_fragments = 0

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, bytes, bytes]:
        """Returns where the header begins, what has come of it, unmasked, and its masking key."""
        return position, data[position : position + HEADER_SIZE], b""

    def _wait(self, data: bytes, position: int) -> int:
        self._rest = data[position:]
        return len(data)

    def _check_header(self, first: int, second: int) -> tuple[int, int]:
        """Checks the first two bytes; returns the opcode and the seven bits of the length."""
        # RFC 6455 section 5.2: RSV1 to RSV3
        if first & 0x70 and (self._inflater is None or first & 0x70 != RSV1):
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed to"
            )
        opcode = self._format.opcodes[first & 0x0F]
        if opcode is None:
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, f"the opcode {first & 0x0F:#x} is reserved"
            )
        if self._format.masking != "payload":
            if second & 0x80:  # hybi-01 to hybi-06 section 4.2: RSV4
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        elif bool(second & 0x80) is not (self._role == "server"):  # RFC 6455 section 5.1
            side = "client's frame is not" if self._role == "server" else "server's frame is"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"a {side} masked")
        length = second & 0x7F
        if opcode >= CONTROL:  # RFC 6455 section 5.5
            if bool(first & 0x80) is self._format.more_bit:
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented")
            if length > MAX_CONTROL_PAYLOAD:
                raise RemoteProtocolError(
                    CloseCode.PROTOCOL_ERROR, "a control frame has more than 125 bytes"
                )
            if first & RSV1:  # RFC 7692 section 6.1
                raise RemoteProtocolError(
                    CloseCode.PROTOCOL_ERROR, "a control frame is marked as compressed"
                )
        elif not (opcode or self._messages.kind):  # RFC 6455 section 5.4
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a fragment continues no message")
        elif opcode and self._messages.kind:
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a message begins before another has ended"
            )
        return opcode, length

    def _is_compressed(self, first: int, opcode: int) -> bool:
        """Whether a data frame is compressed."""
        assert self._inflater is not None
        marked = bool(first & RSV1)
        if opcode or self._inflater.per_frame:
            return marked
        if marked:  # RFC 7692 section 6.2
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a fragment that continues is marked as compressed"
            )
        return self._compressed

    def _check_length(self, field: bytes) -> int:
        length = int.from_bytes(field, "big")
        if length >> 63:  # RFC 6455 section 5.2
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a frame's length has its top bit set"
            )
        if self._format.strict and length < (126 if len(field) == 2 else 1 << 16):
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "a frame's length is not in its shortest form"
            )
        return length

    def _count_empty_fragment(self) -> None:
        self._empty_fragments += 1
        if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
            reason = f"more than {MAX_EMPTY_FRAGMENTS} fragments in a row are empty"
            raise self._format.excessive(reason)

    def _control(self, opcode: int, payload: bytes) -> Event:
        if opcode != CLOSE:
            self.decoded_control = True
            return Ping(payload) if opcode == PING else Pong(payload)
        close = self._format.decode_close(payload)
        self._closed = True
        self._work = 0
        self._messages.forget()
        return close

    def _take_payload(self, data: bytes, position: int, events: list[Event]) -> int:
        if not self._compressed:
            return super()._take_payload(data, position, events)
        inflater = self._inflater
        assert inflater is not None
        end = min(position + self._missing, len(data), position + INFLATED_AT_ONCE)
        part: bytes | bytearray = data[position:end]
        if self._key:
            part = apply_mask(part, self._key, self._key_offset)
        ends = self._missing == len(part) and (self._final or inflater.per_frame)
        # This frame has been counted already.
        inflated = inflater.inflate_part(
            part, self._messages, ends=ends, most_blocks=self._work + 1
        )
        self._work = 0 if inflater.has_enough else self._work - inflater.blocks
        came = len(part) - inflater.left
        self._missing -= came
        self._key_offset += came
        if self._missing or not self._final:
            self._messages.add(inflated)
        else:
            events.append(self._messages.end(inflated))
        return position + came
