"""Writing frames with a header of two bytes, as hybi-01 to RFC 6455 have them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable

from trio_draftws.drafts._events import (
    Buffer,
    Close,
    EncodedText,
    Event,
    Fragment,
    LocalProtocolError,
    Ping,
    Pong,
    Role,
    no_message,
)

from .assembler import BINARY, TEXT
from .compression import Deflate
from .deflate import Deflater
from .header import CLOSE, CONTINUATION, PING, PONG, RSV1, HeaderFormat, control_payload
from .payload import as_contiguous, encode_long_text

# Up to this size it is cheaper to write header and payload as one buffer than as two.
JOIN_UP_TO = 4096


class FrameEncoder(ABC):
    """Writes what one side sends; a subclass masks it."""

    __slots__ = (
        "_compress_fragments",
        "_deflate",
        "_deflater",
        "_format",
        "_fragments_opcode",
        "_role",
        "new_key",
    )

    def __init__(
        self,
        role: Role,
        header_format: HeaderFormat,
        deflate: Deflate | None,
        new_key: Callable[[], bytes],
    ) -> None:
        self._role = role
        self._format = header_format
        #: Makes a masking key for each frame; None if this side masks nothing.
        self.new_key = new_key if role == "client" and header_format.masking != "none" else None
        # The message that is being sent in fragments, and whether they are compressed
        self._fragments_opcode: int | None = None
        self._compress_fragments = False
        self._deflate = deflate
        if deflate is not None:
            window = deflate.server if role == "server" else deflate.client
            self._deflater = Deflater(window, deflate.settings)

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """See `Codec.encode`."""
        payload: Buffer
        if isinstance(event, str):
            opcode, payload = TEXT, encode_long_text(event)
        elif isinstance(event, (bytes, bytearray, memoryview)):
            opcode, payload = BINARY, as_contiguous(event)
        elif isinstance(event, EncodedText):
            opcode, payload = TEXT, event.data
        else:
            return self._encode_other(event, compress)
        if self._deflate is None or not self._deflate.applies_to(len(payload), compress):
            return self.write_frame(opcode, payload)
        return self.write_frame(opcode, self._deflater.deflate(payload, ends=True), rsv=RSV1)

    def _encode_other(self, event: Event, compress: bool | None) -> list[Buffer]:
        if isinstance(event, Fragment):
            return self._encode_fragment(event, compress)
        if isinstance(event, Close):
            if self.new_key is None:
                plain = self._format.plain_closes.get(event)
                if plain is not None:
                    return list(plain)
            return self.write_frame(CLOSE, self._format.encode_close(event, self._role))
        if isinstance(event, Ping):
            return self.write_frame(PING, control_payload("a ping's payload", event.payload))
        if isinstance(event, Pong):
            return self.write_frame(PONG, control_payload("a pong's payload", event.payload))
        raise no_message(event)

    def _encode_fragment(self, fragment: Fragment, compress: bool | None) -> list[Buffer]:
        payload: Buffer
        if isinstance(fragment.data, str):
            message_opcode, payload = TEXT, encode_long_text(fragment.data)
        elif isinstance(fragment.data, (bytes, bytearray, memoryview)):
            # The caller may change its buffer as soon as this returns.
            message_opcode, payload = BINARY, bytes(fragment.data)
        else:
            raise no_message(fragment.data)
        opcode = CONTINUATION
        rsv = 0
        if self._fragments_opcode is None:
            opcode = self._fragments_opcode = message_opcode
            self._compress_fragments = self._deflate is not None and compress is not False
            # RFC 7692 section 6: RSV1 is set on a message's first frame
            rsv = RSV1 if self._compress_fragments else 0
        elif message_opcode != self._fragments_opcode:
            raise LocalProtocolError("a message is text or binary in all its fragments")
        if fragment.final:
            self._fragments_opcode = None
        if self._compress_fragments:
            assert self._deflate is not None
            # If each frame is compressed by itself, each has RSV1.
            per_frame = self._deflate.per_frame
            rsv = RSV1 if per_frame else rsv
            payload = self._deflater.deflate(payload, ends=fragment.final or per_frame)
        return self.write_frame(opcode, payload, final=fragment.final, rsv=rsv)

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable | None:
        """See `Codec.encoding_key`."""
        # RFC 6455 section 10.3: no two frames have the same mask
        if self.new_key is not None:
            return None
        if self._deflate is None:
            return id(self._format)
        size = len(encode_long_text(message) if isinstance(message, str) else message)
        if not self._deflate.applies_to(size, compress):
            return id(self._format)
        if self._deflate.server.takeover:
            return None
        return id(self._format), self._deflate.server, self._deflate.settings

    @abstractmethod
    def write_frame(
        self, opcode: int, payload: Buffer, *, final: bool = True, rsv: int = 0
    ) -> list[Buffer]:
        """One frame, in one buffer or two; `rsv` has the reserved bits of its first byte."""
