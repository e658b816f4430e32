"""Both sides of one connection."""

from __future__ import annotations

from functools import partial

import attrs

from trio_draftws import Draft

from .ours import OurSide
from .raw import RawSide
from .transports import End


@attrs.define(eq=False)
class Joined:
    """One connection, with both of its sides."""

    draft: Draft
    client: OurSide | RawSide
    server: OurSide | RawSide
    ends: dict[str, End]

    def __str__(self) -> str:
        return f"{self.client} and {self.server} ({self.draft.name})"

    @property
    def directions(
        self,
    ) -> tuple[tuple[OurSide | RawSide, OurSide | RawSide], ...]:
        return (self.client, self.server), (self.server, self.client)

    def introduce(self) -> None:
        """Tells a peer by hand of the side that it speaks to."""
        for side, peer in self.directions:
            if isinstance(peer, RawSide) and isinstance(side, OurSide):
                peer.other_said_close = partial(_has_said_close, side)

    def end_of(self, side: OurSide | RawSide) -> End:
        return self.ends["client" if side is self.client else "server"]


def _has_said_close(side: OurSide) -> bool:
    return side.connection is not None and side.connection.close_sent is not None
