"""Pings and pongs of both sides, also behind our Close: rules 6 and 7."""

from __future__ import annotations

import pytest

from trio_draftws.drafts import DRAFTS, Close, Draft, LocalProtocolError, Ping, Pong, Role

from .helpers import ROLES, encoded, in_turn
from .protocol.sides import PONGS_AT_ONCE, WAYS, Side, each_draft, handed_out, side_of

each_role = in_turn("role", ROLES)
with_pings = in_turn("draft", [draft for draft in DRAFTS if draft.ping])


# Rule 7: pings and pongs


@with_pings
@each_role
def test_a_ping_is_answered_at_once(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    side.hear(0, Ping(b"one"), "message", Ping(b"two"))
    assert side.said == [Pong(b"one"), Pong(b"two")]
    assert side.output.waiting == b""
    assert side.protocol.unread == ["message"]
    assert side.protocol.pings_received == 2


@with_pings
def test_the_latest_pings_are_answered(draft: Draft) -> None:
    side = side_of(draft)
    pings = [b"%d" % number for number in range(40)]
    side.hear(0, *map(Ping, pings))
    assert side.said == [Pong(payload) for payload in pings[-PONGS_AT_ONCE:]]
    assert side.protocol.pings_received == 40


@with_pings
def test_without_room_the_latest_pong_waits(draft: Draft) -> None:
    side = side_of(draft)
    side.output.room = 0
    side.output.enough = 1
    side.output.put([encoded(side.protocol.codec, "message")])
    side.hear(0, Ping(b"one"), Ping(b"two"))
    side.hear(0, Ping(b"three"))
    side.output.room = 1000
    side.output.flush()
    assert side.said == ["message", Pong(b"three")]


# Rule 6: behind our Close


@with_pings
def test_behind_our_close_pings_are_answered(draft: Draft) -> None:
    """RFC 6455 section 5.5.2"""
    side = side_of(draft)
    side.protocol.send_close(Close(1000))
    side.hear(1, Ping(b"one"))
    assert side.said[1:] == [Pong(b"one")]


@with_pings
def test_behind_our_close_nobody_is_pinged(draft: Draft) -> None:
    side = side_of(draft)
    side.protocol.send_close(Close(1000))
    side.output.taken = side.output.written
    for now in range(0, 3600, 10):
        side.ask(now)
    assert side.protocol.keepalive.pings_sent == 0
    assert side.protocol.end is None
    assert side.ask(3600)


@each_role
@in_turn("way", WAYS)
@each_draft
def test_there_is_never_a_second_close(draft: Draft, role: Role, way: str) -> None:
    side = side_of(draft, role)
    side.protocol.send_close(Close(1000))
    WAYS[way](side, 1)
    side.protocol.start_closing(Close(1001), 2)
    assert side.codes == [1000 if draft.close_status else None] * draft.closing_handshake


@with_pings
@in_turn("way", WAYS)
def test_behind_an_end_nobody_is_pinged(draft: Draft, way: str) -> None:
    side = handed_out(draft)
    side.hear(0, "unread")
    WAYS[way](side, 1)
    for now in range(1, 1000, 7):
        side.ask(now)
    assert side.protocol.keepalive.pings_sent == 0


@with_pings
@in_turn("way", ["STREAM", "VIOLATION", "LOST", "GIVEN_UP"])
def test_no_ping_is_answered_behind_the_end_of_our_side(draft: Draft, way: str) -> None:
    side = side_of(draft)
    WAYS[way](side, 1)
    said = list(side.said)
    if way != "VIOLATION":
        side.hear(2, Ping(b"late"))
    assert side.said == said


@with_pings
def test_no_ping_is_answered_where_nothing_can_be_written(draft: Draft) -> None:
    side = side_of(draft)
    side.output.fail()
    side.hear(2, Ping(b"late"))
    assert side.said == []
    assert side.protocol.pings_received == 1


# Pings of ours


def payloads(side: Side) -> list[bytes]:
    """Those of the pings that were sent."""
    return list(side.output.pings)


@with_pings
def test_a_pong_measures_latency(draft: Draft) -> None:
    side = side_of(draft)
    measured: list[float] = []
    side.protocol.keepalive.report_latency_to(measured.append)
    done: list[str] = []
    sent = side.protocol.ping(1, lambda: done.append("sent"))
    assert (sent.round_trip, side.protocol.keepalive.latency) == (None, None)
    side.hear(3, Pong(payloads(side)[0]))
    assert sent.round_trip == side.protocol.keepalive.latency == 2
    assert (measured, done) == ([2], ["sent"])
    assert side.protocol.keepalive.pongs_received == 1


@with_pings
def test_a_pong_stands_for_the_pings_before_it(draft: Draft) -> None:
    """RFC 6455 section 5.5.3: and the latency is that of its own."""
    side = side_of(draft)
    done: list[int] = []
    pings = [side.protocol.ping(at, lambda at=at: done.append(at)) for at in (1, 2, 4)]  # type: ignore[misc]
    side.hear(5, Pong(payloads(side)[1]))
    assert done == [1, 2]
    assert [each.round_trip for each in pings] == [4, 3, None]
    assert side.protocol.keepalive.latency == 3
    side.hear(7, Pong(payloads(side)[2]))
    assert done == [1, 2, 4]
    assert side.protocol.keepalive.latency == 3


@with_pings
def test_pongs_that_nobody_asked_for_mean_nothing(draft: Draft) -> None:
    side = side_of(draft)
    side.hear(1, Pong(b"before any ping"))
    sent = side.protocol.ping(2, lambda: None)
    side.hear(3, Pong(b"another"))
    assert (sent.round_trip, side.protocol.keepalive.latency) == (None, None)
    assert side.protocol.keepalive.pongs_received == 2


@with_pings
def test_few_pings_are_remembered(draft: Draft) -> None:
    """Those that somebody waits for, and the latest."""
    side = side_of(draft)
    waiting = [side.protocol.ping(1, lambda: None) for _ in range(3)]
    for _ in range(100):
        side.protocol.ping(2)
        assert remembered(side) == 4
    side.protocol.keepalive.forget_ping(waiting[0])
    side.protocol.ping(3)
    assert remembered(side) == 3
    # A pong to one of those that were forgotten is none.
    side.hear(4, Pong(payloads(side)[50]))
    assert side.protocol.keepalive.latency is None


@with_pings
@in_turn("answers", [1, 2])
def test_pings_with_equal_payloads(draft: Draft, answers: int) -> None:
    """RFC 6455 section 5.5.3: a peer may answer the latest alone, or each."""
    side = side_of(draft)
    done: list[str] = []
    first = side.protocol.ping(1, lambda: done.append("first"), b"same")
    between = side.protocol.ping(2, lambda: done.append("between"))
    second = side.protocol.ping(3, lambda: done.append("second"), b"same")
    later = side.protocol.ping(4, lambda: done.append("later"))
    side.hear(5, *[Pong(b"same")] * answers)
    assert done == ["first", "between", "second"]
    assert [first.round_trip, between.round_trip, second.round_trip] == [4, 3, 2]
    assert (later.round_trip, side.protocol.keepalive.latency) == (None, 2)
    assert side.protocol.keepalive.pongs_received == answers


@with_pings
def test_a_payload_of_any_length_that_fits(draft: Draft) -> None:
    """RFC 6455 section 5.5"""
    side = side_of(draft)
    for payload in (b"", b"x" * 125):
        side.protocol.ping(1, payload=payload)
        side.protocol.send_pong(payload)
        assert side.said[-2:] == [Ping(payload), Pong(payload)]
    side.protocol.ping(2)
    assert len(payloads(side)[-1]) == 4
    said = list(side.said)
    side.hear(3, Pong(b"x" * 125))
    for send in (lambda: side.protocol.ping(4, payload=b"x" * 126), lambda: long_pong(side)):
        with pytest.raises(LocalProtocolError, match="has 126 bytes, and may have 125"):
            send()
    assert side.said == said
    assert (remembered(side), side.protocol.keepalive.pings_sent) == (1, 3)


def long_pong(side: Side) -> None:
    side.protocol.send_pong(b"x" * 126)


def remembered(side: Side) -> int:
    return len(side.protocol.keepalive._sent_pings or ())


@with_pings
def test_whoever_waits_no_more_is_not_called(draft: Draft) -> None:
    side = side_of(draft)

    def never() -> None:
        raise AssertionError

    sent = side.protocol.ping(1, never)
    side.protocol.keepalive.forget_ping(sent)
    side.hear(2, Pong(payloads(side)[0]))
    assert sent.round_trip == 1


@with_pings
@in_turn("way", [*WAYS, "our close", "a broken pipe", "a reset"])
def test_an_end_tells_whoever_waits_for_a_pong(draft: Draft, way: str) -> None:
    side = side_of(draft)
    told: list[object] = []
    sent = side.protocol.ping(1, lambda: told.append(sent))
    side.protocol.ping(1)
    side.hear(1, "unread")
    if way == "our close":
        side.protocol.send_close(Close(1000))
    elif way == "a broken pipe":
        side.output.fail()
    elif way == "a reset":
        side.protocol.note_hang_up(2, reset=True)
    else:
        WAYS[way](side, 2)
    assert told == [sent]
    assert sent.round_trip is None
    assert remembered(side) == 0
