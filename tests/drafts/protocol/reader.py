"""Reads what has arrived for a side, as a receiver does, and looks at what is said to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import attrs

from trio_draftws.drafts import Event

from .sides import PONGS_AT_ONCE, FakeOutput, Side

#: How much is read at once by whoever receives, and where nobody does
READ, LOOK = 16384, 2048


@attrs.define
class Clock:
    """What time it is for all."""

    now: float


@attrs.define(eq=False)
class Reader:
    """A side, and what has arrived for it."""

    side: Side
    clock: Clock
    short: bool = False
    """Whether short messages are decoded as they are read."""
    peers_output: FakeOutput = attrs.field(init=False)
    arrived: bytearray = attrs.field(factory=bytearray)
    ending: Literal["", "end", "reset"] = ""
    """How the stream ends behind what has arrived."""
    arrived_at: float = attrs.field(init=False)
    read_at: float = attrs.field(init=False)
    ended_at: float = math.inf
    pinged_at: float | None = None
    """When it pinged first behind all that has come."""

    def __attrs_post_init__(self) -> None:
        self.arrived_at = self.read_at = self.now

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def has_unread(self) -> bool:
        return bool(self.side.protocol.unread)

    @property
    def has_more(self) -> bool:
        """Whether whoever reads would find something."""
        return bool(self.arrived or self.ending or self.side.protocol.codec.has_more_output)

    def read_some(self, most: int = READ) -> None:
        """One step of whoever reads."""
        protocol = self.side.protocol
        if protocol.codec.has_more_output:
            self._feed(lambda: protocol.feed_rest(self.now))
        elif self.arrived:
            self.read_at = self.now
            self.pinged_at = None
            self._feed(lambda: self._read(most))
        elif self.ending == "end":
            self._feed(self._read_end)
        elif self.ending:
            protocol.note_transport_lost("reset by the peer", ConnectionResetError(), self.now)
        self.note_end()

    def note_end(self) -> None:
        """Notes when the input ended."""
        if self.side.protocol.end is not None and self.ended_at == math.inf:
            self.ended_at = self.now

    def _read(self, most: int) -> None:
        protocol = self.side.protocol
        if (buffer := protocol.codec.get_buffer()) is not None:
            size = min(most, len(buffer), len(self.arrived))
            buffer[:size] = self.arrived[:size]
            del self.arrived[:size]
            protocol.buffer_updated(size, self.now)
            return
        data = bytes(self.arrived[:most])
        del self.arrived[:most]
        if self.short and protocol.codec.between_messages:
            # As C does in one step with the read
            messages: list[Event] = []
            took = protocol.codec._take_short_messages(data, 0, messages, 256)  # type: ignore[attr-defined]
            protocol.add_messages(messages, took, self.now)
            data = data[took:]
        if data:
            protocol.feed(data, self.now)

    def _read_end(self) -> None:
        if self.side.protocol.codec.get_buffer() is None:
            self.side.protocol.feed(b"", self.now)
        else:
            self.side.protocol.buffer_updated(0, self.now)

    def _feed(self, bring: Callable[[], None]) -> None:
        """Brings bytes, and looks at what is answered to the pings among them (rule 7)."""
        protocol, output = self.side.protocol, self.side.output
        before, answered = protocol.pings_received, len(output.pongs)
        mute = output.finishing or protocol.end_applied
        without_room = output.without_room
        no_room = len(output.waiting) >= output.enough
        bring()
        pings = self.peers_output.pings[before : protocol.pings_received]
        latest = pings[-PONGS_AT_ONCE:]
        pongs = output.pongs[answered:]
        if no_room:
            assert not pongs
        elif output.without_room == without_room:
            assert pongs == ([] if mute else latest)
        else:
            assert len(pongs) < len(latest) or pongs[-1] == latest[-1]
