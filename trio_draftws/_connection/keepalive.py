"""Pings: how long the peer takes to answer, and whether it is still there.

A peer that has been silent for `ping_interval` is pinged, and given up when nothing comes from it
for `ping_timeout` after that. It is never given up while it is us who do not read, nor while it is
still taking what stands before the ping.

A peer that takes nothing of what waits for it for `write_timeout` is given up too. It may be as
slow as it likes while it takes something, and it may be us that it waits for: while we do not read,
and no sender waits for room, that time does not pass.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

import attrs
import trio

from trio_draftws._limits import Limits
from trio_draftws._transport.sockets import untaken
from trio_draftws.drafts import Codec, Ping, Pong

from .receiver import Inbox
from .sender import Outbox


@attrs.define(eq=False)
class SentPing:
    """A ping that is on its way."""

    at: float
    answered: trio.Event = attrs.field(factory=trio.Event)
    """Set when its answer has come, or never will."""
    round_trip: float | None = None


@attrs.define(eq=False)
class Keepalive:
    """The pings of one connection."""

    _codec: Codec
    _outbox: Outbox
    _inbox: Inbox
    _limits: Limits
    latency: float | None = None
    """Seconds that the latest answered ping took."""
    pings_sent: int = 0
    pings_received: int = 0
    pongs_received: int = 0
    on_latency: Callable[[float], None] | None = None
    """Is told each latency, where there are instruments."""
    _on_their_way: dict[bytes, SentPing] | None = None
    """None while there are none."""
    _pinged_at: float = 0
    _heard_when_pinged: int = -1
    """How many bytes of the peer had been heard when the latest ping was sent."""
    _written: int = 0
    """How much was written at the last look."""
    _ping_left: int = 0
    """How much will have been written when the latest ping is."""
    _stuck_at: tuple[int, int] | None = None
    """How much was written at the last look, and how much of it the kernel still had."""
    _stuck_since: float = 0

    @property
    def waiting(self) -> bool:
        """Whether an answer is waited for."""
        return bool(self._on_their_way)

    @trio.lowlevel.enable_ki_protection
    def ping(self) -> SentPing:
        """Sends a ping, as soon as what stands before it is written."""
        payload = secrets.token_bytes(4)
        self._pinged_at = trio.current_time()
        self._heard_when_pinged = self._inbox.bytes_heard
        self.pings_sent += 1
        sent = SentPing(self._pinged_at)
        if self._on_their_way is None:
            self._on_their_way = {}
        self._on_their_way[payload] = sent
        self._outbox.put(self._codec.encode(Ping(payload)))
        self._written = self._outbox.written
        self._ping_left = self._written + self._outbox.size
        self._outbox.flush()
        return sent

    def see(self, event: Ping | Pong) -> None:
        """Answers a ping; notes an answer to one of ours."""
        if isinstance(event, Ping):
            self.pings_received += 1
            if not self._outbox.finishing and self._outbox.failure is None:
                self._outbox.put_latest(self._codec.encode(Pong(event.payload)))
                self._outbox.flush()
            return
        self.pongs_received += 1
        if self._on_their_way is not None and event.payload in self._on_their_way:
            now = trio.current_time()
            # RFC 6455 section 5.5.3: an answer to one ping may stand for those before it
            payloads = list(self._on_their_way)
            for payload in payloads[: payloads.index(event.payload) + 1]:
                sent = self._on_their_way.pop(payload)
                self.latency = sent.round_trip = now - sent.at
                sent.answered.set()
            if self.on_latency is not None and self.latency is not None:
                self.on_latency(self.latency)

    def stop(self) -> None:
        """No answer will come any more: wakes those who wait for one."""
        if self._on_their_way is not None:
            for sent in self._on_their_way.values():
                sent.answered.set()
            self._on_their_way = None

    # For upkeep

    def deadline(self, *, may_ping: bool) -> float:
        """When to attend to the peer, unless it is heard from."""
        heard = self._inbox.last_heard
        idle = min(heard + self._limits.idle_timeout, self._write_deadline())
        return min(self._ping_deadline(), idle) if may_ping else idle

    def attend(self, *, may_ping: bool) -> str | None:
        """At the deadline: asks the peer whether it is there; or says why to give it up."""
        now = trio.current_time()
        # As `deadline` does: a sum and a difference are rounded to different moments.
        if now >= self._inbox.last_heard + self._limits.idle_timeout:
            return f"nothing came from the peer for {self._limits.idle_timeout} s"
        if now >= self._write_deadline():
            why = f"the peer took nothing of what waits for it for {self._limits.write_timeout} s"
            self._outbox.give_up(why)
            return why
        if not may_ping or now < self._ping_deadline():
            # The peer took something since `deadline` was asked.
            return None
        if self._heard_when_pinged != self._inbox.bytes_heard:
            self.ping()
            return None
        if self._inbox.full or self._written < self._outbox.written < self._ping_left:
            self._pinged_at = now
            self._written = self._outbox.written
            return None
        return f"no answer to a ping came within {self._limits.ping_timeout} s"

    def _ping_deadline(self) -> float:
        """When to ping the peer, or to give it up for not answering."""
        if self._heard_when_pinged == self._inbox.bytes_heard:
            return self._pinged_at + self._limits.ping_timeout
        return self._inbox.last_heard + self._limits.ping_interval

    def _write_deadline(self) -> float:
        """When to give the peer up, unless it takes something until then."""
        outbox = self._outbox
        if not outbox.size or (self._inbox.full and not outbox.in_turn):
            self._stuck_at = None
            return math.inf
        at = (outbox.written, untaken(outbox.stream))
        if self._stuck_at != at:
            self._stuck_at = at
            self._stuck_since = trio.current_time()
        return self._stuck_since + self._limits.write_timeout
