"""A side of a connection with its user and its scope, and when what was."""

from __future__ import annotations

import math
from typing import Any

import attrs

from tests.drafts.helpers import encoded
from trio_draftws.drafts import Close, Event, Fragment

from .reader import LOOK, Reader

#: How many unread messages fill a receiver here
FULL = 6


@attrs.define(eq=False)
class Endpoint(Reader):
    """A side, what has arrived for it, and what its user did."""

    peer: Endpoint = attrs.field(init=False, repr=False)
    gone: bool = False
    """Whether its process has vanished."""

    sent: list[str | bytes] = attrs.field(factory=list)
    sending: str | None = None
    """What was sent of a message part by part."""
    received: int = 0
    parts: list[str | bytes] | None = None
    """What was received of a message part by part."""
    skipped: bool = False
    handed_out: int = 0
    receiving: bool = False
    """Whether a receiver waits."""
    closed: bool = False
    said_close: bool = False
    closes_first: bool | None = None
    """Whether it said that it closes before it heard that the peer does."""
    waiters: dict[int, Any] = attrs.field(factory=dict)
    """Who waits for an answer, by how many pings were sent before."""
    holds: bool = False
    excused: bool = False
    """Whether the end could be applied before its time: it was reached, or released."""
    hung_up_at: float = math.inf
    cut: bool = False
    """Whether it was told that the transport takes nothing more, though it may still be read."""

    # When what was
    asked_at: float = attrs.field(init=False)
    progress_at: float = attrs.field(init=False)
    """The peer's system took something, or had nothing to take."""
    full_at: float = -math.inf
    only_full_at: float = -math.inf
    """It was full and nobody waited to send."""
    unstuck_at: float = -math.inf
    """It was asked when that was so."""
    alone_at: float | None = None
    """Nobody was first found receiving since something was handed out."""
    handed_out_at: float = -math.inf
    taken_at: float = -math.inf
    blocked_at: float = -math.inf
    """Since then it was asked while something could not leave for the peer."""
    free_at: float = attrs.field(init=False)
    """It was asked first when that was over."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.asked_at = self.progress_at = self.free_at = self.now
        self.side.output.on_waiting = self._on_waiting

    def _on_waiting(self) -> None:
        self.side.output.stuck_since(self.now)
        self.side.protocol.note_waiting(self.now, full=self.full)

    @property
    def full(self) -> bool:
        return len(self.side.protocol.unread) >= FULL

    @property
    def may_send(self) -> bool:
        return self.side.protocol.can_send and not self.gone

    @property
    def may_ping(self) -> bool:
        return self.side.draft.ping and self.may_send and self.side.protocol.end is None

    # What its user does

    def receive(self, *, part: bool = False) -> None:
        """Waits for a message, or the end, and takes it."""
        protocol = self.side.protocol
        self.receiving = False
        while not self._has_come(part=part) and self.has_more:
            self.read_some()
        if protocol.unread:
            self._take(part=part)
        elif protocol.end is not None:
            self.note_end_reached()
        else:
            self.receiving = not part

    def _has_come(self, *, part: bool) -> bool:
        protocol = self.side.protocol
        if part and not protocol.unread:
            protocol.begin_parts()
        return bool(protocol.unread) or protocol.end is not None

    def _take(self, *, part: bool) -> None:
        event = self.side.receive(self.now)
        self._handed_out()
        if isinstance(event, Fragment):
            self._take_part(event)
            return
        assert isinstance(event, (str, bytes))
        assert self.parts is None
        assert event == self.peer.sent[self.received]
        self.received += 1

    def _take_part(self, part: Fragment) -> None:
        self.parts = [*(self.parts or ()), part.data]
        so_far = type(part.data)().join(self.parts)  # type: ignore[arg-type]
        sent = [*self.peer.sent, self.peer.sending or ""][self.received]
        if part.final:
            assert so_far == sent
            self.received += 1
            self.parts = None
        else:
            assert sent[: len(so_far)] == so_far

    def receive_part(self) -> None:
        """Takes the next part of the message that is being received so, or begins with one."""
        self.receive(part=self.parts is None)

    def skip(self) -> None:
        """Wants no more of the message that is being received part by part."""
        unread = len(self.side.protocol.unread)
        self.side.protocol.skip_parts(self.now)
        if len(self.side.protocol.unread) < unread:
            self._handed_out(unread - len(self.side.protocol.unread))
        if self.side.protocol.end is not None:
            self.taken_at = self.now
        self.parts = None
        self.received += 1
        self.skipped = True

    def receive_many(self) -> None:
        """Takes all that is unread."""
        protocol = self.side.protocol
        count = len(protocol.unread)
        messages = protocol.take_all(self.now)
        assert messages == self.peer.sent[self.received : self.received + count]
        self.received += count
        self._handed_out(count)

    def _handed_out(self, count: int = 1) -> None:
        self.handed_out += count
        self.alone_at = None
        self.handed_out_at = self.now
        if self.side.protocol.end is not None:
            self.taken_at = self.now

    def note_end_reached(self) -> None:
        """All was received."""
        protocol = self.side.protocol
        assert protocol.end is not None
        if not (self.holds and protocol.end.kind.name == "CLOSE"):
            self.excused = True
        protocol.note_end_reached(self.now)

    def put(self, *events: Event) -> None:
        self.side.output.put([encoded(self.side.protocol.codec, *events)])
        self.side.output.flush()

    def send(self, *messages: str | bytes) -> None:
        """Sends messages; where there is no room, somebody waits for it from then on."""
        output = self.side.output
        if len(output.waiting) >= output.enough:
            if not output.waiting_senders:
                output.waiting_senders = 1
                self._on_waiting()
        else:
            self.put(*messages)
            self.sent += messages

    def send_part(self, part: str, *, final: bool) -> None:
        self.put(Fragment(part, final))
        self.sending = part if self.sending is None else self.sending + part
        if final:
            self.sent.append(self.sending)
            self.sending = None

    def send_close(self, close: Close) -> None:
        self.note_close()
        self.side.protocol.send_close(close)

    def note_close(self) -> None:
        """It says that it sends no more."""
        if not self.said_close:
            end = self.side.protocol.end
            self.closes_first = end is None or end.kind.name != "CLOSE"
        self.said_close = True

    def aclose(self, close: Close) -> None:
        protocol = self.side.protocol
        self.closed = True
        self.receiving = False
        self.parts = None
        self.holds = False
        if protocol.end is None:
            self.note_close()
        self.side.output.waiting_senders = 0
        protocol.start_closing(close, self.now)
        assert not protocol.unread

    def ping(self, *, waits: bool) -> None:
        protocol = self.side.protocol
        sent: list[Any] = []
        number = len(self.side.output.pings)

        def on_done() -> None:
            # An answer, or news that there will be none
            del self.waiters[number]
            assert sent[0].round_trip in (None, self.now - sent[0].at)

        sent.append(protocol.ping(self.now, on_done if waits else None))
        if waits:
            self.waiters[number] = sent[0]
        self.note_ping()
        assert len(protocol.keepalive._sent_pings or ()) <= len(self.waiters) + 1

    def note_ping(self) -> None:
        if self.pinged_at is None:
            self.pinged_at = self.free_at = self.now
            self.blocked_at = -math.inf

    def note_asked(self) -> None:
        self.asked_at = self.now
        if self.pinged_at not in (None, self.now):
            blocked_from = self.side.output.blocked_from
            if blocked_from is not None and blocked_from < self.now:
                self.blocked_at = self.now
            elif self.free_at <= self.blocked_at:
                self.free_at = self.now

    def forget_ping(self) -> None:
        """Whoever waited longest for an answer waits no more."""
        self.side.protocol.keepalive.forget_ping(self.waiters.pop(min(self.waiters)))

    def hold(self) -> None:
        self.holds = True
        self.side.protocol.hold_answer(self.now)

    def release(self) -> None:
        protocol = self.side.protocol
        if protocol.end is not None and self.holds and not protocol.unread:
            self.excused = True
        self.holds = False
        protocol.release_answer(self.now)

    def hang_up(self) -> None:
        """Its scope finds that the peer has ended, behind what a full receiver does not read."""
        self.hung_up_at = min(self.hung_up_at, self.now)
        self.cut = self.cut or self.ending == "reset"
        self.side.protocol.note_hang_up(self.now, reset=self.ending == "reset")

    def give_up(self) -> None:
        self.excused = True
        self.side.protocol.give_up("too slow", Close(1008, "too slow"), self.now)

    # What its scope does

    def found_alone(self) -> None:
        """Nobody is found receiving: reads a little."""
        protocol = self.side.protocol
        if self.alone_at is None:
            self.alone_at = self.now
        protocol.note_nobody_receives(self.now)
        if protocol.end is None and not self.full:
            self.read_some(LOOK)

    def settle(self) -> None:
        """Whoever waits goes on."""
        protocol, output = self.side.protocol, self.side.output
        if self.gone:
            return
        if self.closed:
            while protocol.end is None and self.has_more:
                self.read_some()
        elif self.receiving and (protocol.end is not None or self.has_more):
            self.receive()
        if len(output.waiting) < output.enough or output.failed:
            output.waiting_senders = 0
        self.note_end()
        self.touch()

    @property
    def is_excused(self) -> bool:
        """Whether it is us who do not hear the peer."""
        return self.full or self.side.protocol.codec.has_more_output

    def note_excuse(self) -> None:
        """Notes that it is asked, or told that something waits, when that is so."""
        if self.is_excused and not self.side.output.waiting_senders:
            self.unstuck_at = self.now

    def touch(self) -> None:
        """Notes what is so at this moment."""
        output = self.side.output
        if self.is_excused:
            self.full_at = self.now
            if not output.waiting_senders:
                self.only_full_at = self.now
        if output.written == output.taken and not output.waiting:
            self.progress_at = self.now
