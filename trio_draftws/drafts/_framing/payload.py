"""The payload of one message, in memory that becomes the message; and texts as bytes and back.

All of it is written twice, as masks are: here, and in C, which is taken where that is taken for
masks. There a message that is ASCII, or binary, is handed out as it lies; other text is looked at
as it comes, and decoded once, at the end. Here all is copied then, and decoded to be looked at.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol

from trio_draftws.drafts._events import Buffer, encode_text, not_encodable

from .masking import MASKS_IN_C, apply_mask_in_python

# How much text is looked at together: what Python makes of it takes up to four times the memory.
_SLICE = 16384
# Below that, a copy is cheaper than a view.
LONG = 4096


class Payload(Protocol):
    """The payload of one message, made with what it is: `is_text`, and whether it `is_lenient`,
    so that U+FFFD stands for what is no UTF-8.

    Where `take` and `add` return False, no further bytes can make UTF-8 of it; then it is of no use
    any more. `key` is what it is masked with, if not empty, beginning `offset` bytes into it.
    """

    def __len__(self) -> int:
        """How many bytes have come."""
        ...

    def reserve(self, size: int, /) -> memoryview:
        """Memory for `size` more bytes, where they may be put. It has to be released before more is
        reserved or added.
        """
        ...

    def take(self, size: int, key: bytes, offset: int, /) -> bool:
        """Takes `size` bytes that were put at the beginning of what is left of that memory."""
        ...

    def add(self, part: Buffer, key: bytes = b"", offset: int = 0, /) -> bool:
        """Takes a copy of a part."""
        ...

    def check(self, part: Buffer, /) -> bool:
        """As `add`, but does not take it."""
        ...

    def pop(self, final: bool, /) -> str | bytes:
        """Gives what has come, and forgets it; a character that has begun is kept unless it is
        `final`.

        Raises:
            UnicodeDecodeError: it is final and no UTF-8.
        """
        ...

    def finish(self) -> str | bytes:
        """Gives the message, and forgets it.

        Raises:
            UnicodeDecodeError: it is no UTF-8.
        """
        ...


class PayloadInPython:
    """As `Payload`."""

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
        """What is unchecked behind a part; None if that cannot be."""
        if not self._is_text or self._errors != "strict":
            return b""
        return unchecked_utf8(self._unchecked, part)

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


def unchecked_utf8(before: bytes, part: Buffer) -> bytes | None:
    """Looks at text that goes on behind `before`: gives the start of a character at its end; None
    if no further bytes can make UTF-8 of it.

    No byte is looked at more than twice, here or at the end.
    """
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
    """The UTF-8 of a text; where that is how it lies in memory, a view of it, which keeps it.

    It raises UnicodeEncodeError for a lone surrogate.
    """

    def __call__(self, text: str, /) -> Buffer: ...


def utf8_of_in_python(text: str, /) -> Buffer:
    return text.encode()


class DecodeUTF8(Protocol):
    """As `bytes.decode`, for what may be long and not ASCII."""

    def __call__(self, data: Buffer, errors: str, /) -> str: ...


def decode_utf8_in_python(data: Buffer, errors: str, /) -> str:
    return str(data, "utf-8", errors)


new_payload: Callable[[bool, bool], Payload] = PayloadInPython
utf8_of: UTF8Of = utf8_of_in_python
decode_utf8: DecodeUTF8 = decode_utf8_in_python
#: How many times as much memory as has come may be reserved for what is announced: that takes no
#: memory in C before it is written to, but address space; in Python it is filled with zeros.
RESERVED_AHEAD = 4
IMMUTABLE_BUFFERS: tuple[type, ...] = (bytes,)
"""What holds bytes that never change: such objects, and views of them, need no copy to be kept."""
if MASKS_IN_C:  # pragma: no branch - a process has it one way or the other
    from .speedups import Payload as _PayloadInC
    from .speedups import Text
    from .speedups import decode_utf8 as decode_utf8
    from .speedups import utf8_of as utf8_of

    new_payload = _PayloadInC
    RESERVED_AHEAD = 64
    IMMUTABLE_BUFFERS = (bytes, Text)


def encode_long_text(message: str) -> Buffer:
    """As `encode_text`; of what is long and ASCII, a view of the memory that it has already.

    Raises:
        LocalProtocolError: it holds a lone surrogate, which UTF-8 cannot say.
    """
    if len(message) < LONG:
        return encode_text(message)
    try:
        return utf8_of(message)
    except UnicodeEncodeError as error:
        raise not_encodable(error) from None
