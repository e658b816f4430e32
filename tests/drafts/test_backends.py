"""isal in place of zlib, at one end or at both: nobody notices but the clock."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Iterator
from types import ModuleType
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
)
from trio_draftws.drafts._framing.compression import Backend, Window, library_of
from trio_draftws.drafts._framing.deflate import TAIL, Deflater, Inflater
from trio_draftws.drafts._handshake.extensions import accept_offer

from .backends import ISAL, each_backend, each_two, needs_isal
from .helpers import Outcome, bytewise, encoded, outcome, split_at
from .test_deflate import (
    AGREED,
    FULL,
    as_sent_to,
    codec_of,
    each_kind,
    each_role,
    each_row,
    final_block,
    other,
    payloads,
)

windows = st.builds(Window, st.integers(8, 15), st.booleans())
LEVELS = {"zlib": range(10), "isal": range(1, 4)}
# What a piece, a buffer of zlib or of isal, a window or a read holds, and a byte less and more
SIZES = sorted(
    {size + by for size in (1, 4096, 8192, 16384, 32768, 65536, 131072) for by in (-1, 0, 1)}
)


def settled(deflate: Deflate, backend: Backend, inflate_backend: Backend, **more: Any) -> Deflate:
    settings = Compression(backend=backend, inflate_backend=inflate_backend, **more)
    return attrs.evolve(deflate, settings=settings)


def noise(size: int, seed: object = 1) -> bytes:
    return random.Random(repr((size, seed))).randbytes(size)


def words(size: int) -> bytes:
    """What repeats itself, near and far."""
    drawn = random.Random(size)
    return b" ".join(drawn.choice((b"one", b"two", b"three")) for _ in range(size))[:size]


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


@pytest.fixture
def fresh_import() -> Iterator[None]:
    """What was imported before is looked for again."""
    library_of.cache_clear()
    yield
    library_of.cache_clear()


@pytest.mark.usefixtures("fresh_import")
@pytest.mark.parametrize("setting", ["backend", "inflate_backend"])
def test_isal_is_not_installed(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """That is said where the settings are made, and not when the first message is sent."""
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    monkeypatch.setitem(sys.modules, "isal", None)
    with pytest.raises(
        ImportError, match=r"isal needs a package of that name: .*'trio_draftws\[speed\]'"
    ):
        Compression(**{setting: "isal"})  # type: ignore[arg-type]


@pytest.mark.usefixtures("fresh_import")
@pytest.mark.parametrize(
    ("version", "is_good"),
    [
        ("0.9.0", False),
        ("1.8.0", False),
        ("1.9.0", True),
        ("1.9rc1", True),
        ("1.10.2.dev3", True),
        ("2.0", True),
    ],
)
def test_isal_is_too_old(monkeypatch: pytest.MonkeyPatch, version: str, is_good: bool) -> None:
    isal = ModuleType("isal")
    isal.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "isal", isal)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", ModuleType("isal.isal_zlib"))
    if is_good:
        assert Compression(backend="isal").levels[0] == 1
    else:
        with pytest.raises(ImportError, match=rf"isal {version} is too old: .*\[speed\]"):
            Compression(inflate_backend="isal")


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


# Compressing and inflating


@each_two
@given(data=st.data())
def test_what_one_compresses_the_other_inflates(
    backend: Backend, inflate_backend: Backend, data: st.DataObject
) -> None:
    """And so does a plain zlib, with a window of the size that was settled on and no larger one."""
    window = data.draw(windows)
    level = data.draw(st.sampled_from(LEVELS[backend]))
    mem_level = data.draw(st.integers(1, 9))
    settings = Compression(backend=backend, level=level, mem_level=mem_level)
    deflater = Deflater(window, settings)
    inflater = Inflater(window, inflate_backend)
    judge = zlib.decompressobj(-window.bits)
    for message in data.draw(st.lists(payloads, max_size=6)):
        wire = deflater.deflate(message, ends=True)
        assert wire, "RFC 7692 section 7.2.3.6"
        if not window.takeover:
            judge = zlib.decompressobj(-window.bits)
        assert judge.decompress(wire + TAIL) == message
        *parts, last = split_at(wire, data.draw(st.lists(st.integers(0, 2000), max_size=4)))
        told = b"".join(inflater.inflate(part, math.inf, ends=False) for part in parts)
        assert told + inflater.inflate(last, math.inf, ends=True) == message


@each_two
@given(
    messages=st.lists(st.lists(payloads, min_size=1, max_size=5), max_size=4),
    window=windows,
    ends_empty=st.booleans(),
)
def test_parts_get_through_at_once(
    backend: Backend,
    inflate_backend: Backend,
    messages: list[list[bytes]],
    window: Window,
    ends_empty: bool,
) -> None:
    """Empty ones too, for which isal has other bytes than zlib."""
    deflater = Deflater(window, Compression(backend=backend))
    inflater = Inflater(window, inflate_backend)
    for parts in messages:
        for part in (*parts[:-1], b"", *parts[-1:]):
            compressed = deflater.deflate(part, ends=False)
            assert inflater.inflate(compressed, math.inf, ends=False) == part
        last = b"" if ends_empty else b"last"
        told = inflater.inflate(deflater.deflate(last, ends=True), math.inf, ends=True)
        assert told == last


@needs_isal
@pytest.mark.parametrize("level", LEVELS["isal"])
@pytest.mark.parametrize("bits", range(8, 16))
def test_windows_are_kept_to(bits: int, level: int) -> None:
    """Repetitions at every distance; isal has no window of 8 bits."""
    size = 1 << bits
    settings = Compression(backend="isal", level=level)
    deflater = Deflater(Window(bits, takeover=True), settings)
    judge = zlib.decompressobj(-bits)
    inflater = Inflater(Window(bits, takeover=True), "isal")
    for distance in (*range(max(1, size - 300), size + 300, 7), 2 * size):
        block = noise(distance, bits)
        message = block + block[:300]
        compressed = deflater.deflate(message, ends=True)
        assert judge.decompress(compressed + TAIL) == message
        assert inflater.inflate(compressed, math.inf, ends=True) == message


@each_backend
def test_takeover_saves_more(backend: Backend) -> None:
    message = b'{"symbol": "TRIO", "price": 12.5, "volume": 300}' * 2
    sizes = {}
    for takeover in (True, False):
        deflater = Deflater(Window(15, takeover), Compression(backend=backend))
        sizes[takeover] = [len(deflater.deflate(message, ends=True)) for _ in range(3)]
    assert sizes[False] == [sizes[True][0]] * 3
    assert sizes[True][1] < sizes[True][0] / 2


@each_two
@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("make", [noise, words])
def test_sizes_of_buffers(backend: Backend, inflate_backend: Backend, bits: int, make: Any) -> None:
    window = Window(bits, takeover=True)
    deflater = Deflater(window, Compression(backend=backend))
    inflater = Inflater(window, inflate_backend)
    for size in SIZES:
        message = make(size)
        wire = deflater.deflate(message, ends=True)
        assert inflater.inflate(wire, size, ends=True) == message


# Final blocks, behind which an inflater begins anew


@needs_isal
@given(
    st.lists(payloads, min_size=1, max_size=4),
    st.integers(5, 700),
    st.lists(st.integers(0, 3000), max_size=6),
    st.booleans(),
)
def test_final_blocks(messages: list[bytes], size: int, cuts: list[int], takeover: bool) -> None:
    inflater = Inflater(Window(15, takeover), "isal")
    for message in messages:
        wire = b"".join(
            final_block(message[begin : begin + size])
            for begin in range(0, max(1, len(message)), size)
        )
        *parts, last = split_at(wire + b"\0", cuts)
        told = b"".join(inflater.inflate(part, math.inf, ends=False) for part in parts)
        assert told + inflater.inflate(last, math.inf, ends=True) == message


@each_backend
@pytest.mark.parametrize("closing", [b"\x00", b""])
@pytest.mark.parametrize("size", [1000, 32768, 50_000])
def test_the_window_outlives_a_final_block(backend: Backend, closing: bytes, size: int) -> None:
    before = noise(size)
    inflater = Inflater(FULL, backend)
    assert inflater.inflate(final_block(before) + closing, math.inf, ends=True) == before
    compress = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=before)
    referring = compress.compress(before[-1000:]) + compress.flush(zlib.Z_SYNC_FLUSH)
    assert len(referring) < 100
    assert inflater.inflate(referring[:-4], math.inf, ends=True) == before[-1000:]


@each_backend
@pytest.mark.parametrize("room", [0, 1, 99, 100, 5000])
@pytest.mark.parametrize("final", [True, False])
def test_room(backend: Backend, room: int, final: bool) -> None:
    """One byte more is told, and no more than that."""
    wire = final_block(b"x" * 100) * 50 + b"\x00"
    if not final:
        wire = Deflater(FULL, Compression()).deflate(b"x" * 5000, ends=True)
    told = Inflater(FULL, backend).inflate(wire, room, ends=True)
    assert told == b"x" * min(5000, room + 1)


# In frames


@each_two
@each_kind
@each_role
@given(data=st.data())
def test_conversations(
    role: Role,
    deflate: Deflate,
    backend: Backend,
    inflate_backend: Backend,
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
    backend: Backend,
    inflate_backend: Backend,
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
def test_a_bomb_is_refused(draft: Draft, role: Role, backend: Backend) -> None:
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
def test_what_cannot_be_inflated(
    draft: Draft, role: Role, backend: Backend, payload: bytes
) -> None:
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
    deflate: Deflate, backend: Backend, wire: bytes, cuts: list[int]
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
