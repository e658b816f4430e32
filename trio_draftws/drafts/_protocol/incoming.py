"""The input of one connection, from bytes to messages that wait to be received."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import attrs

from trio_draftws.drafts._events import (
    Close,
    Event,
    Fragment,
    MessageOverLimit,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)
from trio_draftws.drafts._framing.codec import Codec
from trio_draftws.drafts._registry import Draft

from .ends import End, EndKind, end_by_close
from .interfaces import Output, Timeouts
from .keepalive import Keepalive

PONGS_AT_ONCE = 16


@attrs.define(eq=False, weakref_slot=False)
class Incoming(ABC):
    """Decodes what is read, answers pings, and keeps messages until they are received.

    It is a base class, since calling a separate object would cost time for each read.
    """

    draft: Draft
    role: Role
    codec: Codec
    _output: Output
    _timeouts: Timeouts
    last_received_at: float
    """When bytes came last, at first when it was opened; `math.inf` after the peer was given up."""

    unread: list[str | bytes | Fragment] = attrs.field(factory=list)
    """Messages that nobody has received yet, newest first: the next one is popped from the end."""
    end: End | None = None
    """How the input ended; the reader gets it after the unread messages."""
    end_applied: bool = False
    """Whether what was owed for the end has been sent."""
    close_at: float = math.inf
    """When the closing handshake must be complete; `math.inf` unless we close."""
    keepalive: Keepalive = attrs.field(init=False)

    bytes_received: int = 0
    messages_received: int = 0
    """Whole messages that came, received or not."""
    pings_received: int = 0
    _parts_received: int = 0
    _skipping: bool = False
    """Whether the rest of the current message is dropped."""

    def __attrs_post_init__(self) -> None:
        self.keepalive = Keepalive(self._output, self._timeouts, self.draft.ping)

    @property
    def handed_out(self) -> int:
        """How many messages and parts of messages were received so far."""
        return self.messages_received + self._parts_received - len(self.unread)

    @abstractmethod
    def note_taken(self, now: float) -> None:
        """Call this when a message was taken after the input had ended."""

    @abstractmethod
    def _end_input(self, end: End, now: float) -> None:
        """Ends the input, unless it has ended already."""

    def feed(self, data: bytes | bytearray, now: float) -> None:
        """Takes bytes that were read; an empty read is the end of the stream."""
        if data:
            self.last_received_at = now
            self.bytes_received += len(data)
            self._decode(data, now)
        else:
            self._feed_end(now)

    def feed_rest(self, now: float) -> None:
        """Decodes more of what came; for while `codec.has_more_output`."""
        self._decode(b"", now)

    def buffer_updated(self, size: int, now: float) -> None:
        """Takes bytes that were read into `codec.get_buffer()`; 0 is the end of the stream."""
        if not size:
            self._feed_end(now)
            return
        self.last_received_at = now
        self.bytes_received += size
        try:
            events = self.codec.buffer_updated(size)
        except RemoteProtocolError as violation:
            self._end_by_violation(violation, now)
        else:
            if events:
                self._add(events, now)

    def add_messages(self, messages: list[Event], size: int, now: float) -> None:
        """Takes whole messages that were already decoded, from `size` bytes that were read."""
        self.last_received_at = now
        self.bytes_received += size
        if not self.unread and messages and self.end is None and self.close_at == math.inf:
            self.messages_received += len(messages)
            messages.reverse()
            self.unread = messages  # type: ignore[assignment]
        elif messages:
            self._add(messages, now)

    def _decode(self, data: bytes | bytearray, now: float) -> None:
        codec = self.codec
        try:
            events = codec.decode(data)
        except RemoteProtocolError as violation:
            self._end_by_violation(violation, now)
            return
        if codec.decoded_control:
            events = self._without_control(events, now)
        if self._skipping:
            events = self._after_skipped(events)
        if events:
            self._add(events, now)

    def _without_control(self, events: list[Event], now: float) -> list[Event]:
        kept: list[Event] = []
        pings: list[Ping] = []
        for event in events:
            if isinstance(event, Ping):
                pings.append(event)
            elif isinstance(event, Pong):
                self.keepalive.take_pong(event, now)
            else:
                kept.append(event)
        self.pings_received += len(pings)
        if pings and not self._output.finishing and not self.end_applied:
            for ping in pings[-PONGS_AT_ONCE:]:
                self._output.put_latest(self.codec.encode(Pong(ping.payload)))
            self._output.flush()
        return kept

    def _after_skipped(self, events: list[Event]) -> list[Event]:
        for position, event in enumerate(events):
            if not isinstance(event, Fragment):
                return events[position:]  # a Close, after which nothing comes
            if event.final:
                self._skipping = False
                # The part that was handed out counts as the message now.
                self.messages_received += 1
                self._parts_received -= 1
                return events[position + 1 :]
        return []

    def _add(self, events: list[Event], now: float) -> None:
        if self.end is not None:
            return
        last = events[-1]
        if type(last) is Close:
            del events[-1]
        self.messages_received += len(events)
        if events and type(events[-1]) is Fragment and not events[-1].final:
            # Only the last event can be a part that others follow.
            self.messages_received -= 1
            self._parts_received += 1
        if self.close_at == math.inf:
            events.reverse()
            self.unread[:0] = events  # type: ignore[assignment]
        if isinstance(last, Close):
            self._end_input(end_by_close(last), now)

    def begin_parts(self) -> None:
        """Makes the codec decode the current message in parts, if one has begun."""
        if not self._skipping and self.end is None and (begun := self.codec.stream()) is not None:
            self._parts_received += 1
            self.unread.append(begun)

    def skip_parts(self, now: float) -> None:
        """Drops the rest of a message that was received in parts so far."""
        while self.unread:
            part = self.unread.pop()
            if isinstance(part, Fragment) and part.final:
                break
        else:
            self._skipping = self.end is None
        self.note_taken(now)

    def take_all(self, now: float) -> list[str | bytes | Fragment]:
        """Returns all unread messages, oldest first, and forgets them."""
        taken = self.unread[::-1]
        self.unread.clear()
        self.note_taken(now)
        return taken

    def _feed_end(self, now: float) -> None:
        if not self.draft.closing_handshake and not self.codec.mid_message:
            end = End(EndKind.CLOSE)
        else:
            reason = "the peer ended the stream without closing the connection"
            end = End(EndKind.STREAM, reason)
        self._end_input(end, now)

    def _end_by_violation(self, violation: RemoteProtocolError, now: float) -> None:
        code, reason = violation.close_code, violation.reason
        answer = None if code is None else Close(code, reason)
        too_big = isinstance(violation, MessageOverLimit)
        self._end_input(End(EndKind.VIOLATION, reason, answer=answer, too_big=too_big), now)
