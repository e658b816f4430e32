"""isal in place of zlib, at one end or at both: nobody notices but the clock."""

from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
import zlib
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import (
    Close,
    Compression,
    Deflate,
    Draft,
    Event,
    Fragment,
    Ping,
    RemoteProtocolError,
    Role,
    Window,
)

from .backends import ISAL, each_backend, each_two, needs_isal
from .helpers import Outcome, bytewise, encoded, outcome, split_at
from .test_deflate import (
    AGREED,
    as_sent_to,
    codec_of,
    each_kind,
    each_role,
    each_row,
    other,
    payloads,
)
from .test_extensions import accept_offer

windows = st.builds(Window, st.integers(8, 15), st.booleans())
# What a piece, a buffer of zlib or of isal, a window or a read holds, and a byte less and more
SIZES = sorted(
    {size + by for size in (1, 4096, 8192, 16384, 32768, 65536, 131072) for by in (-1, 0, 1)}
)


def settled(deflate: Deflate, backend: Any, inflate_backend: Any, **more: Any) -> Deflate:
    settings = Compression(backend=backend, inflate_backend=inflate_backend, **more)
    return attrs.evolve(deflate, settings=settings)


def noise(size: int, seed: object = 1) -> bytes:
    return random.Random(repr((size, seed))).randbytes(size)


def words(size: int) -> bytes:
    """What repeats itself, near and far."""
    drawn = random.Random(size).choices((b"one", b"two", b"three"), k=size // 4 + 1)
    return b" ".join(drawn)[:size]


# Settings


def test_defaults() -> None:
    assert Compression().backend == Compression().inflate_backend == "zlib"
    assert Compression().levels == (2, 5)
    assert Compression().level is None


@needs_isal
def test_defaults_of_isal() -> None:
    """The other backend's settings stay as they are where they are given."""
    isal = Compression(backend="isal")
    assert (*isal.levels, isal.inflate_backend) == (1, 3, "zlib")
    assert attrs.evolve(isal, backend="zlib").levels == (2, 5)
    given = Compression(backend="isal", level=3, mem_level=1)
    assert given.levels == (3, 1)
    assert Compression(inflate_backend="isal").levels[0] == 2
    assert Compression(backend="isal") != Compression()


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        ({"backend": "brotli"}, ValueError, "backend must be 'zlib' or 'isal', not 'brotli'"),
        ({"inflate_backend": "ISAL"}, ValueError, "inflate_backend must be 'zlib' or 'isal'"),
        ({"backend": None}, TypeError, "backend must be a str, not NoneType"),
        ({"backend": zlib}, TypeError, "backend must be a str, not module"),
        ({"inflate_backend": True}, TypeError, "inflate_backend must be a str, not bool"),
        ({"level": 10}, ValueError, "level must be 0 to 9, not 10, with the backend 'zlib'"),
        ({"level": -1}, ValueError, "level must be 0 to 9, not -1"),
        ({"level": "2"}, TypeError, "level must be an int, not str"),
        ({"level": True}, TypeError, "level must be an int, not bool"),
    ],
)
def test_bad_settings(settings: dict[str, Any], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Compression(**settings)


@needs_isal
@pytest.mark.parametrize("level", [-1, 0, 4, 6, 9])
def test_levels_that_isal_has_not(level: int) -> None:
    """Its own 0 is not offered."""
    with pytest.raises(
        ValueError, match=f"level must be 1 to 3, not {level}, with the backend 'isal'"
    ):
        Compression(backend="isal", level=level)


def test_isal_is_not_imported_unasked() -> None:
    code = "import sys, trio_draftws\nassert 'isal' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_isal
def test_windows_on_a_server() -> None:
    """isal takes as much memory for one window as for another; what is agreed to holds."""
    isal = Compression(backend="isal")
    for offer, bits in (
        ("permessage-deflate", 15),
        ("permessage-deflate; server_max_window_bits=10", 10),
    ):
        deflate = accept_offer([offer], isal)
        assert deflate is not None
        assert deflate.server == Window(bits, takeover=True)
        assert deflate.field == offer
    deflate = accept_offer(["permessage-deflate"], attrs.evolve(isal, server_max_window_bits=9))
    assert deflate is not None
    assert deflate.server.bits == 9


# In frames


@pytest.mark.no_cover
@each_two
@each_kind
@each_role
@given(data=st.data())
def test_conversations(
    role: Role,
    deflate: Deflate,
    backend: Any,
    inflate_backend: Any,
    data: st.DataObject,
) -> None:
    """Messages, whole or in fragments, empty ones too, control frames between, any split."""
    window = Window(data.draw(st.integers(8, 15)), data.draw(st.booleans()))
    deflate = settled(
        attrs.evolve(deflate, client=window, server=window), backend, inflate_backend, threshold=1
    )
    sender = codec_of(other(role), deflate)
    wire = b""
    expected: list[Event] = []
    for _ in range(data.draw(st.integers(0, 4))):
        parts = data.draw(st.lists(payloads, min_size=1, max_size=4))
        if len(parts) == 1:
            wire += encoded(sender, parts[0])
        else:
            for number, part in enumerate(parts, 1):
                wire += encoded(sender, Fragment(part, final=number == len(parts)))
                if number < len(parts) and data.draw(st.booleans()):
                    wire += encoded(sender, Ping(b"between"))
                    expected.append(Ping(b"between"))
        expected.append(b"".join(parts))
    wire += encoded(sender, Close(1000))
    expected.append(Close(1000))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=8))
    assert outcome(codec_of(role, deflate), split_at(wire, cuts)) == Outcome(expected)


@each_two
@each_role
@given(
    messages=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=4),
    limit=st.integers(0, 300),
    cuts=st.lists(st.integers(0, 2000), max_size=5),
)
def test_the_limit_is_for_what_was_inflated(
    role: Role,
    backend: Any,
    inflate_backend: Any,
    messages: list[str],
    limit: int,
    cuts: list[int],
) -> None:
    deflate = settled(AGREED, backend, inflate_backend, threshold=1)
    wire = encoded(codec_of(other(role), deflate), *messages)
    expected: list[Event] = []
    violation = None
    for text in messages:
        if len(text.encode()) > limit:
            violation = (1009, f"a message is longer than {limit} bytes")
            break
        expected.append(text)
    codec = codec_of(role, deflate, limit)
    assert outcome(codec, split_at(wire, cuts)) == Outcome(expected, violation)


@each_role
@each_row
@pytest.mark.parametrize("backend", ["zlib", ISAL])
def test_a_bomb_is_refused(draft: Draft, role: Role, backend: Any) -> None:
    """A thousand times what it takes on the wire, and memory for the limit only."""
    limit = 100_000
    most = attrs.evolve(AGREED, settings=Compression(level=9))
    wire = encoded(codec_of(other(role), most, draft=draft), "x" * 20_000_000)
    codec = codec_of(role, settled(AGREED, "zlib", backend), limit=limit, draft=draft)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="longer than 100000 bytes") as caught:
            codec.decode(wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.close_code == (1009 if draft.version == 13 else 1004)
    assert peak < 3 * limit + len(wire) * 3


CORRUPT = {
    "a block of no kind": b"\xff",
    "a stored block whose length is wrong": b"\x00\x05\x00\x00\x00hello",
    "a reference to before the beginning": b"\x02\x82\x00\x00",
    "codes that are none": b"\x04\xfe\xff\xff\xff\xff\xff\xff\xff",
}


@each_role
@each_row
@each_backend
@pytest.mark.parametrize("payload", CORRUPT.values(), ids=CORRUPT)
def test_what_cannot_be_inflated(draft: Draft, role: Role, backend: Any, payload: bytes) -> None:
    """The same close code and the same reason, however it comes, in text and in what is binary."""
    deflate = settled(AGREED, "zlib", backend)
    code = 1002 if draft.version == 7 else 1007
    expected = Outcome([], (code, "what is compressed cannot be inflated"))
    for first in (b"\xc1", b"\xc2"):
        wire = as_sent_to(role, first + bytes([len(payload)]) + payload)
        for chunks in ([wire], bytewise(wire)):
            assert outcome(codec_of(role, deflate, draft=draft), chunks) == expected


@each_kind
@each_backend
@given(wire=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=4))
def test_any_bytes_in_compressed_frames(
    deflate: Deflate, backend: Any, wire: bytes, cuts: list[int]
) -> None:
    """One kind of error, and the same for every split. Where a block lacks its end, one of the two
    may still wait for it when the other already finds it wrong."""
    size = bytes([len(wire)]) if len(wire) < 126 else b"\x7e" + len(wire).to_bytes(2, "big")
    frame = b"\xc2" + size + wire
    settings = settled(deflate, "zlib", backend)
    one = outcome(codec_of("client", settings, 1000), [frame])
    assert outcome(codec_of("client", settings, 1000), split_at(frame, cuts)) == one
    by_zlib = outcome(codec_of("client", deflate, 1000), [frame])
    broken = Outcome([], (1007, "what is compressed cannot be inflated"))
    assert one == by_zlib or broken in (one, by_zlib)
