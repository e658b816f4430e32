"""A stream on which things go wrong, each at a place that was said beforehand."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import attrs
import trio

from trio_draftws._settings.checks import check_kind


def _check_place(faults: Faults, field: attrs.Attribute[Any], place: int | None) -> None:
    if place is None:
        return
    check_kind(field.name, place, int, "a number of bytes")
    if place < 0:
        raise ValueError(f"{field.name} is a number of bytes, not {place}")


def _check_split(faults: Faults, field: attrs.Attribute[Any], split: int | Collection[int]) -> None:
    check_kind(field.name, split, (int, Collection), "a number of bytes, or several")
    if isinstance(split, int) and split < 1:
        raise ValueError(f"pieces have one byte at least, not {split}")


@attrs.define(eq=False)
class Faults:
    """What goes wrong in one direction of a `FaultyStream`.

    A place is a number of bytes since the stream was wrapped: a fault at 7 comes instead of the
    eighth byte. Of several at one place, the stall comes first and the end last. Places may be set
    while the stream is in use: `stream.incoming.reset_at = stream.bytes_received` resets it at the
    next `receive_some`.
    """

    split: int | Collection[int] = attrs.field(default=(), validator=_check_split)
    """In pieces of at most so many bytes; or the places where pieces end. A read gives one piece;
    what is sent is handed on piece by piece, with a checkpoint between: a short write."""
    stall_at: int | None = attrs.field(default=None, validator=_check_place)
    """Where nothing passes any more until `resume` is set."""
    reset_at: int | None = attrs.field(default=None, validator=_check_place)
    """Where the connection breaks, in both directions, with `trio.BrokenResourceError`; the stream
    beneath is closed at once."""
    end_at: int | None = attrs.field(default=None, validator=_check_place)
    """Where the stream ends. Incoming, nothing more is received. Outgoing, the peer receives
    nothing more, and what is sent goes nowhere without a word; a stream that cannot end one side,
    as TLS, is reset there."""
    stalled: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the stall is reached."""
    resume: trio.Event = attrs.field(factory=trio.Event, init=False)
    """To be set when the stall is to end."""


@attrs.define(eq=False)
class FaultyStream(trio.abc.Stream):
    """A stream over another, on which goes wrong what `incoming` and `outgoing` say.

    Where nothing is to go wrong, it is as the stream beneath: what it raises, where it can be
    cancelled and what that means are the same, and it is a `trio.abc.HalfCloseableStream` where
    that is one. Closing it closes that.
    """

    inner: trio.abc.Stream
    """The stream beneath."""
    incoming: Faults = attrs.field(factory=Faults, kw_only=True)
    """What goes wrong with what is received."""
    outgoing: Faults = attrs.field(factory=Faults, kw_only=True)
    """What goes wrong with what is sent."""
    bytes_received: int = attrs.field(default=0, init=False)
    """How many were received so far."""
    bytes_sent: int = attrs.field(default=0, init=False)
    """How many were handed on so far."""
    _closed: bool = attrs.field(default=False, init=False)
    _was_reset: bool = attrs.field(default=False, init=False)
    _busy: set[str] = attrs.field(factory=set, init=False)
    _stalls: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    def __new__(cls, inner: trio.abc.Stream, **faults: Faults) -> FaultyStream:  # noqa: PYI034
        # Whoever asks whether one side can be ended is to get the answer of the stream beneath.
        if cls is FaultyStream and isinstance(inner, trio.abc.HalfCloseableStream):
            return object.__new__(_HalfCloseable)
        return object.__new__(cls)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As `trio.abc.ReceiveStream.receive_some`; a checkpoint, also where it stalls.

        Cancelling it loses nothing, if that is so of the stream beneath.

        Raises:
            trio.BrokenResourceError: the connection was reset; and as the stream beneath.
        """
        with self._alone("receiving"):
            if await self._meet(self.incoming, self.bytes_received):
                await trio.lowlevel.checkpoint()
                return b""
            room = _room(self.incoming, self.bytes_received)
            if room is not None and (max_bytes is None or operator.index(max_bytes) > room):
                max_bytes = room
            with self._minding_resets():
                data = await self.inner.receive_some(max_bytes)
            self.bytes_received += len(data)
            return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As `trio.abc.SendStream.send_all`; a checkpoint, also where it stalls.

        If it is cancelled, `bytes_sent` says how many bytes were handed on, but for the piece in
        which it was.

        Raises:
            trio.BrokenResourceError: the connection was reset; and as the stream beneath.
        """
        with self._alone("sending"), memoryview(data) as view:
            sent = 0
            while True:
                if await self._meet(self.outgoing, self.bytes_sent):
                    await self._end_sending()
                    return
                room = _room(self.outgoing, self.bytes_sent)
                end = len(view) if room is None else min(sent + room, len(view))
                with view[sent:end] as piece, self._minding_resets():
                    await self.inner.send_all(piece)
                self.bytes_sent += end - sent
                sent = end
                if sent == len(view):
                    return
                await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """As `trio.abc.SendStream.wait_send_all_might_not_block`; a stall is waited for.

        Raises:
            trio.BrokenResourceError: the connection was reset; and as the stream beneath.
        """
        with self._alone("sending"):
            if await self._meet(self.outgoing, self.bytes_sent):
                await trio.lowlevel.checkpoint()
                return
            with self._minding_resets():
                await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Closes the stream beneath, and is cancelled as that is; what stalls is woken with
        `trio.ClosedResourceError`. A checkpoint.
        """
        self._closed = True
        self._end_stalls()
        await self.inner.aclose()

    async def _meet(self, faults: Faults, passed: int) -> bool:
        """Has happen what is due when so many bytes have passed; whether the stream ends there.

        Raises:
            trio.BrokenResourceError: the connection was reset.
            trio.ClosedResourceError: this stream was closed.
        """
        self._check()
        if _is_due(faults.stall_at, passed):
            await self._stall(faults)
            self._check()
        if _is_due(faults.reset_at, passed):
            await self._reset()
        return _is_due(faults.end_at, passed)

    async def _stall(self, faults: Faults) -> None:
        faults.stalled.set()
        with trio.CancelScope() as stall:
            self._stalls.add(stall)
            try:
                await faults.resume.wait()
            finally:
                self._stalls.discard(stall)

    def _end_stalls(self) -> None:
        for stall in self._stalls:
            stall.cancel()

    async def _reset(self) -> NoReturn:
        self._was_reset = True
        self._end_stalls()
        await trio.aclose_forcefully(self.inner)
        raise trio.BrokenResourceError("the connection was reset")

    async def _end_sending(self) -> None:
        if not isinstance(self.inner, trio.abc.HalfCloseableStream):
            await self._reset()
        with self._minding_resets():
            await self.inner.send_eof()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._was_reset:
            raise trio.BrokenResourceError("the connection was reset")

    @contextmanager
    def _minding_resets(self) -> Iterator[None]:
        """Tells a stream beneath that a reset has closed from one that its user has."""
        try:
            yield
        except trio.ClosedResourceError:
            self._check()
            raise

    @contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        if doing in self._busy:
            raise trio.BusyResourceError(f"another task is {doing} on this stream")
        self._busy.add(doing)
        try:
            yield
        finally:
            self._busy.discard(doing)


@attrs.define(eq=False)
class _HalfCloseable(FaultyStream, trio.abc.HalfCloseableStream):
    async def send_eof(self) -> None:
        """As `trio.abc.HalfCloseableStream.send_eof`; a checkpoint, also where it stalls."""
        with self._alone("sending"):
            await self._meet(self.outgoing, self.bytes_sent)
            await self._end_sending()


def _is_due(place: int | None, passed: int) -> bool:
    return place is not None and place <= passed


def _room(faults: Faults, passed: int) -> int | None:
    """How many bytes may pass until something is due; None for any number."""
    places = [faults.stall_at, faults.reset_at, faults.end_at]
    places += [passed + faults.split] if isinstance(faults.split, int) else faults.split
    ahead = (place - passed for place in places if place is not None and place > passed)
    return min(ahead, default=None)
