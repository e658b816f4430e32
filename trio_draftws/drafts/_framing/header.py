"""How the drafts with a header of two bytes, hybi-01 to RFC 6455, differ from each other."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from trio_draftws.drafts._close_codes import EARLY_MESSAGE_TOO_BIG, CloseCode
from trio_draftws.drafts._events import (
    Buffer,
    Close,
    LocalProtocolError,
    MessageOverLimit,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    encode_text,
)

from .assembler import BINARY, TEXT

Masking: TypeAlias = Literal["none", "frame-key", "whole-frame", "payload"]
CloseBody: TypeAlias = Literal["free", "letter", "status"]

# Opcodes as RFC 6455 section 5.2 numbers them; those of control frames have bit 3 set.
CONTINUATION, CLOSE, PING, PONG = 0, 8, 9, 10
CONTROL = 8
RSV1 = 0x40
"""The bit of a frame's first byte that is set if the frame is compressed."""

FIRST_OPCODES = {CONTINUATION: 0, CLOSE: 1, PING: 2, PONG: 3, TEXT: 4, BINARY: 5}
"""The numbers on the wire in hybi-01 to hybi-06, section 4.2."""
OPCODES = {opcode: opcode for opcode in FIRST_OPCODES}
"""The numbers on the wire from hybi-07 on: RFC 6455 section 5.2."""

MAX_CONTROL_PAYLOAD = 125

PLAIN_CLOSES = {
    b"": Close(),
    b"\x03\xe8": Close(CloseCode.NORMAL_CLOSURE),
    b"\x03\xe9": Close(CloseCode.GOING_AWAY),
}
"""The commonest closing frames by their payload: no reason, and a code that every draft with codes
allows."""

# RFC 6455 section 7.4.1; and what was reserved by then
_NEVER_SENT = (
    CloseCode.NO_STATUS_RECEIVED,
    CloseCode.ABNORMAL_CLOSURE,
    CloseCode.TLS_HANDSHAKE,
)
_NEVER_SENT_NOW = (*_NEVER_SENT, EARLY_MESSAGE_TOO_BIG)


@attrs.frozen
class HeaderFormat:
    """How some drafts lay out their frames."""

    wire_opcodes: dict[int, int]
    """The number on the wire of each opcode."""
    more_bit: bool
    """Whether the first bit means that more fragments follow; else that this is the last one."""
    masking: Masking
    """What a client masks. "frame-key" and "whole-frame": a frame begins with four bytes, and all
    after them is masked; "payload": the key stands after the length. A server masks nothing."""
    close_body: CloseBody
    """What a closing frame carries: anything, and the answer repeats it; its sender's letter; or a
    code and a reason."""
    fails_bad_utf8: bool
    """Whether bad UTF-8 fails the connection with 1007; else it becomes U+FFFD."""
    too_big: int
    """The close code for a message over the limit."""
    strict: bool
    """Whether version 13's rules apply: lengths in their shortest form, and its close codes."""
    opcodes: tuple[int | None, ...] = attrs.field(init=False, repr=False)
    """The opcode of each number on the wire; None for the reserved ones."""

    @opcodes.default
    def _opcodes(self) -> tuple[int | None, ...]:
        opcodes = {number: opcode for opcode, number in self.wire_opcodes.items()}
        return tuple(opcodes.get(number) for number in range(16))

    empty_pings: dict[int, Ping | Pong] = attrs.field(init=False, repr=False)
    """An empty ping and an empty pong, by the first byte of their frame."""

    @empty_pings.default
    def _empty_pings(self) -> dict[int, Ping | Pong]:
        final = 0 if self.more_bit else 0x80
        return {final | self.wire_opcodes[PING]: Ping(), final | self.wire_opcodes[PONG]: Pong()}

    plain_closes: dict[Close, list[Buffer]] = attrs.field(init=False, repr=False)
    """The frames of `PLAIN_CLOSES` without a mask."""

    @plain_closes.default
    def _plain_closes(self) -> dict[Close, list[Buffer]]:
        if self.close_body != "status":
            return {}
        return {
            close: [self.header(CLOSE, len(body)) + body] for body, close in PLAIN_CLOSES.items()
        }

    def header(
        self, opcode: int, length: int, *, final: bool = True, rsv: int = 0, mask_bit: int = 0
    ) -> bytes:
        """Returns a header with its length in the shortest form (RFC 6455 section 5.2).

        `rsv` and `mask_bit` are further bits of its first and of its second byte.
        """
        first = self.wire_opcodes[opcode] | rsv | (0 if final is self.more_bit else 0x80)
        if length < 126:
            return bytes((first, mask_bit | length))
        if length < 1 << 16:
            return bytes((first, mask_bit | 126)) + length.to_bytes(2, "big")
        return bytes((first, mask_bit | 127)) + length.to_bytes(8, "big")

    def allows_code(self, code: int) -> bool:
        """Whether a closing frame may carry `code`.

        RFC 6455 section 7.4, and 1012 to 1014 as registered since. Drafts before version 13 have
        no fixed list, and those before version 8 do not know 1005 and 1006 as special.
        """
        if not 1000 <= code <= 4999:
            return False
        if self.strict:
            return code >= 3000 or (code <= CloseCode.BAD_GATEWAY and code not in _NEVER_SENT_NOW)
        return not self.fails_bad_utf8 or code not in _NEVER_SENT

    def encode_close(self, close: Close, role: Role) -> bytes:
        """Returns the payload of a closing frame of `role`, without what the draft cannot express.

        Raises:
            LocalProtocolError: it is too long, or its code may not be sent.
        """
        if self.close_body == "free":
            return control_payload("the body of a close", close.body)
        if self.close_body == "letter":
            return b"S" if role == "server" else b"C"  # hybi-05: its sender
        if close.code is None:
            if close.reason:
                raise LocalProtocolError("a reason to close needs a code")
            return b""
        if not self.allows_code(close.code):
            raise LocalProtocolError(f"a closing frame cannot carry the code {close.code}")
        reason = control_payload(
            "the reason of a close", encode_text(close.reason), MAX_CONTROL_PAYLOAD - 2
        )
        return close.code.to_bytes(2, "big") + reason  # RFC 6455 section 5.5.1

    def decode_close(self, body: bytes) -> Close:
        """Reads the payload of a closing frame.

        Raises:
            RemoteProtocolError: its body is broken.
        """
        if self.close_body != "status":
            return Close(body=body)
        if (plain := PLAIN_CLOSES.get(body)) is not None:
            return plain
        if len(body) == 1:  # RFC 6455 section 5.5.1
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a close has half a code")
        code = int.from_bytes(body[:2], "big")
        if not self.allows_code(code):
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, f"a close has the code {code}, which none may have"
            )
        try:
            return Close(code, str(body[2:], "utf-8", self.utf8_errors))
        except UnicodeDecodeError:
            raise RemoteProtocolError(
                CloseCode.INVALID_PAYLOAD, "the reason of a close is not UTF-8"
            ) from None

    def over_limit(self, limit: float) -> MessageOverLimit:
        """The violation of a message that is longer than `limit` bytes."""
        return MessageOverLimit(self.too_big, f"a message is longer than {limit} bytes")

    def excessive(self, reason: str) -> RemoteProtocolError:
        """The violation of what is legal, but too much of it.

        Drafts before version 13 have no code for that.
        """
        return RemoteProtocolError(
            CloseCode.POLICY_VIOLATION if self.strict else CloseCode.PROTOCOL_ERROR, reason
        )

    @property
    def utf8_errors(self) -> Literal["strict", "replace"]:
        """How to treat bad UTF-8, in the words of Python's codecs."""
        return "strict" if self.fails_bad_utf8 else "replace"


def control_payload(what: str, payload: bytes, limit: int = MAX_CONTROL_PAYLOAD) -> bytes:
    """Returns a copy of `payload`, for a control frame (RFC 6455 section 5.5).

    Raises:
        LocalProtocolError: it is longer than `limit`.
    """
    payload = bytes(payload)
    if len(payload) > limit:
        raise LocalProtocolError(f"{what} has {len(payload)} bytes, and may have {limit}")
    return payload
