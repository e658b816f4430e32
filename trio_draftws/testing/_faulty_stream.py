"""A stream with faults, each at a given byte position."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import attrs
import trio

from trio_draftws._settings.checks import check_kind


def _validate_place(faults: Faults, field: attrs.Attribute[Any], place: int | None) -> None:
    if place is None:
        return
    check_kind(field.name, place, int, "a number of bytes")
    if place < 0:
        raise ValueError(f"{field.name} is a number of bytes, not {place}")


def _validate_split(
    faults: Faults, field: attrs.Attribute[Any], split: int | Collection[int]
) -> None:
    check_kind(field.name, split, (int, Collection), "a number of bytes, or several")
    if isinstance(split, int) and split < 1:
        raise ValueError(f"pieces have one byte at least, not {split}")


@attrs.define(eq=False)
class Faults:
    """The faults in one direction of a `FaultyStream`; by default there are none.

    A position is a number of bytes, counted from when the stream was wrapped: a fault at 7 happens
    instead of the eighth byte. Of several faults at one position, the stall comes first and the end
    last. Positions may be changed while the stream is in use: `stream.incoming.reset_at =
    stream.bytes_received` resets it at the next `receive_some`.

    Raises:
        ValueError: a position is negative, or `split` is less than 1.
        TypeError: an argument has the wrong type.
    """

    split: int | Collection[int] = attrs.field(default=(), validator=_validate_split)
    """How the data is split: an int is the size of the pieces in bytes, a collection holds the
    positions at which pieces end. Each read returns one piece. What is sent is passed on piece by
    piece, with a checkpoint in between, as after a short write."""
    stall_at: int | None = attrs.field(default=None, validator=_validate_place)
    """The position at which nothing more passes until `resume` is set; None for no stall."""
    reset_at: int | None = attrs.field(default=None, validator=_validate_place)
    """The position at which the connection breaks in both directions, with
    `trio.BrokenResourceError`; the inner stream is closed at once. None for no reset."""
    end_at: int | None = attrs.field(default=None, validator=_validate_place)
    """The position at which the stream ends; None for no end. If incoming, nothing more is
    received. If outgoing, the peer receives nothing more, and what is sent is silently dropped; a
    stream that cannot end one side, such as one over TLS, is reset instead."""
    stalled: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set by the stream when the stall is reached."""
    resume: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set it to end the stall."""


@attrs.define(eq=False)
class FaultyStream(trio.abc.Stream):
    """A stream over another one, with the faults that `incoming` and `outgoing` describe.

    Apart from these, it behaves like the inner stream: it raises the same exceptions, has the same
    checkpoints, and is a `trio.abc.HalfCloseableStream` if the inner stream is one. Closing it
    closes the inner stream.
    """

    inner: trio.abc.Stream
    """The inner stream."""
    incoming: Faults = attrs.field(factory=Faults, kw_only=True)
    """The faults in what is received."""
    outgoing: Faults = attrs.field(factory=Faults, kw_only=True)
    """The faults in what is sent."""
    bytes_received: int = attrs.field(default=0, init=False)
    """How many bytes were received so far."""
    bytes_sent: int = attrs.field(default=0, init=False)
    """How many bytes were passed on to the inner stream so far."""
    _closed: bool = attrs.field(default=False, init=False, repr=False)
    _was_reset: bool = attrs.field(default=False, init=False, repr=False)
    _busy: set[str] = attrs.field(factory=set, init=False, repr=False)
    _stalls: set[trio.CancelScope] = attrs.field(factory=set, init=False, repr=False)

    def __new__(cls, inner: trio.abc.Stream, **faults: Faults) -> FaultyStream:  # noqa: PYI034
        # So that `isinstance(stream, HalfCloseableStream)` answers as for the inner stream
        if cls is FaultyStream and isinstance(inner, trio.abc.HalfCloseableStream):
            return object.__new__(_HalfCloseable)
        return object.__new__(cls)

    @property
    def peer_name(self) -> str | None:
        """What the inner stream calls its other end, as a `MemoryStream` does; None if it does not.

        The log of a server calls the client that.
        """
        return getattr(self.inner, "peer_name", None)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Like `trio.abc.ReceiveStream.receive_some`, with the faults of `incoming`.

        A checkpoint, also in a stall. Cancelling it loses nothing, if that holds for the inner
        stream.

        Args:
            max_bytes: the most bytes to return, an int; None, the default, leaves that to the inner
                stream.

        Returns:
            The bytes received; empty at the end of the stream.

        Raises:
            trio.BrokenResourceError: the connection was reset, or the inner stream broke.
            trio.BusyResourceError: another task is receiving.
            trio.ClosedResourceError: this stream was closed.
        """
        with self._exclusively("receiving"):
            if await self._apply_faults(self.incoming, self.bytes_received):
                await trio.lowlevel.checkpoint()
                return b""
            room = _bytes_until_fault(self.incoming, self.bytes_received)
            if room is not None and (max_bytes is None or operator.index(max_bytes) > room):
                max_bytes = room
            with self._resets_as_broken():
                data = await self.inner.receive_some(max_bytes)
            self.bytes_received += len(data)
            return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Like `trio.abc.SendStream.send_all`, with the faults of `outgoing`.

        A checkpoint, also in a stall. If it is cancelled, `bytes_sent` is how many bytes were
        passed on before the piece that was being sent.

        Args:
            data: the bytes to send.

        Raises:
            trio.BrokenResourceError: the connection was reset, or the inner stream broke.
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: this stream was closed.
        """
        with self._exclusively("sending"), memoryview(data) as view:
            sent = 0
            while True:
                if await self._apply_faults(self.outgoing, self.bytes_sent):
                    await self._end_sending()
                    return
                room = _bytes_until_fault(self.outgoing, self.bytes_sent)
                end = len(view) if room is None else min(sent + room, len(view))
                with view[sent:end] as piece, self._resets_as_broken():
                    await self.inner.send_all(piece)
                self.bytes_sent += end - sent
                sent = end
                if sent == len(view):
                    return
                await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Like `trio.abc.SendStream.wait_send_all_might_not_block`; it also waits out a stall.

        A checkpoint; cancelling it changes nothing.

        Raises:
            trio.BrokenResourceError: the connection was reset, or the inner stream broke.
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: this stream was closed.
        """
        with self._exclusively("sending"):
            if await self._apply_faults(self.outgoing, self.bytes_sent):
                await trio.lowlevel.checkpoint()
                return
            with self._resets_as_broken():
                await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Closes the inner stream. Tasks in a stall raise `trio.ClosedResourceError`.

        A checkpoint; cancelling it does what it does for the inner stream.
        """
        self._closed = True
        self._wake_stalled()
        await self.inner.aclose()

    async def _apply_faults(self, faults: Faults, passed: int) -> bool:
        """Applies the faults at the position `passed`. Returns whether the stream ends there.

        Raises:
            trio.BrokenResourceError: the connection was reset.
            trio.ClosedResourceError: this stream was closed.
        """
        self._check_open()
        if _is_due(faults.stall_at, passed):
            await self._wait_in_stall(faults)
            self._check_open()
        if _is_due(faults.reset_at, passed):
            await self._reset()
        return _is_due(faults.end_at, passed)

    async def _wait_in_stall(self, faults: Faults) -> None:
        faults.stalled.set()
        with trio.CancelScope() as stall:
            self._stalls.add(stall)
            try:
                await faults.resume.wait()
            finally:
                self._stalls.discard(stall)

    def _wake_stalled(self) -> None:
        for stall in self._stalls:
            stall.cancel()

    async def _reset(self) -> NoReturn:
        self._was_reset = True
        self._wake_stalled()
        await trio.aclose_forcefully(self.inner)
        raise trio.BrokenResourceError("the connection was reset")

    async def _end_sending(self) -> None:
        if not isinstance(self.inner, trio.abc.HalfCloseableStream):
            await self._reset()
        with self._resets_as_broken():
            await self.inner.send_eof()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        if self._was_reset:
            raise trio.BrokenResourceError("the connection was reset")

    @contextmanager
    def _resets_as_broken(self) -> Iterator[None]:
        """Raises a reset as such, if it was what closed the inner stream."""
        try:
            yield
        except trio.ClosedResourceError:
            self._check_open()
            raise

    @contextmanager
    def _exclusively(self, doing: str) -> Iterator[None]:
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
        """Like `trio.abc.HalfCloseableStream.send_eof`; a checkpoint, also in a stall."""
        with self._exclusively("sending"):
            await self._apply_faults(self.outgoing, self.bytes_sent)
            await self._end_sending()


# Logs and reprs show the public name.
_HalfCloseable.__name__ = _HalfCloseable.__qualname__ = FaultyStream.__name__


def _is_due(place: int | None, passed: int) -> bool:
    return place is not None and place <= passed


def _bytes_until_fault(faults: Faults, passed: int) -> int | None:
    """Returns how many bytes may pass before the next fault or split; None for any number."""
    places = [faults.stall_at, faults.reset_at, faults.end_at]
    places += [passed + faults.split] if isinstance(faults.split, int) else faults.split
    ahead = (place - passed for place in places if place is not None and place > passed)
    return min(ahead, default=None)
