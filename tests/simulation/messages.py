"""Nothing is lost, doubled or reordered: what one side was given is what the other one sent."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from trio_draftws import PeerClosed, PeerViolation

from .journal import Got, Sent
from .ours import OurSide
from .raw import RawSide


def wrong_messages(sender: OurSide | RawSide, receiver: OurSide | RawSide) -> Iterator[str]:
    """What is wrong with the messages of one direction."""
    for branch in sorted({sent.branch for sent in sender.sent} | {"a"}):
        offered = [sent for sent in sender.sent if sent.branch == branch]
        got = [one for one in receiver.got if one.key is None or one.key[0] == branch]
        yield from _wrong_order(sender, receiver, offered, got)


def _wrong_order(
    sender: OurSide | RawSide, receiver: OurSide | RawSide, offered: list[Sent], got: list[Got]
) -> Iterator[str]:
    by_number = {sent.number: sent for sent in offered}
    given: set[int] = set()
    # What was cancelled or refused was not sent, and nobody misses it.
    due = deque(sent.number for sent in offered if sent.outcome not in ("cancelled", "failed"))
    for one in got:
        if one.key is None:
            # Left before its number was there
            if due:
                due.popleft()
            continue
        number = one.key[1]
        what = f"{receiver} got message {one.key[0]}{number} of {sender} at {one.at:.3f} s"
        sent = by_number.get(number)
        if sent is None or sent.begun > one.at:
            yield f"{what}, which was never sent"
        elif number in given:
            yield f"{what} twice"
        elif sent.outcome == "cancelled":
            yield f"{what}, whose send was cancelled"
        elif sent.outcome == "failed":
            # A peer by hand does not know how much of it was taken; and what is sent part by part
            # has begun when it fails.
            if isinstance(sender, OurSide) and one.whole:
                yield f"{what}, whose send failed"
        elif due and due[0] != number:
            yield f"{what} instead of message {one.key[0]}{due[0]}"
            if number in due:
                due.remove(number)
        elif one.whole and (sent.outcome == "cut" or one.text != sent.text):
            yield f"{what}, of which {sent.size} bytes were sent, with {len(one.text)} bytes"
        if due and due[0] == number:
            due.popleft()
        given.add(number)
    if due and all_must_have_come(sender, receiver):
        missing = [number for number in due if by_number[number].outcome == "returned"]
        if missing:
            yield f"{receiver} never got message {missing[0]} of {sender}, which closed behind it"


def all_must_have_come(sender: OurSide | RawSide, receiver: OurSide | RawSide) -> bool:
    """Whether the receiver read all that came, up to an end that says that it was all."""
    if isinstance(sender, OurSide) and sender.cut.is_set():
        return False
    if isinstance(receiver, RawSide):
        if receiver.draft.closing_handshake:
            return bool(receiver.closes)
        assert isinstance(sender, OurSide)
        return receiver.wire.ended == "the end" and not _was_cut_short(sender)
    if receiver.ended is None:
        return False
    error = receiver.ended[1]
    if isinstance(sender, RawSide):
        # What came before an end of the stream or a violation is given first.
        return sender.half_closed or isinstance(error, (PeerClosed, PeerViolation))
    return isinstance(error, PeerClosed) and (
        sender.draft.closing_handshake or not _was_cut_short(sender)
    )


def _was_cut_short(sender: OurSide) -> bool:
    """Without a closing frame, a side that gives up looks like one that closes."""
    longest = max((until - since for since, until in sender.closings), default=0)
    return longest > 4.9 or bool(sender.refused) or sender.closed == math.inf
