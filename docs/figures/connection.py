"""How a connection works: where `send` can be cancelled, its parts, its pings, its close."""

from __future__ import annotations

from collections.abc import Iterator

from .svg import arrow, box, figure, line, text

WIDTH = 736


def labelled(
    x: float, y: float, width: float, height: float, kind: str, *lines: str, class_: str = ""
) -> Iterator[str]:
    """A box with lines of text in its middle, the first of them strong."""
    yield box(x, y, width, height, f"{kind} pale")
    yield box(x, y, width, height, "edge")
    top = y + height / 2 - 7 * (len(lines) - 1) + 4.5
    for number, said in enumerate(lines):
        style = (class_ or "strong") if number == 0 else "soft"
        yield text(x + width / 2, top + number * 15, said, f"{style} middle")


def bracket(x: float, to_x: float, y: float, said: str) -> Iterator[str]:
    """A line over something, and what is true of it."""
    yield line(x, y, to_x, y, "arrow")
    yield line(x, y, x, y + 5, "arrow")
    yield line(to_x, y, to_x, y + 5, "arrow")
    yield text((x + to_x) / 2, y - 8, said, "small middle")


# Where a send can be cancelled


def draw_send() -> str:
    y, high = 64, 48
    parts = [text(0, 14, "await connection.send(message)", "code")]
    parts += bracket(1, 216, y - 10, "can be cancelled: nothing was sent")
    parts += bracket(236, WIDTH - 1, y - 10, "no await, cannot be cancelled: it will be sent")
    parts += labelled(1, y, 215, high, "payload", "wait for room", "in order; nothing is encoded")
    parts += labelled(236, y, 120, high, "type", "encode", "to frames")
    parts += labelled(376, y, 140, high, "type", "append", "to the waiting bytes")
    parts += labelled(536, y, 199, high, "type", "write", "what the kernel takes at once")
    parts += [arrow(x - 17, y + high / 2, x - 3, y + high / 2) for x in (236, 376, 536)]
    parts.append(arrow(636, y + high + 3, 636, y + high + 25, "arrow late"))
    parts += labelled(
        536, y + high + 28, 199, high, "length", "drain task", "writes the rest, if there is any"
    )
    parts.append(text(524, y + high + 56, "in the background, after send has returned", "soft end"))
    return figure(
        WIDTH,
        y + 2 * high + 30,
        "Where a send can be cancelled",
        parts,
        "send first waits for room, in order, with nothing encoded: there it can be cancelled, and "
        "then nothing was sent. Then it encodes, appends to the waiting bytes and writes what the "
        "kernel takes at once, with no await, so it cannot be cancelled. A drain task writes the "
        "rest in the background.",
    )


# The parts of a connection

COLUMN, GAP, HIGH = 119, 34.5, 56


def draw_parts() -> str:
    at = [1 + number * (COLUMN + GAP) for number in range(5)]
    up, middle, down = 26, 118, 210
    parts = [text(0, 14, "your task", "soft"), text(at[4], 14, "the system", "soft")]
    rows = (
        (
            up,
            ("receive()", "in your task"),
            ("queue", "64 KiB unread", "and one message"),
            ("codec", "decodes"),
            ("receiver", "reads the socket"),
        ),
        (
            down,
            ("send()", "in your task"),
            ("room?", "waits while 64 KiB", "are not written"),
            ("codec", "encodes"),
            ("sender", "the waiting bytes"),
        ),
    )
    for y, call, queue, codec, end in rows:
        kinds = ("payload", "length", "type", "length" if y == down else "type")
        for x, kind, lines in zip(at, kinds, (call, queue, codec, end), strict=False):
            style = "code" if kind == "payload" else ""
            parts += labelled(x, y, COLUMN, HIGH, kind, *lines, class_=style)
        for left in at[:4]:
            ends = left + COLUMN + 3, left + COLUMN + GAP - 3
            begin, to = ends if y == down else ends[::-1]
            parts.append(arrow(begin, y + HIGH / 2, to, y + HIGH / 2))
    parts += labelled(at[4], up, COLUMN, down + HIGH - up, "key", "stream", "TCP or TLS,", "or any")
    x = at[2]
    parts += labelled(
        x - 40,
        middle,
        COLUMN + 80,
        HIGH,
        "key",
        "protocol object",
        "state, pings, close, deadlines",
    )
    center = x + COLUMN / 2
    parts.append(arrow(center, up + HIGH + 3, center, middle - 3))
    parts.append(text(center + 8, up + HIGH + 24, "Ping, Close", "soft"))
    parts.append(arrow(center, middle + HIGH + 3, center, down - 3))
    parts.append(text(center + 8, middle + HIGH + 24, "Pong, the answer", "soft"))
    for number, said in enumerate(
        (
            "No task reads ahead. While nobody",
            "receives, the scope's watch reads",
            "2 KiB at a time.",
        )
    ):
        parts.append(text(0, middle + 14 + number * 16, said, "small"))
    return figure(
        WIDTH,
        down + HIGH + 4,
        "The parts of a connection",
        parts,
        "Incoming: the receiver reads the stream, the codec decodes, messages wait in a queue, and "
        "receive, in your task, takes them. Outgoing: send, in your task, waits for room, the "
        "codec encodes, and the sender holds the bytes until the stream takes them. The protocol "
        "object between the two answers pings and closes. No task reads ahead.",
    )


# Pings

PING_INTERVAL, PING_TIMEOUT = 20, 20
SECOND, LEFT, LANE = 9.2, 150, 64


def at_second(second: float) -> float:
    return LEFT + second * SECOND


def draw_ping_timeline() -> str:
    """With the default settings."""
    pinged, given_up = PING_INTERVAL, PING_INTERVAL + PING_TIMEOUT
    again = pinged + PING_INTERVAL
    top, last = 30, 60
    parts: list[str] = []
    bottom = top + 3 * LANE
    for second in range(0, last + 1, 10):
        parts.append(line(at_second(second), 20, at_second(second), 26))
        parts.append(text(at_second(second), 14, f"{second} s", "soft middle"))

    def lane(number: int, name: str, below: str) -> float:
        y = top + number * LANE
        parts.append(text(0, y + 18, name, "strong"))
        parts.append(text(0, y + 34, below, "soft"))
        return y

    def bar(y: float, begin: float, end: float, kind: str, said: str) -> None:
        x, width = at_second(begin) + 2, (end - begin) * SECOND - 4
        parts.extend(labelled(x, y + 4, width, 22, kind, said, class_="small"))

    def mark(y: float, second: float, said: str, to_peer: bool) -> None:
        x = at_second(second)
        parts.append(arrow(x, y + 30, x, y + 44) if to_peer else arrow(x, y + 44, x, y + 30))
        if said:
            parts.append(text(x + 6, y + 42, said, "soft"))

    y = lane(0, "answers", "is kept")
    bar(y, 0, pinged, "length", "ping_interval")
    bar(y, pinged + 1, again + 1, "length", "ping_interval")
    bar(y, again + 2, last, "length", "…")
    mark(y, 0, "a message", False)
    for second in (pinged, again + 1):
        mark(y, second, "", True)
        mark(y, second + 1, "ping, pong", False)
    y = lane(1, "has vanished", "is given up")
    bar(y, 0, pinged, "length", "ping_interval")
    bar(y, pinged, given_up, "key", "ping_timeout")
    mark(y, 0, "a message", False)
    mark(y, pinged, "ping", True)
    parts.append(text(at_second(given_up) + 6, y + 19, "receive raises", "small"))
    parts.append(text(at_second(given_up) + 6, y + 35, "ConnectionLost", "code"))
    y = lane(2, "keeps sending", "is never pinged")
    for second in range(0, last, 12):
        mark(y, second, "a message", False)
        parts.append(box(at_second(second) + 2, y + 4, 12 * SECOND - 4, 22, "length pale"))
    return figure(
        LEFT + last * SECOND + 34,
        bottom,
        "When a peer is pinged, and when it is given up",
        parts,
        f"A peer that has been silent for {PING_INTERVAL} seconds is pinged. If it answers, it is "
        f"pinged again after {PING_INTERVAL} more seconds of silence. If nothing comes for "
        f"{PING_TIMEOUT} seconds after the ping, it is given up and receive raises "
        "ConnectionLost. A peer that keeps sending is never pinged.",
    )


# Closing

PANEL, OURS, THEIRS = 352, 188, 326


def draw_closing_sequence() -> str:
    parts: list[str] = []
    panels = (
        (
            0,
            "you close",
            ("open", "close sent", "closed"),
            (
                (True, "Close", ""),
                (False, "messages under way", "late"),
                (False, "Close", ""),
            ),
            ("You may receive, not send.", "Pings are still answered.", "At most close_timeout."),
        ),
        (
            WIDTH - PANEL,
            "the peer closes",
            ("open", "close received", "closed"),
            (
                (False, "Close", ""),
                (True, "your last answers", "late"),
                (True, "Close", ""),
            ),
            ("The answer goes out when", "receive reaches the close,", "or after a grace of 2 s."),
        ),
    )
    top, first, step = 44, 84, 52
    bottom = first + 3 * step + 8
    for left, title, states, messages, notes in panels:
        ours, theirs = left + OURS, left + THEIRS
        parts.append(text(left, 14, title, "strong"))
        parts.append(text(ours, 34, "you", "soft middle"))
        parts.append(text(theirs, 34, "the peer", "soft middle"))
        parts.append(line(ours, top, ours, bottom))
        parts.append(line(theirs, top, theirs, bottom))
        edges = (top, first, first + 2 * step, bottom)
        kinds = ("payload", "length", "key")
        for begin, end, kind, state in zip(edges, edges[1:], kinds, states, strict=False):
            parts += labelled(left, begin + 2, OURS - 14, end - begin - 4, kind, "", class_="small")
            parts.append(text(left + 8, begin + 20, state, "strong"))
        parts += [
            text(left + 8, first + 38 + number * 16, said, "soft")
            for number, said in enumerate(notes)
        ]
        for number, (from_us, said, style) in enumerate(messages):
            y = first + number * step
            begin, to = (ours, theirs) if from_us else (theirs, ours)
            shift = 4 if from_us else -4
            parts.append(arrow(begin + shift, y, to - shift, y, f"arrow {style}".strip()))
            parts.append(text((ours + theirs) / 2, y - 6, said, "small middle"))
        y = bottom - 16
        parts.append(line(ours + 4, y, theirs - 4, y, "arrow"))
        parts.append(line(ours + 4, y + 4, theirs - 4, y + 4, "arrow"))
        parts.append(text((ours + theirs) / 2, y - 6, "end of TCP", "small middle"))
    return figure(
        WIDTH,
        bottom + 4,
        "The closing sequence, from either side",
        parts,
        "When you close, your Close goes out and the state is close sent: you may receive messages "
        "under way but not send, until the peer's Close comes, for close_timeout at most. When the "
        "peer closes, the state is close received: you may still send your last answers, until "
        "your Close goes out, which happens when receive reaches the close, or after a "
        "grace of two seconds. Then the state is closed and TCP ends.",
    )
