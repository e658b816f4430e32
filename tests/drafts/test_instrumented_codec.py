"""The codec that tells instruments what passes: it is a codec like the one that it wraps."""

from __future__ import annotations

from trio_draftws._connection.instrumented_codec import InstrumentedCodec
from trio_draftws.drafts import Codec, draft_named


def test_the_wrapped_codec_is_a_codec() -> None:
    """All that a connection may ask a codec for, the optional members included."""
    members = {name for name in vars(Codec) if not name.startswith("_")}
    assert members <= set(dir(InstrumentedCodec))


def test_the_wrapped_codec_knows_whether_a_message_has_begun() -> None:
    inner = draft_named("rfc6455").codec("client", 1000)
    codec = InstrumentedCodec(inner, connection=None, tell=lambda *facts: None)
    assert codec.between_messages
    codec.decode(b"\x81")
    assert not codec.between_messages
