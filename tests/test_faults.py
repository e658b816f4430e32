"""A conversation over a stream on which something goes wrong, at every byte of it in the newest
draft, and at every third in the others.

A place is a number of bytes that have passed; see `trio_draftws.testing.Faults`. The clock is
mocked and jumps when nobody has anything to do: so a wait for ever shows at once, and so does a
timeout that had to end what should have ended by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import DRAFTS, Draft
from trio_draftws.testing import Faults, FaultyStream

from .conversation import Script, View, check, follow, lead
from .pairs import SOME_DRAFTS

CUTS = (
    ("incoming", "end_at"),
    ("outgoing", "reset_at"),
    # To the peer these are the same as the others. Few drafts need all of them.
    ("incoming", "reset_at"),
    ("outgoing", "end_at"),
)

both_roles = pytest.mark.parametrize("role", ["client", "server"])


@attrs.define
class Talk:
    """One conversation over a memory stream, at whose ends things may go wrong."""

    client_end: FaultyStream
    server_end: FaultyStream
    client: View = attrs.field(factory=lambda: View(Script()))
    server: View = attrs.field(factory=lambda: View(Script()))
    pauses: Sequence[Faults] = ()
    """Whose stall is to end as soon as nothing else goes on."""
    took: float = 0
    """Seconds, all of them waited for a timeout."""

    @classmethod
    def over_faults(cls, *, client: dict[str, Faults], server: dict[str, Faults]) -> Talk:
        """One where such faults are at the client's end, and at the server's."""
        client_end, server_end = trio.testing.memory_stream_pair()
        return cls(FaultyStream(client_end, **client), FaultyStream(server_end, **server))

    @classmethod
    def with_one(cls, role: str, direction: str, **fault: int) -> Talk:
        """One where one thing goes wrong, at the end of that role."""
        faults = {role: {direction: Faults(**fault)}}
        return cls.over_faults(client=faults.get("client", {}), server=faults.get("server", {}))

    def passed(self, role: str, direction: str) -> int:
        """How many bytes passed at the end of that role."""
        end = self.client_end if role == "client" else self.server_end
        return end.bytes_received if direction == "incoming" else end.bytes_sent

    @property
    def is_whole(self) -> bool:
        """Whether all was said and answered."""
        return self.server.received == self.server.script.said and self.client.heard_all

    async def run(self, draft: Draft, **limits: Any) -> None:
        """Runs it to its end, and checks what must be true of any."""
        began = trio.current_time()
        with trio.fail_after(10_000):
            async with trio.open_nursery() as helpers:
                for pause in self.pauses:
                    helpers.start_soon(end_pause, pause)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(partial(lead, self.client_end, draft, self.client, **limits))
                    nursery.start_soon(
                        partial(follow, self.server_end, draft, self.server, **limits)
                    )
                helpers.cancel_scope.cancel()
        self.took = trio.current_time() - began
        check(draft, self.client, self.server)
        assert self.server.end is not None, "it goes on until something ends it"
        assert self.client.end is not None or self.is_whole, "all was said, or it is told why not"
        assert await is_closed(self.client_end)
        assert await is_closed(self.server_end)


async def is_closed(stream: trio.abc.Stream) -> bool:
    try:
        await stream.receive_some()
    except trio.ClosedResourceError:
        return True
    return False


async def end_pause(faults: Faults) -> None:
    await faults.stalled.wait()
    await trio.testing.wait_all_tasks_blocked()
    faults.resume.set()


async def at_every_place(
    draft: Draft,
    make: Callable[[int], Talk],
    passed: Callable[[Talk], int],
    **limits: float,
) -> list[Talk]:
    """Has the conversation that `make` makes for each place, up to the first that is not reached;
    in other drafts than the newest for every third.

    Returns those in which it was; `passed` says how far one came.
    """
    talks: list[Talk] = []
    step = 1 if draft is DRAFTS[-1] else 3
    # Not all heads are of one length each time, so that is asked first.
    undisturbed = make(1_000_000)
    await undisturbed.run(draft, **limits)
    longest = passed(undisturbed)
    while True:
        place = step * len(talks)
        talk = make(place)
        try:
            await talk.run(draft, **limits)
        except Exception as error:
            raise AssertionError(f"at byte {place}: {error!r:.300}") from error
        longest = max(longest, passed(talk))
        if longest < place:
            break
        talks.append(talk)
    for whole in (undisturbed, talk):
        assert whole.is_whole
        assert whole.took == 0
    return talks


@both_roles
@pytest.mark.parametrize(
    ("draft", "direction", "kind"),
    [
        pytest.param(draft, direction, kind, id=f"{draft.name}-{direction}-{kind}")
        for at, draft in enumerate(DRAFTS)
        for direction, kind in (CUTS if draft in SOME_DRAFTS else [CUTS[at % 2]])
    ],
)
async def test_cut(
    draft: Draft, role: str, direction: str, kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Both sides end by themselves, and neither takes a cut for a close."""
    talks = await at_every_place(
        draft,
        lambda place: Talk.with_one(role, direction, **{kind: place}),
        lambda talk: talk.passed(role, direction),
    )
    assert [talk for talk in talks if talk.took] == []
    hows = Counter(view.how for talk in talks for view in (talk.client, talk.server))
    print(draft.name, role, direction, kind, len(talks), hows)
    assert {"HandshakeError", "ConnectionLost"} <= hows.keys()


async def test_pieces_and_pauses(draft: Draft, autojump_clock: trio.testing.MockClock) -> None:
    """Wherever what is said falls into two pieces, and stops between them, nothing is different."""

    def make(place: int) -> Talk:
        faults = {name: Faults(split=[place], stall_at=place) for name in ("incoming", "outgoing")}
        talk = Talk.over_faults(client=faults, server={})
        talk.pauses = list(faults.values())
        return talk

    def passed(talk: Talk) -> int:
        return max(talk.passed("client", "incoming"), talk.passed("client", "outgoing"))

    talks = await at_every_place(draft, make, passed)
    assert all(talk.is_whole and talk.took == 0 for talk in talks)


@both_roles
@pytest.mark.parametrize("draft", SOME_DRAFTS, ids=lambda draft: draft.name)
async def test_a_stall_for_good(
    draft: Draft, role: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Each wait has its deadline: for the opening, for a sign of life, for the closing."""
    limits = {"handshake_timeout": 10, "idle_timeout": 20, "close_timeout": 5}
    talks = await at_every_place(
        draft,
        lambda place: Talk.with_one(role, "outgoing", stall_at=place),
        lambda talk: talk.passed(role, "outgoing"),
        **limits,
    )
    outcomes = {(talk.took, talk.client.how, talk.server.how) for talk in talks}
    assert (10, "HandshakeTimeout", "HandshakeTimeout") in outcomes
    # Nobody is waited for who was given up.
    assert (20, "ConnectionLost", "ConnectionLost") in outcomes
    assert max(talk.took for talk in talks) <= 20
