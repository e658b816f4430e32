"""A compressor and an inflater by themselves, without frames: windows, libraries, final blocks.

What they make of a part of a message shows in no frame: how much is held back, how many final
blocks there were, what is left of the input. Their frames are in test_deflate.py, test_backends.py
and test_final_blocks.py.
"""

from __future__ import annotations

import math
import random
import sys
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_draftws.drafts import COMPRESSION, Compression, Window
from trio_draftws.drafts._framing.compression import Backend, library_of
from trio_draftws.drafts._framing.deflate import TAIL, Deflater, Inflater

from .backends import each_backend, each_two, needs_isal
from .helpers import in_turn, split_at
from .test_backends import SIZES, noise, windows, words
from .test_deflate import FULL, RFC6455, final_block, of_extension, payloads

LEVELS = {"zlib": range(10), "isal": range(1, 4)}
settings_of_zlib = st.builds(
    Compression, level=st.integers(0, 9), mem_level=st.integers(1, 9), threshold=st.just(0)
)


# Settings


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


# Published examples of other extensions


@pytest.mark.parametrize("row", of_extension("x-deflate-application-data"))
def test_vector_of_compressed_payloads(row: dict[str, Any]) -> None:
    """No row has this extension, which marks nothing; its payloads are raw DEFLATE too."""
    payload = bytes.fromhex(row["hex"])[2:]
    assert Inflater(FULL).inflate(payload, math.inf, ends=True) == row["decoded"]["text"].encode()


@pytest.mark.parametrize("row", of_extension("deflate-stream"))
def test_vector_of_a_compressed_stream(row: dict[str, Any]) -> None:
    """No row has this extension, under which all that is sent is one raw DEFLATE stream."""
    clear = Inflater(FULL).inflate(bytes.fromhex(row["hex"]), math.inf, ends=False)
    assert clear.hex() == row["decoded"]["clear_hex"]
    assert RFC6455.codec("client", 100).decode(clear) == ["Hello"]


# Compressing and inflating


@given(st.lists(payloads, max_size=6), windows, settings_of_zlib)
@example([b"", b""], Window(15, takeover=True), COMPRESSION)
def test_zlib_inflates_what_we_compress(
    messages: list[bytes], window: Window, settings: Compression
) -> None:
    """With a window of the size that was settled on, and no larger one."""
    deflater = Deflater(window, settings)
    judge = zlib.decompressobj(-window.bits)
    for message in messages:
        compressed = deflater.deflate(message, ends=True)
        assert compressed, "RFC 7692 section 7.2.3.6"
        if not window.takeover:
            judge = zlib.decompressobj(-window.bits)
        assert judge.decompress(compressed + TAIL) == message


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


@in_turn("bits", range(8, 16))
def test_windows_are_kept_to(bits: int) -> None:
    """Repetitions at every distance, where zlib is tempted to look back too far."""
    noise = random.Random(bits)
    size = 1 << bits
    deflater = Deflater(Window(bits, takeover=True), Compression(level=9, mem_level=9))
    judge = zlib.decompressobj(-bits)
    for distance in (*range(size - 300, size + 300, 7), 2 * size):
        block = noise.randbytes(max(1, distance))
        message = block + block[:300]
        compressed = deflater.deflate(message, ends=True)
        assert judge.decompress(compressed + TAIL) == message


@needs_isal
@pytest.mark.parametrize("level", LEVELS["isal"])
@pytest.mark.parametrize("bits", range(8, 16))
def test_windows_are_kept_to_by_isal(bits: int, level: int) -> None:
    """It has none of 8 bits."""
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


@pytest.mark.no_cover
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


# Final blocks, behind which an inflater begins anew


def compressed_with_final_blocks(messages: list[bytes], size: int) -> list[bytes]:
    """Each message in final blocks of `size` bytes: RFC 7692 section 7.2.3.4."""
    return [
        b"".join(
            zlib.compressobj(9, zlib.DEFLATED, -15).flush()
            if not message
            else final_block(message[begin : begin + size])
            for begin in range(0, max(1, len(message)), size)
        )
        + b"\x00"
        for message in messages
    ]


@each_backend
@given(
    messages=st.lists(payloads, min_size=1, max_size=4),
    size=st.integers(5, 700),
    cuts=st.lists(st.integers(0, 3000), max_size=6),
    takeover=st.booleans(),
)
def test_final_blocks(
    backend: Backend, messages: list[bytes], size: int, cuts: list[int], takeover: bool
) -> None:
    inflater = Inflater(Window(15, takeover), backend)
    for message, wire in zip(messages, compressed_with_final_blocks(messages, size), strict=True):
        *parts, last = split_at(wire, cuts)
        told = b"".join(inflater.inflate(part, math.inf, ends=False) for part in parts)
        assert told + inflater.inflate(last, math.inf, ends=True) == message


@each_backend
@pytest.mark.parametrize("closing", [b"\x00", b""])
@pytest.mark.parametrize("size", [1000, 32768, 50_000])
def test_the_window_outlives_a_final_block(backend: Backend, closing: bytes, size: int) -> None:
    """A block may refer to what stands before a final one; not everyone ends with an empty one."""
    before = noise(size)
    inflater = Inflater(FULL, backend)
    assert inflater.inflate(final_block(before) + closing, math.inf, ends=True) == before
    compress = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=before)
    referring = compress.compress(before[-1000:]) + compress.flush(zlib.Z_SYNC_FLUSH)
    assert len(referring) < 100
    assert inflater.inflate(referring[:-4], math.inf, ends=True) == before[-1000:]


def test_a_window_that_is_kept_short() -> None:
    """What stands further back than the window is forgotten, behind a final block too; and no more
    than that.
    """
    far = random.Random(2).randbytes(600)
    inflater = Inflater(Window(9, takeover=True))
    for piece in (far[:300], far[300:], far[:300], far[300:]):
        assert inflater.inflate(final_block(piece) + b"\x00", math.inf, ends=True) == piece
    assert len(inflater._history) <= 2 * 512
    compress = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=(far + far)[-500:])
    said = (far + far)[-500:-400]
    referring = compress.compress(said) + compress.flush(zlib.Z_SYNC_FLUSH)
    assert len(referring) < 50
    assert inflater.inflate(referring[:-4], math.inf, ends=True) == said


@in_turn("cut", range(12))
def test_a_stored_block_behind_a_final_one(cut: int) -> None:
    """Its first byte is a zero, as that of the empty one which ends a message."""
    wire = final_block(b"a") + b"\x00\x05\x00\xfa\xffhello" + b"\x00"
    inflater = Inflater(FULL)
    told = inflater.inflate(wire[:cut], math.inf, ends=False)
    assert told + inflater.inflate(wire[cut:], math.inf, ends=True) == b"ahello"


@in_turn("most", [1, 7, 256])
@in_turn("ends", [True, False])
def test_so_many_final_blocks_at_once(most: int, ends: bool) -> None:
    """What is behind them is left, and is given again."""
    pieces = [random.Random(at).randbytes(at % 40) for at in range(300)]
    wire = b"".join(map(final_block, pieces)) + b"\x00"
    inflater = Inflater(FULL)
    told, calls = b"", 0
    while wire:
        calls += 1
        told += inflater.inflate(wire, math.inf, ends=ends, most_blocks=most)
        assert inflater.blocks <= most
        wire = wire[len(wire) - inflater.left :]
    assert told == b"".join(pieces)
    # What is behind the last one is the end of the message, if there is one.
    assert calls == len(range(0, 300 if ends else 301, most))


@pytest.mark.parametrize(
    ("block", "longest"),
    [(b"\x03\x00", 1334), (b"\x01\x00\x00\xff\xff", 2667), (final_block(b"a"), 1601)],
    ids=["empty", "empty and stored", "a byte each"],
)
def test_final_blocks_with_next_to_nothing_in_them(block: bytes, longest: int) -> None:
    """Wherever they are cut there may be as many of them."""
    for size in (len(block), 7, 1000, len(block) * longest):
        inflater = Inflater(FULL)
        wire = block * longest
        for begin in range(0, len(wire), size):
            assert not inflater.is_wasteful
            inflater.inflate(wire[begin : begin + size], math.inf, ends=False)
        assert inflater.is_wasteful


def test_final_blocks_that_are_long_make_up_for_short_ones() -> None:
    inflater = Inflater(FULL)
    for _ in range(10):
        inflater.inflate(
            b"\x03\x00" * 1300 + final_block(random.Random(3).randbytes(9000)), 10_000, ends=False
        )
        assert not inflater.is_wasteful
