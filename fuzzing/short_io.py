"""Short messages received and sent in one step: what C makes of it, Python does too."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from trio_draftws.drafts import Event
from trio_draftws.drafts._framing import short_io as short_io
from trio_draftws.drafts._framing.codec import ShortReceive, ShortSend
from trio_draftws.drafts._framing.fast_path import LONGEST

from .frames import NO_YES
from .oracle import Choices, Target, expect

KEY = b"\x01\x80\xff\x7f"
SIZES = (LONGEST, 0, 1, 16, 124, 255, 2000)
ERRORS = ("strict", "replace")
# How a text is framed before there were opcodes: between two bytes, or behind its size
TEXTS = ((b"\x00", b"\xff"), (b"\xff" + bytes(7), b""))
# What the kernel takes of one at most, so that some of it has to wait
SMALL = 4096
MOST_SENDS = 300


def check(data: bytes) -> None:
    choices = Choices(data)
    suffixes = ("_in_python", "")
    if choices.pick(NO_YES):
        masked, longest = choices.pick(NO_YES), min(LONGEST, choices.pick(SIZES))
        errors = choices.pick(ERRORS)
        new_key = (lambda: KEY) if masked else None
        arguments: tuple[Any, ...] = (masked, longest, errors)
        receivers = [_of("receive_short_messages", suffix, arguments) for suffix in suffixes]
        senders = [_of("send_short_message", suffix, (longest, new_key)) for suffix in suffixes]
    else:
        start, end = choices.pick(TEXTS)
        arguments = (start, end, choices.pick(SIZES))
        receivers = [_of("receive_texts", suffix, arguments) for suffix in suffixes]
        senders = [_of("send_text", suffix, arguments) for suffix in suffixes]
    if choices.pick(NO_YES):
        check_receiving(receivers, choices.rest)
    else:
        check_sending(senders, choices)


def _of(name: str, suffix: str, arguments: tuple[Any, ...]) -> Any:
    function: Callable[..., Any] = getattr(short_io, name + suffix)
    return partial(function, *arguments)


def check_receiving(receivers: list[ShortReceive], wire: bytes) -> None:
    """The same bytes come to both; afterwards nothing, and then the end."""
    outcomes = []
    for receive in receivers:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            events: list[Event] = []
            said: list[Any] = []
            if wire:
                theirs.sendall(wire)
                said.append(receive(ours.fileno(), events))
            said.append(receive(ours.fileno(), events))
            theirs.close()
            said.append(receive(ours.fileno(), events))
        outcomes.append((events, said))
    expect(outcomes[0] == outcomes[1], "C and Python receive something else", *outcomes)


def check_sending(senders: list[ShortSend], choices: Choices) -> None:
    """The same message, again and again until the kernel takes no more; nothing of it is lost."""
    size = choices.pick(SIZES)
    content = (choices.rest or b"a") * (size // max(1, len(choices.rest)) + 1)
    message: str | bytes = content[:size]
    if choices.pick(NO_YES):
        message = content[:size].decode("utf-8", "surrogateescape" if size % 2 else "replace")
    sends = 1 + choices.byte() % MOST_SENDS
    outcomes = [_sent(send, message, sends) for send in senders]
    expect(outcomes[0] == outcomes[1], "C and Python send something else", *outcomes)


def _sent(send: ShortSend, message: str | bytes, sends: int) -> tuple[bool, bytes]:
    """Whether it is a short message at all, and all that was sent or is left to be sent."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        ours.setblocking(False)
        theirs.setblocking(False)
        wire = bytearray()
        whole = True
        for _ in range(sends):
            sent = send(ours.fileno(), message)
            if sent is None:
                expect(not wire, "what was a short message is none any more", message)
                return False, b""
            if not isinstance(sent, int):
                taken, frame = sent
                wire += _taken(theirs) + frame[taken:]
                whole = False
        if whole:
            wire += _taken(theirs)
        return True, bytes(wire)


def _taken(sock: socket.socket) -> bytes:
    taken = bytearray()
    try:
        while part := sock.recv(65536):
            taken += part
    except BlockingIOError:
        pass
    return bytes(taken)


def seeds() -> Iterator[bytes]:
    """Each way to frame, in both directions, with some messages."""
    hello = (
        b"\x81\x05hello\x82\x85\x01\x80\xff\x7fihlin\x00hello\xff" + b"\xff" + bytes(7) + b"\x02hi"
    )
    for first in range(2):
        for second in range(2):
            for third in range(len(SIZES)):
                for direction in range(2):
                    yield bytes([first, second, third, 0, direction]) + hello
                    yield bytes([first, second, third, direction, 1, 0, 200]) + hello


TARGETS = (
    Target("short-io", "short messages in one step, C against Python, over a socket", check, seeds),
)
