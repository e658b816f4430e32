"""Masks over frames and payloads, and the keys for them.

A mask is a key repeated over the bytes and XORed with them, so that putting it on and taking it off
is the same thing. Keys must not be foreseen by whoever chooses the payload (RFC 6455 section 10.3):
they come from the system's randomness, a new one for each frame.

Masks are put on by `apply_mask`. It is written twice: here, and in C, which is taken where it was
built, unless the environment has TRIO_DRAFTWS_PURE_PYTHON=1. What is short and lies among other
frames has its mask taken off in `_short_messages`, and what is long where it will stay, in
`_payload`.
"""

from __future__ import annotations

import functools
import os
from typing import Protocol

from trio_draftws.drafts._events import Buffer

KEY_SIZE = 4
_KEYS_AT_ONCE = 256
# Up to so many repeats of the key, one XOR of two long integers is faster than a translation for
# each byte of the key. Both are measured; above it, translation takes half the time.
_REPEATS_FOR_XOR = 128

# Times a key of four bytes as a number, this is the key repeated until it covers so many bytes.
_REPEATED = tuple(sum(1 << at for at in range(0, 8 * size, 32)) for size in range(126))

_new_keys: list[bytes] = []
# A forked child must not use the keys that its parent uses.
getattr(os, "register_at_fork", lambda **_: None)(after_in_child=_new_keys.clear)


class ApplyMask(Protocol):
    """`payload` XOR `key`, repeated, beginning `offset` bytes into it."""

    def __call__(self, payload: Buffer, key: bytes, offset: int = 0, /) -> bytes | bytearray: ...


def new_key() -> bytes:
    """Four random bytes that were never handed out before."""
    # One call of the system for many keys; `pop` gives a key to one thread only.
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

    The key may have any length but none. The payload is one of bytes, and is left as it was. What
    is short is given as bytes; of what is long, that would be one copy more.
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

    For what is there, and at most 125 bytes; nothing is checked.
    """
    size = end - begin
    both = int.from_bytes(data[begin - 4 : end], "little")
    masked = both >> 32 ^ (both & 0xFFFFFFFF) * _REPEATED[size]
    # The last repeat of the key may go up to three bytes beyond the payload.
    return masked.to_bytes(size + 3, "little")[:size]


def fastest() -> ApplyMask:
    """What `speedups` has, if that was built and is wanted; else what is written in Python."""
    if os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":
        try:
            from .speedups import apply_mask
        except ImportError:
            pass
        else:
            return apply_mask
    return apply_mask_in_python


apply_mask = fastest()
MASKS_IN_C: bool = apply_mask is not apply_mask_in_python
