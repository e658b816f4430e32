"""The payload of one message, in memory that becomes the message; and text to UTF-8 and back.

All of it exists twice, like masking: in Python, and in C, which is used if it was built. In C, a
message that is binary or ASCII is handed out without a copy; other text is validated as it comes,
and decoded once, at the end. In Python everything is copied, and decoded to be validated.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol

from trio_draftws.drafts._events import (
    Buffer,
    EncodedText,
    encode_text,
    no_message,
    not_encodable,
    not_utf8,
)

from .masking import HAS_SPEEDUPS, apply_mask_in_python

# How many bytes are validated at a time: decoded, they take up to four times the memory.
_SLICE = 16384
# Below that, a copy is cheaper than a view.
LONG = 4096


class Payload(Protocol):
    """The payload of one message.

    It is made with two flags: `is_text`, and `is_lenient`, with which bad UTF-8 becomes U+FFFD.
    If `take` or `add` returns False, no further bytes can make it valid UTF-8, and the object must
    not be used any more. `key` is the masking key, empty for none, applied from `offset` on.
    """

    def __len__(self) -> int:
        """How many bytes have come."""
        ...

    def reserve(self, size: int, /) -> memoryview:
        """Returns memory for `size` more bytes. Release it before more is reserved or added."""
        ...

    def take(self, size: int, key: bytes, offset: int, /) -> bool:
        """Appends the next `size` bytes of the reserved memory, which were put there."""
        ...

    def add(self, part: Buffer, key: bytes = b"", offset: int = 0, /) -> bool:
        """Appends a copy of a part."""
        ...

    def check(self, part: Buffer, /) -> bool:
        """Like `add`, without appending anything."""
        ...

    def pop(self, final: bool, /) -> str | bytes:
        """Returns what has come, and forgets it; keeps an unfinished character unless `final`.

        Raises:
            UnicodeDecodeError: it is final, and not UTF-8.
        """
        ...

    def finish(self) -> str | bytes:
        """Returns the message, and forgets it.

        Raises:
            UnicodeDecodeError: it is not UTF-8.
        """
        ...


class PayloadInPython:
    """`Payload` without C."""

    __slots__ = ("_data", "_errors", "_is_text", "_unchecked", "_used")

    def __init__(self, is_text: bool, is_lenient: bool, /) -> None:
        self._is_text = is_text
        self._errors = "replace" if is_lenient else "strict"
        self._data = bytearray()
        self._used = 0
        # The start of a character, at the end of what has come
        self._unchecked = b""

    def __len__(self) -> int:
        return self._used

    def reserve(self, size: int, /) -> memoryview:
        data = bytearray(self._used + size)
        data[: self._used] = self._data[: self._used]
        self._data = data
        return memoryview(data)[self._used :]

    def take(self, size: int, key: bytes, offset: int, /) -> bool:
        begin = self._used
        self._used += size
        with memoryview(self._data)[begin : self._used] as part:
            unmasked = apply_mask_in_python(part, key, offset) if key else bytes(part)
            part[:] = unmasked
        return (unmasked.isascii() and not self._unchecked) or self._is_good(unmasked)

    def add(self, part: Buffer, key: bytes = b"", offset: int = 0, /) -> bool:
        if key:
            part = apply_mask_in_python(part, key, offset)
        del self._data[self._used :]
        self._data += part
        self._used += len(part)
        return self._is_good(part)

    def check(self, part: Buffer, /) -> bool:
        return self._after(part) is not None

    def _is_good(self, part: Buffer) -> bool:
        unchecked = self._after(part)
        self._unchecked = unchecked or b""
        return unchecked is not None

    def _after(self, part: Buffer) -> bytes | None:
        """The unfinished character after a part; None if the part cannot follow."""
        if not self._is_text or self._errors != "strict":
            return b""
        return unchecked_utf8_in_python(self._unchecked, part)

    def pop(self, final: bool, /) -> str | bytes:
        data = self._data
        del data[self._used :]
        if self._is_text:
            text, used = codecs.utf_8_decode(data, self._errors, final)
            del data[:used]
            self._used = len(data)
            return text
        self._data = bytearray()
        self._used = 0
        return bytes(data)

    def finish(self) -> str | bytes:
        part = self.pop(True)
        self._unchecked = b""
        return part


class UncheckedUTF8(Protocol):
    """Looks at text that goes on behind `before`: gives the start of a character at its end; None
    if no further bytes can make UTF-8 of it.

    `before` is the start of one character, at most three bytes. No byte is looked at more than
    twice, here or at the end.
    """

    def __call__(self, before: bytes, part: Buffer, /) -> bytes | None: ...


def unchecked_utf8_in_python(before: bytes, part: Buffer, /) -> bytes | None:
    rest = before
    for start in range(0, len(part), _SLICE):
        piece = part[start : start + _SLICE]
        unchecked = rest + piece if rest else piece
        try:
            checked = codecs.utf_8_decode(unchecked)[1]
        except UnicodeDecodeError:
            return None
        rest = bytes(unchecked[checked:])
    # RFC 3629 section 4: ED goes on with 80 to 9F. Python waits for the third byte here, in case
    # that somebody wants surrogates.
    return None if rest[:1] == b"\xed" and rest[1:] >= b"\xa0" else rest


class UTF8Of(Protocol):
    """Returns a text in UTF-8; for ASCII, in C, that is a view of the text's own memory.

    Raises UnicodeEncodeError for a lone surrogate.
    """

    def __call__(self, text: str, /) -> Buffer: ...


def utf8_of_in_python(text: str, /) -> Buffer:
    return text.encode()


class DecodeUTF8(Protocol):
    """Like `bytes.decode`, for long text that may not be ASCII."""

    def __call__(self, data: Buffer, errors: str, /) -> str: ...


def decode_utf8_in_python(data: Buffer, errors: str, /) -> str:
    return str(data, "utf-8", errors)


new_payload: Callable[[bool, bool], Payload] = PayloadInPython
utf8_of: UTF8Of = utf8_of_in_python
decode_utf8: DecodeUTF8 = decode_utf8_in_python
unchecked_utf8: UncheckedUTF8 = unchecked_utf8_in_python
#: How many times the bytes that have come may be reserved ahead. In C that costs only address space
#: until it is written to; in Python it is filled with zeros.
RESERVED_AHEAD = 4
IMMUTABLE_BUFFERS: tuple[type, ...] = (bytes,)
"""Types whose bytes never change: such objects, and views of them, can be kept without a copy."""
if HAS_SPEEDUPS:  # pragma: no branch - a process has it one way or the other
    from .speedups import Payload as _PayloadInC
    from .speedups import Text
    from .speedups import decode_utf8 as decode_utf8
    from .speedups import unchecked_utf8 as unchecked_utf8
    from .speedups import utf8_of as utf8_of

    new_payload = _PayloadInC
    RESERVED_AHEAD = 64
    IMMUTABLE_BUFFERS = (bytes, Text)


def encode_long_text(message: str) -> Buffer:
    """Like `encode_text`; for long ASCII text it is a view of the text's own memory.

    Raises:
        LocalProtocolError: it holds a lone surrogate, which UTF-8 cannot express.
    """
    if len(message) < LONG:
        return encode_text(message)
    try:
        return utf8_of(message)
    except UnicodeEncodeError as error:
        raise not_encodable(error) from None


def as_text(message: str | Buffer) -> str | EncodedText:
    """Returns what to encode so that `message` is sent as text; long UTF-8 is not copied.

    Raises:
        LocalProtocolError: it is not UTF-8.
        TypeError: it is neither a str nor bytes.
    """
    if isinstance(message, str):
        return message
    if not isinstance(message, (bytes, bytearray, memoryview)):
        raise no_message(message)
    data = as_contiguous(message)
    # Nothing is left unchecked if it ends with a character.
    if len(data) >= LONG and unchecked_utf8(b"", data) == b"":
        return EncodedText(data)
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None


def as_contiguous(message: Buffer) -> Buffer:
    """Returns `message` itself if it is contiguous bytes, else a copy that is."""
    if isinstance(message, memoryview) and not (
        message.ndim == message.itemsize == 1 and message.c_contiguous
    ):
        return message.tobytes()
    return message
