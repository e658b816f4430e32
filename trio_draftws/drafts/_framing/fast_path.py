"""Whole messages of one short frame each: most of what a connection receives and sends.

Reading and writing exist twice, like masking: in Python, and in C, which is used if it was built.
Reading stops at anything else, and before anything wrong, which the codec then finds at the same
byte. Writing returns None for anything but a short message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trio_draftws.drafts._events import Buffer, Event

from .assembler import BINARY, TEXT, decode_leniently
from .masking import HAS_SPEEDUPS, KEY_SIZE, apply_mask, unmask

#: The most bytes of a message whose length fits into the second byte (RFC 6455 section 5.2)
LONGEST = 125

# RFC 6455 section 5.2: FIN and the opcode, and the bit that means "masked"
WHOLE_TEXT = 0x80 | TEXT
WHOLE_BINARY = 0x80 | BINARY
MASKED = 0x80


class TakeShortMessages(Protocol):
    """Adds the messages that begin at `position` to `events`, `most` of them at most; returns where
    the rest begins.

    `longest` is at most `LONGEST`; `utf8_errors` is what `bytes.decode` calls `errors`.
    """

    def __call__(
        self,
        data: bytes,
        position: int,
        events: list[Event],
        masked: bool,
        longest: int,
        utf8_errors: str,
        most: int,
        /,
    ) -> int: ...


def take_short_messages_in_python(
    data: bytes,
    position: int,
    events: list[Event],
    masked: bool,
    longest: int,
    utf8_errors: str,
    most: int,
    /,
) -> int:
    size = len(data)
    mask_bit, header_size = (MASKED, 2 + KEY_SIZE) if masked else (0, 2)
    for _ in range(most):
        begin = position + header_size
        if begin > size:
            break
        length = data[position + 1] - mask_bit
        end = begin + length
        if not 0 <= length <= longest or end > size:
            break
        payload = unmask(data, begin, end) if masked else data[begin:end]
        first = data[position]
        if first == WHOLE_TEXT:
            try:
                events.append(payload.decode("utf-8", utf8_errors))
            except UnicodeDecodeError:
                break
        elif first == WHOLE_BINARY:
            events.append(payload)
        else:
            break
        position = end
    return position


# The headers of short messages: masked or not, then by opcode, then by size
_HEADERS = {
    masked: {
        kind: tuple(bytes((0x80 | kind, bit | size)) for size in range(LONGEST + 1))
        for kind in (TEXT, BINARY)
    }
    for masked, bit in ((False, 0), (True, MASKED))
}


class ShortFrame(Protocol):
    """Returns the frame of a `str` or `bytes` of at most `longest` bytes; None for anything else.

    `longest` is at most `LONGEST`. The payload is masked with a key from `new_key`, unless that is
    None.
    """

    def __call__(
        self, message: Event | Buffer, longest: int, new_key: Callable[[], bytes] | None, /
    ) -> bytes | None: ...


def short_frame_in_python(
    message: Event | Buffer, longest: int, new_key: Callable[[], bytes] | None, /
) -> bytes | None:
    if type(message) is str:
        try:
            payload = message.encode()
        except UnicodeEncodeError:
            return None
        kind = TEXT
    elif type(message) is bytes:
        payload = message
        kind = BINARY
    else:
        return None
    size = len(payload)
    if size > longest:
        return None
    if new_key is None:
        return _HEADERS[False][kind][size] + payload
    key = new_key()
    return b"".join((_HEADERS[True][kind][size], key, apply_mask(payload, key)))


# Drafts without opcodes: a text stands between `start` and `end`, one byte that UTF-8 never has;
# if `end` is empty, it stands after `start` and a byte with its size.


class TakeTexts(Protocol):
    """Adds the texts that begin at `position` to `events`, `most` of them at most; returns where
    the rest begins.

    It stops at a text of more than `longest` bytes. Bad UTF-8 becomes U+FFFD.
    """

    def __call__(
        self,
        data: bytes,
        position: int,
        events: list[Event],
        start: bytes,
        end: bytes,
        longest: int,
        most: int,
        /,
    ) -> int: ...


def take_texts_in_python(
    data: bytes,
    position: int,
    events: list[Event],
    start: bytes,
    end: bytes,
    longest: int,
    most: int,
    /,
) -> int:
    texts = []
    header_size = len(start) + 1 - len(end)
    for _ in range(most):
        begin = position + header_size
        if not data.startswith(start, position) or begin > len(data):
            break
        stop = data.find(end, begin) if end else begin + data[begin - 1]
        if not 0 <= stop - begin <= longest or stop > len(data):
            break
        texts.append(data[begin:stop])
        position = stop + len(end)
    events += decode_leniently(texts)
    return position


class TextFrame(Protocol):
    """Returns the frame of a `str` of at most `longest` bytes; None for anything else.

    A text whose size stands in a byte has 255 bytes at most.
    """

    def __call__(
        self, message: Event | Buffer, start: bytes, end: bytes, longest: int, /
    ) -> bytes | None: ...


def text_frame_in_python(
    message: Event | Buffer, start: bytes, end: bytes, longest: int, /
) -> bytes | None:
    if type(message) is not str:
        return None
    try:
        payload = message.encode()
    except UnicodeEncodeError:
        return None
    size = len(payload)
    if size > longest:
        return None
    if end:
        return b"%b%b%b" % (start, payload, end)
    return b"%b%c%b" % (start, size, payload) if size < 256 else None


take_short_messages: TakeShortMessages = take_short_messages_in_python
short_frame: ShortFrame = short_frame_in_python
take_texts: TakeTexts = take_texts_in_python
text_frame: TextFrame = text_frame_in_python
if HAS_SPEEDUPS:  # pragma: no branch - a process has it one way or the other
    from .speedups import short_frame as short_frame
    from .speedups import take_short_messages as take_short_messages
    from .speedups import take_texts as take_texts
    from .speedups import text_frame as text_frame
