"""How the input of a connection ends, and when what is then owed to the peer goes out."""

from __future__ import annotations

import math
from enum import Enum

import attrs

from trio_draftws.drafts._events import Close
from trio_draftws.drafts._framing.header import PLAIN_CLOSES

from .interfaces import Timeouts

#: Seconds for which a handler can still send after the peer's Close, if it takes its time
GRACE = 2.0


class EndKind(Enum):
    """What ended the input."""

    CLOSE = "the peer closed"
    STREAM = "the stream ended without a closing frame"
    VIOLATION = "the peer broke its draft, or our limit"
    LOST = "the transport broke"
    GIVEN_UP = "we gave the peer up"


@attrs.frozen
class End:
    """The end of the input."""

    kind: EndKind
    reason: str = ""
    """In words; empty for a CLOSE."""
    close: Close | None = None
    """The peer's closing frame; None if the draft has none."""
    answer: Close | None = None
    """The closing frame to send, if the draft has one."""
    cause: BaseException | None = None
    too_big: bool = False
    """Whether a VIOLATION is only of our own limit for messages."""


def _end_of(close: Close) -> End:
    # RFC 6455 section 5.5.1: the answer has the code of what it answers
    return End(EndKind.CLOSE, close=close, answer=attrs.evolve(close, reason=""))


#: Most ends: with those codes or with none, and no reason
_PLAIN_ENDS = {close: _end_of(close) for close in PLAIN_CLOSES.values()}


def end_by_close(close: Close) -> End:
    """The end that a peer's closing frame makes."""
    return _PLAIN_ENDS.get(close) or _end_of(close)


@attrs.define(eq=False, weakref_slot=False)
class AnswerTimer:
    """When what is owed for the end goes out: rules 2 and 3 of protocol.py."""

    _timeouts: Timeouts
    holds: bool = False
    """Whether the answer to a Close waits until it is released."""
    _ended_at: float = math.inf
    _message_taken_at: float = -math.inf
    """When a message was last taken after the input had ended."""
    _unattended_since: float = -math.inf
    """When nobody was first found receiving."""
    _handed_out_when_left: int = 0

    @property
    def grace(self) -> float:
        """Seconds for which an answer may be owed to a peer that has closed."""
        return min(GRACE, self._timeouts.close_timeout / 2)

    def hold(self) -> None:
        """Makes the answer to a Close wait for `release`."""
        self.holds = True

    def release(self) -> None:
        """Lets the answer go out like any other."""
        self.holds = False

    def note_end(self, now: float) -> None:
        """The input has ended."""
        self._ended_at = now

    def note_taken(self, now: float) -> None:
        """A message was taken after the input had ended."""
        self._message_taken_at = now

    def note_nobody_receives(self, handed_out: int, now: float) -> None:
        """Nobody was found receiving, after so many messages were handed out."""
        if handed_out != self._handed_out_when_left or math.isinf(self._unattended_since):
            self._handed_out_when_left = handed_out
            self._unattended_since = now

    def answer_at(
        self, kind: EndKind, now: float, *, closing: bool, unread: bool, handed_out: int
    ) -> float:
        """When the answer goes out; it may be past.

        Args:
            closing: whether we close the connection.
            unread: whether messages are unread.
            handed_out: how many messages were received so far.
        """
        if kind in (EndKind.LOST, EndKind.GIVEN_UP) or closing:
            return now
        if self.holds and kind is EndKind.CLOSE:
            return self._ended_at + self._timeouts.close_timeout * 3 / 4
        if unread:
            return max(self._ended_at, self._message_taken_at) + self.grace
        if handed_out == 0:
            return now
        if handed_out == self._handed_out_when_left:
            return self._unattended_since + self.grace
        # One grace until nobody is found receiving, and the grace that begins then
        return max(self._ended_at, self._message_taken_at) + 2 * self.grace
