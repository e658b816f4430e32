"""The tables of a connection's life: what both sides say, what ends the input, what is owed."""

from __future__ import annotations

import math

from trio_draftws.drafts import DRAFTS, Close, Draft, EndKind, Role

from .helpers import ROLES, encoded, in_turn
from .protocol.sides import (
    GRACE,
    OTHER,
    WAYS,
    Side,
    each_draft,
    handed_out,
    is_given_up,
    is_lost,
    side_of,
    stream_ends,
    violates,
)

each_role = in_turn("role", ROLES)
each_owed = in_turn("way", ["CLOSE", "STREAM", "VIOLATION"])
each_way = in_turn("way", WAYS)
each_close = in_turn("close", ["send_close", "start_closing"])


def close_by(side: Side, close: str, now: float = 1) -> None:
    """Closes from our side, in either way."""
    if close == "send_close":
        side.protocol.send_close(Close(1000, "bye"))
    else:
        side.protocol.start_closing(Close(1000, "bye"), now)


# What both sides said


def test_whose_close_ends_the_stream() -> None:
    """Anybody's where there is no other close; a server's where WebKit of 2010 waits for that."""
    ends = {draft.name: draft.close_ends_stream for draft in DRAFTS if draft.close_ends_stream}
    assert ends == {
        "hixie-75": ("client", "server"),
        "hixie-76": ("server",),
        "whatwg-2010-08": ("server",),
    }


@each_role
@each_close
@each_draft
def test_we_close_first(draft: Draft, role: Role, close: str) -> None:
    side = side_of(draft, role)
    assert (side.protocol.state.name, side.protocol.can_send) == ("OPEN", True)
    close_by(side, close)
    assert (side.protocol.state.name, side.protocol.can_send) == ("CLOSE_SENT", False)
    assert side.codes == [1000 if draft.close_status else None] * draft.closing_handshake
    assert side.protocol.closed_by == role
    assert (side.said[-1] == "end") is (role in draft.close_ends_stream)
    assert side.protocol.end is None


@each_role
@each_draft
def test_what_is_said_of_a_close(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    side.protocol.send_close(Close(1000, "bye"))
    if not draft.closing_handshake:
        assert side.protocol.close_sent is None
    else:
        said = Close(1000, "bye") if draft.close_status else Close()
        assert side.protocol.close_sent == said


@each_role
@each_close
@each_draft
def test_the_peer_closes_behind_our_close(draft: Draft, role: Role, close: str) -> None:
    side = side_of(draft, role)
    close_by(side, close)
    said = len(side.codes)
    side.hear_close(2)
    assert side.protocol.state.name == "CLOSED"
    assert side.protocol.end_applied
    assert side.protocol.closed_by == role
    assert len(side.codes) == said
    assert side.said[-1] == "end"


@each_role
@each_draft
def test_closing_what_was_closed_waits_for_the_peer(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    side.protocol.send_close(Close(1000))
    said = list(side.said)
    side.protocol.start_closing(Close(1001), 1)
    assert side.protocol.state.name == "CLOSE_SENT"
    assert side.said == said
    assert side.protocol.close_at == 6


@each_role
@each_draft
def test_the_peer_closes_first(draft: Draft, role: Role) -> None:
    side = handed_out(draft, role)
    side.hear_close(1)
    assert side.protocol.state.name == "CLOSE_RECEIVED"
    assert side.protocol.can_send
    assert side.said == []


@each_role
@each_close
@each_draft
def test_we_close_behind_the_peer(draft: Draft, role: Role, close: str) -> None:
    """The answer has the peer's code where it is made, and ours where somebody says it."""
    side = handed_out(draft, role)
    side.hear_close(1, Close(1001))
    close_by(side, close)
    assert (side.protocol.state.name, side.protocol.can_send) == ("CLOSED", False)
    assert side.protocol.closed_by == OTHER[role]
    if draft.close_status:
        assert side.codes == [1000 if close == "send_close" else 1001]
    # Nothing is said twice when the reader reaches the end.
    side.protocol.note_end_reached(2)
    assert len(side.codes) == draft.closing_handshake
    assert side.said[-1] == "end"


@each_draft
def test_nothing_is_heard_behind_a_close(draft: Draft) -> None:
    side = side_of(draft)
    side.hear_close(0)
    side.hear(0, "more")
    side.protocol.feed(b"", 0)
    assert side.protocol.unread == []
    assert side.protocol.messages_received == 0
    assert side.end.kind is EndKind.CLOSE


@each_way
@each_draft
def test_closing_what_has_ended_says_no_more(draft: Draft, way: str) -> None:
    side = side_of(draft)
    WAYS[way](side, 1)
    assert (side.protocol.state.name, side.protocol.end_applied) == ("CLOSED", True)
    said = list(side.said)
    assert said[-1] in ("end", "abort")
    side.protocol.start_closing(Close(1000), 2)
    assert (side.protocol.state.name, side.said) == ("CLOSED", said)


# What ends the input


@each_role
@each_owed
@each_draft
def test_an_end_lets_us_send_until_it_is_reached(draft: Draft, role: Role, way: str) -> None:
    side = handed_out(draft, role)
    WAYS[way](side, 1)
    assert side.end.kind.name == way
    assert side.protocol.can_send
    assert side.said == []
    side.protocol.note_end_reached(1.5)
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert side.said[-1] == "end"
    assert side.protocol.due == 1.5 + GRACE
    side.protocol.on_deadline(1.5 + GRACE)
    assert side.protocol.due == math.inf


@each_role
@each_draft
def test_the_peers_close_is_owed_ours(draft: Draft, role: Role) -> None:
    """With its code and no reason (RFC 6455 section 5.5.1)"""
    side = handed_out(draft, role)
    close = Close(1001, "bye") if draft.close_status else Close()
    side.hear_close(1, close)
    known = [side.protocol.close_received]
    side.protocol.note_end_reached(1.5)
    # It is known once its answer was due.
    assert [*known, side.protocol.close_received] == [None, side.end.close]
    if draft.closing_handshake:
        assert side.codes == [close.code]
        assert side.end.close is not None
        assert side.end.close.reason == close.reason
        assert side.protocol.close_sent is not None
        assert side.protocol.close_sent.reason == ""
    else:
        assert (side.codes, side.end.close) == ([], None)
    assert side.protocol.closed_by == OTHER[role]


@each_role
@each_draft
def test_the_streams_end_is_owed_the_end_of_our_side(draft: Draft, role: Role) -> None:
    side = handed_out(draft, role)
    stream_ends(side, 1)
    side.protocol.note_end_reached(1.5)
    assert side.said == ["end"]
    assert side.protocol.closed_by is None
    assert "without closing" in side.end.reason


@each_role
@each_draft
def test_a_violation_is_owed_a_close_with_its_code(draft: Draft, role: Role) -> None:
    side = handed_out(draft, role)
    violates(side, 1)
    side.protocol.note_end_reached(1.5)
    # Where the framing is broken before there were codes, there is nothing to say it with.
    code = 1002 if draft.fragments else None
    assert (None if side.end.answer is None else side.end.answer.code) == code
    assert side.codes == ([code if draft.close_status else None] if draft.fragments else [])
    assert side.protocol.closed_by == (role if draft.fragments else None)


@each_draft
def test_a_violation_of_a_draft_without_a_closing_frame_ends_the_stream(draft: Draft) -> None:
    """There may be a code to it all the same."""
    side = side_of(draft, limit=4)
    side.protocol.feed(encoded(side.peer, "too long"), 1)
    assert side.end.kind is EndKind.VIOLATION
    assert len(side.codes) == (draft.closing_handshake and side.end.answer is not None)
    assert side.said[-1] == "end"


@each_role
@each_draft
def test_a_broken_transport_is_owed_nothing(draft: Draft, role: Role) -> None:
    side = handed_out(draft, role)
    is_lost(side, 1)
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert side.said == ["abort"]
    assert side.protocol.closed_by is None
    assert isinstance(side.end.cause, ConnectionResetError)


@each_role
@in_turn("room", [0, math.inf])
@each_draft
def test_giving_up_says_so_if_that_fits(draft: Draft, role: Role, room: float) -> None:
    side = handed_out(draft, role)
    side.output.room = room
    is_given_up(side, 1)
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert side.codes == [1008 if draft.close_status else None] * draft.closing_handshake
    assert side.said[-2:] == ["end", "abort"]
    assert bool(side.output.on_the_way) is (draft.closing_handshake and room > 0)
    assert side.output.waiting == b""
    assert side.protocol.closed_by == role
    assert side.protocol.last_received_at == math.inf


@each_draft
def test_giving_up_without_a_word(draft: Draft) -> None:
    side = side_of(draft)
    side.protocol.give_up("aborted", None, 1)
    assert side.said == ["end", "abort"]
    assert side.protocol.closed_by is None


@each_owed
@each_draft
def test_giving_up_behind_an_end_drops_what_is_owed(draft: Draft, way: str) -> None:
    """What the reader gets stays what it was, and nothing is ever due again."""
    side = handed_out(draft)
    side.hear(1, "unread")
    WAYS[way](side, 1)
    end = side.end
    is_given_up(side, 1.5)
    assert side.said == ["abort"]
    assert side.end is end
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert side.protocol.unread == ["unread"]
    if way == "CLOSE":
        assert side.protocol.closed_by == "client"
        assert side.protocol.close_received is end.close
    for now in (3, 3.5, 1000):
        assert not side.protocol.on_deadline(now)
        assert side.protocol.due == math.inf


# What ends all at once


@each_role
@in_turn("said_close", [False, True])
@each_draft
def test_aborting(draft: Draft, role: Role, said_close: bool) -> None:
    """Nothing is said, nothing can be received, and nothing is ever due again."""
    side = handed_out(draft, role)
    side.hear(1, "unread")
    if said_close:
        side.protocol.send_close(Close(1000))
    said = list(side.said)
    side.protocol.abort("aborted", 2)
    assert side.said == [*said, "abort"]
    assert (side.end.kind, side.end.reason) == (EndKind.LOST, "aborted")
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert side.protocol.end_applied
    side.hear(3, "late")
    assert side.protocol.unread == []
    for now in (4, 4.5, 1000):
        assert not side.protocol.on_deadline(now)
        assert side.protocol.due == math.inf


@in_turn("answered", [False, True])
@each_way
@each_draft
def test_aborting_behind_an_end(draft: Draft, way: str, answered: bool) -> None:
    """The end stays what it was, and what is owed for it is not sent."""
    side = handed_out(draft)
    side.hear(1, "unread")
    WAYS[way](side, 1)
    end = side.end
    if answered and not side.protocol.end_applied:
        side.protocol.apply_end(1.5)
    said = list(side.said)
    side.protocol.abort("aborted", 2)
    assert side.said == [*said, "abort"]
    assert side.end is end
    assert (side.protocol.can_send, side.protocol.state.name) == (False, "CLOSED")
    assert (side.protocol.end_applied, side.protocol.unread) == (True, [])
    if way == "CLOSE":
        assert side.protocol.close_received is end.close


@each_draft
def test_refusing_a_message(draft: Draft) -> None:
    """It is a violation that the program has found: nothing behind it counts."""
    side = handed_out(draft)
    side.hear(1, "not wanted", "behind it")
    side.protocol.unread.pop()
    cause = ValueError("no JSON")
    side.protocol.refuse("no JSON", Close(1007, "invalid JSON"), cause, 2)
    assert (side.end.kind, side.end.reason, side.end.cause) == (EndKind.VIOLATION, "no JSON", cause)
    assert (side.protocol.end_applied, side.protocol.can_send) == (True, False)
    assert side.protocol.closed_by == side.protocol.role
    if draft.close_status:
        assert side.protocol.close_sent == Close(1007, "invalid JSON")
    side.hear(3, "late")
    assert side.protocol.unread == []


@in_turn("answered", [False, True])
@each_way
@each_draft
def test_refusing_a_message_behind_an_end(draft: Draft, way: str, answered: bool) -> None:
    """The end stays what it was; what is owed for it is sent, once."""
    side = handed_out(draft)
    side.hear(1, "not wanted", "behind it")
    WAYS[way](side, 1)
    side.protocol.unread.pop()
    end = side.end
    if answered and not side.protocol.end_applied:
        side.protocol.apply_end(1.5)
    side.protocol.refuse("not wanted", Close(1003), None, 2)
    assert side.end is end
    assert (side.protocol.end_applied, side.protocol.unread) == (True, [])
    said = list(side.said)
    for now in (3, 1000):
        assert not side.protocol.on_deadline(now)
    assert side.said == said
