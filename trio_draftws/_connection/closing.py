"""How one side of a connection closes, and how its transport ends.

The rules:

1. Closing happens once. It always comes to its end, even when the task is cancelled, within
   `close_timeout`.
2. Our closing frame goes behind all that was sent. Then the stream is read until the peer has
   closed too, while the drain task writes: the peer may be writing until we read.
3. Once both sides have closed the transport ends, also where the program never calls `aclose`: what
   was read stays readable, the descriptor does not stay open.
4. Where nothing has to be waited for, closing takes no pass of the scheduler.
5. `abort` ends everything now: nobody is told, nothing is waited for, what waits is lost.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from trio_draftws._transport.sockets import DirectStream
from trio_draftws.drafts import Close, CloseCode, WebSocketProtocol

from .receiver import NOBODY, Receiver
from .scope import Scope
from .sender import Sender

NORMAL = Close(CloseCode.NORMAL_CLOSURE)
UNFINISHED = Close(CloseCode.INTERNAL_ERROR, "a message was left unfinished")


@attrs.define(eq=False, weakref_slot=False, init=False)
class Closing:
    """One side of a connection as far as its end goes; `Endpoint` adds all that comes before."""

    id: int
    stream: trio.abc.Stream
    protocol: WebSocketProtocol
    sender: Sender
    receiver: Receiver
    scope: Scope
    close_timeout: float
    """Seconds that the closing handshake may take."""
    aclose_called: bool
    _on_gone: Callable[[], None] | None
    """Called once, when closing is done."""
    _is_gone: bool
    """Whether closing is done."""
    _ends_unasked: bool
    """Whether the transport began to end before `aclose` was called."""
    _transport_over: trio.Event | None
    """Set when the transport is over; None while nobody waits for that and nothing ends unasked."""
    _on_transport_over: Callable[[], None] | None

    @property
    def transport_is_over(self) -> bool:
        """Whether the stream is closed."""
        over = self._transport_over
        return self._is_gone or (over is not None and over.is_set())

    def when_transport_over(self, do: Callable[[], None]) -> None:
        """Calls `do` once, when the stream is closed."""
        if self.transport_is_over:
            do()
        else:
            self._on_transport_over = do

    async def wait_transport_over(self) -> None:
        """Waits until the stream is closed, for whatever reason. A checkpoint."""
        if self._is_gone:
            await trio.lowlevel.checkpoint()
            return
        if self._transport_over is None:
            self._transport_over = trio.Event()
        await self._transport_over.wait()

    # Where `aclose` is called

    async def close_shielded(self, close: Close) -> None:
        """Closes, whatever is cancelled; a checkpoint only where it has to wait.

        Args:
            close: the code and reason to send, if the draft can say them. In the middle of a
                message that is sent part by part, 1000 becomes 1011.
        """
        if self.aclose_called:
            if not self._is_gone:
                with trio.CancelScope(shield=True):
                    await self.wait_transport_over()
        elif not self.close_at_once():
            if self.sender.in_parts and close.code == CloseCode.NORMAL_CLOSURE:
                close = UNFINISHED
            self.aclose_called = True
            self.scope.forget(self)
            try:
                if not self._ends_unasked:
                    await self._close(close)
                elif not self.transport_is_over:
                    with trio.CancelScope(shield=True):
                        await self.wait_transport_over()
            finally:
                self._note_gone()

    def close_at_once(self) -> bool:
        """Closes if both sides have closed and nothing is left to be written or waited for.

        Returns:
            Whether it did; if not, nothing was done.
        """
        stream = self.stream
        if (
            self.aclose_called
            or self._ends_unasked
            or not self.protocol.end_applied
            or not self._peer_is_done
            or self.receiver.owner is not NOBODY
            or not self.sender.idle
            or not isinstance(stream, DirectStream)
        ):
            return False
        self.aclose_called = True
        self.scope.forget(self)
        self.protocol.start_closing(NORMAL, self.scope.now())
        self.sender.stop_waiting()
        try:
            self.scope.looks.unwatch(stream)
            stream.close(awaited=False)
        finally:
            self._note_transport_over()
        return True

    def _note_gone(self) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        self.receiver.forget_observer()
        self.sender.forget_observer()
        self.report_gone()

    def report_gone(self) -> None:
        """Reports that the connection has ended, once: also where nobody calls `aclose`."""
        on_gone, self._on_gone = self._on_gone, None
        if on_gone is not None:
            on_gone()

    async def _close(self, close: Close) -> None:
        protocol = self.protocol
        try:
            protocol.start_closing(close, self.scope.now())
            self.sender.stop_waiting()
            if (
                protocol.end is None
                or not self._peer_is_done
                or self.sender.size
                or self.receiver.owner is not NOBODY
            ):
                with trio.CancelScope(deadline=protocol.close_at, shield=True):
                    await self._end_in_order()
        finally:
            # Also where the scope has failed, so that no task can be started in it
            await self._close_stream()

    # Where nobody calls it

    def begin_end_of_transport(self) -> None:
        """Frees the descriptor, whatever the program does: nothing more is said, or can be."""
        if self.aclose_called or self._ends_unasked:
            return
        self._ends_unasked = True
        if self._transport_over is None:
            self._transport_over = trio.Event()
        self.sender.stop_waiting()
        if self.sender.failure is not None and isinstance(self.stream, DirectStream):
            self._close_direct(self.stream)
        else:
            self.scope.start_soon(self._end_transport)

    async def _end_transport(self) -> None:
        deadline = self.scope.now() + self.close_timeout
        try:
            with trio.CancelScope(deadline=deadline, shield=True):
                await self._end_in_order()
        finally:
            await self._close_stream()

    # Without a goodbye

    @trio.lowlevel.enable_ki_protection
    def abort(self) -> None:
        """Ends the connection and its transport now; what waits, on either side, is lost."""
        if self.transport_is_over:
            return
        self.aclose_called = True
        self.scope.forget(self)
        self.protocol.abort("this side aborted the connection", self.scope.now())
        self.sender.stop_waiting()
        self.receiver.stop()
        if isinstance(self.stream, DirectStream):
            self.scope.looks.unwatch(self.stream)
            self.stream.abort()
            self._note_transport_over()
        else:
            self.scope.start_soon(self._close_stream)

    # The stream

    async def _end_in_order(self) -> None:
        """Reads until the peer is done, and writes what waits."""
        receiver = self.receiver
        await receiver.take_over()
        if self._peer_knows():
            while not self._peer_is_done:
                await receiver.discard_some()
                if not self._peer_is_done:
                    # A stream of our own that has more does not wait.
                    await trio.lowlevel.checkpoint()
        await self.sender.wait_written()
        if not isinstance(self.stream, DirectStream):
            await self.stream.aclose()

    @property
    def _peer_is_done(self) -> bool:
        """Whether the peer has closed, so that there is nothing to wait for."""
        return self.receiver.stream_ended or self.protocol.close_received is not None

    def _peer_knows(self) -> bool:
        """Whether the peer can tell that we are closing, so that waiting for it makes sense."""
        if self.sender.failure is not None:
            return False
        half_closed = isinstance(self.stream, trio.abc.HalfCloseableStream)
        return half_closed or self.protocol.close_sent is not None

    async def _close_stream(self) -> None:
        if isinstance(self.stream, DirectStream):
            self._close_direct(self.stream)
        else:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self.stream)
            self._note_transport_over()

    def _close_direct(self, stream: DirectStream) -> None:
        self.scope.looks.unwatch(stream)
        stream.close()
        self._note_transport_over()

    def _note_transport_over(self) -> None:
        if self.aclose_called:
            self._note_gone()
        if self._transport_over is not None:
            self._transport_over.set()
        if self._on_transport_over is not None:
            self._on_transport_over()
            self._on_transport_over = None
