"""Every time is a deadline of the protocol object: rule 4."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import DRAFTS, Close, Draft, draft_named

from .helpers import in_turn
from .protocol.sides import (
    WAYS,
    Side,
    Times,
    each_draft,
    goes_by,
    handed_out,
    has_what_waits,
    is_pinged,
    side_of,
    silent,
)

with_pings = in_turn("draft", [draft for draft in DRAFTS if draft.ping])


@each_draft
def test_it_is_due_within_the_shortest_time_and_a_minute(draft: Draft) -> None:
    assert side_of(draft, now=100).protocol.due == (120 if draft.ping else 160)
    assert silent(draft, 100).protocol.due == 160
    assert silent(draft, 100, idle_timeout=7).protocol.due == 107
    assert silent(draft, 100, write_timeout=8).protocol.due == 108
    side = silent(draft, 100)
    side.protocol.on_deadline(130)
    assert side.protocol.due == 190


@with_pings
def test_a_ping_hastens_what_is_due(draft: Draft) -> None:
    side = side_of(draft, times=Times(ping_timeout=3, ping_interval=50, idle_timeout=40))
    assert side.protocol.due == 3
    side.protocol.on_deadline(2)
    side.protocol.ping(2.5)
    assert side.protocol.due == 5
    side.protocol.on_deadline(2.6)
    side.protocol.ping(2.7)
    assert side.protocol.due == 5.5
    # It is noticed whether it leaves.
    side = side_of(draft)
    side.protocol.on_deadline(10)
    assert side.protocol.due == 20
    side.protocol.ping(11)
    assert side.protocol.due == 14


@each_draft
def test_closing_hastens_what_is_due(draft: Draft) -> None:
    side = silent(draft)
    side.protocol.start_closing(Close(1000), 1)
    assert side.protocol.due == 6
    assert goes_by(side, 100) == 6
    assert side.end.reason == "the peer did not close within 5 s"
    assert side.said[-1] == "abort"
    assert len(side.codes) == draft.closing_handshake


def test_moments_are_compared_not_spans() -> None:
    """12.3 + 20 - 12.3 is less than 20: asked for at its moment, it is done then."""
    now = 12.3
    assert now + 20 - now < 20
    side = silent(DRAFTS[0], now, idle_timeout=20)
    assert goes_by(side, 1000) == now + 20


@each_draft
def test_bytes_that_wait_hasten_what_is_due(draft: Draft) -> None:
    """What the peer takes is noticed only when somebody looks."""
    side = silent(draft, write_timeout=40)
    side.protocol.on_deadline(1)
    side.protocol.note_waiting(2, full=False)
    assert side.protocol.due == 4
    side.protocol.on_deadline(4)
    assert side.protocol.due == 44
    has_what_waits(side, 5)
    side.protocol.on_deadline(5)
    assert side.protocol.due == 7


Situation = Callable[[Side, float], object]


def is_owed(way: str) -> Situation:
    def end(side: Side, now: float) -> None:
        side.hear(now, "unread")
        WAYS[way](side, now)

    return end


SITUATIONS: dict[str, Situation] = {
    "open": lambda side, now: None,
    "pinged": is_pinged,
    "with what waits": has_what_waits,
    "close sent": lambda side, now: side.protocol.send_close(Close(1000)),
    "closing": lambda side, now: side.protocol.start_closing(Close(1000), now),
    "hung up": lambda side, now: side.protocol.note_hang_up(now, reset=False),
    "reset": lambda side, now: side.protocol.note_hang_up(now, reset=True),
    **{f"{way} unread": is_owed(way) for way in WAYS},
    **WAYS,
}
moments = st.sampled_from([0, 12.3, 12.3 + 20, 1e9 + 0.1, 2.0**53]) | st.floats(0, 1e18)
spans = st.sampled_from([math.inf, 5e-324, 1e-9, 0.1, 20]) | st.floats(0, exclude_min=True)


@given(
    name=st.sampled_from([draft.name for draft in DRAFTS]),
    situation=st.sampled_from(list(SITUATIONS)),
    times=st.builds(Times, spans, spans, spans, spans, spans),
    now=moments,
    steps=st.lists(st.sampled_from(["due", "before", "behind", "later"]) | spans, max_size=6),
    full=st.booleans(),
    just_read=st.booleans(),
)
def test_it_is_always_due_later_than_now(
    name: str,
    situation: str,
    times: Times,
    now: float,
    steps: list[str | float],
    full: bool,
    just_read: bool,
) -> None:
    draft = draft_named(name)
    side = side_of(draft, now=now, times=times)
    SITUATIONS[situation](side, now)
    protocol = side.protocol
    for step in steps:
        due = now if math.isinf(protocol.due) else max(now, protocol.due)
        places = {
            "due": due,
            "before": max(now, math.nextafter(due, 0)),
            "behind": math.nextafter(due, math.inf),
            "later": 2 * due + 1,
        }
        now = min(places[step] if isinstance(step, str) else now + step, 1e300)
        protocol.on_deadline(now, full=full, just_read=just_read)
        assert protocol.due > now


@in_turn("situation", SITUATIONS)
@each_draft
def test_nothing_spins(draft: Draft, situation: str) -> None:
    """In an hour there are few deadlines, whatever has happened."""
    side = handed_out(draft)
    SITUATIONS[situation](side, 1)
    now, count = side.protocol.due, 0
    while now < 3600:
        side.ask(now)
        now, count = side.protocol.due, count + 1
    # Where something waits, it looks every second or three.
    assert count <= 3600 / 20 + 60 / 3 + 60
