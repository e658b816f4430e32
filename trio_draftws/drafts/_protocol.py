"""The life of one connection, between codec and channel: no I/O, and the time is an argument.

What both sides have said decides the state; how the input ended stands apart:

| state          | `send_close`, `start_closing` | the peer's Close comes, or its end of TCP where |
|                |                               | the draft has no other                          |
|----------------|-------------------------------|-------------------------------------------------|
| OPEN           | CLOSE_SENT                    | CLOSE_RECEIVED: an answer is owed               |
| CLOSE_SENT     | waits for the peer's          | CLOSED                                          |
| CLOSE_RECEIVED | CLOSED                        | - (codecs say nothing behind a Close)           |
| CLOSED         | ends the transport            | -                                               |

| what ends the input | we may send                 | what is then owed                          |
|---------------------|-----------------------------|--------------------------------------------|
| the peer's Close    | until the answer is out     | our Close                                  |
| the stream's end    | until the reader reaches it | the end of our side                        |
| a violation         | until the reader reaches it | Close with its code, where there are codes |
| a broken transport  | no more                     | nothing: what waits is dropped             |
| giving up           | no more                     | Close, if it fits at once; all is dropped  |

The rules:

1. The first end is the only one. It stands behind all that came before it, and the reader gets it
   from then on.
2. What is owed goes out when the reader reaches the end, or when a *grace* has passed, two seconds
   or half of `close_timeout`. With nothing unread: at once if no message was ever handed out, else
   a grace after nobody was first found receiving. With messages unread: a grace after the later of
   the end and the latest message that was taken. So a handler can answer what it received, and a
   peer is not left waiting by one that receives nothing. After it nothing can be sent.
3. Whoever relays may hold the answer to a Close, for three quarters of `close_timeout` at most.
4. Every time is a deadline of this object. `due` is never later than the next one, and
   `on_deadline(now)` leaves `due > now`. Times are compared as moments: a sum and a difference are
   rounded to different ones.
5. Nobody is given up before what has come was read: `on_deadline` says that it is about to, and
   does so only when it is called again with `just_read`. While the receiver is full, the peer's
   silence is ours. One that has reset the connection behind that is kept while somebody takes what
   it sent, and then for as long as one that vanishes is kept where it is pinged. A pong's time
   runs while the peer has room for what we send: else, as where it reads nothing, it may not have
   come to the ping yet, and `write_timeout` counts.
6. In CLOSE_SENT pings are still answered (RFC 6455 section 5.5.2), and nobody is pinged. There is
   never a second Close.
7. One call that brings bytes makes 16 pongs at most, the latest (RFC 6455 section 5.5.3 asks for
   one). The latest ping of ours stands for those before it that nobody waits for.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import attrs

from ._events import (
    Buffer,
    Close,
    Event,
    Fragment,
    MessageOverLimit,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
)
from ._framing.codec import Codec
from ._framing.header import PLAIN_CLOSES
from ._registry import Draft

#: Seconds within which what a handler says after a Close is still sent, if it takes its time
GRACE = 2.0
PONGS_AT_ONCE = 16
#: Seconds after which it wants to be asked again at the latest
LONGEST_WAIT = 60.0


class State(Enum):
    """What has been said, by both sides."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSE_RECEIVED = "close received"
    CLOSED = "closed"


class EndKind(Enum):
    """What ended the input."""

    CLOSE = "the peer closed"
    STREAM = "the stream ended without a goodbye"
    VIOLATION = "the peer broke its draft, or our limit"
    LOST = "the transport broke"
    GIVEN_UP = "we gave the peer up"


@attrs.frozen
class End:
    """The end of the input."""

    kind: EndKind
    reason: str = ""
    """In words, but for a CLOSE."""
    close: Close | None = None
    """The peer's closing frame; None where the draft has none."""
    answer: Close | None = None
    """What the peer is told, where the draft has a closing frame."""
    cause: BaseException | None = None
    too_big: bool = False
    """Whether a VIOLATION is of our own limit for messages, and of no draft."""


def _end_of(close: Close) -> End:
    # RFC 6455 section 5.5.1: the answer has the code of what it answers
    return End(EndKind.CLOSE, close=close, answer=attrs.evolve(close, reason=""))


#: Most ends: with those codes or with none, and no reason
_PLAIN_ENDS = {close: _end_of(close) for close in PLAIN_CLOSES.values()}


@attrs.define(eq=False, weakref_slot=False)
class SentPing:
    """A ping that is on its way."""

    at: float
    on_done: Callable[[], None] | None = None
    """Called when its answer has come, or never will. None: nobody waits."""
    round_trip: float | None = None
    """Seconds; None while there is no answer."""


class Timeouts(Protocol):
    """Seconds; `math.inf` for none."""

    @property
    def close_timeout(self) -> float: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def ping_interval(self) -> float: ...
    @property
    def ping_timeout(self) -> float: ...
    @property
    def write_timeout(self) -> float: ...


class Output(Protocol):
    """What waits to be written: a sender, whose methods say what they do."""

    @property
    def finishing(self) -> bool: ...
    def blocked(self, now: float, /) -> bool: ...
    @property
    def waiting_senders(self) -> int: ...
    def put(self, buffers: list[Buffer], /) -> None: ...
    def put_latest(self, buffers: list[Buffer], /) -> None: ...
    def flush(self) -> None: ...
    def finish(self) -> None: ...
    def abort(self, reason: str, /) -> None: ...
    def stuck_since(self, now: float, /) -> float | None: ...


@attrs.define(eq=False, weakref_slot=False)
class WebSocketProtocol:
    """One side of one connection, from its opening handshake on."""

    draft: Draft
    role: Role
    codec: Codec
    _output: Output
    _timeouts: Timeouts
    last_received_at: float
    """When bytes came last, or it was opened; `math.inf` once the peer was given up."""
    on_latency: Callable[[float], None] | None = None
    """Called with each measured latency."""
    _on_sending_stopped: tuple[Callable[[], None], ...] = ()
    """Who waits for something else while it sends; see `add_stop_callback`."""

    unread: list[str | bytes | Fragment] = attrs.field(factory=list)
    """What nobody has received yet, newest first, so that the next one is popped from the end."""
    end: End | None = None
    """How the input ended, behind what is unread."""
    end_applied: bool = False
    """Whether what was owed for that went out."""
    state: State = State.OPEN
    can_send: bool = True
    close_sent: Close | None = None
    close_received: Close | None = None
    """The peer's closing frame, once its answer was due."""
    closed_by: Role | None = None
    due: float = attrs.field(init=False)
    """When to call `on_deadline`; it may be earlier than the next deadline, never later."""
    close_at: float = math.inf
    """When the closing handshake has to be over."""

    bytes_received: int = 0
    messages_received: int = 0
    """Those that came whole, received or not."""
    pings_received: int = 0
    pings_sent: int = 0
    pongs_received: int = 0
    latency: float | None = None
    """Seconds that the latest answered ping took."""

    _parts_received: int = 0
    _skipping: bool = False
    """Whether what comes next is the rest of a message that nobody wants."""
    _holds_answer: bool = False
    _answer_at: float = math.inf
    _ended_at: float = math.inf
    _message_taken_at: float = -math.inf
    """When a message was taken last, from where the input has ended."""
    _unattended_since: float = -math.inf
    """When nobody was first found receiving."""
    _handed_out_when_left: int = 0
    _excused_until: float = -math.inf
    """A moment up to which the peer's silence is excused, as by a full receiver."""
    _blocked_excused_until: float = -math.inf
    """A moment up to which it is excused that the peer takes nothing."""
    _hung_up: bool = False
    """Whether the peer has ended its side behind bytes that a full receiver did not read."""
    _was_reset: bool = False
    """Whether it has ended the whole connection there."""
    _handed_out_at_look: int = 0
    _sent_pings: dict[bytes, SentPing] | None = None
    _pong_due_since: float = 0
    """When the time for a pong began."""
    _bytes_received_at_ping: int = -1
    _was_blocked: bool = False
    """Whether the latest look since then found that the peer had no room."""

    def __attrs_post_init__(self) -> None:
        self.due = self.last_received_at + self._longest_wait

    @property
    def _longest_wait(self) -> float:
        """How long it may go unasked: so what is noticed only then, as that bytes wait, is noticed
        before its own deadline.
        """
        times = self._timeouts
        silence = min(times.ping_interval, times.ping_timeout) if self.draft.ping else math.inf
        return min(times.idle_timeout, times.write_timeout, silence, LONGEST_WAIT)

    @property
    def grace(self) -> float:
        """Seconds that an answer may be owed to a peer that has closed."""
        return min(GRACE, self._timeouts.close_timeout / 2)

    @property
    def handed_out(self) -> int:
        """How many messages, and parts of some, were received so far."""
        return self.messages_received + self._parts_received - len(self.unread)

    # What comes in

    def feed(self, data: bytes | bytearray, now: float) -> None:
        """Takes bytes that were read; none are the end of the stream."""
        if data:
            self.last_received_at = now
            self.bytes_received += len(data)
            self._decode(data, now)
        else:
            self._feed_end(now)

    def feed_rest(self, now: float) -> None:
        """Takes more of what came, while `codec.has_more_output`."""
        self._decode(b"", now)

    def buffer_updated(self, size: int, now: float) -> None:
        """Takes bytes that were read into `codec.get_buffer()`; none are the end of the stream."""
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
        """Takes whole messages that were decoded from `size` bytes that were read."""
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
                self._take_pong(event, now)
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
                return events[position:]  # a Close, behind which nothing comes
            if event.final:
                self._skipping = False
                # The part that was handed out is the message now.
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
            # Only the last of what came can be a part that others follow.
            self.messages_received -= 1
            self._parts_received += 1
        if self.close_at == math.inf:
            events.reverse()
            self.unread[:0] = events  # type: ignore[assignment]
        if isinstance(last, Close):
            self._end_input(_PLAIN_ENDS.get(last) or _end_of(last), now)

    def begin_parts(self) -> None:
        """Makes the codec give the message that is coming in parts, if one has begun."""
        if not self._skipping and self.end is None and (begun := self.codec.stream()) is not None:
            self._parts_received += 1
            self.unread.append(begun)

    def skip_parts(self, now: float) -> None:
        """Drops the rest of a message that was given in parts up to here."""
        while self.unread:
            part = self.unread.pop()
            if isinstance(part, Fragment) and part.final:
                break
        else:
            self._skipping = self.end is None
        self.note_taken(now)

    def take_all(self, now: float) -> list[str | bytes | Fragment]:
        """Takes all that is unread, the oldest first."""
        taken = self.unread[::-1]
        self.unread.clear()
        self.note_taken(now)
        return taken

    def note_taken(self, now: float) -> None:
        """To be called when a message was taken, from where the input has ended."""
        if self.end is not None:
            self._message_taken_at = now
            self._schedule_answer(now)

    # How the input ends

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

    def note_transport_lost(self, reason: str, cause: BaseException | None, now: float) -> None:
        """The transport broke, or was closed by somebody else."""
        self._end_input(End(EndKind.LOST, reason, cause=cause), now)

    def give_up(self, reason: str, answer: Close | None, now: float) -> None:
        """Ends the connection from our side: the peer may be told, and nothing else is sent."""
        self.last_received_at = math.inf
        if self.end is not None and not self.end_applied:
            # Nothing is owed any more; what the reader gets stays what it was.
            self._note_end_applied(self.end, now)
            self._output.abort(reason)
        self._end_input(End(EndKind.GIVEN_UP, reason, answer=answer), now)

    def note_hangup(self, now: float, *, reset: bool) -> None:
        """The peer has ended its side, behind bytes that a full receiver has not read yet; or the
        whole connection, if `reset`.
        """
        if not self._hung_up:
            self._hung_up = True
            self._excused_until = now
        if reset and not self._was_reset:
            self._was_reset = True
            self.cannot_write()
            self.due = min(self.due, self._next_due(now, full=True))

    def _end_input(self, end: End, now: float) -> None:
        if self.end is not None:
            return
        self.end = end
        self._ended_at = now
        if end.kind is EndKind.CLOSE:
            sent = self.state is State.CLOSE_SENT
            self.state = State.CLOSED if sent else State.CLOSE_RECEIVED
        self._forget_pings()
        self._schedule_answer(now)

    def _schedule_answer(self, now: float) -> None:
        """Sets when what is owed for the end goes out, or lets it go out."""
        end = self.end
        if end is None or self.end_applied:
            return
        if end.kind in (EndKind.LOST, EndKind.GIVEN_UP) or self.close_at < math.inf:
            answer_at = now
        elif self._holds_answer and end.kind is EndKind.CLOSE:
            answer_at = self._ended_at + self._timeouts.close_timeout * 3 / 4
        elif self.unread:
            answer_at = max(self._ended_at, self._message_taken_at) + self.grace
        elif self.handed_out == 0:
            answer_at = now
        elif self.handed_out == self._handed_out_when_left:
            answer_at = self._unattended_since + self.grace
        else:
            # A grace for whoever may still be found receiving, and the one after that
            answer_at = max(self._ended_at, self._message_taken_at) + 2 * self.grace
        if answer_at <= now:
            self.apply_end(now)
        else:
            self._answer_at = answer_at
            self.due = min(self.due, answer_at)

    def note_nobody_receives(self, now: float) -> None:
        """To be called when nobody is found receiving."""
        if self.handed_out != self._handed_out_when_left or math.isinf(self._unattended_since):
            self._handed_out_when_left = self.handed_out
            self._unattended_since = now
        self._schedule_answer(now)

    def note_end_reached(self, now: float) -> None:
        """To be called when the reader has received all and comes to the end."""
        assert self.end is not None
        if self._holds_answer and self.end.kind is EndKind.CLOSE:
            self._schedule_answer(now)
        elif not self.end_applied:
            self.apply_end(now)

    def apply_end(self, now: float) -> None:
        """Lets out what is owed for the end; nothing can be sent behind it."""
        end = self.end
        assert end is not None
        self._note_end_applied(end, now)
        if end.kind is EndKind.LOST:
            self._output.abort(end.reason)
        else:
            if end.answer is not None:
                self._put_close(end.answer)
            self._output.finish()
            self._output.flush()
        if end.kind is EndKind.GIVEN_UP:
            self._output.abort(end.reason)

    def _note_end_applied(self, end: End, now: float) -> None:
        self.end_applied = True
        self.state = State.CLOSED
        self._answer_at = math.inf
        self.due = now + self.grace
        if end.kind is EndKind.CLOSE:
            self.close_received = end.close
            self.closed_by = self.closed_by or self._peer
        elif end.answer is not None:
            self.closed_by = self.closed_by or self.role
        self._stop_sending()

    @property
    def _peer(self) -> Role:
        return "client" if self.role == "server" else "server"

    def hold_answer(self, now: float) -> None:
        """Lets the peer's Close wait for `release_answer`: its side may still be listening."""
        self._holds_answer = True
        self._schedule_answer(now)

    def release_answer(self, now: float) -> None:
        """Answers a Close that the reader has reached, and any other as usual."""
        if self._holds_answer:
            self._holds_answer = False
            if self.end is not None and not self.unread and not self.end_applied:
                self.apply_end(now)
            else:
                self._schedule_answer(now)

    # What goes out

    def send_close(self, close: Close) -> None:
        """Says that nothing more is sent."""
        received = self.state is State.CLOSE_RECEIVED
        self.closed_by = self.closed_by or (self._peer if received else self.role)
        self._stop_sending()
        self._put_close(close)
        self.state = State.CLOSED if received else State.CLOSE_SENT
        if self.role in self.draft.close_ends_stream:
            self._output.finish()
        self._output.flush()

    def start_closing(self, close: Close, now: float) -> None:
        """Closes: drops what is unread, and says goodbye, unless that was said."""
        self.close_at = now + self._timeouts.close_timeout
        self.due = min(self.due, self.close_at)
        self.unread.clear()
        self._holds_answer = False
        if self.end is not None:
            if not self.end_applied:
                self.apply_end(now)
        elif self.state is State.OPEN:
            self.send_close(close)

    def _put_close(self, close: Close) -> None:
        if self.close_sent is None and self.draft.closing_handshake:
            self.close_sent = close if self.draft.close_status else Close()
            # A code that may be received may be sent, so an answer is never refused.
            self._output.put(self.codec.encode(self.close_sent))

    def _stop_sending(self) -> None:
        self.can_send = False
        self._forget_pings()
        for do in self._on_sending_stopped:
            do()

    def add_stop_callback(self, do: Callable[[], None]) -> None:
        """Calls `do` when nothing can be sent any more; `remove_stop_callback` takes that back."""
        self._on_sending_stopped += (do,)

    def remove_stop_callback(self, do: Callable[[], None]) -> None:
        """Does not call `do` any more."""
        self._on_sending_stopped = tuple(other for other in self._on_sending_stopped if other != do)

    def note_waiting(self, now: float, *, full: bool) -> None:
        """To be called when bytes begin to wait, or senders do; `full` as for `on_deadline`."""
        if full:
            # Up to now it may have been us that the peer waited for.
            self._blocked_excused_until = now
        self.due = min(self.due, now + self._timeouts.write_timeout / 20)

    def cannot_write(self) -> None:
        """The transport takes nothing more; what it still brings is read."""
        self._stop_sending()

    # Pings

    def ping(self, now: float, on_done: Callable[[], None] | None = None) -> SentPing:
        """Sends a ping, as soon as what stands before it is written."""
        payload = secrets.token_bytes(4)
        sent = SentPing(now, on_done)
        earlier = self._sent_pings or {}
        self._sent_pings = {key: ping for key, ping in earlier.items() if ping.on_done is not None}
        self._sent_pings[payload] = sent
        self.pings_sent += 1
        self._output.put(self.codec.encode(Ping(payload)))
        if not self._awaits_pong:
            # Else its time runs since the first that was not answered.
            self._pong_due_since = now
            self._bytes_received_at_ping = self.bytes_received
            self._was_blocked = False
        self._output.flush()
        # From now on it is known to wait, if it does.
        self._output.blocked(now)
        self.due = min(self.due, self._next_due(now, full=False))
        return sent

    @property
    def _awaits_pong(self) -> bool:
        """Whether a ping was sent and nothing has come since."""
        return self._bytes_received_at_ping == self.bytes_received

    def _take_pong(self, pong: Pong, now: float) -> None:
        self.pongs_received += 1
        sent_pings = self._sent_pings
        if sent_pings is None or pong.payload not in sent_pings:
            return
        # RFC 6455 section 5.5.3: an answer to one ping may stand for those before it
        payload = b""
        while payload != pong.payload:
            payload = next(iter(sent_pings))
            sent = sent_pings.pop(payload)
            self.latency = sent.round_trip = now - sent.at
            if sent.on_done is not None:
                sent.on_done()
        if self.on_latency is not None and self.latency is not None:
            self.on_latency(self.latency)

    def forget_ping(self, sent: SentPing) -> None:
        """Nobody waits for its answer any more."""
        sent.on_done = None

    def _forget_pings(self) -> None:
        """No answer will come: wakes those who wait for one."""
        sent_pings, self._sent_pings = self._sent_pings, None
        for sent in (sent_pings or {}).values():
            if sent.on_done is not None:
                sent.on_done()

    # Time

    def on_deadline(self, now: float, *, full: bool = False, just_read: bool = False) -> bool:
        """Does what is due, and sets `due` to a later moment.

        Args:
            full: whether the receiver reads no more before something is taken.
            just_read: whether what has come was read just now.

        Returns:
            Whether the peer is about to be given up: what has come is to be read first, and this
            to be called again with `just_read`.
        """
        # What the codec has more of stands before all that the peer has said since.
        full = full or self.codec.has_more_output
        wants_look = False
        if self.end is None:
            wants_look = self._check_peer(now, full, just_read)
        elif not self.end_applied and self._answer_at <= now:
            self.apply_end(now)
        self.due = max(self._next_due(now, full), math.nextafter(now, math.inf))
        return wants_look

    def _check_peer(self, now: float, full: bool, just_read: bool) -> bool:
        if full:
            self._excuse_silence(now)
        why = self._reason_to_give_up(now)
        if why is not None:
            if not just_read:
                return True
            self.give_up(why, Close(1001, "silent"), now)
        elif self._may_ping and not self._awaits_pong and self._ping_at <= now and not full:
            self.ping(now)
        return False

    def _excuse_silence(self, now: float) -> None:
        """What the peer says is not read; behind a hang-up, only while somebody still takes."""
        if not self._hung_up or self._handed_out_at_look != self.handed_out:
            self._excused_until = now
        self._handed_out_at_look = self.handed_out
        self._pong_due_since = now
        if not self._output.waiting_senders:
            # It may be us that the peer waits for.
            self._blocked_excused_until = now

    def _reason_to_give_up(self, now: float) -> str | None:
        if self.close_at <= now:
            return f"the peer did not close within {self._timeouts.close_timeout} s"
        if self._idle_at <= now and self._was_reset:
            return "the peer has reset the connection behind what nobody took"
        if self._idle_at <= now:
            return f"nothing came from the peer for {self._timeouts.idle_timeout} s"
        if self._write_timeout_at(now) <= now:
            seconds = self._timeouts.write_timeout
            return f"the peer took nothing of what waits for it for {seconds} s"
        if self._may_ping and self._awaits_pong:
            blocked = self._output.blocked(now)
            if blocked or self._was_blocked:
                self._pong_due_since = now
                self._was_blocked = blocked
            elif self._pong_due_since + self._timeouts.ping_timeout <= now:
                return f"no answer to a ping came within {self._timeouts.ping_timeout} s"
        return None

    @property
    def _may_ping(self) -> bool:
        return self.draft.ping and self.can_send and self.end is None

    @property
    def _idle_at(self) -> float:
        times = self._timeouts
        seconds = times.idle_timeout
        if self._was_reset:
            # As long as one that vanishes is kept where it is pinged
            seconds = min(seconds, times.ping_interval + times.ping_timeout)
        return max(self.last_received_at, self._excused_until) + seconds

    @property
    def _ping_at(self) -> float:
        return max(self.last_received_at, self._excused_until) + self._timeouts.ping_interval

    def _write_timeout_at(self, now: float) -> float:
        since = self._output.stuck_since(now)
        if since is None:
            return math.inf
        return max(since, self._blocked_excused_until) + self._timeouts.write_timeout

    def _next_due(self, now: float, full: bool) -> float:
        if self.end is not None:
            return self._answer_at
        due = min(now + self._longest_wait, self._idle_at, self.close_at)
        stuck_at = self._write_timeout_at(now)
        if stuck_at < math.inf:
            # What the peer takes is noticed only when somebody looks.
            due = min(due, stuck_at, now + self._timeouts.write_timeout / 20)
        if self._may_ping and not full:
            seconds = self._timeouts.ping_timeout
            if not self._awaits_pong:
                due = min(due, self._ping_at)
            elif self._was_blocked:
                # Its time begins when nothing is found to wait any more.
                due = min(due, now + min(seconds / 4, 1))
            else:
                due = min(due, self._pong_due_since + seconds)
        return due
