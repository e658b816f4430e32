"""Compressing, inflating and masking, compared with zlib by itself, and with a loop."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import attrs

from trio_draftws.drafts import COMPRESSION, Compression
from trio_draftws.drafts._framing.compression import Window
from trio_draftws.drafts._framing.deflate import TAIL, Deflater, Inflater
from trio_draftws.drafts._framing.fast_path import LONGEST
from trio_draftws.drafts._framing.masking import KEY_SIZE, apply_mask, apply_mask_in_python, unmask

from . import vectors
from .frames import BITS, NO_YES, WIDEST, clear_frames
from .growth import check_growth
from .oracle import Choices, Finding, Target, at_random, bytewise, expect

# How much a message may say
ROOM = 1 << 17
ROOMS = (ROOM, 0, 1, 50, 300)
LEVELS = (6, 0, 1, 9)


# Inflating


def check_inflate(data: bytes) -> None:
    """Inflates messages, whole and in parts, and compares with zlib."""
    choices = Choices(data)
    window = Window(choices.pick(BITS), takeover=choices.pick(NO_YES))
    room, seed, size = choices.pick(ROOMS), choices.byte(), choices.byte()
    check_growth(lambda rest: inflated(window, [bytewise(rest)], ROOM), choices)
    data = choices.rest
    messages = [data[:size], data[size : 2 * size], data[2 * size :]]
    try:
        check_inflated(window, messages, room, seed)
    except Finding:
        # As in `check_frames`: behind the window, what can be seen depends on the cuts.
        check_inflated(attrs.evolve(window, bits=WIDEST.bits), messages, room, seed)


def check_inflated(window: Window, messages: list[bytes], room: int, seed: int) -> None:
    expected = zlib_inflated(window, messages, room)
    for cut in ([[message] for message in messages], [at_random(m, seed) for m in messages]):
        found, is_wasteful = inflated(window, cut, room)
        so_far = expected[: len(found)] if is_wasteful else expected
        expect(found == so_far, "zlib inflates it to something else", found, expected)


def inflated(
    window: Window, messages: Sequence[Sequence[bytes]], room: int
) -> tuple[list[bytes], bool]:
    """What messages say that come in parts, up to one that is broken or says too much; and whether
    one was too wasteful.
    """
    inflater = Inflater(window)
    said: list[bytes] = []
    for parts in messages:
        message = b""
        try:
            for number, part in enumerate(parts, 1):
                left, ends = room - len(message), number == len(parts)
                message += inflater.inflate(part, left, ends=ends)
                if len(message) > room or inflater.is_wasteful:
                    return said, inflater.is_wasteful
        except zlib.error:
            return said, False
        said.append(message)
    return said, False


def zlib_inflated(window: Window, messages: Sequence[bytes], room: int) -> list[bytes]:
    """The same by RFC 7692 section 7.2.2, with all that was said for a history."""
    history = b""
    said: list[bytes] = []
    stream = zlib.decompressobj(-window.bits)
    for message in messages:
        data, text, is_final = message + TAIL, b"", False
        try:
            while data:
                text += stream.decompress(data, room + 1 - len(text))
                if len(text) > room:
                    return said
                data = stream.unused_data
                if stream.eof:
                    # Behind a final block another begins.
                    is_final = True
                    stream = zlib.decompressobj(
                        -window.bits, (history + text)[-window_size(window) :]
                    )
        except zlib.error:
            return said
        said.append(text)
        history = history + text if window.takeover else b""
        if is_final or not window.takeover:
            stream = zlib.decompressobj(-window.bits, history[-window_size(window) :])
    return said


def window_size(window: Window) -> int:
    return 1 << window.bits


def inflate_seeds() -> Iterator[bytes]:
    compressed = [
        payload
        for extension in ("permessage-deflate", "deflate-frame / x-webkit-deflate-frame")
        for wire in vectors.compressed(extension)
        for _, payload in clear_frames(wire)
    ]
    for bits in range(len(BITS)):
        deflater = Deflater(Window(BITS[bits], takeover=True), COMPRESSION)
        texts = (b"Hello, Hello, Hello", b"Hello again, " * 40, bytes(range(256)))
        first, *others = [deflater.deflate(text, ends=True) for text in texts]
        for fresh in range(2):
            for room in range(len(ROOMS)):
                settings = bytes([bits, 1 - fresh, room, 5, len(first), 2, 6])
                yield settings + first + b"".join(others)
    for payload in compressed:
        yield bytes([7, 1, 0, 5, len(payload), 2, 6]) + payload * 3


# Compressing


def check_deflate(data: bytes) -> None:
    """Compresses messages, whole and in parts; zlib inflates them to what they were, as we do."""
    choices = Choices(data)
    window = Window(choices.pick(BITS), takeover=choices.pick(NO_YES))
    settings = Compression(level=choices.pick(LEVELS), mem_level=choices.byte() % 9 + 1)
    seed, repeated = choices.byte(), choices.byte() % 64 + 1
    deflater = Deflater(window, settings)
    messages = [message * repeated for message in choices.rest.split(b"\n")]
    compressed = []
    for message in messages:
        *parts, last = at_random(message, seed)
        said = [deflater.deflate(part, ends=False) for part in parts]
        compressed.append([*said, deflater.deflate(last, ends=True)])
    wholes = [b"".join(parts) for parts in compressed]
    theirs = zlib_inflated(window, wholes, ROOM)
    expect(theirs == messages, "zlib inflates it to something else", messages, theirs)
    ours, _ = inflated(window, compressed, ROOM)
    expect(ours == messages, "we inflate it to something else", messages, ours)


def deflate_seeds() -> Iterator[bytes]:
    texts = b"\n".join([b"Hello, Hello", b"", b"Hello", bytes(range(40, 200)), b"Hello"])
    for bits in range(len(BITS)):
        for level in range(len(LEVELS)):
            for takeover in range(2):
                yield bytes([bits, takeover, level, 4, bits, 8 * bits]) + texts


# Masks


def check_masks(data: bytes) -> None:
    """Masks in one go, and in two, in C and in Python, and byte by byte."""
    choices = Choices(data)
    key = choices.take(choices.byte() % 20 + 1) or b"\x00"
    offset, cut, repeated = choices.byte(), choices.byte(), choices.byte() + 1
    check_behind_key(choices.rest)
    payload = choices.rest * repeated
    expected = bytes(byte ^ key[(offset + place) % len(key)] for place, byte in enumerate(payload))
    for mask in (apply_mask, apply_mask_in_python):
        for buffer in (payload, bytearray(payload), memoryview(payload)):
            found = mask(buffer, key, offset)
            expect(found == expected, "it is another mask", mask, found, expected)
        first = mask(payload[:cut], key, offset)
        second = mask(memoryview(payload)[cut:], key, offset + len(first))
        expect(first + second == expected, "in two parts it is another", mask, first, second)


def check_behind_key(data: bytes) -> None:
    """Takes the mask off what stands behind its key."""
    key, payload = data[:KEY_SIZE], data[KEY_SIZE:]
    if len(key) == KEY_SIZE and len(payload) <= LONGEST:
        expected = apply_mask_in_python(payload, key)
        found = unmask(data, KEY_SIZE, len(data))
        expect(found == expected, "it is another mask", found, expected)


def mask_seeds() -> Iterator[bytes]:
    for size in (1, 4, 20):
        for payload in (b"", b"Hello", bytes(range(64))):
            for offset in (0, 3):
                yield bytes([size - 1, *range(size), offset, 9, 7]) + payload


TARGETS = (
    Target(
        "inflate",
        "inflating, compared with zlib",
        check_inflate,
        inflate_seeds,
        words=(TAIL, b"\x00", b"\x03\x00", b"\x01\x00\x00\xff\xff", b"\x00\x05\x00\xfa\xff"),
    ),
    Target("compress", "compressing, and inflating it by zlib", check_deflate, deflate_seeds),
    Target("masks", "masks, compared with a loop", check_masks, mask_seeds, max_size=256),
)
