"""What the codecs from hybi-01 to RFC 6455 have in common: a decoder with an encoder."""

from __future__ import annotations

from collections.abc import Hashable

from trio_draftws.drafts._events import Buffer, EncodedText, Event

from .decoder import FrameDecoder
from .encoder import FrameEncoder


class FrameCodec(FrameDecoder):
    """Decodes by itself, which costs no further call for what comes; encodes by an encoder."""

    __slots__ = ("_encoder",)

    _encoder: FrameEncoder

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """See `Codec.encode`."""
        return self._encoder.encode(event, compress)

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable | None:
        """See `Codec.encoding_key`."""
        return self._encoder.encoding_key(message, compress)
