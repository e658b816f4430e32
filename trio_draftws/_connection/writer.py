"""Writes bytes to one stream without waiting for it; what it does not take at once waits here.

The rules:

1. What was put is never withdrawn: it will be written, in order, or `failure` says why it could not
   be.
2. `flush` never blocks. On a `DirectStream` it writes what the kernel takes. What is left, and
   everything for another stream, goes to a drain task, of which there is one, while bytes wait.
   Nobody else writes meanwhile, but for rule 6.
3. What waits is ours: a buffer that its sender could change is copied, unless it was written at
   once.
4. An answer to a ping that finds no room waits apart, and only the latest does: so a peer that
   pings and never reads costs no memory.
5. After `finish` nothing is put any more, and when all is written our side of the stream ends,
   where the stream can end one side.
6. Whether the peer takes anything is asked of the system, and only when somebody wants to know:
   `stuck_since`. A system that cannot say is offered more instead, since it takes some of that as
   soon as the peer does; when it has taken all, the drain task may still wait to be woken. While
   nothing is read and no sender waits, it may be us that the peer waits for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio

from trio_draftws._transport import platform
from trio_draftws._transport.sockets import (
    DirectStream,
    as_trio_error,
    kernel_unacked,
    kernel_unsent,
    without_tracebacks,
)
from trio_draftws.drafts import IMMUTABLE_BUFFERS, Buffer, Event, ShortSend

from .observers import NOBODY_OBSERVES, SenderObserver

# There is room while fewer bytes wait.
ROOM = 65536
# Buffers of fewer bytes on average cost the kernel more to gather than us to join.
JOIN_BELOW = 2048
# How many buffers may wait before they are made one
MANY = 1024
# Where so many bytes wait, the kernel is asked to take more at once.
LARGE = 131072
# How much goes to a stream that is not ours at once
PIECE = 65536


@attrs.define(eq=False, weakref_slot=False)
class StreamWriter:
    """The bytes that wait to be written to one stream."""

    stream: trio.abc.Stream
    _start_soon: Callable[[Callable[[], Awaitable[object]]], None]
    """Starts the drain task, in a nursery that outlives the connection."""
    _flush_soon: Callable[[StreamWriter], None]
    """Makes someone `flush_late` in the scheduler's next pass."""
    _observer: SenderObserver
    size: int = 0
    """How many bytes wait, those that the drain task is writing included."""
    written: int = 0
    """How many bytes were written so far."""
    messages_sent: int = 0
    """How many messages were sent so far."""
    failure: Exception | None = None
    """Why nothing can be written any more."""
    _direct: DirectStream | None = attrs.field(init=False)
    _buffers: list[Buffer] = attrs.field(factory=list)
    _latest: list[Buffer] | None = None
    _late: bool = False
    """Whether it will be flushed in the next pass."""
    _draining: bool = False
    _finishing: bool = False
    _finished: bool = False
    _sending: bool = False
    """Whether a stream that is not ours is taking a piece."""
    _has_last_words: bool = False
    _changed: trio.Event | None = None
    _blocked_since: float | None = None
    _taken: int | None = None
    """How many bytes the peer had taken at the latest look; None while nothing waits."""
    _stuck_since: float = 0

    def __attrs_post_init__(self) -> None:
        self._direct = self.stream if isinstance(self.stream, DirectStream) else None

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be written, and no task of ours to write it."""
        return not (self.size or self._draining)

    @property
    def finishing(self) -> bool:
        """Whether nothing more will be put, or nothing can be written any more."""
        return self._finishing or self.failure is not None

    def blocked(self, now: float) -> bool:
        """Whether something has waited since before `now`, since the peer has no room for it."""
        if not (self.size or kernel_unsent(self.stream)):
            self._blocked_since = None
            return False
        # What begins to wait just now may be gone in the next pass.
        if self._blocked_since is None:
            self._blocked_since = now
        return self._blocked_since < now

    def stuck_since(self, now: float) -> float | None:
        """Returns since when the peer has taken nothing of what waits; None if nothing waits."""
        if not platform.TELLS_UNACKED:
            self._offer()
        return self._note_taken(now)

    def _offer(self) -> None:
        """Writes what the kernel takes: it takes some much earlier than it wakes who waits.

        Then nothing may be left while the drain task still waits.
        """
        if self._direct is not None and self._draining:
            before = self.written
            try:
                self._write_some(self._direct)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # The drain task is told the same.
            if self.written > before:
                self._note_progress()

    def _note_taken(self, now: float) -> float | None:
        left = kernel_unacked(self.stream)
        if self._direct is not None:
            left += self._direct.unsent
        if not (self.size or left):
            self._taken = None
            return None
        taken = self.written - left
        if self._taken is None or taken > self._taken:
            self._taken = taken
            self._stuck_since = now
        return self._stuck_since

    def forget_observer(self) -> None:
        """Reports nothing more: the connection is over."""
        self._observer = NOBODY_OBSERVES

    def put(self, buffers: list[Buffer]) -> None:
        """Adds bytes to be written; `flush` writes them. After a failure they go nowhere."""
        if self.failure is not None:
            return
        self._buffers += buffers
        for buffer in buffers:
            self.size += len(buffer)

    def write_soon(self, buffers: list[Buffer], messages: int = 1) -> None:
        """Like `put`; all that waits is written together, past 64 KiB or in the next pass.

        Args:
            buffers: the bytes.
            messages: how many messages end in them.
        """
        self.messages_sent += messages
        self._buffers += buffers
        size = self.size
        for buffer in buffers:
            size += len(buffer)
        self.size = size
        if size >= ROOM:
            self.flush()
        elif not self._late:
            self._late = True
            self._flush_soon(self)

    def flush_late(self) -> None:
        """Flushes what `write_soon` left."""
        self._late = False
        self.flush()

    @trio.lowlevel.enable_ki_protection
    def write(self, buffers: list[Buffer], messages: int = 1) -> None:
        """Like `put` and then `flush`, in a shorter way if nothing else waits.

        Args:
            buffers: the bytes.
            messages: how many messages end in them.
        """
        self.messages_sent += messages
        direct = self._direct
        if self.size or direct is None or self.failure is not None:
            self.put(buffers)
            self.flush()
            return
        size = 0
        for buffer in buffers:
            size += len(buffer)
        send = direct.send_nowait if size < LARGE else direct.send_large_nowait
        try:
            sent = send(buffers)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(error)
            return
        self.written += sent
        size -= sent
        if size:
            self.size = size
            # A list of our own: a broadcast gives everyone the same.
            self._buffers = list(buffers)
            self._drop(sent)
            self._start_draining()

    @trio.lowlevel.enable_ki_protection
    def write_short(self, send_short: ShortSend, message: Event | Buffer) -> bool:
        """Frames and writes a short message in one step; only while nothing else waits.

        Returns:
            Whether it did; False if `message` is not short, and nothing was done.
        """
        assert self._direct is not None
        try:
            sent = send_short(self._direct.fileno, message)
        except OSError as error:
            self.messages_sent += 1
            self._fail(as_trio_error(error))
            return True
        if sent is None:
            return False
        self.messages_sent += 1
        if isinstance(sent, int):
            self.written += sent
            return True
        self.written += sent[0]
        self._buffers = [sent[1][sent[0] :]]
        self.size = len(sent[1]) - sent[0]
        self._start_draining()
        return True

    def _start_draining(self) -> None:
        self._note_taken(trio.current_time())
        self._observer.on_waiting()
        # After an offer it may still wait, and then writes this too.
        if not self._draining:
            self._draining = True
            self._start_soon(self._drain)

    def own(self) -> None:
        """Copies those buffers that wait and could be changed by whoever sent them."""
        for position, buffer in enumerate(self._buffers):
            if not isinstance(getattr(buffer, "obj", buffer), IMMUTABLE_BUFFERS):
                self._buffers[position] = bytes(buffer)

    def put_latest(self, buffers: list[Buffer]) -> None:
        """Like `put`, but without room only the latest buffers that it was given are kept."""
        if self.size < ROOM:
            self.put(buffers)
        else:
            self._latest = buffers

    def finish(self) -> None:
        """Ends our side of the stream as soon as all is written; nothing may be put after this."""
        self._finishing = True

    @trio.lowlevel.enable_ki_protection
    def flush(self) -> None:
        """Writes what can be written now, and leaves the rest to the drain task."""
        if self._draining or self.failure is not None or self._finished:
            if len(self._buffers) > MANY:
                # An object for a few bytes takes fifty; the peer may be one that never reads.
                self._buffers = [b"".join(self._buffers)]
            return
        if not self._buffers and not self._finishing:
            return
        if self._direct is not None:
            try:
                self._write_some(self._direct)
                if not self._buffers:
                    if self._finishing:
                        self._direct.end_sending()
                        self._finished = True
                    return
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._fail(error)
                return
        self._start_draining()

    def _write_some(self, stream: DirectStream) -> None:
        """One round of writing; drops from the front what the kernel took."""
        full = False
        while self._buffers and not full:
            if self.size < JOIN_BELOW * (len(self._buffers) - 1):
                self._buffers = [b"".join(self._buffers)]
            send = stream.send_nowait if self.size < LARGE else stream.send_large_nowait
            sent = send(self._buffers)
            self.size -= sent
            self.written += sent
            full = self._drop(sent)

    def _drop(self, sent: int) -> bool:
        """Drops `sent` bytes from the front; returns whether the kernel must be full."""
        if not self.size:
            self._buffers.clear()
            return False
        whole = 0
        while len(self._buffers[whole]) <= sent:
            sent -= len(self._buffers[whole])
            whole += 1
        del self._buffers[:whole]
        if sent or not whole:
            self._buffers[0] = memoryview(self._buffers[0])[sent:]
            return True
        return False

    @trio.lowlevel.enable_ki_protection
    async def _drain(self) -> None:
        try:
            if self._direct is not None:
                while self._buffers:
                    await self._direct.wait_writable()
                    self._write_some(self._direct)
                    self._note_progress()
            else:
                while self._buffers:
                    batch = b"".join(self._buffers)
                    self._buffers = []
                    # In pieces, since only a whole one is known to be taken.
                    for start in range(0, len(batch), PIECE):
                        piece = batch[start : start + PIECE]
                        self._sending = True
                        await self.stream.send_all(piece)
                        self._sending = False
                        if self.failure is not None:
                            return
                        self.size -= len(piece)
                        self.written += len(piece)
                        self._note_progress()
            if self._finishing and self.failure is None:
                self._finished = True
                if isinstance(self.stream, trio.abc.HalfCloseableStream):
                    await self.stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(error)
        except trio.Cancelled:
            self._fail(trio.BrokenResourceError("writing was cancelled"))
            raise
        finally:
            self._draining = False
            self._blocked_since = None
            self._note_change()

    def _note_progress(self) -> None:
        if self._latest is not None and self.size < ROOM:
            latest, self._latest = self._latest, None
            self.put(latest)
        self._note_taken(trio.current_time())
        self._note_change()

    def abort(self, reason: str) -> None:
        """Drops what waits: nothing more will be written.

        A stream that is not ours may still be offered what it was not offered yet.
        """
        if self.failure is None:
            self._has_last_words = self._direct is None and self._draining and not self._sending
            self._fail(trio.BrokenResourceError(reason))

    def _fail(self, error: Exception) -> None:
        if self.failure is None:
            without_tracebacks(error)
            self.failure = error
            if not self._has_last_words:
                self._buffers.clear()
            self.size = 0
            self._latest = None
            self._note_change()
            self._observer.on_cannot_write()

    async def wait_written(self) -> None:
        """Waits until all that was put is written, or never will be."""
        self.flush()
        while self._draining and (self.failure is None or self._has_last_words):
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        if self._changed is None:
            self._changed = trio.Event()
        await self._changed.wait()

    def _note_change(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
