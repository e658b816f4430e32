"""One endpoint of a connection: its parts, and what happens to them unasked.

RFC 6455 calls each side of a connection an endpoint. `Connection` is its public face; here is what
the parts below report to, what the scope calls when a deadline or bytes have come, and what
servers, broadcasts and bridges need of a connection beside its public methods. `endpoint_of` in
`connection.py` gives them the endpoint of a connection.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

import attrs
import trio

from trio_draftws._exceptions import ConnectionLost, MessageTooBig, PeerClosed, PeerViolation
from trio_draftws._settings.limits import Limits
from trio_draftws.drafts import (
    Buffer,
    Close,
    CloseCode,
    Codec,
    Draft,
    End,
    EndKind,
    LocalProtocolError,
    Role,
    WebSocketProtocol,
)

from .checkpoints import Checkpoints
from .closing import Closing
from .receiver import RECEIVER, Receiver
from .scope import Scope
from .sender import Sender
from .statistics import LOST, Totals


@attrs.define(eq=False, weakref_slot=False, init=False)
class Endpoint(Closing):
    """What is inside of a `Connection`: stream, protocol object, sender and receiver."""

    checkpoints: Checkpoints = attrs.field(init=False)

    def __init__(
        self,
        *,
        draft: Draft,
        role: Role,
        codec: Codec,
        stream: trio.abc.Stream,
        scope: Scope,
        limits: Limits,
        on_latency: Callable[[float], None] | None = None,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        """Takes over an open stream; `start` has to follow.

        Args:
            on_latency: called with each measured latency, in seconds.
            on_gone: called when the endpoint is closed.
        """
        self.id: int = next(_ids)
        self.stream = stream
        self.scope = scope
        self.close_timeout: float = limits.close_timeout
        self.sender: Sender = Sender(stream, scope.start_soon, scope.flush_soon, self)
        self.protocol: WebSocketProtocol = WebSocketProtocol(
            draft=draft,
            role=role,
            codec=codec,
            output=self.sender,
            timeouts=limits,
            last_received_at=scope.now(),
        )
        if on_latency is not None:
            self.protocol.keepalive.report_latency_to(on_latency)
        self.checkpoints = Checkpoints()
        self.receiver: Receiver = Receiver(
            stream=stream,
            protocol=self.protocol,
            sender=self.sender,
            checkpoints=self.checkpoints,
            now=scope.now,
            observer=self,
        )
        self.aclose_called = False
        self._on_gone = on_gone
        self._is_gone = False
        self._ends_unasked = False
        self._transport_over = None
        self._on_transport_over = None

    def start(self, rest: bytes) -> None:
        """Has the scope look after it from now on.

        Args:
            rest: bytes that came behind the opening handshake.
        """
        if self.aclose_called:
            return  # an instrument that was told of it has aborted it
        self.scope.keep(self)
        if rest:
            self.receiver.feed(rest)

    # How it ended

    @property
    def end_error(self) -> Exception:
        """A new error that says how the input ended, which it has."""
        assert self.protocol.end is not None
        return _error_of(self.protocol.end)

    @property
    def end_type(self) -> type[Exception] | None:
        """The type of that error; None until all that came before the end was received."""
        if self.protocol.end is None or self.protocol.unread:
            return None
        return type(self.end_error)

    @property
    def loss(self) -> Exception | None:
        """The error that says how the connection ended, received or not; None while it is open,
        and where it was closed as its draft says or by us.
        """
        end = self.protocol.end
        if self.aclose_called or (end is not None and end.kind is EndKind.CLOSE):
            return None
        return self.sender.failure if end is None else _error_of(end)

    @property
    def final_close(self) -> Close | None:
        """The code and reason with which it ended, as RFC 6455 section 7.1.5 has them: those of the
        peer's Close, whoever closed first; None while it has not ended.
        """
        protocol = self.protocol
        if protocol.end_applied:
            assert protocol.end is not None
            ended_as_drafted = protocol.end.kind is EndKind.CLOSE
        elif self.transport_is_over:
            # We closed; without a closing frame there was none to wait for.
            no_frame = not protocol.draft.closing_handshake
            ended_as_drafted = no_frame and self.sender.failure is None
        else:
            return None
        if not ended_as_drafted:
            return Close(CloseCode.ABNORMAL_CLOSURE)
        received = protocol.close_received
        if received is None or received.code is None:
            return Close(CloseCode.NO_STATUS_RECEIVED)
        return received

    @property
    def first_close_code(self) -> int | None:
        """The code that was sent by whoever closed first; 1006 if the connection was lost, None
        where the draft has no codes.

        Where a server counts how its connections ended, this says more than `final_close`, which is
        1006 for each peer that did not answer our Close.
        """
        protocol = self.protocol
        if protocol.end is None:
            lost = self.sender.failure is not None
        else:
            lost = protocol.end.kind not in (EndKind.CLOSE, EndKind.VIOLATION)
        if lost:
            return LOST
        ours = protocol.closed_by == protocol.role
        first = protocol.close_sent if ours else protocol.close_received
        if first is None and protocol.draft.closing_handshake:
            return LOST
        return None if first is None else first.code

    @property
    def totals(self) -> Totals:
        """Messages received and sent, bytes received and sent."""
        protocol, sender = self.protocol, self.sender
        return (
            protocol.messages_received,
            sender.messages_sent,
            protocol.bytes_received,
            sender.written,
        )

    # Sending

    def check_sendable(self) -> None:
        """Does nothing while messages can be sent.

        Raises:
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        if not self.protocol.can_send:
            raise self.why_not_sendable()

    def why_not_sendable(self) -> Exception:
        """The error to raise where nothing can be sent any more."""
        if self.aclose_called:
            return self.scope.why_closed()
        end = self.protocol.end
        if end is not None and end.kind is not EndKind.CLOSE:
            return _error_of(end)
        if self.sender.failure is not None:
            lost = ConnectionLost(str(self.sender.failure) or "the stream broke")
            lost.__cause__ = self.sender.failure
            return lost
        if self.protocol.end_applied and self.protocol.closed_by != self.protocol.role:
            return trio.BrokenResourceError(str(self.end_error))
        if self.protocol.closed_by is not None:
            return trio.ClosedResourceError("we have said that we send nothing more")
        # Only pings cannot be sent any more while messages can.
        return trio.BrokenResourceError("the peer ended the connection behind unread messages")

    def write(self, wire: list[Buffer], messages: int) -> None:
        """Writes encoded messages now, or in the next pass if more is still to be handed out.

        Args:
            wire: the bytes.
            messages: how many messages end in them.
        """
        if self.protocol.unread:
            self.sender.write_soon(wire, messages)
        else:
            self.sender.write(wire, messages)

    @trio.lowlevel.enable_ki_protection
    def send_close(self, close: Close) -> None:
        """Sends a closing frame, or ends our side of the stream where the draft has none."""
        self.protocol.send_close(close)

    @trio.lowlevel.enable_ki_protection
    def try_send(
        self, encode: Callable[[Codec], list[Buffer]], size: int, limit: int
    ) -> Literal["sent", "dropped", "gone", "unable"]:
        """Sends a message of `size` bytes unless it would have to wait.

        Args:
            encode: encodes the message with the codec that it is given.
            size: of the message, in bytes.
            limit: how many bytes may wait for the peer, this message included, if any do.

        Returns:
            `"sent"`; `"dropped"`, if more would wait or another message is being sent part by
            part; `"gone"`, if nothing can be sent any more; `"unable"`, if the draft cannot express
            it.
        """
        if not self.protocol.can_send:
            return "gone"
        waiting = self.sender.size
        if self.sender.in_parts or (waiting and waiting + size > limit):
            return "dropped"
        try:
            self.write(encode(self.protocol.codec), messages=1)
        except LocalProtocolError:
            return "unable"
        return "sent"

    def abort_slow(self, reason: str) -> None:
        """Ends a connection whose peer is too slow: what waits for it is lost, and `receive` raises
        `ConnectionLost` with that reason.
        """
        self.give_up(reason, Close(CloseCode.POLICY_VIOLATION, "too slow"))

    @trio.lowlevel.enable_ki_protection
    def refuse(self, reason: str, answer: Close, cause: Exception | None = None) -> Exception:
        """Ends the connection because of a message that was received; sends `answer`.

        Returns:
            The error to raise, as every later call does, unless the peer had closed behind it.
        """
        self.protocol.refuse(reason, answer, cause, self.scope.now())
        self.on_end()
        return _error_of(End(EndKind.VIOLATION, reason, answer=answer, cause=cause))

    def give_up(self, reason: str, answer: Close) -> None:
        """Ends the connection from our side; `answer` is sent if it can be written at once."""
        self.protocol.give_up(reason, answer, self.scope.now())
        self._after_deadline()

    def hold_answer(self) -> None:
        """Leaves the peer's close unanswered when it is reached, so that the peer, which may still
        be listening, can be sent more; `release_answer` or `aclose` has to follow.
        """
        self.protocol.hold_answer(self.scope.now())

    @trio.lowlevel.enable_ki_protection
    def release_answer(self) -> None:
        """Answers what was left unanswered, and from now on every close that is reached."""
        self.protocol.release_answer(self.scope.now())

    # Called by the scope

    @property
    def due(self) -> float:
        """When `on_deadline` is to be called, at the latest."""
        return self.protocol.due

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read, and what was owed for that went out."""
        return self.protocol.end_applied

    def on_deadline(self) -> bool:
        """Does what is due; returns whether it wants `on_second_look` soon."""
        wants_look = self.protocol.on_deadline(self.scope.now(), full=self.receiver.full)
        self._after_deadline()
        return wants_look

    def on_second_look(self) -> None:
        """Does what is due, when readers and writers have had some passes since `on_deadline`."""
        receiver = self.receiver
        if receiver.may_look and receiver.direct is not None:
            receiver.look_once()
        self.protocol.on_deadline(self.scope.now(), full=receiver.full, just_read=True)
        self._after_deadline()

    def on_left_alone(self) -> None:
        """Notes that nobody is receiving."""
        self.protocol.note_nobody_receives(self.scope.now())
        self._after_deadline()

    def on_hang_up(self, *, reset: bool) -> None:
        """Notes that the peer has gone, behind bytes that are not read yet."""
        self.receiver.note_hang_up()
        self.protocol.note_hang_up(self.scope.now(), reset=reset)
        self.scope.hasten(self)

    def _after_deadline(self) -> None:
        if self.protocol.end is not None:
            self.on_end()

    # Called by the parts

    def on_waiting(self) -> None:
        """Notes that bytes begin to wait until the peer takes some, or that a sender does."""
        self.protocol.note_waiting(self.scope.now(), full=self.receiver.full)
        self.scope.hasten(self)

    def on_cannot_write(self) -> None:
        """Notes that nothing can be written any more."""
        self.protocol.cannot_write()

    def on_receiver_left(self) -> None:
        """Has the next round look at it, since nobody may be receiving now."""
        self.scope.looks.unsettle(self)

    def on_end(self) -> None:
        """Does what follows when the input has ended, and when what was owed for that went out."""
        if not self.protocol.end_applied:
            self.scope.hasten(self)
            self.scope.looks.unsettle(self)
        elif self.sender.failure is not None:
            self.receiver.interrupt()
            self.begin_end_of_transport()
        elif self.receiver.owner is RECEIVER:
            # Whoever receives will notice, and close; if not, there is a deadline.
            self.scope.hasten(self)
        else:
            self.begin_end_of_transport()


def _error_of(end: End) -> Exception:
    """A new error each time, since one that is raised collects tracebacks."""
    error: Exception
    if end.kind is EndKind.CLOSE:
        error = PeerClosed() if end.close is None else PeerClosed(end.close.code, end.close.reason)
    elif end.kind is EndKind.VIOLATION:
        kind = MessageTooBig if end.too_big else PeerViolation
        error = kind(end.reason, None if end.answer is None else end.answer.code)
    else:
        error = ConnectionLost(end.reason)
    error.__cause__ = end.cause
    return error


_ids = itertools.count(1)
