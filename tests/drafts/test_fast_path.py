"""Short messages, read and written in Python and in C: the same, and nothing goes further.

Then whole ones, received and sent in one step.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_draftws.drafts import DRAFTS, HAS_SPEEDUPS, Draft, Event, ShortReceive, ShortSend
from trio_draftws.drafts._framing import short_io
from trio_draftws.drafts._framing.fast_path import (
    LONGEST,
    ShortFrame,
    TakeShortMessages,
    TakeTexts,
    TextFrame,
    short_frame_in_python,
    take_short_messages_in_python,
    take_texts_in_python,
    text_frame_in_python,
)
from trio_draftws.drafts._framing.masking import apply_mask_in_python

from .helpers import in_turn
from .masks import needs_c


def take_in_c(*arguments: Any) -> int:
    from trio_draftws.drafts._framing.speedups import take_short_messages

    return take_short_messages(*arguments)


def frame_in_c(*arguments: Any) -> bytes | None:
    from trio_draftws.drafts._framing.speedups import short_frame

    return short_frame(*arguments)


def take_texts_in_c(*arguments: Any) -> int:
    from trio_draftws.drafts._framing.speedups import take_texts

    return take_texts(*arguments)


def text_frame_in_c(*arguments: Any) -> bytes | None:
    from trio_draftws.drafts._framing.speedups import text_frame

    return text_frame(*arguments)


KEY = b"\x01\x80\xfe\x37"
# More than any of these takes
MOST = 1000
# What is received in one step takes so many.
MOST_AT_ONCE = 256

both_take = pytest.mark.parametrize(
    "take",
    [
        pytest.param(take_short_messages_in_python, id="in Python"),
        pytest.param(take_in_c, id="in C", marks=needs_c),
    ],
)
both_frame = pytest.mark.parametrize(
    "frame",
    [
        pytest.param(short_frame_in_python, id="in Python"),
        pytest.param(frame_in_c, id="in C", marks=needs_c),
    ],
)
masked_or_not = in_turn("masked", [False, True])


def framed(first: int, payload: bytes, *, masked: bool, key: bytes = KEY) -> bytes:
    """RFC 6455 section 5.2, for what has at most 125 bytes."""
    if not masked:
        return bytes((first, len(payload))) + payload
    return bytes((first, 0x80 | len(payload))) + key + bytes(apply_mask_in_python(payload, key))


@both_take
@masked_or_not
def test_every_length_at_every_place(take: TakeShortMessages, masked: bool) -> None:
    for size in range(LONGEST + 1):
        text, binary = "x" * size, os.urandom(size)
        wire = framed(0x81, text.encode(), masked=masked) + framed(0x82, binary, masked=masked)
        for position in range(9):
            events: list[Event] = ["before"]
            data = bytes(position) + wire
            assert take(data, position, events, masked, LONGEST, "strict", MOST) == len(data)
            assert events == ["before", text, binary]
            assert type(events[2]) is bytes


@both_take
@masked_or_not
def test_it_stops_where_a_message_is_not_whole(take: TakeShortMessages, masked: bool) -> None:
    whole = framed(0x81, b"whole", masked=masked)
    half = framed(0x82, b"other", masked=masked)
    for cut in range(len(half)):
        events: list[Event] = []
        assert take(whole + half[:cut], 0, events, masked, LONGEST, "strict", MOST) == len(whole)
        assert events == ["whole"]


@both_take
@masked_or_not
@in_turn("first", [at for at in range(256) if at not in (0x81, 0x82)])
def test_it_stops_at_everything_else(take: TakeShortMessages, masked: bool, first: int) -> None:
    """At a fragment, a control frame, a reserved bit or opcode."""
    data = framed(first, b"abc", masked=masked)
    events: list[Event] = []
    assert take(data, 0, events, masked, LONGEST, "strict", MOST) == 0
    assert events == []


@both_take
@masked_or_not
def test_it_stops_at_the_other_masking_and_at_what_is_long(
    take: TakeShortMessages, masked: bool
) -> None:
    events: list[Event] = []
    for wrong in (
        framed(0x81, b"abc", masked=not masked) + bytes(200),
        bytes((0x81, 126 + 0x80 * masked, 0, 200)) + bytes(300),
        bytes((0x81, 127 + 0x80 * masked)) + bytes(300),
        framed(0x81, b"12345", masked=masked),
    ):
        assert take(wrong, 0, events, masked, 4, "strict", MOST) == 0
    assert take(framed(0x81, b"", masked=masked), 0, events, masked, 0, "strict", MOST) > 0
    assert events == [""]


@both_take
@masked_or_not
def test_bad_utf8(take: TakeShortMessages, masked: bool) -> None:
    """Left to whoever says what is wrong with it, or replaced, as the draft demands."""
    good, bad = framed(0x81, "é€😀".encode(), masked=masked), framed(0x81, b"a\xff", masked=masked)
    events: list[Event] = []
    assert take(good + bad, 0, events, masked, LONGEST, "strict", MOST) == len(good)
    assert events == ["é€😀"]
    events = []
    assert take(good + bad, 0, events, masked, LONGEST, "replace", MOST) == len(good + bad)
    assert events == ["é€😀", "a\ufffd"]


@needs_c
@given(
    data=st.binary(max_size=300)
    | st.lists(
        st.tuples(st.sampled_from([0x81, 0x82, 0x01, 0x89]), st.binary(max_size=12), st.booleans()),
        max_size=6,
    ).map(lambda frames: b"".join(framed(f, p, masked=m) for f, p, m in frames)),
    position=st.integers(0, 3),
    masked=st.booleans(),
    longest=st.integers(-1, LONGEST),
    errors=st.sampled_from(["strict", "replace"]),
    most=st.integers(-1, 6),
)
@example(data=b"\x81", position=1, masked=False, longest=LONGEST, errors="strict", most=1)
def test_both_read_the_same(
    data: bytes, position: int, masked: bool, longest: int, errors: str, most: int
) -> None:
    position = min(position, len(data))
    found: list[Event] = []
    expected: list[Event] = []
    end = take_in_c(data, position, found, masked, longest, errors, most)
    assert end == take_short_messages_in_python(
        data, position, expected, masked, longest, errors, most
    )
    assert found == expected
    assert [*map(type, found)] == [*map(type, expected)]
    assert len(found) <= max(most, 0)


@both_frame
@in_turn("new_key", [None, lambda: KEY])
def test_frames_of_every_length(frame: ShortFrame, new_key: Callable[[], bytes] | None) -> None:
    masked = new_key is not None
    for size in range(LONGEST + 1):
        text, binary = "x" * size, os.urandom(size)
        assert frame(text, LONGEST, new_key) == framed(0x81, text.encode(), masked=masked)
        assert frame(binary, LONGEST, new_key) == framed(0x82, binary, masked=masked)
        assert frame(text, size - 1, new_key) is None
        assert frame(binary, size - 1, new_key) is None
    assert frame("é€😀", 9, new_key) == framed(0x81, "é€😀".encode(), masked=masked)
    # Nine bytes of three characters
    assert frame("é€😀", 8, new_key) is None
    assert frame("é" * LONGEST, LONGEST, new_key) is None


class Text(str):
    """May do with itself what it likes, so it is not for here."""

    __slots__ = ()


@both_frame
@in_turn(
    "other", [bytearray(b"abc"), memoryview(b"abc"), None, 7, Text("abc"), "\ud800", b"x" * 126]
)
def test_no_frame_for_anything_else(frame: ShortFrame, other: Any) -> None:
    """It has another way, which says what is wrong with it; and no key is used up."""

    def new_key() -> bytes:
        raise AssertionError("no key is needed")

    assert frame(other, LONGEST, new_key) is None


@needs_c
@in_turn(
    ("error", "arguments"),
    [
        (TypeError, ()),
        (TypeError, (b"", 0, [], False, 125, "strict")),
        (TypeError, (b"", 0, [], False, 125, "strict", 9, 1)),
        (TypeError, (b"", 0, [], False, 125, "strict", "9")),
        (OverflowError, (b"", 0, [], False, 125, "strict", 1 << 64)),
        (TypeError, (bytearray(), 0, [], False, 125, "strict", 9)),
        (TypeError, (b"", 0, (), False, 125, "strict", 9)),
        (TypeError, (b"", 0, [], False, 125, None, 9)),
        (TypeError, (b"", "0", [], False, 125, "strict", 9)),
        (TypeError, (b"", 0, [], False, 12.5, "strict", 9)),
        (OverflowError, (b"", 1 << 64, [], False, 125, "strict", 9)),
        (OverflowError, (b"", 0, [], False, 1 << 64, "strict", 9)),
        (IndexError, (b"abc", -1, [], False, 125, "strict", 9)),
        (IndexError, (b"abc", 4, [], False, 125, "strict", 9)),
        (UnicodeEncodeError, (b"", 0, [], False, 125, "\ud800", 9)),
        (LookupError, (b"\x81\x01\xff", 0, [], False, 125, "no such way", 9)),
    ],
)
def test_wrong_arguments_to_reading(error: type[Exception], arguments: tuple[Any, ...]) -> None:
    """No byte outside of the data is ever looked at."""
    with pytest.raises(error):
        take_in_c(*arguments)


@needs_c
@in_turn("mistake", [ValueError("no"), KeyboardInterrupt()])
def test_what_cannot_be_asked_or_masked(mistake: BaseException) -> None:
    """What another's code raises comes out."""

    class Odd:
        def __bool__(self) -> bool:
            raise mistake

    def new_key() -> bytes:
        raise mistake

    with pytest.raises(type(mistake)):
        take_in_c(b"", 0, [], Odd(), 125, "strict", MOST)
    with pytest.raises(type(mistake)):
        frame_in_c("abc", 125, new_key)


@needs_c
@in_turn(
    ("error", "arguments"),
    [
        (TypeError, ()),
        (TypeError, ("abc", 125)),
        (TypeError, ("abc", "125", None)),
        (OverflowError, ("abc", 1 << 64, None)),
        (TypeError, ("abc", 125, b"1234")),
        (ValueError, ("abc", 125, lambda: b"12345")),
        (ValueError, (b"abc", 125, lambda: "1234")),
    ],
)
def test_wrong_arguments_to_writing(error: type[Exception], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(error):
        frame_in_c(*arguments)


@needs_c
def test_more_than_one_byte_can_say_is_no_short_message() -> None:
    assert frame_in_c("x" * 126, 1000, None) is None
    events: list[Event] = []
    data = bytes((0x81, 126, 0, 126)) + b"x" * 126
    assert take_in_c(data, 0, events, False, 1000, "strict", MOST) == 0


# Texts without opcodes

both_take_texts = pytest.mark.parametrize(
    "take",
    [
        pytest.param(take_texts_in_python, id="in Python"),
        pytest.param(take_texts_in_c, id="in C", marks=needs_c),
    ],
)
both_text_frames = pytest.mark.parametrize(
    "frame",
    [
        pytest.param(text_frame_in_python, id="in Python"),
        pytest.param(text_frame_in_c, id="in C", marks=needs_c),
    ],
)
# hixie-76 section 5.3, and r5241
each_framing = in_turn(("start", "end"), [(b"\x00", b"\xff"), (b"\xff" + bytes(7), b"")])


def text_framed(payload: bytes, start: bytes, end: bytes) -> bytes:
    return start + (payload + end if end else bytes((len(payload),)) + payload)


@both_take_texts
@both_text_frames
@each_framing
def test_texts_of_every_length(take: TakeTexts, frame: TextFrame, start: bytes, end: bytes) -> None:
    for size in range(256):
        text = "x" * size
        wire = frame(text, start, end, 255)
        assert wire == text_framed(text.encode(), start, end)
        assert frame(text, start, end, size - 1) is None
        for position in range(5):
            events: list[Event] = ["before"]
            data = b"?" * position + wire + wire
            assert take(data, position, events, start, end, 10_000, MOST) == len(data)
            assert events == ["before", text, text]
    assert frame("é€😀", start, end, 9) == text_framed("é€😀".encode(), start, end)
    assert frame("é€😀", start, end, 8) is None
    # Where its size is a byte there is no more to say, whatever is asked for.
    assert (frame("x" * 256, start, end, 1000) is None) is (not end)


@both_text_frames
@each_framing
@in_turn("other", [b"abc", bytearray(b"abc"), None, 7, Text("abc"), "\ud800"])
def test_no_frame_for_what_is_no_text(
    frame: TextFrame, other: Any, start: bytes, end: bytes
) -> None:
    assert frame(other, start, end, 100) is None


@both_take_texts
@each_framing
def test_texts_stop_where_one_is_not_whole_or_too_long(
    take: TakeTexts, start: bytes, end: bytes
) -> None:
    half = text_framed(b"other", start, end)
    for cut in range(len(half)):
        events: list[Event] = []
        assert take(half[:cut], 0, events, start, end, 100, MOST) == 0
        assert events == []
    assert take(half, 0, [], start, end, 4, MOST) == 0
    assert take(b"", 0, [], start, end, 4, MOST) == 0
    assert take(b"?" + half, 0, [], start, end, 100, MOST) == 0


@both_take_texts
@each_framing
def test_bad_utf8_in_texts_is_replaced(take: TakeTexts, start: bytes, end: bytes) -> None:
    wire = b"".join(text_framed(text, start, end) for text in ("é€😀".encode(), b"a\xc3", b""))
    events: list[Event] = []
    assert take(wire, 0, events, start, end, 100, MOST) == len(wire)
    assert events == ["é€😀", "a\ufffd", ""]


TEXT_BYTES = st.binary(max_size=8).map(lambda data: data.replace(b"\xff", b""))


@needs_c
@each_framing
@given(
    parts=st.lists(st.tuples(st.booleans(), TEXT_BYTES), max_size=5),
    rest=st.binary(max_size=12),
    position=st.integers(0, 3),
    longest=st.integers(-1, 60),
    most=st.integers(-1, 6),
)
def test_both_read_the_same_texts(
    start: bytes,
    end: bytes,
    parts: list[tuple[bool, bytes]],
    rest: bytes,
    position: int,
    longest: int,
    most: int,
) -> None:
    data = b"".join(text_framed(text, start, end) if good else text for good, text in parts) + rest
    position = min(position, len(data))
    found: list[Event] = []
    expected: list[Event] = []
    stopped = take_texts_in_c(data, position, found, start, end, longest, most)
    assert stopped == take_texts_in_python(data, position, expected, start, end, longest, most)
    assert found == expected
    assert len(found) <= max(most, 0)


@needs_c
@in_turn(
    ("error", "function", "arguments"),
    [
        (TypeError, take_texts_in_c, ()),
        (TypeError, take_texts_in_c, (bytearray(), 0, [], b"\0", b"", 1, 9)),
        (TypeError, take_texts_in_c, (b"", 0, (), b"\0", b"", 1, 9)),
        (TypeError, take_texts_in_c, (b"", 0, [], "0", b"", 1, 9)),
        (TypeError, take_texts_in_c, (b"", 0, [], b"", b"", 1, 9)),
        (TypeError, take_texts_in_c, (b"", 0, [], b"\0", b"ab", 1, 9)),
        (TypeError, take_texts_in_c, (b"", "0", [], b"\0", b"", 1, 9)),
        (TypeError, take_texts_in_c, (b"", 0, [], b"\0", b"", 1.5, 9)),
        (OverflowError, take_texts_in_c, (b"", 1 << 64, [], b"\0", b"", 1, 9)),
        (OverflowError, take_texts_in_c, (b"", 0, [], b"\0", b"", 1 << 64, 9)),
        (TypeError, take_texts_in_c, (b"", 0, [], b"\0", b"", 1, None)),
        (OverflowError, take_texts_in_c, (b"", 0, [], b"\0", b"", 1, 1 << 64)),
        (IndexError, take_texts_in_c, (b"abc", 4, [], b"\0", b"", 1, 9)),
        (IndexError, take_texts_in_c, (b"abc", -1, [], b"\0", b"", 1, 9)),
        (TypeError, text_frame_in_c, ()),
        (TypeError, text_frame_in_c, ("abc", b"", b"", 1)),
        (TypeError, text_frame_in_c, ("abc", b"\0", None, 1)),
        (TypeError, text_frame_in_c, ("abc", b"\0", b"", "1")),
        (OverflowError, text_frame_in_c, ("abc", b"\0", b"", 1 << 64)),
    ],
)
def test_wrong_arguments_for_texts(
    error: type[Exception], function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(error):
        function(*arguments)


@needs_c
def test_nothing_leaks() -> None:
    data = framed(0x81, "é".encode(), masked=True) + framed(0x82, b"abc", masked=True)
    bad = framed(0x81, b"\xff", masked=True)
    text, binary = "é" * 20, b"b" * 30

    def use() -> None:
        for _ in range(2000):
            take_in_c(data + bad, 0, [], True, 125, "strict", MOST)
            take_texts_in_c(b"\0\xc3\xa9\xff\0a\xff\0", 0, [], b"\0", b"\xff", 125, MOST)
            for message in (text, binary, "\ud800", "é" * 100):
                text_frame_in_c(message, b"\0", b"\xff", 125)
                frame_in_c(message, 125, None)
                frame_in_c(message, 125, lambda: KEY)
            with pytest.raises(ValueError, match="four bytes"):
                frame_in_c(text, 125, lambda: b"")

    use()
    references = [sys.getrefcount(thing) for thing in (data, text, binary)]
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        use()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert references == [sys.getrefcount(thing) for thing in (data, text, binary)]
    assert after - before < 1000


# Through a descriptor

BOTH = [
    pytest.param("_in_python", id="Python"),
    pytest.param(
        "", id="C", marks=pytest.mark.skipif(not HAS_SPEEDUPS, reason="the C part was not built")
    ),
]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


@pytest.fixture(params=BOTH)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["masked", "unmasked", "between sentinels", "behind a size"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def receiver(way: str, suffix: str, errors: str = "strict") -> ShortReceive:
    if way in ("masked", "unmasked"):
        take = getattr(short_io, f"receive_short_messages{suffix}")
        return lambda fileno, events: take(way == "masked", 125, errors, fileno, events)
    take = getattr(short_io, f"receive_texts{suffix}")
    start, end = (b"\0", b"\xff") if way == "between sentinels" else (b"\xff" + bytes(7), b"")
    return lambda fileno, events: take(start, end, 200, fileno, events)


def sender(way: str, suffix: str) -> ShortSend:
    if way in ("masked", "unmasked"):
        send = getattr(short_io, f"send_short_message{suffix}")
        new_key: Callable[[], bytes] | None = (lambda: KEY) if way == "masked" else None
        return lambda fileno, message: send(125, new_key, fileno, message)
    send = getattr(short_io, f"send_text{suffix}")
    start, end = (b"\0", b"\xff") if way == "between sentinels" else (b"\xff" + bytes(7), b"")
    return lambda fileno, message: send(start, end, 200, fileno, message)


def frame(way: str, text: str) -> bytes:
    payload = text.encode()
    if way == "between sentinels":
        return b"\0" + payload + b"\xff"
    if way == "behind a size":
        return b"\xff" + len(payload).to_bytes(8, "big") + payload
    if way == "unmasked":
        return bytes((0x81, len(payload))) + payload
    masked = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + KEY + masked


TEXTS = ["", "a", "é日本", "x" * 120]


def test_what_was_sent_is_received(
    way: str, suffix: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    sizes = [sender(way, suffix)(theirs.fileno(), text) for text in TEXTS]
    wire = b"".join(frame(way, text) for text in TEXTS)
    assert sizes == [len(frame(way, text)) for text in TEXTS]
    assert ours.recv(65536, socket.MSG_PEEK) == wire
    events: list[Event] = []
    assert receiver(way, suffix)(ours.fileno(), events) == len(wire)
    assert events == TEXTS


def test_what_is_behind_whole_messages_is_given_back(
    way: str, suffix: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    whole, begun = frame(way, "whole"), frame(way, "begun")[:-1]
    theirs.sendall(whole + begun)
    events: list[Event] = []
    size = len(whole) + len(begun)
    assert receiver(way, suffix)(ours.fileno(), events) == (size, begun)
    assert events == ["whole"]


@pytest.mark.parametrize("way", ["masked", "unmasked"])
@in_turn("bad", [b"\x89\x00", b"\x81\x7e\x00\x7e", b"\x81\x02\xc3\x28"])
def test_anything_else_is_left(
    way: str, suffix: str, bad: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A ping, a long message, bad UTF-8: the codec has the rules for them."""
    ours, theirs = pair
    if way == "masked":
        bad = bytes((bad[0], bad[1] | 0x80)) + bytes(4) + bad[2:]
    theirs.sendall(frame(way, "before") + bad + frame(way, "behind"))
    events: list[Event] = []
    received = receiver(way, suffix)(ours.fileno(), events)
    assert isinstance(received, tuple)
    assert received[1] == bad + frame(way, "behind")
    assert events == ["before"]


def test_no_more_at_once_than_a_codec_takes(
    way: str, suffix: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.sendall(frame(way, "a") * (MOST_AT_ONCE + 3))
    events: list[Event] = []
    received = receiver(way, suffix)(ours.fileno(), events)
    assert isinstance(received, tuple)
    assert received[1] == frame(way, "a") * 3
    assert events == ["a"] * MOST_AT_ONCE


def test_nothing_the_end_and_what_is_broken(
    way: str, suffix: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    receive, send = receiver(way, suffix), sender(way, suffix)
    assert receive(ours.fileno(), []) is None
    theirs.close()
    assert receive(ours.fileno(), []) == 0
    with pytest.raises(BrokenPipeError):
        send(ours.fileno(), "too late")
    descriptor = os.dup(ours.fileno())
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        receive(descriptor, [])
    with pytest.raises(OSError, match="Bad file descriptor"):
        send(descriptor, "nowhere")


def test_a_full_kernel_takes_a_part_or_nothing(
    way: str, suffix: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    send = sender(way, suffix)
    sent = b""
    text = "x" * 100
    while isinstance(size := send(theirs.fileno(), text), int):
        sent += frame(way, text)[:size]
    assert size is not None
    assert size[0] < len(frame(way, text))
    assert size[1] == frame(way, text)
    sent += size[1][: size[0]]
    came = b""
    while len(came) < len(sent):
        came += ours.recv(65536)
    assert came == sent


@in_turn("message", ["x" * 5000, "\ud800", bytearray(b"a"), 5])
def test_what_is_no_short_message_is_not_sent(
    way: str, suffix: str, message: object, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    assert sender(way, suffix)(theirs.fileno(), message) is None  # type: ignore[arg-type]
    with pytest.raises(BlockingIOError):
        ours.recv(1)


@in_turn("draft", DRAFTS)
def test_codecs_hand_them_out(draft: Draft, pair: tuple[socket.socket, socket.socket]) -> None:
    """Bound to how their frames look, and one for all codecs that are alike."""
    ours, theirs = pair
    client, server = draft.codec("client", 1000), draft.codec("server", 1000)
    assert client.send_short is draft.codec("client", 1000).send_short
    assert (client.send_short is None) is (server.receive_short is None)
    if client.send_short is not None and server.receive_short is not None:
        size = client.send_short(theirs.fileno(), "hello")
        events: list[Event] = []
        assert server.receive_short(ours.fileno(), events) == size
        assert events == ["hello"]


@pytest.mark.skipif(not HAS_SPEEDUPS, reason="the C part was not built")
def test_bad_arguments_are_told_by_the_c_part() -> None:
    for function in (short_io.receive_short_messages, short_io.receive_texts):
        with pytest.raises(TypeError):
            function()  # type: ignore[call-arg]
    for send in (short_io.send_short_message, short_io.send_text):
        with pytest.raises(TypeError):
            send()  # type: ignore[call-arg]
