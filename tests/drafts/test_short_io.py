"""Whole short messages received and sent in one step: in C, and against it in Python."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator

import pytest

from trio_draftws.drafts import DRAFTS, HAS_SPEEDUPS, Draft, Event, ShortReceive, ShortSend
from trio_draftws.drafts._framing import short_io as short_io
from trio_draftws.drafts._framing.codec import MOST_AT_ONCE

from .helpers import in_turn

BOTH = [
    pytest.param("_in_python", id="Python"),
    pytest.param(
        "", id="C", marks=pytest.mark.skipif(not HAS_SPEEDUPS, reason="the C part was not built")
    ),
]
KEY = b"\x01\x02\x03\x04"


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
