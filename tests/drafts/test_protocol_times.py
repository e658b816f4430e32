"""Nobody alive is given up, and nobody dead is kept: rule 5."""

from __future__ import annotations

import math

from trio_draftws.drafts import DRAFTS, Close, Draft, Pong

from .helpers import in_turn
from .protocol.sides import Side, Times, each_draft, goes_by, has_what_waits, side_of, silent

with_pings = in_turn("draft", [draft for draft in DRAFTS if draft.ping])


GIVEN_UP: dict[str, tuple[dict[str, float], float, str]] = {
    "idle": ({"idle_timeout": 7}, 7, "nothing came from the peer for 7 s"),
    "stuck": ({"write_timeout": 8}, 8, "the peer took nothing of what waits for it for 8 s"),
    "closing": ({}, 5, "the peer did not close within 5 s"),
}


def about_to_be_given_up(draft: Draft, why: str) -> Side:
    """A side that is asked at the very moment."""
    times, at, _ = GIVEN_UP[why]
    side = silent(draft, **times)
    if why == "stuck":
        has_what_waits(side, 0)
        assert side.output.stuck_since(0) == 0
    elif why == "closing":
        side.protocol.start_closing(Close(1000), 0)
    assert goes_by(side, math.nextafter(at, 0)) is None
    assert side.protocol.due == at
    return side


@in_turn("why", GIVEN_UP)
@each_draft
def test_giving_up_waits_for_a_look(draft: Draft, why: str) -> None:
    _, at, reason = GIVEN_UP[why]
    side = about_to_be_given_up(draft, why)
    for now in (at, at + 1):
        assert side.protocol.on_deadline(now)
        assert side.protocol.end is None
        assert side.protocol.due == math.nextafter(now, math.inf)
    assert not side.protocol.on_deadline(at + 1, just_read=True)
    assert side.end.reason == reason
    assert len(side.codes) == draft.closing_handshake
    if draft.close_status:
        assert side.codes == [1000 if why == "closing" else 1001]


@in_turn("why", ["idle", "closing"])
@each_draft
def test_what_is_read_then_saves_the_peer(draft: Draft, why: str) -> None:
    side = about_to_be_given_up(draft, why)
    at = GIVEN_UP[why][1]
    assert side.protocol.on_deadline(at)
    if why == "idle":
        side.hear(at, "alive")
        assert not side.protocol.on_deadline(at, just_read=True)
        assert side.protocol.end is None
        assert goes_by(side, 100) == 14
    else:
        side.hear_close(at)
        assert not side.protocol.on_deadline(at, just_read=True)
        assert side.end.kind.name == "CLOSE"


@with_pings
def test_whoever_does_not_answer_a_ping_is_given_up(draft: Draft) -> None:
    side = side_of(draft)
    assert goes_by(side, math.inf) == 40
    assert side.protocol.keepalive.pings_sent == 1
    assert side.end.reason == "no answer to a ping came within 20 s"
    assert side.codes == [1001 if draft.close_status else None]


@with_pings
def test_anything_that_comes_answers_a_ping(draft: Draft) -> None:
    side = side_of(draft)
    assert goes_by(side, 35) is None
    side.hear(36, Pong(b"of another kind"))
    assert goes_by(side, 75) is None
    assert side.protocol.keepalive.pings_sent == 2
    assert goes_by(side, 100) == 76


@with_pings
def test_whoever_has_just_spoken_is_not_pinged(draft: Draft) -> None:
    side = side_of(draft)
    for now in range(10, 1000, 10):
        side.hear(now, Pong())
        side.ask(now)
    assert side.protocol.keepalive.pings_sent == 0


@with_pings
def test_the_time_for_a_pong_runs_while_the_peer_has_room(draft: Draft) -> None:
    """Whether it has is found out at a look, of which there are some."""
    side = side_of(draft)
    side.output.lags = True
    assert goes_by(side, 59.9) is None
    side.output.left = side.output.written
    given_up = goes_by(side, 1000)
    assert given_up is not None
    assert 59.9 + 20 <= given_up <= 59.9 + 20 + 1


@with_pings
def test_nobody_looked_when_the_peer_had_room_again(draft: Draft) -> None:
    """The time begins when that is found out, however late."""
    side = side_of(draft)
    side.output.lags = True
    assert goes_by(side, 30) is None
    side.output.left = side.output.taken = side.output.written
    assert not side.ask(70)
    assert goes_by(side, 1000) == 90


@with_pings
def test_a_ping_that_has_not_left_needs_no_answer(draft: Draft) -> None:
    """Also where nobody looks before its time is over."""
    side = side_of(draft, times=Times(write_timeout=math.inf))
    side.output.room = 0
    assert goes_by(side, 1000) is None


@with_pings
def test_a_further_ping_gives_no_more_time(draft: Draft) -> None:
    side = side_of(draft)
    now = 0.0
    while side.protocol.end is None:
        now += 1
        side.protocol.ping(now)
        side.ask(now)
    assert now == 21


@with_pings
def test_where_a_ping_cannot_leave_the_time_to_write_counts(draft: Draft) -> None:
    side = side_of(draft)
    side.output.room = 0
    assert goes_by(side, 1000) == 80
    assert "took nothing" in side.end.reason


@each_draft
def test_a_peer_that_takes_something_is_kept(draft: Draft) -> None:
    side = silent(draft, write_timeout=10)
    has_what_waits(side, 0)
    for now in range(9, 60, 9):
        side.output.taken += 1
        assert not side.ask(now)
    assert goes_by(side, 1000) == 54 + 10


@each_draft
def test_nothing_that_waits_is_no_deadline(draft: Draft) -> None:
    side = silent(draft, write_timeout=10)
    assert goes_by(side, 1000) is None


@in_turn("times", [{"idle_timeout": 10}, {"ping_interval": 10}])
@each_draft
def test_while_it_is_full_nobody_is_silent(draft: Draft, times: dict[str, float]) -> None:
    side = silent(draft, **times)
    assert goes_by(side, 95, full=True) is None
    assert side.protocol.keepalive.pings_sent == 0
    at = side.protocol.due - 10
    if "idle_timeout" in times:
        assert goes_by(side, 1000) == at + 10
    elif draft.ping:
        assert goes_by(side, at + 10) is None
        assert side.protocol.keepalive.pings_sent == 1


@with_pings
def test_a_ping_is_not_held_against_who_cannot_be_read(draft: Draft) -> None:
    side = side_of(draft)
    assert goes_by(side, 20) is None
    assert side.protocol.keepalive.pings_sent == 1
    assert goes_by(side, 200, full=True) is None
    assert goes_by(side, 1000) == 220


@each_draft
def test_what_the_codec_has_more_of_makes_it_full(draft: Draft) -> None:
    """The peer's answer stands behind that."""
    side = side_of(draft, times=Times(idle_timeout=30))
    side.hear(0, *["x"] * 600)
    assert side.protocol.codec.has_more_output
    assert goes_by(side, 100) is None
    assert side.protocol.keepalive.pings_sent == 0
    side.hear_rest(100)
    assert goes_by(side, 1000) is not None


@each_draft
def test_while_it_is_full_the_peer_may_wait_for_us_too(draft: Draft) -> None:
    """It takes nothing, as somebody does who is itself waiting: but not while we want to send."""
    side = silent(draft, write_timeout=10)
    has_what_waits(side, 0)
    assert goes_by(side, 100, full=True) is None
    side.output.waiting_senders = 1
    given_up = goes_by(side, 1000, full=True)
    assert given_up is not None
    assert 100 < given_up <= 110


@each_draft
def test_whoever_begins_to_send_has_all_the_time(draft: Draft) -> None:
    """Where it was full up to then."""
    side = silent(draft, write_timeout=10)
    has_what_waits(side, 0)
    assert goes_by(side, 8, full=True) is None
    side.output.waiting_senders = 1
    side.protocol.note_waiting(8.25, full=True)
    assert goes_by(side, 1000, full=True) == 18.25


@each_draft
def test_a_peer_that_hung_up_behind_a_full_receiver_is_given_up(draft: Draft) -> None:
    """Unless somebody takes what it said."""
    side = silent(draft, idle_timeout=10)
    side.hear(0, *"abc")
    assert goes_by(side, 50, full=True) is None
    side.protocol.note_hang_up(51, reset=False)
    assert side.protocol.can_send
    assert goes_by(side, 55, full=True) is None
    # Once more does not make it later.
    side.protocol.note_hang_up(56, reset=False)
    side.receive(57)
    given_up = goes_by(side, 1000, full=True)
    assert given_up is not None
    assert 61 < given_up <= 71
    assert side.protocol.unread


@each_draft
def test_a_peer_that_reset_behind_a_full_receiver_is_given_up_sooner(draft: Draft) -> None:
    """There is nobody any more: as long as one that vanishes is kept, whatever the draft."""
    side = silent(draft, ping_interval=20, ping_timeout=20)
    side.hear(0, *"abc")
    assert goes_by(side, 50, full=True) is None
    side.protocol.note_hang_up(51, reset=True)
    assert side.protocol.due <= 91
    assert goes_by(side, 60, full=True) is None
    # Somebody takes what it said.
    side.receive(61)
    given_up = goes_by(side, 1000, full=True)
    assert given_up is not None
    # That somebody took is only noticed when it is asked what is due.
    assert 91 < given_up <= 131
    assert side.protocol.unread


@each_draft
def test_a_reset_behind_a_full_receiver_ends_what_we_send(draft: Draft) -> None:
    side = silent(draft)
    side.protocol.note_hang_up(1, reset=True)
    assert not side.protocol.can_send
    assert side.protocol.end is None
    assert side.protocol.state.name == "OPEN"
