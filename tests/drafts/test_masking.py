"""Masks and their keys, in Python and in C: the same, and nothing that is wrong gets further than
an exception.
"""

from __future__ import annotations

import array
import gc
import os
import subprocess
import sys
import threading
import tracemalloc
from itertools import cycle
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trio_draftws
import trio_draftws.drafts
from trio_draftws import HAS_SPEEDUPS
from trio_draftws.drafts import Buffer
from trio_draftws.drafts._framing import masking as _masking
from trio_draftws.drafts._framing.masking import (
    KEY_SIZE,
    ApplyMask,
    apply_mask_in_python,
    fastest,
    new_key,
    unmask,
)

from .helpers import in_turn
from .masks import IS_BUILT, needs_c


def in_c(payload: Buffer, key: bytes, offset: int = 0, /) -> bytes:
    """As `speedups.apply_mask`; an error where that was not built."""
    from trio_draftws.drafts._framing import speedups

    return speedups.apply_mask(payload, key, offset)


both_ways = pytest.mark.parametrize(
    "apply_mask",
    [
        pytest.param(apply_mask_in_python, id="in Python"),
        pytest.param(in_c, id="in C", marks=needs_c),
    ],
)


def masked_bytewise(payload: bytes, key: bytes, offset: int = 0) -> bytes:
    """The same, as slow and plain as can be."""
    keys = cycle(key)
    for _ in range(offset):
        next(keys)
    return bytes(byte ^ mask for byte, mask in zip(payload, keys, strict=False))


KEYS = st.sampled_from([4, 20]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
AROUND_EVERY_SWITCH = [0, 1, 3, 4, 5, 19, 20, 21, 125, 511, 512, 513, 2559, 2560, 2561, 70_000]


@both_ways
@given(st.binary(max_size=600), KEYS, st.integers(0, 2**40))
def test_each_byte_gets_its_own(
    apply_mask: ApplyMask, payload: bytes, key: bytes, offset: int
) -> None:
    """Byte n is XORed with byte n of the repeated key, from any offset in it."""
    expected = masked_bytewise(payload, key, offset % len(key))
    assert expected == apply_mask(payload, key, offset)


@both_ways
@in_turn("key_size", [1, 4, 20])
@in_turn("size", AROUND_EVERY_SWITCH)
def test_every_size(apply_mask: ApplyMask, size: int, key_size: int) -> None:
    """Short and long payloads are masked alike."""
    payload, key = os.urandom(size), os.urandom(key_size)
    for offset in (0, 1, 3, 21):
        expected = masked_bytewise(payload, key, offset)
        assert expected == apply_mask(payload, key, offset)


@both_ways
@in_turn("size", [5, 5000])
def test_masking_twice_is_nothing(apply_mask: ApplyMask, size: int) -> None:
    """What puts a mask on takes it off."""
    payload = os.urandom(size)
    assert payload == apply_mask(apply_mask(payload, b"\x37\xfa\x21\x3d"), b"\x37\xfa\x21\x3d")


@both_ways
@in_turn("size", [0, 5, 125, 5000])
@in_turn("kind", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
def test_the_payload_stays(apply_mask: ApplyMask, kind: type[bytearray], size: int) -> None:
    """The caller's buffer is not masked in place, and of short ones come bytes."""
    payload = kind(b"x" * size)
    expected = masked_bytewise(b"x" * size, b"abcd")
    masked = apply_mask(payload, b"abcd")
    assert expected == masked
    assert type(masked) is bytes or size > 125
    assert bytes(payload) == b"x" * size


def test_keys_are_new() -> None:
    """No key of four random bytes comes twice, but by chance."""
    keys = [new_key() for _ in range(3000)]
    assert {KEY_SIZE} == {len(key) for key in keys}
    assert len(set(keys)) > 2990


def test_keys_are_the_systems_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its bytes is used once and none is made up."""
    block = bytes(byte for number in range(256) for byte in number.to_bytes(4, "big"))
    monkeypatch.setattr(_masking, "_new_keys", [])
    monkeypatch.setattr(os, "urandom", lambda size: block[:size])
    keys = sorted(new_key() for _ in range(256))
    assert [block[begin : begin + 4] for begin in range(0, 1024, 4)] == keys


def test_threads_share_no_key() -> None:
    """Whatever thread asks, it is the only one that gets that key."""
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.extend([new_key() for _ in range(500)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2000
    assert len(set(found)) > 1990


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_shares_no_key() -> None:
    """A child of this process does not use the keys that are in store here."""
    new_key()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # pragma: no cover
        os.write(writer, b"".join(new_key() for _ in range(100)))
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        os.close(writer)
        told = pipe.read()
    theirs = {told[begin : begin + 4] for begin in range(0, 400, 4)}
    assert len(theirs) == 100
    assert len(theirs & {new_key() for _ in range(300)}) < 3


# In C

RANDOM = os.urandom(1 << 20)
# Of any kind: what divides a word, what does not, and what is longer than what C does in words
PERIODS = [4, 20, 1, 2, 3, 7, 8, 9, 31, 32, 33, 100]


@needs_c
def test_it_was_built() -> None:
    """So that a build without it says so in one line, where it is demanded."""
    assert IS_BUILT, "masking in C is demanded and was not built"


@needs_c
@in_turn("period", PERIODS)
def test_every_length_at_every_offset(period: int) -> None:
    """From 0 to 300 bytes, beginning at each place in the key and beyond it."""
    key = os.urandom(period)
    for size in range(301):
        payload = RANDOM[size : 2 * size]
        for offset in range(period + 2):
            expected = apply_mask_in_python(payload, key, offset)
            assert expected == in_c(payload, key, offset), (size, offset)


@needs_c
@in_turn("period", [4, 20, 7])
def test_every_alignment(period: int) -> None:
    """Wherever the payload and the key lie in memory."""
    keys = memoryview(RANDOM)
    for size in range(301):
        for begin in range(9):
            payload = memoryview(RANDOM)[begin : begin + size]
            key = keys[begin : begin + period]
            expected = apply_mask_in_python(payload, bytes(key), begin)
            assert expected == in_c(payload, key, begin), (size, begin)  # type: ignore[arg-type]


def test_unmasking_behind_the_key() -> None:
    """A payload behind its key, of every length that is short, and wherever it lies."""
    for size in range(126):
        for begin in range(4, 14):
            expected = apply_mask_in_python(
                RANDOM[begin : begin + size], RANDOM[begin - 4 : begin], 0
            )
            found = unmask(RANDOM, begin, begin + size)
            assert type(found) is bytes
            assert expected == found, (size, begin)


@needs_c
@in_turn("period", [4, 20, 7])
@in_turn("size", [4095, 4096, 65_537, 1 << 20])
def test_large_payloads(size: int, period: int) -> None:
    """Long ones are masked to their ends."""
    key = os.urandom(period)
    for offset in (0, 1, 2**40 + 1):
        payload = memoryview(RANDOM)[:size]
        assert apply_mask_in_python(payload, key, offset) == in_c(payload, key, offset)


@needs_c
def test_offsets_below_none() -> None:
    """As Python counts them."""
    for offset in range(-25, 0):
        for key in (b"abcd", b"abcdefghijklmnopqrst"):
            assert apply_mask_in_python(RANDOM[:60], key, offset) == in_c(RANDOM[:60], key, offset)


@needs_c
@in_turn("size", [0, 1, 2, 5, 300, 5000])
def test_every_kind_of_buffer(size: int) -> None:
    """Whatever holds the bytes, writable or not, and whatever its items are."""
    payload = RANDOM[:size]
    expected = apply_mask_in_python(payload, b"abcd", 1)
    writable = bytearray(payload)
    view = memoryview(writable)
    buffers: list[Buffer] = [payload, writable, memoryview(payload), view, view.toreadonly()]
    for buffer in buffers:
        masked = in_c(buffer, b"abcd", 1)
        assert expected == masked
        assert type(masked) is bytes
    assert payload == writable
    numbers = array.array("I", range(size))
    expected = apply_mask_in_python(numbers.tobytes(), b"abcd", 1)
    assert expected == in_c(memoryview(numbers), b"abcd", 1)
    assert expected == in_c(memoryview(numbers), bytearray(b"abcd"), 1)  # type: ignore[arg-type]


@needs_c
def test_what_was_made_before_stays() -> None:
    """Objects that Python has once, the empty bytes and those of one byte, are not written to."""
    for size in (0, 1):
        before = [bytes(RANDOM[begin : begin + size]) for begin in range(256)]
        copies = [bytearray(data) for data in before]
        for data in before:
            in_c(data, b"\xff")
        assert copies == before
    assert in_c(b"", b"abcd") == b""


WRONG: list[tuple[type[Exception], tuple[Any, ...]]] = [
    (ValueError, (b"abc", b"")),
    (ValueError, (b"abc", b"", 1)),
    (TypeError, ("abc", b"abcd")),
    (TypeError, (b"abc", "abcd")),
    (TypeError, (None, b"abcd")),
    (TypeError, (b"abc", None)),
    (TypeError, (7, b"abcd")),
    (TypeError, (b"abc", b"abcd", None)),
    (TypeError, (b"abc", b"abcd", "1")),
    (TypeError, (b"abc", b"abcd", 1.0)),
    (OverflowError, (b"abc", b"abcd", 1 << 64)),
    (OverflowError, (b"abc", b"abcd", -1 << 64)),
    (TypeError, ()),
    (TypeError, (b"abc",)),
    (TypeError, (b"abc", b"abcd", 0, 0)),
    (BufferError, (memoryview(b"abcdef")[::2], b"abcd")),
    (BufferError, (memoryview(b"abcdef")[::-1], b"abcd")),
    (BufferError, (b"abc", memoryview(b"abcdef")[::2])),
]


@needs_c
@in_turn(("error", "arguments"), WRONG)
def test_wrong_arguments(error: type[Exception], arguments: tuple[Any, ...]) -> None:
    """Each is refused, and nothing is kept of the others."""
    from trio_draftws.drafts._framing.speedups import apply_mask

    with pytest.raises(error):
        apply_mask(*arguments)
    with pytest.raises(TypeError):
        apply_mask(payload=b"abc", key=b"abcd")  # type: ignore[call-arg]
    payload, key = bytearray(b"abc"), bytearray(b"abcd")
    for wrong in ((payload, ""), (payload, b""), (payload, key, None), ("", key)):
        with pytest.raises((TypeError, ValueError)):
            apply_mask(*wrong)
    # A buffer that is still held could not grow.
    payload.append(0)
    key.append(0)


@needs_c
def test_nothing_leaks() -> None:
    """Neither the arguments, nor what is made of them, nor an error."""
    payload, key = bytes(RANDOM[:1000]), bytes(RANDOM[:4])
    offset = 12345

    def use() -> None:
        for _ in range(2000):
            in_c(payload, key, offset)
            for wrong in ("", b""):
                try:
                    in_c(payload, wrong, offset)  # type: ignore[arg-type]
                except (TypeError, ValueError):
                    pass

    use()
    references = [sys.getrefcount(thing) for thing in (payload, key, offset)]
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        use()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert references == [sys.getrefcount(thing) for thing in (payload, key, offset)]
    assert after - before < 1000


# Which of them is taken


def test_c_is_taken_where_it_was_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python where it was not, or where the environment says so."""
    module = ModuleType("speedups")
    monkeypatch.setattr(module, "apply_mask", in_c, raising=False)
    monkeypatch.delenv("TRIO_DRAFTWS_PURE_PYTHON", raising=False)
    monkeypatch.setitem(sys.modules, "trio_draftws.drafts._framing.speedups", module)
    assert fastest() is in_c
    monkeypatch.setenv("TRIO_DRAFTWS_PURE_PYTHON", "1")
    assert fastest() is apply_mask_in_python
    monkeypatch.setenv("TRIO_DRAFTWS_PURE_PYTHON", "0")
    assert fastest() is in_c
    # This is how Python remembers that there is no such module.
    monkeypatch.setitem(sys.modules, "trio_draftws.drafts._framing.speedups", None)
    assert fastest() is apply_mask_in_python


@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_codecs_use_what_was_chosen(pure: str) -> None:
    """In a process that imports it anew, and says which it has."""
    program = """if True:
        import trio_draftws
        from trio_draftws.drafts._framing import assembler, decoder, fast_path, hixie
        from trio_draftws.drafts._framing import hybi_01_to_06, masking, payload, rfc6455
        from trio_draftws.drafts._framing import whatwg_2010
        is_python = masking.apply_mask is masking.apply_mask_in_python
        for module in (decoder, hybi_01_to_06, rfc6455):
            assert module.apply_mask is masking.apply_mask
        for name, *users in (
            ("take_short_messages", rfc6455),
            ("short_frame", rfc6455),
            ("take_texts", hixie, whatwg_2010),
            ("text_frame", hixie, whatwg_2010),
        ):
            chosen = getattr(fast_path, name)
            assert (chosen is getattr(fast_path, name + "_in_python")) is is_python
            assert all(getattr(user, name) is chosen for user in users)
        assert (payload.new_payload is payload.PayloadInPython) is is_python
        assert (payload.utf8_of is payload.utf8_of_in_python) is is_python
        assert (payload.decode_utf8 is payload.decode_utf8_in_python) is is_python
        assert assembler.new_payload is payload.new_payload
        assert assembler.decode_utf8 is payload.decode_utf8
        assert trio_draftws.HAS_SPEEDUPS is not is_python
        print(trio_draftws.HAS_SPEEDUPS)
    """
    environment = {
        **os.environ,
        "TRIO_DRAFTWS_PURE_PYTHON": pure,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(IS_BUILT and pure == "0")


@pytest.mark.parametrize("module", [trio_draftws, trio_draftws.drafts])
def test_the_old_name_still_works(module: ModuleType) -> None:
    with pytest.warns(DeprecationWarning, match=r"MASKS_IN_C is deprecated: use HAS_SPEEDUPS") as w:
        assert module.MASKS_IN_C is HAS_SPEEDUPS
    assert [warning.filename for warning in w] == [__file__]
    assert "MASKS_IN_C" not in module.__all__


@pytest.mark.parametrize("module", [trio_draftws, trio_draftws.drafts])
def test_other_names_are_missing_as_before(module: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"^module '{module.__name__}' has no attribute 'X'$"):
        _ = module.X


def test_this_process_says_which_it_has() -> None:
    """`HAS_SPEEDUPS` is what the codecs here were given."""
    pure = os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") == "1"
    assert HAS_SPEEDUPS is (IS_BUILT and not pure)
    assert HAS_SPEEDUPS is not (_masking.apply_mask is apply_mask_in_python)
