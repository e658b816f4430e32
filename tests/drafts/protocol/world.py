"""Two sides with a wire between them, and one clock."""

from __future__ import annotations

import math
from typing import Literal

import attrs

from trio_draftws.drafts import Draft, Role

from .endpoint import Endpoint
from .reader import Clock
from .sides import OTHER, Times, side_of


@attrs.define(eq=False)
class World:
    """Both sides, the wire, and the clock."""

    clock: Clock
    sides: dict[Role, Endpoint]
    window: float
    """How much may have arrived and not be read."""
    parted: bool = False
    lost: bool = False

    def deliver(self, role: Role, most: int) -> None:
        """Bytes that `role` wrote arrive."""
        sender, receiver = self.sides[role], self.sides[OTHER[role]]
        output = sender.side.output
        if self.parted or self.lost or receiver.gone or (sender.gone and not output.ended):
            return
        size = int(min(most, len(output.on_the_way), self.window - len(receiver.arrived)))
        if size:
            receiver.arrived += output.on_the_way[:size]
            receiver.arrived_at = self.clock.now
            del output.on_the_way[:size]
            output.left = max(output.left, output.written - len(output.on_the_way))
            output.flush()
            if not output.lags:
                self.acknowledge(role)
        if output.ended and not output.on_the_way:
            receiver.ending = receiver.ending or "end"

    def acknowledge(self, role: Role) -> None:
        """The peer's system says what it has taken."""
        output = self.sides[role].side.output
        taken = output.written - len(output.on_the_way)
        if taken > output.taken and not self.parted and not self.lost:
            output.taken = taken
            self.sides[role].progress_at = self.clock.now

    def transmit(self, role: Role) -> None:
        """All that was written leaves for the peer."""
        output = self.sides[role].side.output
        output.left = output.written

    def reset(self) -> None:
        """The transport breaks, for both."""
        self.lost = True
        for endpoint in self.sides.values():
            endpoint.ending = "reset"

    def stop(self, role: Role, how: Literal["silence", "end"]) -> None:
        """The process of `role` vanishes, and its system says so or not."""
        endpoint = self.sides[role]
        endpoint.gone = True
        endpoint.receiving = False
        endpoint.side.output.waiting.clear()
        endpoint.side.output.ended = how == "end"

    @property
    def present(self) -> list[Endpoint]:
        return [each for each in self.sides.values() if not each.gone]

    def set_time(self, now: float) -> None:
        for endpoint in self.sides.values():
            # What was so up to now
            endpoint.touch()
        self.clock.now = max(self.clock.now, now)
        for endpoint in self.sides.values():
            endpoint.touch()


def world_of(
    draft: Draft,
    times: Times,
    *,
    now: float = 0,
    room: float = math.inf,
    enough: float = math.inf,
    window: float = math.inf,
    short: bool = False,
    lags: bool = False,
) -> World:
    """Two sides that have just opened."""
    clock = Clock(now)
    sides: dict[Role, Endpoint] = {}
    for role in OTHER:
        side = side_of(draft, role, now, times)
        side.output.room, side.output.enough, side.output.lags = room, enough, lags
        sides[role] = Endpoint(side, clock, short)
    for role, endpoint in sides.items():
        endpoint.peer = sides[OTHER[role]]
        endpoint.peers_output = endpoint.peer.side.output
    return World(clock, sides, window)
