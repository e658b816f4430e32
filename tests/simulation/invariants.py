"""What must be true of a connection, looked at when its world has ended."""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from trio_draftws import ConnectionLost, InternalError, PeerClosed, PeerViolation

from . import bounds
from .bounds import GRACE, SLACK, SURELY_FULL, SURELY_ROOM, time_to_read, unread
from .joined import Joined
from .journal import Surroundings
from .messages import wrong_messages
from .ours import OurSide
from .raw import RawSide


def check_link(world: Surroundings, joined: Joined) -> None:
    """Notes everything that is wrong with a connection."""
    for side, peer in joined.directions:
        for text in wrong_messages(peer, side):
            world.found("data", text)
        if not isinstance(side, OurSide):
            continue
        for text in _given_up_alive(world, side, peer):
            world.found("alive", text)
        for text in _wrong_end(side, peer):
            world.found("errors", text)
        for text in _slow_to_close(world, side, peer):
            world.found("closing", text)
        for text in _slow_to_give(world, side, peer):
            world.found("prompt", text)
        if isinstance(peer, RawSide):
            for text in _slow_to_answer(world, side, peer):
                world.found("prompt", text)
            for text in _refused_too_early(side, peer):
                world.found("prompt", text)
            if peer.behind_close:
                world.found("once", f"behind the goodbye of {side} came {peer.behind_close[0]}")


# Nobody alive is given up


def _given_up_alive(world: Surroundings, side: OurSide, peer: OurSide | RawSide) -> Iterator[str]:
    lost = side.seen_closed
    how = "was found closed"
    for at, error in _told(side):
        if isinstance(error, ConnectionLost) and at <= lost and at < world.ending:
            lost, how = at, f"was told {error!r}"
    if isinstance(peer, RawSide):
        let_go = min([*peer.closes, peer.over])
        if let_go < min(lost, side.said_close, world.ending):
            lost, how = let_go, "let go"
    if lost == math.inf or lost >= min(side.closing, side.cut_itself):
        return
    if not _gone_or_deaf(world, side, peer, lost):
        yield f"{side} {how} at {lost:.3f} s, though {peer} lived, read and answered"


def _told(side: OurSide) -> list[tuple[float, Exception]]:
    """How the end was told, by whatever was called."""
    refused = [(refused.at, refused.error) for refused in side.refused]
    return refused if side.ended is None else [side.ended, *refused]


def _gone_or_deaf(world: Surroundings, side: OurSide, peer: OurSide | RawSide, lost: float) -> bool:
    """Whether there is any reason for the connection to have ended by then."""
    silent = lost - _last_word(peer, lost) > bounds.IDLE_TIMEOUT - SLACK
    if silent and not side.draft.ping and unread(side, peer, lost) < SURELY_FULL:
        return True
    if side.cut.is_set() or any(end - begin > 3000 for begin, end in world.stalls):
        return True
    if isinstance(peer, OurSide):
        # Of two that stand still together, each finds the other silent.
        ended = min(peer.closing, peer.said_close, peer.cut_itself)
        deaf = _was_deaf(side, peer, lost) or _was_deaf(peer, side, lost)
        return ended <= lost or bool(world.stalls) or deaf
    if peer.guilty <= lost:
        return True
    # On a stream that takes bytes only when they are read, a ping waits like everything else.
    patient = bounds.WRITE_TIMEOUT - 2 if side.transport == "lockstep" else 0
    return any(
        begin <= lost and min(end, lost) - begin >= patient for begin, end in peer.pauses
    ) or any(begin <= lost for begin, _ in peer.pauses if not patient)


def _last_word(peer: OurSide | RawSide, before: float) -> float:
    spoken = (sent.at for sent in peer.sent if sent.outcome == "returned" and sent.at <= before)
    return max(spoken, default=0)


def _was_deaf(side: OurSide, peer: OurSide, lost: float) -> bool:
    """Whether more was sent to a peer than it reads while nobody receives."""
    return unread(peer, side, lost) > 20_000 or any(
        sent.outcome != "cancelled" and (sent.at or lost) - sent.begun > 30
        for sent in side.sent
        if sent.begun <= lost
    )


# The end is told as it was


def _wrong_end(side: OurSide, peer: OurSide | RawSide) -> Iterator[str]:
    for at, error in _told(side):
        if isinstance(error, InternalError):
            yield f"{side} was told {error!r}"
        elif isinstance(error, PeerViolation) and not _has_violated(peer):
            yield f"{side} was told {error!r} at {at:.3f} s, but {peer} broke no rule"
        elif isinstance(error, PeerClosed) and not _has_closed(peer, at):
            yield f"{side} was told {error!r} at {at:.3f} s, but {peer} had not closed"
        elif isinstance(error, trio.ClosedResourceError) and not _has_closed(side, at):
            yield f"{side} was told {error!r} at {at:.3f} s, but had not closed"


def _has_violated(peer: OurSide | RawSide) -> bool:
    return isinstance(peer, RawSide) and peer.guilty < math.inf


def _has_closed(peer: OurSide | RawSide, at: float) -> bool:
    if isinstance(peer, OurSide):
        answered = peer.ended is not None or peer.seen_closed < math.inf or peer.cut.is_set()
        return min(peer.closing, peer.said_close, peer.cut_itself) <= at or answered
    return min(peer.said_close, peer.went, *peer.closes, math.inf) <= at


# It closes in time


def _slow_to_close(world: Surroundings, side: OurSide, peer: OurSide | RawSide) -> Iterator[str]:
    for begun, over in side.closings:
        took = over - begun - world.stalled(begun, over)
        if took > bounds.CLOSE_TIMEOUT + 0.1:
            yield f"closing {side} took {took:.3f} s, from {begun:.3f} s on"
        if isinstance(peer, OurSide):
            enough = _time_for_a_sleeper(side, peer, begun)
            if took > enough and peer.slept(begun, begun + enough):
                yield f"closing {side} took {took:.3f} s, though {peer} only slept"


def _time_for_a_sleeper(side: OurSide, peer: OurSide, begun: float) -> float:
    waiting = unread(peer, side, begun)
    if waiting > SURELY_ROOM or peer.opened == math.inf or peer.transport == "pieces":
        return math.inf
    grace = GRACE if waiting > 0 or peer.got else 0
    return grace + time_to_read(peer.transport, waiting) + SLACK


# What comes is given, and answered, at once


def _slow_to_give(world: Surroundings, side: OurSide, peer: OurSide | RawSide) -> Iterator[str]:
    """A message is there for whoever waits for it as soon as it was sent."""
    sent_at = {
        (sent.branch, sent.number): sent.at for sent in peer.sent if sent.outcome == "returned"
    }
    before = 0.0
    for got in side.got:
        if got.key in sent_at:
            due = max(sent_at[got.key], got.since, before)
            late = got.at - due - world.stalled(due, got.at)
            if got.whole and late > SLACK and not _is_streamed(side):
                yield f"{side} waited {late:.3f} s for a message that was sent at {due:.3f} s"
                return
        before = got.at


def _is_streamed(side: OurSide) -> bool:
    """Whether it may have taken its own time over a message."""
    return any(type(done.step).__name__ == "ReceiveStream" for done in side.done)


def _slow_to_answer(world: Surroundings, side: OurSide, peer: RawSide) -> Iterator[str]:
    yield from _held_back(world, side, peer)
    yield from _late_pongs(world, side, peer)
    yield from _late_close(world, side, peer)


def _held_back(world: Surroundings, side: OurSide, peer: RawSide) -> Iterator[str]:
    """What `send` took is with a peer that reads at once."""
    if side.cut.is_set():
        return
    got_at = {got.key: got.at for got in peer.got}
    for sent in side.sent:
        due = world.later(sent.at, SLACK)
        if sent.outcome != "returned" or not _reads(peer, sent.begun, due) or due > world.ending:
            continue
        at = got_at.get((sent.branch, sent.number), math.inf)
        if at > due:
            yield f"{peer} got message {sent.number} of {side} at {at:.3f} s, not {sent.at:.3f} s"
            return


def _reads(peer: RawSide, since: float, until: float) -> bool:
    """Whether it was there all that time, and read all that came."""
    here = min(peer.vanished, peer.went, peer.over) > until
    return here and not _paused(peer, since, until)


def _paused(peer: RawSide, since: float, until: float) -> bool:
    return any(begin <= until and end >= since for begin, end in peer.pauses)


def _late_pongs(world: Surroundings, side: OurSide, peer: RawSide) -> Iterator[str]:
    for position, ping in enumerate(peer.pings):
        reading = time_to_read(side.transport, ping.before - side.taken)
        due = world.later(ping.at, reading + SLACK)
        if min(side.closing, side.said_close, peer.guilty, world.ending) <= due:
            return
        if not _reads(peer, ping.at - 60, due) or unread(side, peer, ping.at) > SURELY_ROOM:
            continue
        # An answer to a later one stands for it.
        answers = {later.payload for later in peer.pings[position:]}
        if not any(payload in answers and at <= due for at, payload in peer.pongs):
            yield f"{side} did not answer by {due:.3f} s the ping that came at {ping.at:.3f} s"
            return


def _late_close(world: Surroundings, side: OurSide, peer: RawSide) -> Iterator[str]:
    """Close is answered when its turn comes, or when nobody has taken anything for the grace."""
    said = peer.said_close
    if said == math.inf or min(peer.vanished, side.said_close) < math.inf or peer.broken:
        return
    looks = time_to_read(side.transport, peer.wire.written - side.taken) + SLACK
    due = world.later(said, looks)
    if unread(side, peer, due) > 0 or any(at <= due for at, _ in side.takes):
        due = world.later(said, looks + GRACE)
    for at, _ in side.takes:
        if said < at <= due:
            due = world.later(at, looks + GRACE)
    if _paused(peer, said - 60, due) or unread(side, peer, said) > SURELY_ROOM:
        return
    if min([side.closing, world.ending, peer.over, *peer.closes]) > due:
        yield f"{side} did not answer by {due:.3f} s the goodbye that came at {said:.3f} s"


def _refused_too_early(side: OurSide, peer: RawSide) -> Iterator[str]:
    """An answer to a message that came before a Close is sent, if it comes within the grace."""
    if peer.said_close == math.inf or peer.broken or peer.vanished < math.inf:
        return
    for refused in side.refused:
        told = type(refused.error) is not trio.BrokenResourceError or refused.looked
        if told or side.said_close <= refused.at:
            continue
        if refused.at < _answerable_until(side, peer, refused.at):
            yield (
                f"{side} could not answer what it had taken by {refused.at:.3f} s, "
                f"since {peer} had said goodbye at {peer.said_close:.3f} s"
            )


def _answerable_until(side: OurSide, peer: RawSide, before: float) -> float:
    """Each message that is taken before the answer to a Close is out puts that off."""
    answered = peer.said_close + GRACE - 0.3
    until = -math.inf
    for at, _ in side.takes:
        if at <= min(before, max(answered, until)):
            until = at + GRACE - 0.3
    return until
