"""One side of a connection without I/O, for tests of its life: times, an output, what it said."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import attrs

from tests.drafts.helpers import encoded, in_turn
from trio_draftws.drafts import (
    DRAFTS,
    Buffer,
    Close,
    Codec,
    Draft,
    End,
    Event,
    Fragment,
    Ping,
    Pong,
    Role,
    WebSocketProtocol,
)

Said: TypeAlias = Event | Literal["end", "abort"]
NORMAL = Close(1000)
#: How long the end of a stream may take at most
GRACE = 2.0
#: Of pings that come together only the latest are answered.
PONGS_AT_ONCE = 16
OTHER: dict[Role, Role] = {"client": "server", "server": "client"}
each_draft = in_turn("draft", DRAFTS)


@attrs.define
class Times:
    """The timeouts of a connection, by default as everyone uses them."""

    close_timeout: float = 5
    idle_timeout: float = 3600
    ping_interval: float = 20
    ping_timeout: float = 20
    write_timeout: float = 60

    def shortest(self, draft: Draft) -> float:
        """How long a connection may go without being asked what is due."""
        pings = (self.ping_interval, self.ping_timeout) if draft.ping else ()
        return min(self.idle_timeout, self.write_timeout, 60, *pings)

    @property
    def grace(self) -> float:
        """How long an answer may be owed, as the rules say it."""
        return min(2, self.close_timeout / 2)


@attrs.define(eq=False)
class FakeOutput:
    """A sender, and the wire behind it: bytes wait, are on their way, arrive, are acknowledged."""

    _peers_codec: Callable[[], Codec]
    room: float = math.inf
    """How many bytes may be on their way; the others wait."""
    enough: float = math.inf
    """From how many waiting bytes on there is no room for a pong, and senders wait."""
    said: list[Said] = attrs.field(factory=list)
    """All that was put, and how it ended."""
    pings: list[bytes] = attrs.field(factory=list)
    """The payloads of the pings among it."""
    pongs: list[bytes] = attrs.field(factory=list)
    has_closed: bool = False
    """Whether there is a closing frame among it."""
    waiting: bytearray = attrs.field(factory=bytearray)
    on_the_way: bytearray = attrs.field(factory=bytearray)
    written: int = 0
    lags: bool = False
    """Whether it takes a while until what is written leaves, and what was taken is acknowledged."""
    left: int = 0
    """How much has left for the peer, where that lags."""
    taken: int = 0
    """How much the peer's system has acknowledged."""
    progress_at_look: int = -1
    stuck_from: float = 0
    blocked_from: float | None = None
    waiting_senders: int = 0
    latest: bytes | None = None
    """The pong that finds no room."""
    without_room: int = 0
    """How many found none."""
    ending: bool = False
    ended: bool = False
    """Whether our side of the stream ends behind what is on its way."""
    failed: bool = False
    draining: bool = False
    on_failure: Callable[[], None] = lambda: None
    on_waiting: Callable[[], None] = lambda: None
    """Called when bytes begin to wait."""
    _codec: Codec | None = None

    @property
    def finishing(self) -> bool:
        return self.ending or self.failed

    @property
    def holds_back(self) -> bool:
        """Whether something has not left for the peer."""
        return bool(self.waiting) or (self.lags and self.left < self.written)

    def blocked(self, now: float) -> bool:
        if not self.holds_back:
            self.blocked_from = None
        elif self.blocked_from is None:
            self.blocked_from = now
        # What begins to wait just now may be gone in the next pass.
        return self.blocked_from is not None and self.blocked_from < now

    def put(self, buffers: list[Buffer]) -> None:
        if self.failed:
            return
        assert not self.ending, "something was put behind the end"
        wire = b"".join(bytes(buffer) for buffer in buffers)
        self.waiting += wire
        if self._codec is None or self.has_closed:
            # A codec says nothing behind a close: a new one for each frame tells what is there.
            self._codec = self._peers_codec()
        events = self._codec.decode(wire)
        while self._codec.has_more_output:
            events += self._codec.decode(b"")
        self.said += events
        self.has_closed = self.has_closed or (bool(events) and isinstance(events[-1], Close))
        self.pings += [each.payload for each in events if isinstance(each, Ping)]
        self.pongs += [each.payload for each in events if isinstance(each, Pong)]

    def put_latest(self, buffers: list[Buffer]) -> None:
        if len(self.waiting) < self.enough:
            self.put(buffers)
        else:
            self.latest = b"".join(bytes(buffer) for buffer in buffers)
            self.without_room += 1

    def inject(self, wire: bytes) -> None:
        """Adds bytes that break the draft."""
        self.waiting += wire
        self.flush()

    def flush(self) -> None:
        if self.failed or self.ended:
            return
        size = int(min(len(self.waiting), max(0, self.room - len(self.on_the_way))))
        self.on_the_way += self.waiting[:size]
        del self.waiting[:size]
        self.written += size
        if self.latest is not None and len(self.waiting) < self.enough:
            latest, self.latest = self.latest, None
            if not self.ending:
                self.put([latest])
            self.flush()
        elif self.ending and not self.waiting:
            self.ended = True
        if self.waiting and not self.draining:
            self.on_waiting()
        self.draining = bool(self.waiting)

    def finish(self) -> None:
        self.said.append("end")
        self.ending = True

    def abort(self, reason: str) -> None:
        assert reason
        self.said.append("abort")
        self.fail()
        # Whoever has the stream closes it then.
        self.ended = True

    def fail(self) -> None:
        """Nothing more can be written."""
        if not self.failed:
            self.failed = True
            self.waiting.clear()
            self.latest = None
            self.on_failure()

    def stuck_since(self, now: float) -> float | None:
        if not self.waiting and self.taken >= self.written:
            self.progress_at_look = -1
            return None
        if self.progress_at_look != self.taken:
            self.progress_at_look = self.taken
            self.stuck_from = now
        return self.stuck_from


@attrs.define(eq=False)
class Side:
    """A protocol object, its output, and a codec that says what its peer says."""

    draft: Draft
    role: Role
    times: Times
    protocol: WebSocketProtocol
    output: FakeOutput
    peer: Codec

    @property
    def said(self) -> list[Said]:
        """All that was put, and how it ended."""
        return self.output.said

    @property
    def codes(self) -> list[int | None]:
        """The code of each closing frame that was put."""
        return [each.code for each in self.said if isinstance(each, Close)]

    @property
    def end(self) -> End:
        """How the input ended."""
        assert self.protocol.end is not None
        return self.protocol.end

    def encoded(self, *events: Event) -> bytes:
        """What the peer sends to say `events`."""
        return encoded(self.peer, *events)

    def hear(self, now: float, *events: Event) -> None:
        """Takes what the peer says."""
        self.protocol.feed(self.encoded(*events), now)

    def hear_rest(self, now: float) -> None:
        """Takes all that the codec has more of."""
        while self.protocol.codec.has_more_output:
            self.protocol.feed_rest(now)

    def hear_close(self, now: float, close: Close = NORMAL) -> None:
        """The peer closes, as its draft does."""
        self.protocol.feed(self.encoded(close) if self.draft.closing_handshake else b"", now)

    def receive(self, now: float) -> Event:
        """Takes the next message, as a connection does."""
        event = self.protocol.unread.pop()
        if self.protocol.end is not None:
            self.protocol.note_taken(now)
        return event

    def ask(self, now: float, *, full: bool = False) -> bool:
        """Asks for what is due, as a scope does where nothing more has come; says whether the peer
        was given up.
        """
        if self.protocol.on_deadline(now, full=full):
            self.protocol.on_deadline(now, full=full, just_read=True)
        assert self.protocol.due > now
        return self.protocol.end is not None and self.protocol.end.kind.name == "GIVEN_UP"


def side_of(
    draft: Draft,
    role: Role = "server",
    now: float = 0,
    times: Times | None = None,
    limit: float = math.inf,
) -> Side:
    """A side that has just opened; its messages have at most `limit` bytes."""
    times = times or Times()
    output = FakeOutput(lambda: draft.codec(OTHER[role], math.inf))
    codec = draft.codec(role, limit)
    protocol = WebSocketProtocol(draft, role, codec, output, times, now)
    output.on_failure = protocol.cannot_write
    return Side(draft, role, times, protocol, output, draft.codec(OTHER[role], math.inf))


def handed_out(draft: Draft, role: Role = "server", **times: float) -> Side:
    """A side that has received one message, so that an answer is awaited from its user."""
    side = side_of(draft, role, times=Times(**times))
    side.hear(0, "question")
    assert side.receive(0) == "question"
    return side


def stream_ends(side: Side, now: float) -> None:
    """The stream ends, and no goodbye was said: in a message, where its end is the only one."""
    if not side.draft.closing_handshake:
        side.protocol.feed(b"\0cut", now)
    side.protocol.feed(b"", now)


def violates(side: Side, now: float) -> None:
    """The peer breaks its draft."""
    codec = side.draft.codec(OTHER[side.role], math.inf)
    if side.draft.fragments:
        encoded(codec, Fragment("a"))
        side.protocol.feed(encoded(codec, Fragment("b", final=True)), now)
    else:
        side.protocol.feed(b"\x90" + b"\xff" * 10, now)


def is_lost(side: Side, now: float) -> None:
    """The transport breaks."""
    side.protocol.note_transport_lost("broken", ConnectionResetError(), now)


def is_given_up(side: Side, now: float) -> None:
    """We give the peer up, and say so if that is possible."""
    side.protocol.give_up("too slow", Close(1008, "too slow"), now)


WAYS: dict[str, Callable[[Side, float], None]] = {
    "CLOSE": Side.hear_close,
    "STREAM": stream_ends,
    "VIOLATION": violates,
    "LOST": is_lost,
    "GIVEN_UP": is_given_up,
}


def silent(draft: Draft, now: float = 0, **times: float) -> Side:
    """A side whose peer says nothing, and without pings unless there are times for them."""
    ours = {"ping_interval": math.inf, "ping_timeout": math.inf, **times}
    return side_of(draft, now=now, times=Times(**ours))


def goes_by(side: Side, until: float, *, full: bool = False) -> float | None:
    """Asks whenever it is due; says when the peer was given up."""
    now = side.protocol.due
    for _ in range(10_000):
        if now > until:
            return None
        if side.ask(now, full=full):
            return now
        now = side.protocol.due
    raise AssertionError("it is due too often")


def is_pinged(side: Side, now: float) -> None:
    if side.draft.ping:
        side.protocol.ping(now)


def has_what_waits(side: Side, now: float) -> None:
    side.output.room = 0
    side.output.put([encoded(side.protocol.codec, "x" * 100)])
    side.output.lags = True
    side.output.stuck_since(now)
    side.protocol.note_waiting(now, full=False)
    is_pinged(side, now)
