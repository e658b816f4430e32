"""Compressing and inflating: the published examples, zlib as the judge, and limits."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    COMPRESSION,
    DRAFTS,
    Close,
    Codec,
    Compression,
    Deflate,
    Draft,
    Event,
    Fragment,
    NegotiatedParameters,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    Window,
    draft_named,
)

from .helpers import ROLES, Outcome, bytewise, encoded, in_turn, outcome, split_at

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "drafts.json").read_text("utf-8")
)["extensions"]
ROWS = [draft for draft in DRAFTS if draft.compression]
RFC6455 = draft_named("rfc6455")
FULL = Window(15, takeover=True)
AGREED = Deflate("permessage-deflate", FULL, FULL, COMPRESSION)
PER_FRAME = attrs.evolve(AGREED, field="x-webkit-deflate-frame", per_frame=True)

each_row = pytest.mark.parametrize("draft", ROWS, ids=lambda draft: draft.name)
each_role = in_turn("role", ROLES)
ANY_ROLE = st.sampled_from(ROLES)
each_kind = pytest.mark.parametrize("deflate", [AGREED, PER_FRAME], ids=["message", "frame"])


def final_block(data: bytes) -> bytes:
    """RFC 7692 section 7.2.3.4"""
    compress = zlib.compressobj(9, zlib.DEFLATED, -15)
    return compress.compress(data) + compress.flush(zlib.Z_FINISH)


def other(role: Role) -> Role:
    return "client" if role == "server" else "server"


def codec_of(
    role: Role, deflate: Deflate = AGREED, limit: float = math.inf, draft: Draft = RFC6455
) -> Codec:
    return draft.codec(role, limit, NegotiatedParameters(deflate=deflate))


def masked(frame: bytes) -> bytes:
    """A server's short frame, or several, as a client sends them."""
    frames = b""
    while frame:
        size = frame[1]
        # A mask of zeros changes nothing.
        frames += bytes([frame[0], 0x80 | size]) + bytes(4) + frame[2 : 2 + size]
        frame = frame[2 + size :]
    return frames


def as_sent_to(role: Role, frames: bytes) -> bytes:
    return masked(frames) if role == "server" else frames


def vector(vector_id: str) -> bytes:
    (found,) = (row for row in VECTORS if row["id"] == vector_id)
    return bytes.fromhex(found["hex"])


# The published examples

OF_FRAMES = {
    "permessage-deflate": AGREED,
    "deflate-frame / x-webkit-deflate-frame": PER_FRAME,
}


@each_role
@each_row
@pytest.mark.parametrize(
    "row", [row for row in VECTORS if row["extension"] in OF_FRAMES], ids=lambda row: str(row["id"])
)
def test_vector_is_decoded(row: dict[str, Any], draft: Draft, role: Role) -> None:
    """However it is split."""
    meaning = row["decoded"]
    expected: list[Event] = [meaning["text"]]
    wire = bytes.fromhex(row["hex"])
    if "after" in meaning:
        wire = vector(meaning["after"]) + wire
        expected *= 2
    wire = as_sent_to(role, wire)
    deflate = OF_FRAMES[row["extension"]]
    for chunks in ([wire], bytewise(wire)):
        assert outcome(codec_of(role, deflate, draft=draft), chunks) == Outcome(expected)


def test_vectors_are_encoded() -> None:
    """As zlib does it, which is how those of RFC 7692 were made."""
    codec = codec_of("server")
    assert b"".join(map(bytes, codec.encode("Hello", True))) == vector("pmd-hello")
    assert b"".join(map(bytes, codec.encode("Hello", True))) == vector("pmd-second-hello-takeover")


def of_extension(name: str) -> list[dict[str, Any]]:
    return [row for row in VECTORS if row["extension"] == name]


# Compressing

payloads = st.binary(max_size=2000) | st.binary(max_size=40).map(lambda data: data * 100)


def test_no_memory_before_the_first_message() -> None:
    """And without takeover none behind it."""
    tracemalloc.start()
    try:
        codecs = [codec_of("server") for _ in range(100)]
        before = tracemalloc.get_traced_memory()[0]
        for codec in codecs:
            assert codec.decode(masked(b"\x81\x05Hello")) == ["Hello"]
            codec.encode("Hello")
        assert tracemalloc.get_traced_memory()[0] - before < 100 * 1024
    finally:
        tracemalloc.stop()
    once = Window(15, takeover=False)
    codec = codec_of("server", attrs.evolve(AGREED, client=once, server=once))
    codec.decode(masked(vector("pmd-hello")))
    codec.encode("Hello" * 100)
    assert codec._encoder._deflater._compressor is None  # type: ignore[attr-defined]
    assert codec._inflater._inflater is None  # type: ignore[attr-defined]


# In frames


@each_role
@each_row
def test_a_bomb_is_refused(draft: Draft, role: Role) -> None:
    """A thousand times what it takes on the wire, and memory for the limit only."""
    limit = 100_000
    most = attrs.evolve(AGREED, settings=Compression(level=9))
    wire = encoded(codec_of(other(role), most, draft=draft), "x" * 100_000_000)
    assert len(wire) < 150_000
    codec = codec_of(role, limit=limit, draft=draft)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="longer than 100000 bytes") as caught:
            codec.decode(wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.close_code == (1009 if draft.version == 13 else 1004)
    assert peak < 3 * limit + len(wire) * 3


@each_kind
@given(
    role=ANY_ROLE,
    messages=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=4),
    limit=st.integers(0, 300),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
)
def test_the_limit_is_for_what_was_inflated(
    role: Role, deflate: Deflate, messages: list[str], limit: int, cuts: list[int]
) -> None:
    said = codec_of(other(role), deflate)
    wire = b"".join(bytes(part) for text in messages for part in said.encode(text, True))
    expected = []
    violation = None
    for text in messages:
        if len(text.encode()) > limit:
            violation = (1009, f"a message is longer than {limit} bytes")
            break
        expected.append(text)
    codec = codec_of(role, deflate, limit)
    assert outcome(codec, split_at(wire, cuts)) == Outcome(list(expected), violation)


def test_incompressible_messages_of_the_limits_size() -> None:
    """They take more bytes on the wire than the limit."""
    message = random.Random(3).randbytes(100_000)
    wire = b"".join(map(bytes, codec_of("client").encode(message, True)))
    assert len(wire) > len(message) + 14
    assert outcome(codec_of("server", limit=len(message)), [wire]) == Outcome([message])


def test_the_threshold() -> None:
    settings = Compression(threshold=10)
    codec = codec_of("server", attrs.evolve(AGREED, settings=settings))
    first_bytes = [
        bytes(codec.encode(message, compress)[0])[0]
        for message in ("x" * 9, "x" * 10)
        for compress in (None, True, False)
    ]
    assert first_bytes == [0x81, 0xC1, 0x81, 0xC1, 0xC1, 0x81]
    assert bytes(codec.encode("", True)[0]) == b"\x81\x00"


@each_kind
@given(role=ANY_ROLE, data=st.data())
def test_conversations(role: Role, deflate: Deflate, data: st.DataObject) -> None:
    """Messages, compressed or not, whole or in fragments, control frames between, any split."""
    sender = codec_of(other(role), deflate)
    wire = b""
    expected: list[Event] = []
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    for _ in range(data.draw(st.integers(0, 5))):
        compress = data.draw(st.sampled_from([None, True, False]))
        parts: list[str] | list[bytes] = data.draw(
            st.lists(text, min_size=1, max_size=4)
            | st.lists(st.binary(max_size=400), min_size=1, max_size=4)
        )
        whole = parts[0][:0].join(parts)  # type: ignore[arg-type]
        if len(parts) == 1:
            wire += b"".join(map(bytes, sender.encode(whole, compress)))
        else:
            for number, part in enumerate(parts, 1):
                assert isinstance(part, (str, bytes))
                fragment = Fragment(part, final=number == len(parts))
                wire += b"".join(map(bytes, sender.encode(fragment, compress)))
                if number < len(parts) and data.draw(st.booleans()):
                    wire += encoded(sender, Ping(b"between"))
                    expected.append(Ping(b"between"))
        expected.append(whole)
    wire += encoded(sender, Close(1000))
    expected.append(Close(1000))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    assert outcome(codec_of(role, deflate), split_at(wire, cuts)) == Outcome(expected)


@each_kind
@each_role
@pytest.mark.parametrize("size", [1, 125, 126, 127, 16383, 16384, 16385, 65535, 65536, 65537])
def test_payloads_of_each_form_of_a_length(role: Role, deflate: Deflate, size: int) -> None:
    """Whole messages one after the other, with each end of a header and of a payload cut off."""
    blocks = [b"x" * min(30_000, size - 6 - at) for at in range(0, size - 6, 30_005)]
    # RFC 1951 section 3.2.4: five bytes stand before what is stored; of the last block one is left.
    payload = b"".join(
        b"\0" + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + block
        for block in blocks
        for length in [len(block)]
    )
    payload += b"\0"
    assert len(payload) == size
    wire = masked_frame(role, 0xC2, payload) * 2
    begins = (0, len(wire) // 2)
    edges = [at + by for at in begins for by in range(len(wire) // 2 - size + 3)]
    for cuts in ([], begins, edges, [len(wire) - 1], range(0, len(wire), 5000)):
        found = outcome(codec_of(role, deflate), split_at(wire, cuts))
        assert found == Outcome([b"".join(blocks)] * 2)


def masked_frame(role: Role, first: int, payload: bytes) -> bytes:
    """A frame for `role`, in the shortest form of its length."""
    size = len(payload)
    mask_bit, key = (0x80, bytes(4)) if role == "server" else (0, b"")
    if size < 126:
        return bytes([first, mask_bit | size]) + key + payload
    form, width = (126, 2) if size < 65536 else (127, 8)
    return bytes([first, mask_bit | form]) + size.to_bytes(width, "big") + key + payload


@each_row
@each_role
@pytest.mark.parametrize("form", [126, 127])
def test_a_compressed_frame_whose_length_is_not_in_its_shortest_form(
    draft: Draft, role: Role, form: int
) -> None:
    mask_bit, key = (0x80, bytes(4)) if role == "server" else (0, b"")
    payload = vector("pmd-hello")[2:]
    length = len(payload).to_bytes(2 if form == 126 else 8, "big")
    wire = bytes([0xC1, mask_bit | form]) + length + key + payload
    expected = Outcome(["Hello"])
    if draft.name == "rfc6455":
        expected = Outcome([], (1002, "a frame's length is not in its shortest form"))
    for chunks in ([wire], bytewise(wire)):
        assert outcome(codec_of(role, draft=draft), chunks) == expected


@each_kind
@given(wire=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_in_compressed_frames(deflate: Deflate, wire: bytes, cuts: list[int]) -> None:
    """One kind of error, and the same for every split."""
    size = bytes([len(wire)]) if len(wire) < 126 else b"\x7e" + len(wire).to_bytes(2, "big")
    frame = b"\xc2" + size + wire
    one = outcome(codec_of("client", deflate, 1000), [frame])
    assert outcome(codec_of("client", deflate, 1000), split_at(frame, cuts)) == one


@each_row
def test_what_cannot_be_inflated(draft: Draft) -> None:
    codec = codec_of("client", draft=draft)
    with pytest.raises(RemoteProtocolError, match="cannot be inflated") as caught:
        codec.decode(b"\xc1\x01\xff")
    assert caught.value.close_code == (1002 if draft.version == 7 else 1007)


def as_text(event: bytes | Fragment) -> bytes:
    """The frame of binary data, marked as text."""
    wire = bytearray().join(map(bytes, codec_of("server").encode(event, True)))
    wire[0] -= 1
    return bytes(wire)


def test_bad_utf8_that_was_compressed() -> None:
    """At the first byte that cannot be mended, before the message's end."""
    wire = as_text(Fragment(b"abc\xff" * 10))
    codec = codec_of("client")
    with pytest.raises(RemoteProtocolError, match="a text is not UTF-8") as caught:
        codec.decode(wire)
    assert caught.value.close_code == 1007


def test_bad_utf8_before_the_limit() -> None:
    """It is what is told, also where the same bytes go past the limit."""
    wire = as_text(b"abc\xff" * 10)
    for chunks in ([wire], bytewise(wire)):
        for limit, violation in (
            (4, (1007, "a text is not UTF-8")),
            (3, (1009, "a message is longer than 3 bytes")),
        ):
            assert outcome(codec_of("client", limit=limit), chunks) == Outcome([], violation)


@each_kind
# RSV2; RSV3; RSV1 and RSV2; a ping; a close
@in_turn("frame", [b"\xa1\x00", b"\x91\x00", b"\xe1\x00", b"\xc9\x00", b"\xc8\x00"])
def test_bits_that_nothing_was_agreed_for(deflate: Deflate, frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        codec_of("client", deflate).decode(frame)
    assert caught.value.close_code == 1002


def test_a_continuation_that_is_marked() -> None:
    """RFC 7692 section 6.2: the mark is on the first frame only."""
    codec = codec_of("client")
    with pytest.raises(RemoteProtocolError, match="continues is marked") as caught:
        codec.decode(vector("deflate-frame-fragmented"))
    assert caught.value.close_code == 1002


@in_turn("draft", DRAFTS)
def test_rows_without_compression_have_none(draft: Draft) -> None:
    """To ask for it is no mistake: it goes as it is."""
    codec = draft.codec("server", 100)
    plain = b"".join(map(bytes, draft.codec("server", 100).encode("Hello")))
    assert b"".join(map(bytes, codec.encode("Hello", True))) == plain


@each_kind
def test_pings_between_compressed_fragments(deflate: Deflate) -> None:
    sender = codec_of("server", deflate)
    codec = codec_of("client", deflate)
    seen: list[Event] = []
    for event in (Fragment("He"), Pong(b"x"), Fragment("llo"), Fragment("", final=True)):
        seen += codec.decode(encoded(sender, event))
    assert seen == [Pong(b"x"), "Hello"]


@in_turn("kind", [bytearray, memoryview])
def test_buffers_of_any_kind_are_compressed(kind: type[bytearray]) -> None:
    client = codec_of("client")
    wire = b"".join(client.encode(kind(b"x" * 5000)))
    assert len(wire) < 200
    assert codec_of("server").decode(wire) == [b"x" * 5000]
