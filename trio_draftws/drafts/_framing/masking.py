"""Masks over frames and payloads, and the keys for them.

A mask is a key repeated over the bytes and XORed with them, so masking and unmasking are the same.
Keys must be unpredictable for whoever chooses the payload (RFC 6455 section 10.3): they come from
the system's randomness, a new one for each frame.

`apply_mask` exists twice: in Python, and in C, which is used if it was built, unless the
environment has TRIO_DRAFTWS_PURE_PYTHON=1. Short messages are unmasked by fast_path.py, and long
ones in place by payload.py.
"""

from __future__ import annotations

import functools
import os
from typing import Protocol

from trio_draftws.drafts._events import Buffer

KEY_SIZE = 4
"""How many bytes a masking key has (RFC 6455 section 5.3)."""
_KEYS_AT_ONCE = 256
# Up to so many repeats of the key, one XOR of two long integers is faster than a translation table
# for each byte of the key. Measured: above it, translation takes half the time.
_REPEATS_FOR_XOR = 128

# Multiplied by a key of four bytes, as a number, gives the key repeated over so many bytes.
_REPEATED = tuple(sum(1 << at for at in range(0, 8 * size, 32)) for size in range(126))

_new_keys: list[bytes] = []
# A forked child must not use the keys that its parent uses.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_new_keys.clear)


class ApplyMask(Protocol):
    """`payload` XOR `key`, repeated, beginning `offset` bytes into it."""

    def __call__(self, payload: Buffer, key: bytes, offset: int = 0, /) -> bytes | bytearray: ...


def new_key() -> bytes:
    """Returns four random bytes, drawn anew for each call."""
    # One system call makes many keys; `pop` gives each to one thread only.
    try:
        return _new_keys.pop()
    except IndexError:
        block = os.urandom(KEY_SIZE * _KEYS_AT_ONCE)
        _new_keys.extend(
            block[begin : begin + KEY_SIZE] for begin in range(KEY_SIZE, len(block), KEY_SIZE)
        )
        return block[:KEY_SIZE]


def apply_mask_in_python(payload: Buffer, key: bytes, offset: int = 0, /) -> bytes | bytearray:
    """`payload` XOR `key`, repeated, beginning `offset` bytes into it.

    The key must not be empty. The payload is not changed. Short results are bytes, long ones a
    bytearray, which saves a copy.
    """
    period = len(key)
    if offset:
        offset %= period
        key = key[offset:] + key[:offset]
    size = len(payload)
    repeats = size // period + 1
    if repeats <= _REPEATS_FOR_XOR:
        mask = int.from_bytes((key * repeats)[:size], "little")
        return (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")
    masked = bytearray(payload)
    for residue, byte in enumerate(key):
        masked[residue::period] = masked[residue::period].translate(_table(byte))
    return masked


@functools.cache
def _table(key: int) -> bytes:
    return bytes(byte ^ key for byte in range(256))


def unmask(data: bytes, begin: int, end: int, /) -> bytes:
    """`data[begin:end]` XOR the four bytes before it, repeated: a payload behind its key.

    At most 125 bytes; nothing is checked.
    """
    size = end - begin
    both = int.from_bytes(data[begin - 4 : end], "little")
    masked = both >> 32 ^ (both & 0xFFFFFFFF) * _REPEATED[size]
    # The last repeat of the key may go up to three bytes beyond the payload.
    return masked.to_bytes(size + 3, "little")[:size]


def fastest() -> ApplyMask:
    """The function of `speedups`, if that was built and is wanted; else the one in Python."""
    if os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":
        try:
            from .speedups import apply_mask
        except ImportError:
            pass
        else:
            return apply_mask
    return apply_mask_in_python


apply_mask: ApplyMask = fastest()
HAS_SPEEDUPS: bool = apply_mask is not apply_mask_in_python
