"""What bounds inflating: a message of a few bytes can inflate to gigabytes."""

from __future__ import annotations

import zlib

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import RemoteProtocolError, Role

from .assembler import Assembler
from .compression import Deflate
from .deflate import Inflater
from .header import HeaderFormat

# When one call of `decode` has inflated so many bytes, it takes no further frame.
MOST_INFLATED = 65536
# Compressed payload is inflated in pieces of so many bytes.
INFLATED_AT_ONCE = 16384


class BoundedInflater(Inflater):
    """Inflates what one side receives, within the limits of one message and of one call."""

    __slots__ = ("_format", "_limit", "_stop_at", "has_enough", "inflated", "per_frame")

    def __init__(
        self, role: Role, deflate: Deflate, header_format: HeaderFormat, limit: float
    ) -> None:
        window = deflate.client if role == "server" else deflate.server
        super().__init__(window, deflate.settings.inflate_backend)
        self._format = header_format
        self._limit = limit
        #: Whether each frame is compressed by itself.
        self.per_frame = deflate.per_frame
        #: How many bytes were inflated in all.
        self.inflated = 0
        #: Whether this call is to inflate no more.
        self.has_enough = False
        self._stop_at = MOST_INFLATED

    def begin_call(self) -> None:
        """Starts to count what one call inflates."""
        self._stop_at = self.inflated + MOST_INFLATED

    def inflate_part(
        self, part: bytes | bytearray, message: Assembler, *, ends: bool, most_blocks: int
    ) -> bytes:
        """Inflates the next bytes of `message`, up to one byte past its limit.

        `left` is then how many bytes of the part were not used, and `blocks` how many final blocks
        ended in it.

        Args:
            ends: whether the message ends with this part, or the frame if each is compressed by
                itself.
            most_blocks: stop after so many final blocks.

        Raises:
            RemoteProtocolError: the part cannot be inflated, or the message is too long.
        """
        room = message.room
        try:
            inflated = self.inflate(part, room, ends=ends, most_blocks=most_blocks)
        except zlib.error:
            # RFC 6455 section 7.4.1, "data that is not consistent"; version 7 has no such code
            code = (
                CloseCode.INVALID_PAYLOAD
                if self._format.fails_bad_utf8
                else CloseCode.PROTOCOL_ERROR
            )
            raise RemoteProtocolError(code, "what is compressed cannot be inflated") from None
        if len(inflated) > room:
            # In smaller pieces, bad UTF-8 within the limit would be found first.
            message.check(memoryview(inflated)[: int(room)])
            raise self._format.over_limit(self._limit)
        if self.is_wasteful:
            message.check(inflated)
            raise self._format.excessive("too many final blocks have next to nothing in them")
        self.inflated += len(inflated)
        self.has_enough = self.left > 0 or self.inflated >= self._stop_at
        return inflated
