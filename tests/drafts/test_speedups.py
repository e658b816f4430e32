"""Masks in C: the same as in Python, and nothing that is wrong gets further than an exception."""

from __future__ import annotations

import array
import gc
import os
import subprocess
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest

import trio_draftws
import trio_draftws.drafts
from trio_draftws import HAS_SPEEDUPS
from trio_draftws.drafts import Buffer
from trio_draftws.drafts._framing import masking as _masking
from trio_draftws.drafts._framing.masking import apply_mask_in_python, fastest, unmask

from .helpers import in_turn
from .masks import IS_BUILT, in_c, needs_c

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
