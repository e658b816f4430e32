"""Receives or sends whole short messages in one step, for descriptors that never block.

A codec does no I/O: it provides one of these functions, bound to the layout of its frames, to the
owner of the descriptor. Each exists twice, like masking: in Python and in C. They return None if
there is nothing to do: nothing has come, or it is no short message.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial

from trio_draftws.drafts._events import Buffer, Event

from .codec import MOST_AT_ONCE, ShortReceive, ShortSend
from .fast_path import (
    short_frame_in_python,
    take_short_messages_in_python,
    take_texts_in_python,
    text_frame_in_python,
)
from .masking import HAS_SPEEDUPS

RECEIVE_SIZE = 16384


def _receive(fileno: int) -> bytes | None:
    try:
        return os.read(fileno, RECEIVE_SIZE)
    except (BlockingIOError, InterruptedError):
        return None


def _received(data: bytes, position: int) -> int | tuple[int, bytes]:
    """How many bytes came, with those that were not taken, if any."""
    return len(data) if position == len(data) else (len(data), data[position:])


def _send(fileno: int, frame: bytes | None) -> int | tuple[int, bytes] | None:
    """Sends a frame; returns how many bytes were sent, with the frame if that is not all of it."""
    if frame is None:
        return None
    try:
        sent = os.write(fileno, frame)
    except (BlockingIOError, InterruptedError):
        sent = 0
    return sent if sent == len(frame) else (sent, frame)


def receive_short_messages_in_python(
    masked: bool, longest: int, utf8_errors: str, fileno: int, events: list[Event], /
) -> int | tuple[int, bytes] | None:
    """Receives once, and adds the whole short messages that came to `events`."""
    if (data := _receive(fileno)) is None:
        return None
    position = take_short_messages_in_python(
        data, 0, events, masked, longest, utf8_errors, MOST_AT_ONCE
    )
    return _received(data, position)


def receive_texts_in_python(
    start: bytes, end: bytes, longest: int, fileno: int, events: list[Event], /
) -> int | tuple[int, bytes] | None:
    """Like `receive_short_messages_in_python`, for the drafts without opcodes."""
    if (data := _receive(fileno)) is None:
        return None
    position = take_texts_in_python(data, 0, events, start, end, longest, MOST_AT_ONCE)
    return _received(data, position)


def send_short_message_in_python(
    longest: int, new_key: Callable[[], bytes] | None, fileno: int, message: Event | Buffer, /
) -> int | tuple[int, bytes] | None:
    """Frames and sends a short message."""
    return _send(fileno, short_frame_in_python(message, longest, new_key))


def send_text_in_python(
    start: bytes, end: bytes, longest: int, fileno: int, message: Event | Buffer, /
) -> int | tuple[int, bytes] | None:
    """Like `send_short_message_in_python`, for the drafts without opcodes."""
    return _send(fileno, text_frame_in_python(message, start, end, longest))


receive_short_messages = receive_short_messages_in_python
receive_texts = receive_texts_in_python
send_short_message = send_short_message_in_python
send_text = send_text_in_python
if HAS_SPEEDUPS:  # pragma: no branch - a process has it one way or the other
    try:
        from .speedups import receive_short_messages as receive_short_messages
        from .speedups import receive_texts as receive_texts
        from .speedups import send_short_message as send_short_message
        from .speedups import send_text as send_text
    except ImportError:  # pragma: no cover
        pass  # Windows, whose sockets have no descriptors


# Cached: every connection has its own codec, but there are few different ways to bind these.


@lru_cache
def short_messages_receiver(masked: bool, longest: int, utf8_errors: str) -> ShortReceive:
    """`Codec.receive_short`, for frames with opcodes."""
    return partial(receive_short_messages, masked, longest, utf8_errors)


@lru_cache
def texts_receiver(start: bytes, end: bytes, longest: int) -> ShortReceive:
    """`Codec.receive_short`, for the drafts without opcodes."""
    return partial(receive_texts, start, end, longest)


@lru_cache
def short_messages_sender(longest: int, new_key: Callable[[], bytes] | None) -> ShortSend:
    """`Codec.send_short`, for frames with opcodes."""
    return partial(send_short_message, longest, new_key)


@lru_cache
def texts_sender(start: bytes, end: bytes, longest: int) -> ShortSend:
    """`Codec.send_short`, for the drafts without opcodes."""
    return partial(send_text, start, end, longest)
