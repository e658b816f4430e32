from collections.abc import Callable

from ._codec import Buffer, Event

def mask_in_place(payload: memoryview, key: bytes, offset: int, /) -> bool: ...
def take_short_messages(
    data: bytes,
    position: int,
    events: list[Event],
    masked: bool,
    longest: int,
    utf8_errors: str,
    /,
) -> int: ...
def short_frame(
    message: Event | Buffer, longest: int, new_key: Callable[[], bytes] | None, /
) -> bytes | None: ...
def take_texts(
    data: bytes, position: int, events: list[Event], start: bytes, end: bytes, longest: int, /
) -> int: ...
def text_frame(
    message: Event | Buffer, start: bytes, end: bytes, longest: int, /
) -> bytes | None: ...
def apply_mask(payload: Buffer, key: bytes, offset: int = 0, /) -> bytes: ...
