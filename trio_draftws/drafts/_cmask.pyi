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
    most: int,
    /,
) -> int: ...
def short_frame(
    message: Event | Buffer, longest: int, new_key: Callable[[], bytes] | None, /
) -> bytes | None: ...
def take_texts(
    data: bytes,
    position: int,
    events: list[Event],
    start: bytes,
    end: bytes,
    longest: int,
    most: int,
    /,
) -> int: ...
def text_frame(
    message: Event | Buffer, start: bytes, end: bytes, longest: int, /
) -> bytes | None: ...
def apply_mask(payload: Buffer, key: bytes, offset: int = 0, /) -> bytes: ...
def receive_short_messages(
    masked: bool, longest: int, utf8_errors: str, fileno: int, events: list[Event], /
) -> int | tuple[int, bytes] | None: ...
def receive_texts(
    start: bytes, end: bytes, longest: int, fileno: int, events: list[Event], /
) -> int | tuple[int, bytes] | None: ...
def send_short_message(
    longest: int, new_key: Callable[[], bytes] | None, fileno: int, message: Event | Buffer, /
) -> int | tuple[int, bytes] | None: ...
def send_text(
    start: bytes, end: bytes, longest: int, fileno: int, message: Event | Buffer, /
) -> int | tuple[int, bytes] | None: ...
