"""What the rules of `WebSocketProtocol` promise, held against what was observed of one side."""

from __future__ import annotations

import math

import attrs

from trio_draftws.drafts import Close, End, EndKind, Pong, Role

from .endpoint import Endpoint
from .reader import LOOK
from .sides import OTHER

#: The state's name by whether we said that we send no more, and whether the peer did
TABLE = {
    (False, False): "OPEN",
    (True, False): "CLOSE_SENT",
    (False, True): "CLOSE_RECEIVED",
    (True, True): "CLOSED",
}


@attrs.define(eq=False)
class Promises:
    """Looks at one side after each step."""

    of: Endpoint
    end: End | None = None
    applied: bool = False
    unread: int = 0
    looked_at: int = 0
    """How much of what was said was looked at."""
    closes: int = 0
    pongs: int = 0
    """How many pongs were looked at."""
    answered: int = -1
    """Which of our pings they answer."""

    def check(self) -> None:
        """All that holds at every moment."""
        self.check_state()
        self.check_said()
        self.check_end()
        self.check_watch()
        self.check_pongs()

    def check_state(self) -> None:
        """The tables: what both sides said decides the state, and what may be sent."""
        side = self.of
        protocol = side.side.protocol
        heard = protocol.end is not None and protocol.end.kind is EndKind.CLOSE
        expected = "CLOSED" if protocol.end_applied else TABLE[side.said_close, heard]
        assert protocol.state.name == expected
        mute = side.said_close or protocol.end_applied or side.side.output.failed
        assert protocol.can_send is not (mute or side.cut)
        assert protocol.closed_by == self.closed_by
        assert protocol.handed_out == side.handed_out or side.closed

    @property
    def closed_by(self) -> Role | None:
        """Who began to close, where somebody did."""
        role, end = self.of.side.role, self.of.side.protocol.end
        if self.of.closes_first is not None:
            return role if self.of.closes_first else OTHER[role]
        if end is None or not self.of.side.protocol.end_applied:
            return None
        if end.kind is EndKind.CLOSE:
            return OTHER[role]
        return None if end.answer is None else role

    def check_said(self) -> None:
        """One Close, behind it nothing but pongs, and nothing behind the end."""
        said = self.of.side.said
        for each in said[self.looked_at :]:
            assert not self.closes or isinstance(each, Pong) or each in ("end", "abort")
            self.closes += isinstance(each, Close)
        self.looked_at = len(said)

    def check_end(self) -> None:
        """The first end is the only one, and what is owed for it goes out in time."""
        protocol = self.of.side.protocol
        if self.end is not None:
            assert protocol.end is self.end
            assert len(protocol.unread) <= self.unread
        self.end, self.unread = protocol.end, len(protocol.unread)
        assert protocol.end is None or not self.of.waiters
        if protocol.end is None:
            assert not protocol.end_applied
        elif not protocol.end_applied:
            assert not self.applied
            assert protocol.due <= self.answer_at
            assert self.of.now < self.answer_at
        elif not self.applied:
            assert self.of.excused or self.of.now >= self.answer_at
            self.check_applied(protocol.end)
        self.applied = protocol.end_applied

    @property
    def answer_at(self) -> float:
        """When what is owed goes out at the latest: rules 2 and 3."""
        side = self.of
        protocol, times = side.side.protocol, side.side.times
        assert protocol.end is not None
        if protocol.end.kind in (EndKind.LOST, EndKind.GIVEN_UP) or side.closed:
            return -math.inf
        if side.holds and protocol.end.kind is EndKind.CLOSE:
            return side.ended_at + times.close_timeout * 3 / 4
        if protocol.unread:
            return max(side.ended_at, side.taken_at) + times.grace
        if not side.handed_out:
            return -math.inf
        if side.alone_at is not None:
            return side.alone_at + times.grace
        # Somebody may still be found receiving, for a grace.
        return max(side.ended_at, side.taken_at) + 2 * times.grace

    def check_applied(self, end: End) -> None:
        """What was owed was said."""
        side, protocol = self.of.side, self.of.side.protocol
        broken = end.kind in (EndKind.LOST, EndKind.GIVEN_UP)
        assert side.protocol.can_send is False
        if end.kind is EndKind.CLOSE and end.close is not None and not self.of.said_close:
            # RFC 6455 section 5.5.1: the code of what it answers
            answer = Close(end.close.code) if side.draft.close_status else Close()
            assert protocol.close_sent == answer or "abort" in side.said
        elif end.kind is EndKind.VIOLATION and side.draft.fragments:
            assert end.answer is not None
        if broken or "abort" in side.said:
            assert side.output.failed
        else:
            assert "end" in side.said
        if end.answer is not None and side.draft.closing_handshake and "abort" not in side.said:
            assert self.closes == 1 or side.output.failed

    def check_watch(self) -> None:
        """Nobody dead is kept: rule 4 and 5."""
        of, side = self.of, self.of.side
        protocol, times, now = side.protocol, side.times, self.of.now
        if protocol.end is not None:
            return
        assert protocol.due <= of.asked_at + times.shortest(side.draft)
        assert protocol.due <= protocol.close_at
        assert now < protocol.close_at
        silent_from = max(of.read_at, of.full_at)
        assert now < silent_from + times.idle_timeout
        if of.may_ping and not of.full:
            if of.pinged_at is None:
                assert now < silent_from + times.ping_interval
            elif of.blocked_at < of.asked_at:
                silent_from = max(of.pinged_at, of.free_at, of.full_at)
                assert now < silent_from + times.ping_timeout
        output = side.output
        if output.progress_at_look == output.taken:
            stuck_from = max(output.stuck_from, of.only_full_at)
            assert now < stuck_from + times.write_timeout

    def check_pongs(self) -> None:
        """A pong stands for the pings before it: nobody waits for one of those."""
        pongs = self.of.peers_output.pongs
        while self.pongs < self.of.side.protocol.keepalive.pongs_received:
            pong = pongs[self.pongs]
            self.pongs += 1
            if not pong.startswith(b"strange"):
                self.answered = max(self.answered, self.of.side.output.pings.index(pong))
        assert all(number > self.answered for number in self.of.waiters)

    # What its scope asks

    def ask(self) -> None:
        """Asks for what is due, as a scope does, and looks at what is done about it."""
        of = self.of
        protocol = of.side.protocol
        pings, could_ping, now = protocol.keepalive.pings_sent, of.may_ping and not of.full, of.now
        of.note_excuse()
        if protocol.on_deadline(now, full=of.full):
            assert protocol.end is None
            self.check_due()
            of.read_some(LOOK)
            assert not protocol.on_deadline(now, full=of.full, just_read=True)
        self.check_due()
        of.note_asked()
        if protocol.keepalive.pings_sent > pings:
            assert could_ping
            assert of.pinged_at is None
            assert protocol.keepalive.pings_sent == pings + 1
            assert of.read_at + of.side.times.ping_interval <= now
            of.note_ping()
        end = protocol.end
        if self.end is None and end is not None and end.kind is EndKind.GIVEN_UP:
            self.check_given_up(end)

    def check_due(self) -> None:
        protocol = self.of.side.protocol
        assert protocol.due > self.of.now
        if protocol.end_applied:
            # Nothing is ever due again.
            assert protocol.due == math.inf

    def check_given_up(self, end: End) -> None:
        """Nobody is given up whose bytes came within the time."""
        of, times, now = self.of, self.of.side.times, self.of.now
        if "took nothing" in end.reason:
            assert max(of.progress_at, of.unstuck_at) + times.write_timeout <= now
        elif "close" in end.reason:
            assert of.side.protocol.close_at <= now
        elif of.hung_up_at < math.inf and "nothing came" in end.reason:
            # It is the reader who takes nothing, of a peer that has gone.
            assert max(of.hung_up_at, of.handed_out_at) + times.idle_timeout <= now
        elif "reset" in end.reason:
            seconds = min(times.idle_timeout, times.ping_interval + times.ping_timeout)
            assert max(of.hung_up_at, of.handed_out_at) + seconds <= now
        else:
            assert not of.has_more
            if "ping" in end.reason:
                assert of.arrived_at + times.ping_timeout <= now
                assert of.pinged_at is not None
                assert max(of.pinged_at, of.free_at) + times.ping_timeout <= now
            else:
                assert "nothing came" in end.reason
                assert of.arrived_at + times.idle_timeout <= now
