"""The first drafts of two-byte headers: hybi-01 to hybi-06.

They differ in their first bit, in the closing frame, and in what a client masks: nothing in hybi-01
to 03, from hybi-04 on whole frames, headers included. In hybi-04 a frame's key is made from four
bytes in front of the frame and from a key of the connection; in hybi-05 and 06 it is those four
bytes. Whether a frame is masked depends on its direction alone; no bit of it shows that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import Buffer, Role

from .codec import CodecFactory, NegotiatedParameters
from .decoder import HEADER_SIZE
from .encoder import JOIN_UP_TO, FrameEncoder
from .frame_codec import FrameCodec
from .header import FIRST_OPCODES, CloseBody, HeaderFormat
from .masking import KEY_SIZE, apply_mask, new_key


def frame_key(header_format: HeaderFormat, prefix: bytes, connection_key: bytes) -> bytes:
    """The masking key of a frame, made from the four bytes in front of it."""
    if header_format.masking == "whole-frame":  # hybi-05 section 4.3
        return prefix
    # hybi-04 section 4.3
    return hashlib.sha1(prefix + connection_key, usedforsecurity=False).digest()


class EarlyHybiEncoder(FrameEncoder):
    """Writes frames of which all is masked, header included, or nothing."""

    __slots__ = ("_connection_key",)

    def __init__(
        self,
        role: Role,
        header_format: HeaderFormat,
        connection_key: bytes,
        new_key: Callable[[], bytes],
    ) -> None:
        super().__init__(role, header_format, None, new_key)
        self._connection_key = connection_key

    def write_frame(
        self, opcode: int, payload: Buffer, *, final: bool = True, rsv: int = 0
    ) -> list[Buffer]:
        header = self._format.header(opcode, len(payload), final=final, rsv=rsv)
        if self.new_key is not None:
            prefix = self.new_key()
            key = frame_key(self._format, prefix, self._connection_key)
            payload = apply_mask(payload, key, len(header))
            header = prefix + apply_mask(header, key)
        if len(payload) <= JOIN_UP_TO:
            return [header + payload]
        return [header, payload]


class EarlyHybiCodec(FrameCodec):
    """hybi-01 to hybi-06, section 4."""

    __slots__ = ("_connection_key", "_unmasks")

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        header_format: HeaderFormat,
        connection_key: bytes = b"",
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__(role, max_message_size, header_format)
        self._connection_key = connection_key
        self._unmasks = header_format.masking != "none" and role == "server"
        self._encoder = EarlyHybiEncoder(role, header_format, connection_key, new_key)

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, bytes, bytes]:
        if not self._unmasks:
            return super()._begin_frame(data, position)
        start = position + KEY_SIZE
        key = frame_key(self._format, data[position:start], self._connection_key)
        return start, bytes(apply_mask(data[start : start + HEADER_SIZE], key)), key


def hybi_01_to_06(
    *,
    more_bit: bool = False,
    masking: Literal["none", "frame-key", "whole-frame"],
    close_body: CloseBody,
    too_big: int | None = None,
) -> CodecFactory:
    """Makes codecs of hybi-01 to 06.

    Args:
        more_bit: whether the first bit of a frame means that more follow, as in hybi-01 to 03.
        masking: what a client masks: "none" (hybi-01 to 03), or the whole frame, with a key made
            from the four bytes in front of it and the negotiated `masking_key` ("frame-key":
            hybi-04), or with those four bytes ("whole-frame": hybi-05 and 06).
        close_body: what a closing frame carries: anything ("free": hybi-01 to 04), its sender's
            letter ("letter": hybi-05), or a code and a reason ("status": hybi-06).
        too_big: the code for a message over the limit, which only hybi-06 has. Without it,
            violations have 1009, and the connection leaves that out.
    """
    header_format = HeaderFormat(
        wire_opcodes=FIRST_OPCODES,
        more_bit=more_bit,
        masking=masking,
        close_body=close_body,
        fails_bad_utf8=False,
        too_big=CloseCode.MESSAGE_TOO_BIG if too_big is None else too_big,
        strict=False,
    )

    def make(
        role: Role, max_message_size: float, negotiated: NegotiatedParameters | None = None, /
    ) -> EarlyHybiCodec:
        negotiated = negotiated or NegotiatedParameters()
        return EarlyHybiCodec(role, max_message_size, header_format, negotiated.masking_key)

    return make
