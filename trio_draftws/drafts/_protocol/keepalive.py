"""Whether the peer is still there: pings, their answers, and how long silence may last."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from trio_draftws.drafts._events import Pong

from .interfaces import Output, Timeouts

#: Seconds after which a connection's deadlines are looked at again at the latest
LONGEST_WAIT = 60.0


@attrs.define(eq=False, weakref_slot=False)
class SentPing:
    """A ping that was sent and not yet answered."""

    payload: bytes
    at: float
    on_done: Callable[[], None] | None = None
    """Called when its answer has come, or can no longer come. None: nobody waits."""
    round_trip: float | None = None
    """Seconds; None while there is no answer."""


@attrs.define(eq=False, weakref_slot=False)
class Keepalive:
    """Pings, and the deadlines of a peer's silence: rule 5 of protocol.py.

    What came from the peer is counted elsewhere. Methods take it as arguments: `received_at` is
    when bytes came last, and `received` how many have come in all.
    """

    _output: Output
    _timeouts: Timeouts
    _draft_pings: bool
    """Whether the draft has pings."""
    _on_latency: Callable[[float], None] | None = None
    pings_sent: int = 0
    pongs_received: int = 0
    latency: float | None = None
    """Seconds that the latest answered ping took."""

    _sent_pings: list[SentPing] | None = None
    """Oldest first."""
    _pong_due_since: float = 0
    """When the time for a pong began."""
    _received_at_ping: int = -1
    """How many bytes had come before the first ping that is not answered."""
    _was_blocked: bool = False
    """Whether the peer had no room for more when that was last looked at."""
    _excused_until: float = -math.inf
    """A moment up to which the peer's silence is excused, for example by a full receiver."""
    _blocked_excused_until: float = -math.inf
    """A moment up to which the peer is excused for reading nothing."""
    _hung_up: bool = False
    """Whether the peer has ended its side behind bytes that a full receiver did not read."""
    _was_reset: bool = False
    """Whether it has ended the whole connection there."""
    _handed_out_at_look: int = 0

    def report_latency_to(self, on_latency: Callable[[float], None]) -> None:
        """From now on calls `on_latency` with each measured latency, in seconds."""
        self._on_latency = on_latency

    @property
    def longest_wait(self) -> float:
        """Seconds after which to look again at the latest.

        What is noticed only then, for example that bytes wait, is noticed before its own deadline.
        """
        times = self._timeouts
        silence = min(times.ping_interval, times.ping_timeout) if self._draft_pings else math.inf
        return min(times.idle_timeout, times.write_timeout, silence, LONGEST_WAIT)

    # Pings

    def add_ping(
        self, payload: bytes, received: int, now: float, on_done: Callable[[], None] | None
    ) -> SentPing:
        """Notes a ping that is sent now."""
        sent = SentPing(payload, now, on_done)
        earlier = self._sent_pings or ()
        self._sent_pings = [ping for ping in earlier if ping.on_done is not None]
        self._sent_pings.append(sent)
        self.pings_sent += 1
        if not self.awaits_pong(received):
            # Otherwise the time runs since the first ping that was not answered.
            self._pong_due_since = now
            self._received_at_ping = received
            self._was_blocked = False
        return sent

    def awaits_pong(self, received: int) -> bool:
        """Whether a ping was sent and nothing has come since."""
        return self._received_at_ping == received

    def take_pong(self, pong: Pong, now: float) -> None:
        """Takes a pong that came, whether or not it answers a ping."""
        self.pongs_received += 1
        sent_pings = self._sent_pings or []
        # RFC 6455 section 5.5.3: an answer to one ping may stand for those before it, and of those
        # with equal payloads the peer may have answered the latest alone.
        positions = range(len(sent_pings) - 1, -1, -1)
        last = next((i for i in positions if sent_pings[i].payload == pong.payload), None)
        if last is None:
            return
        answered = sent_pings[: last + 1]
        del sent_pings[: last + 1]
        for sent in answered:
            self.latency = sent.round_trip = now - sent.at
            if sent.on_done is not None:
                sent.on_done()
        if self._on_latency is not None:
            self._on_latency(now - answered[-1].at)

    def forget_ping(self, sent: SentPing) -> None:
        """Nobody waits for its answer any more."""
        sent.on_done = None

    def forget_pings(self) -> None:
        """No answer will come: wakes those who wait for one."""
        sent_pings, self._sent_pings = self._sent_pings, None
        for sent in sent_pings or ():
            if sent.on_done is not None:
                sent.on_done()

    # What excuses silence

    def note_hang_up(self, now: float, *, reset: bool) -> bool:
        """The peer has ended its side, or with `reset` the whole connection.

        Returns whether it is the first reset.
        """
        if not self._hung_up:
            self._hung_up = True
            self._excused_until = now
        is_first_reset = reset and not self._was_reset
        self._was_reset = self._was_reset or reset
        return is_first_reset

    def excuse_silence(self, handed_out: int, now: float) -> None:
        """A full receiver does not read what the peer says.

        After a hang-up that is an excuse only while somebody still takes messages.
        """
        if not self._hung_up or self._handed_out_at_look != handed_out:
            self._excused_until = now
        self._handed_out_at_look = handed_out
        self._pong_due_since = now
        if not self._output.waiting_senders:
            # The peer may be waiting for us.
            self._blocked_excused_until = now

    def excuse_blocked(self, now: float) -> None:
        """Up to now the peer may have been waiting for us."""
        self._blocked_excused_until = now

    # Deadlines

    def reason_to_give_up(
        self, received_at: float, received: int, now: float, *, may_ping: bool
    ) -> str | None:
        """Why the peer is to be given up now; None if it is not."""
        if self._idle_at(received_at) <= now and self._was_reset:
            return "the peer has reset the connection behind what nobody took"
        if self._idle_at(received_at) <= now:
            return f"nothing came from the peer for {self._timeouts.idle_timeout} s"
        if self._write_timeout_at(now) <= now:
            seconds = self._timeouts.write_timeout
            return f"the peer took nothing of what waits for it for {seconds} s"
        if may_ping and self.awaits_pong(received):
            blocked = self._output.blocked(now)
            if blocked or self._was_blocked:
                self._pong_due_since = now
                self._was_blocked = blocked
            elif self._pong_due_since + self._timeouts.ping_timeout <= now:
                return f"no answer to a ping came within {self._timeouts.ping_timeout} s"
        return None

    def ping_at(self, received_at: float) -> float:
        """When to ping a peer that stays silent."""
        return max(received_at, self._excused_until) + self._timeouts.ping_interval

    def next_due(self, received_at: float, received: int, now: float, *, may_ping: bool) -> float:
        """When to look again."""
        due = min(now + self.longest_wait, self._idle_at(received_at))
        write_timeout_at = self._write_timeout_at(now)
        if write_timeout_at < math.inf:
            # That the peer takes something is noticed only by looking.
            due = min(due, write_timeout_at, now + self._timeouts.write_timeout / 20)
        if may_ping:
            seconds = self._timeouts.ping_timeout
            if not self.awaits_pong(received):
                due = min(due, self.ping_at(received_at))
            elif self._was_blocked:
                # The time for the pong begins when nothing waits to be written any more.
                due = min(due, now + min(seconds / 4, 1))
            else:
                due = min(due, self._pong_due_since + seconds)
        return due

    def _idle_at(self, received_at: float) -> float:
        times = self._timeouts
        seconds = times.idle_timeout
        if self._was_reset:
            # Like a peer that vanishes without a word and is pinged
            seconds = min(seconds, times.ping_interval + times.ping_timeout)
        return max(received_at, self._excused_until) + seconds

    def _write_timeout_at(self, now: float) -> float:
        since = self._output.stuck_since(now)
        if since is None:
            return math.inf
        return max(since, self._blocked_excused_until) + self._timeouts.write_timeout
