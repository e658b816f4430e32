"""Masks and their keys."""

from __future__ import annotations

import os
import threading
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts._framing import masking as _masking
from trio_draftws.drafts._framing.masking import KEY_SIZE, ApplyMask, new_key

from .helpers import in_turn
from .masks import both_ways


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
