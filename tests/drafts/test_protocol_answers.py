"""How long an answer may be owed, and what stands in front of an end: rules 1 to 3."""

from __future__ import annotations

from trio_draftws.drafts import Close, Draft

from .helpers import in_turn
from .protocol.sides import GRACE, WAYS, Side, each_draft, handed_out, side_of

GRACES = [(5, GRACE), (1, 0.5)]
"""The grace for each `close_timeout`"""
each_owed = in_turn("way", ["CLOSE", "STREAM", "VIOLATION"])
each_way = in_turn("way", WAYS)


# Rule 1: the first end is the only one, behind all that came before it


@each_way
@in_turn("later", WAYS)
@each_draft
def test_the_first_end_is_the_only_one(draft: Draft, way: str, later: str) -> None:
    side = handed_out(draft)
    WAYS[way](side, 1)
    end = side.end
    WAYS[later](side, 1.5)
    assert side.end is end
    assert end.kind.name == way


@each_way
@each_draft
def test_an_end_stands_behind_what_came_before_it(draft: Draft, way: str) -> None:
    side = side_of(draft)
    side.hear(1, "first")
    side.hear(1, "second", "third")
    WAYS[way](side, 1)
    assert [side.receive(1), side.receive(1), side.receive(1)] == ["first", "second", "third"]
    assert side.end.kind.name == way


@each_way
@each_draft
def test_nothing_is_added_behind_an_end(draft: Draft, way: str) -> None:
    side = side_of(draft)
    WAYS[way](side, 1)
    side.protocol.add_messages(["one"], 4, 2)
    side.protocol.add_messages(["two", "three"], 8, 2)
    if way in ("LOST", "GIVEN_UP"):
        side.hear(2, "four")
    assert side.protocol.unread == []
    assert side.protocol.messages_received == 0


# Rule 2: when what is owed goes out


@each_owed
@each_draft
def test_at_once_if_no_message_was_ever_handed_out(draft: Draft, way: str) -> None:
    side = side_of(draft)
    WAYS[way](side, 1)
    assert side.protocol.end_applied


@each_owed
@in_turn(("close_timeout", "grace"), GRACES)
@each_draft
def test_a_grace_after_nobody_was_found(
    draft: Draft, way: str, close_timeout: float, grace: float
) -> None:
    side = handed_out(draft, close_timeout=close_timeout)
    side.protocol.note_nobody_receives(10)
    # Only the first time counts.
    side.protocol.note_nobody_receives(10.25)
    WAYS[way](side, 10.3)
    goes_out(side, 10 + grace)


@each_owed
@each_draft
def test_at_once_if_that_grace_is_past(draft: Draft, way: str) -> None:
    side = handed_out(draft)
    side.protocol.note_nobody_receives(10)
    WAYS[way](side, 12)
    assert side.protocol.end_applied


@each_owed
@each_draft
def test_whoever_received_since_has_a_grace_of_its_own(draft: Draft, way: str) -> None:
    side = handed_out(draft)
    side.protocol.note_nobody_receives(10)
    side.hear(20, "another")
    side.receive(20)
    WAYS[way](side, 30)
    assert not side.protocol.end_applied
    side.protocol.note_nobody_receives(30.25)
    goes_out(side, 30.25 + GRACE)


@each_owed
@in_turn(("close_timeout", "grace"), GRACES)
@each_draft
def test_two_graces_where_nobody_looks(
    draft: Draft, way: str, close_timeout: float, grace: float
) -> None:
    """Whoever has received may still be receiving, for all that is known."""
    side = handed_out(draft, close_timeout=close_timeout)
    WAYS[way](side, 10)
    goes_out(side, 10 + 2 * grace)


@each_owed
@each_draft
def test_a_grace_after_the_end_with_messages_unread(draft: Draft, way: str) -> None:
    side = side_of(draft)
    side.hear(9, "one")
    side.protocol.note_nobody_receives(9)
    WAYS[way](side, 10)
    goes_out(side, 10 + GRACE)
    assert side.receive(13) == "one"


@each_owed
@each_draft
def test_a_grace_after_the_latest_message_that_was_taken(draft: Draft, way: str) -> None:
    side = side_of(draft)
    side.hear(9, "one", "two", "three")
    WAYS[way](side, 10)
    side.receive(11.5)
    assert not side.ask(10 + GRACE)
    side.receive(13)
    side.protocol.note_nobody_receives(13.25)
    goes_out(side, 13 + GRACE)


def goes_out(side: Side, at: float) -> None:
    """What is owed goes out at that moment, and not before."""
    assert side.protocol.due <= at
    for now in (at - 0.01, at):
        assert side.protocol.can_send
        assert not side.protocol.end_applied
        if side.protocol.due <= now:
            side.protocol.on_deadline(now)
    assert side.protocol.end_applied
    assert not side.protocol.can_send
    assert side.said[-1] == "end"


# Rule 3: whoever relays may hold the answer


@each_draft
def test_a_held_answer_waits_for_its_release(draft: Draft) -> None:
    side = handed_out(draft)
    side.protocol.hold_answer(0)
    side.hear_close(10)
    side.protocol.note_end_reached(10)
    assert side.protocol.can_send
    side.protocol.release_answer(12)
    assert side.protocol.end_applied
    side.protocol.release_answer(13)
    assert side.said.count("end") == 1


@each_draft
def test_a_held_answer_goes_out_in_three_quarters_of_the_timeout(draft: Draft) -> None:
    side = handed_out(draft, close_timeout=8)
    side.protocol.note_nobody_receives(1)
    side.protocol.hold_answer(1)
    side.hear_close(10)
    side.protocol.note_end_reached(12)
    goes_out(side, 16)


@each_draft
def test_an_answer_is_held_that_was_owed_already(draft: Draft) -> None:
    side = handed_out(draft)
    side.hear_close(10)
    side.protocol.hold_answer(11)
    goes_out(side, 13.75)


@each_draft
def test_an_answer_that_is_no_longer_held_is_owed_as_usual(draft: Draft) -> None:
    side = side_of(draft)
    side.hear(1, "unread")
    side.protocol.hold_answer(1)
    side.hear_close(10)
    side.protocol.release_answer(10.5)
    goes_out(side, 10 + GRACE)


@each_draft
def test_the_next_answer_is_not_held(draft: Draft) -> None:
    side = handed_out(draft)
    side.protocol.hold_answer(1)
    side.protocol.release_answer(2)
    side.hear_close(10)
    side.protocol.note_end_reached(10)
    assert side.protocol.end_applied


@in_turn("way", ["STREAM", "VIOLATION"])
@each_draft
def test_only_a_close_is_held(draft: Draft, way: str) -> None:
    side = handed_out(draft)
    WAYS[way](side, 10)
    side.protocol.hold_answer(11)
    goes_out(side, 14)
    side = handed_out(draft)
    side.protocol.hold_answer(1)
    WAYS[way](side, 10)
    side.protocol.note_end_reached(10)
    assert side.protocol.end_applied


@each_draft
def test_closing_holds_nothing(draft: Draft) -> None:
    side = handed_out(draft)
    side.protocol.hold_answer(1)
    side.hear_close(10)
    side.protocol.start_closing(Close(1000), 11)
    assert side.protocol.end_applied
