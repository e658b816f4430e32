"""The first drafts of two-byte headers: hybi-01 to hybi-06.

They differ in their first bit, in the closing frame, and in what a client masks: nothing in hybi-01
to 03, from hybi-04 on whole frames, headers included. In hybi-04 a frame's key is made from four
bytes in front of the frame and from a key of the connection; in hybi-05 and 06 it is those four
bytes. Nothing in a frame tells whether it is masked; its direction does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from .close_codes import CloseCode
from .codec import Buffer, CodecFactory, NegotiatedParameters, Role
from .decoder import HEADER_SIZE, JOIN_UP_TO, FrameCodec
from .header import FIRST_OPCODES, CloseBody, HeaderFormat
from .masking import KEY_SIZE, apply_mask, new_key


class EarlyHybiCodec(FrameCodec):
    """hybi-01 to hybi-06, section 4."""

    __slots__ = ("_connection_key", "_masks", "_unmasks")

    def __init__(
        self,
        role: Role,
        max_message_size: float,
        dialect: HeaderFormat,
        connection_key: bytes = b"",
        *,
        new_key: Callable[[], bytes] = new_key,
    ) -> None:
        super().__init__(role, max_message_size, dialect, new_key=new_key)
        self._connection_key = connection_key
        masked = dialect.masking != "none"
        self._masks = masked and role == "client"
        self._unmasks = masked and role == "server"

    def _frame_key(self, prefix: bytes) -> bytes:
        if self._dialect.masking == "whole-frame":  # hybi-05 section 4.3
            return prefix
        # hybi-04 section 4.3
        return hashlib.sha1(prefix + self._connection_key, usedforsecurity=False).digest()

    def _write(
        self, kind: int, payload: Buffer, *, final: bool = True, marks: int = 0
    ) -> list[Buffer]:
        header = self._dialect.header(kind, len(payload), final=final, marks=marks)
        if self._masks:
            prefix = self._new_key()
            key = self._frame_key(prefix)
            payload = apply_mask(payload, key, len(header))
            header = prefix + apply_mask(header, key)
        if len(payload) <= JOIN_UP_TO:
            return [b"".join((header, payload))]
        return [header, payload]

    def _begin_frame(self, data: bytes, position: int) -> tuple[int, bytes, bytes]:
        if not self._unmasks:
            return super()._begin_frame(data, position)
        start = position + KEY_SIZE
        key = self._frame_key(data[position:start])
        return start, bytes(apply_mask(data[start : start + HEADER_SIZE], key)), key


def hybi_01_to_06(
    *,
    more_bit: bool = False,
    masking: Literal["none", "frame-key", "whole-frame"],
    close_body: CloseBody,
    too_big: int | None = None,
) -> CodecFactory:
    """Makes codecs of hybi-01 to 06.

    `more_bit`: the first bit of a frame says that more follow, as in hybi-01 to 03.
    `masking`: what begins a client's frame and masks the whole of it. Nothing (hybi-01 to 03), four
    bytes from which its key is made with the agreement's `masking_key` ("frame-key": hybi-04), or
    the key itself ("whole-frame": hybi-05 and 06).
    `close_body`: what a closing frame carries: anything ("free": hybi-01 to 04), its sender's
    letter ("letter": hybi-05), or a code and a reason ("status": hybi-06).
    `too_big`: the code for a message over the limit, which only hybi-06 has. Where there is none,
    violations say 1009, and it is for the connection to leave it out.
    """
    dialect = HeaderFormat(
        opcodes=FIRST_OPCODES,
        more_bit=more_bit,
        masking=masking,
        close_body=close_body,
        fails_bad_utf8=False,
        too_big=CloseCode.MESSAGE_TOO_BIG if too_big is None else too_big,
        strict=False,
    )

    def make(
        role: Role, max_message_size: float, agreement: NegotiatedParameters | None = None, /
    ) -> EarlyHybiCodec:
        agreement = agreement or NegotiatedParameters()
        return EarlyHybiCodec(role, max_message_size, dialect, agreement.masking_key)

    return make
