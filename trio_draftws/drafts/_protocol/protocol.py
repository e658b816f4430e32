"""The life of one connection, between codec and channel: no I/O, and the time is an argument.

The state is what both sides have sent; how the input ended is kept apart:

| state          | `send_close`, `start_closing` | the peer's Close comes, or its end of TCP where |
|                |                               | the draft has no other                          |
|----------------|-------------------------------|-------------------------------------------------|
| OPEN           | CLOSE_SENT                    | CLOSE_RECEIVED: an answer is owed               |
| CLOSE_SENT     | waits for the peer's          | CLOSED                                          |
| CLOSE_RECEIVED | CLOSED                        | - (codecs decode nothing after a Close)         |
| CLOSED         | ends the transport            | -                                               |

| what ends the input | we may send                 | what is then owed                          |
|---------------------|-----------------------------|--------------------------------------------|
| the peer's Close    | until the answer is sent    | our Close                                  |
| the stream's end    | until the reader reaches it | the end of our side                        |
| a violation         | until the reader reaches it | Close with its code, where there are codes |
| a broken transport  | no more                     | nothing: what waits is dropped             |
| giving up           | no more                     | Close, if it fits at once; all is dropped  |

The rules:

1. Only the first end counts. It comes after all messages before it, and from then on the reader
   gets nothing else.
2. What is owed goes out when the reader reaches the end, or when a *grace* has passed: two seconds,
   or half of `close_timeout` if that is less. With nothing unread: at once if no message was ever
   received, else a grace after the first look that found nobody receiving. With messages unread: a
   grace after the end or after the latest message was taken, whichever is later. So a handler can
   still answer what it received, and one that receives nothing does not keep the peer waiting.
   After that nothing can be sent.
3. A relay may hold the answer to a Close, for three quarters of `close_timeout` at most.
4. Every time is a deadline of this object. `due` is never later than the next one, and
   `on_deadline(now)` leaves `due > now`. Moments are compared, never spans: a sum and a difference
   may round differently.
5. Nobody is given up before what has come was read: `on_deadline` returns True first, and gives up
   only if it is called again with `just_read`. A full receiver reads nothing, so while it is full
   the peer's silence does not count. A peer that reset the connection meanwhile is kept while
   somebody takes its messages, and then for `ping_interval` and `ping_timeout` at most. The time
   for a pong runs only while the peer has room for what we send: otherwise it may not have read the
   ping yet, and `write_timeout` applies.
6. In CLOSE_SENT pings are still answered (RFC 6455 section 5.5.2), and no pings are sent. There is
   never a second Close.
7. One call that brings bytes makes 16 pongs at most, for the latest pings (RFC 6455 section 5.5.3
   asks for one). Our latest ping replaces earlier ones whose answer nobody waits for.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from enum import Enum

import attrs

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import Close, Ping, Pong, Role

from .ends import AnswerTimer, End, EndKind
from .incoming import Incoming
from .keepalive import SentPing


class State(Enum):
    """Which closing frames have been sent, by both sides."""

    OPEN = "open"
    CLOSE_SENT = "close sent"
    CLOSE_RECEIVED = "close received"
    CLOSED = "closed"


@attrs.define(eq=False, weakref_slot=False)
class WebSocketProtocol(Incoming):
    """One side of one connection, from its opening handshake on."""

    _on_sending_stopped: tuple[Callable[[], None], ...] = ()
    """See `add_stop_callback`."""
    state: State = State.OPEN
    can_send: bool = True
    close_sent: Close | None = None
    close_received: Close | None = None
    """The peer's closing frame; set when it is answered."""
    closed_by: Role | None = None
    due: float = attrs.field(init=False)
    """When to call `on_deadline`; it may be earlier than the next deadline, never later."""
    _answer: AnswerTimer = attrs.field(init=False)
    _answer_at: float = math.inf
    """When what is owed for the end goes out; `math.inf` if nothing is owed."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._answer = AnswerTimer(self._timeouts)
        self.due = self.last_received_at + self.keepalive.longest_wait

    # How the input ends

    def note_taken(self, now: float) -> None:
        """Gives whoever takes messages after the end a further grace."""
        if self.end is not None:
            self._answer.note_taken(now)
            self._schedule_answer(now)

    def note_transport_lost(self, reason: str, cause: BaseException | None, now: float) -> None:
        """The transport broke, or was closed by somebody else."""
        self._end_input(End(EndKind.LOST, reason, cause=cause), now)

    def give_up(self, reason: str, answer: Close | None, now: float) -> None:
        """Ends the connection from our side. Only `answer` is still sent, if it fits."""
        self.last_received_at: float = math.inf
        if self.end is not None and not self.end_applied:
            # Nothing is owed any more; the reader still gets the first end.
            self._note_end_applied(self.end, now)
            self._output.abort(reason)
        self._end_input(End(EndKind.GIVEN_UP, reason, answer=answer), now)

    def abort(self, reason: str, now: float) -> None:
        """Ends the connection from our side, at once: sends nothing, drops what is unread."""
        self.unread.clear()
        if self.end is None:
            self._end_input(End(EndKind.LOST, reason), now)
            return
        if not self.end_applied:
            # The peer gets no answer.
            self._note_end_applied(self.end, now)
        self._output.abort(reason)

    def note_hang_up(self, now: float, *, reset: bool) -> None:
        """The peer has ended its side, or with `reset` the whole connection, after bytes that a
        full receiver has not read yet.
        """
        if self.keepalive.note_hang_up(now, reset=reset):
            self.cannot_write()
            self.due = min(self.due, self._next_due(now, full=True))

    def refuse(self, reason: str, answer: Close, cause: BaseException | None, now: float) -> None:
        """Ends the connection because of a message that was received, and drops what came behind
        it. Like any violation, but the program found it, not the codec.
        """
        self.unread.clear()
        self._end_input(End(EndKind.VIOLATION, reason, answer=answer, cause=cause), now)
        if not self.end_applied:
            self.note_end_reached(now)

    def _end_input(self, end: End, now: float) -> None:
        if self.end is not None:
            return
        self.end: End | None = end
        self._answer.note_end(now)
        if end.kind is EndKind.CLOSE:
            sent = self.state is State.CLOSE_SENT
            self.state = State.CLOSED if sent else State.CLOSE_RECEIVED
        self.keepalive.forget_pings()
        self._schedule_answer(now)

    def _schedule_answer(self, now: float) -> None:
        """Sets when what is owed for the end goes out, or sends it now if that is past."""
        end = self.end
        if end is None or self.end_applied:
            return
        answer_at = self._answer.answer_at(
            end.kind,
            now,
            closing=self.close_at < math.inf,
            unread=bool(self.unread),
            handed_out=self.handed_out,
        )
        if answer_at <= now:
            self.apply_end(now)
        else:
            self._answer_at = answer_at
            self.due = min(self.due, answer_at)

    def note_nobody_receives(self, now: float) -> None:
        """Call this when nobody is found receiving."""
        self._answer.note_nobody_receives(self.handed_out, now)
        self._schedule_answer(now)

    def note_end_reached(self, now: float) -> None:
        """Call this when the reader has received everything and reaches the end."""
        assert self.end is not None
        if self._answer.holds and self.end.kind is EndKind.CLOSE:
            self._schedule_answer(now)
        elif not self.end_applied:
            self.apply_end(now)

    def apply_end(self, now: float) -> None:
        """Sends what is owed for the end; nothing can be sent after it."""
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
        self.due = now + self._answer.grace
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
        """Delays the answer to the peer's Close until `release_answer`."""
        self._answer.hold()
        self._schedule_answer(now)

    def release_answer(self, now: float) -> None:
        """Answers a Close that the reader has reached now, and a later one as usual."""
        if self._answer.holds:
            self._answer.release()
            if self.end is not None and not self.unread and not self.end_applied:
                self.apply_end(now)
            else:
                self._schedule_answer(now)

    # What goes out

    def send_close(self, close: Close) -> None:
        """Sends a closing frame, or the draft's other close; nothing can be sent after it."""
        received = self.state is State.CLOSE_RECEIVED
        self.closed_by = self.closed_by or (self._peer if received else self.role)
        self._stop_sending()
        self._put_close(close)
        self.state = State.CLOSED if received else State.CLOSE_SENT
        if self.role in self.draft.close_ends_stream:
            self._output.finish()
        self._output.flush()

    def start_closing(self, close: Close, now: float) -> None:
        """Closes the connection: drops what is unread, and sends a Close unless one was sent."""
        self.close_at: float = now + self._timeouts.close_timeout
        self.due = min(self.due, self.close_at)
        self.unread.clear()
        self._answer.release()
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
        self.keepalive.forget_pings()
        for do in self._on_sending_stopped:
            do()

    def add_stop_callback(self, do: Callable[[], None]) -> None:
        """Calls `do` when nothing can be sent any more, unless it is removed before."""
        self._on_sending_stopped += (do,)

    def remove_stop_callback(self, do: Callable[[], None]) -> None:
        """Removes what `add_stop_callback` added."""
        self._on_sending_stopped = tuple(other for other in self._on_sending_stopped if other != do)

    def note_waiting(self, now: float, *, full: bool) -> None:
        """Call this when bytes or senders begin to wait; `full` as for `on_deadline`."""
        if full:
            self.keepalive.excuse_blocked(now)
        self.due = min(self.due, now + self._timeouts.write_timeout / 20)

    def cannot_write(self) -> None:
        """The transport takes nothing more; what still comes is read."""
        self._stop_sending()

    # Time

    def ping(
        self,
        now: float,
        on_done: Callable[[], None] | None = None,
        payload: bytes | None = None,
    ) -> SentPing:
        """Sends a ping, as soon as what stands before it is written.

        Args:
            on_done: called when its answer has come, or never will.
            payload: what it carries; by default four bytes of our own, unlike those of any other.

        Raises:
            LocalProtocolError: the payload is too long; nothing was done.
        """
        if payload is None:
            payload = secrets.token_bytes(4)
        wire = self.codec.encode(Ping(payload))
        sent = self.keepalive.add_ping(payload, self.bytes_received, now, on_done)
        if not self.can_send:
            # Whoever was told of it meanwhile has aborted the connection.
            self.keepalive.forget_pings()
            return sent
        self._output.put(wire)
        self._output.flush()
        # The output now notes since when the ping waits, if it does.
        self._output.blocked(now)
        self.due = min(self.due, self._next_due(now, full=False))
        return sent

    def send_pong(self, payload: bytes) -> None:
        """Sends a pong that answers no ping (RFC 6455 section 5.5.3).

        Raises:
            LocalProtocolError: the payload is too long; nothing was done.
        """
        self._output.put(self.codec.encode(Pong(payload)))
        self._output.flush()

    def on_deadline(self, now: float, *, full: bool = False, just_read: bool = False) -> bool:
        """Does what is due, and sets `due` to a later moment.

        Args:
            full: whether the receiver reads nothing more until messages are taken.
            just_read: whether what has come was read just now.

        Returns:
            Whether the peer is about to be given up. Then read what has come, and call this again
            with `just_read`.
        """
        # Bytes that the codec keeps come before anything that the peer has sent since.
        full = full or self.codec.has_more_output
        wants_look = False
        if self.end is None:
            wants_look = self._check_peer(now, full, just_read)
        elif not self.end_applied and self._answer_at <= now:
            self.apply_end(now)
        self.due = max(self._next_due(now, full), math.nextafter(now, math.inf))
        return wants_look

    def _check_peer(self, now: float, full: bool, just_read: bool) -> bool:
        keepalive = self.keepalive
        if full:
            keepalive.excuse_silence(self.handed_out, now)
        reason = self._reason_to_give_up(now)
        if reason is not None:
            if not just_read:
                return True
            self.give_up(reason, Close(CloseCode.GOING_AWAY, "silent"), now)
        elif (
            self._may_ping
            and not full
            and not keepalive.awaits_pong(self.bytes_received)
            and keepalive.ping_at(self.last_received_at) <= now
        ):
            self.ping(now)
        return False

    def _reason_to_give_up(self, now: float) -> str | None:
        if self.close_at <= now:
            return f"the peer did not close within {self._timeouts.close_timeout} s"
        return self.keepalive.reason_to_give_up(
            self.last_received_at, self.bytes_received, now, may_ping=self._may_ping
        )

    @property
    def _may_ping(self) -> bool:
        return self.draft.ping and self.can_send and self.end is None

    def _next_due(self, now: float, full: bool) -> float:
        if self.end is not None:
            return self._answer_at
        due = self.keepalive.next_due(
            self.last_received_at,
            self.bytes_received,
            now,
            may_ping=self._may_ping and not full,
        )
        return min(due, self.close_at)
