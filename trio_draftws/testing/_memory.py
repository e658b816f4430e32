"""`memory_stream_pair`, `MemoryListener`: streams in memory that may be full, and have names."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from trio_draftws._settings.checks import check_int, tuple_of


@attrs.define(eq=False)
class _Pipe:
    """The bytes that go one way, from one `MemoryStream` to the other."""

    limit: float
    """How many bytes may wait to be received."""
    waiting: bytearray = attrs.field(factory=bytearray, init=False)
    ended: bool = attrs.field(default=False, init=False)
    """Whether the sender has ended its side, or closed."""
    abandoned: bool = attrs.field(default=False, init=False)
    """Whether the receiver has closed, so that nothing can be sent any more."""
    _parked: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def room(self) -> int | None:
        """How many bytes it takes now; None for any number."""
        return None if math.isinf(self.limit) else int(self.limit) - len(self.waiting)

    def put(self, data: memoryview) -> int:
        """Takes what there is room for, and returns how much that was."""
        taken = data[: self.room]
        self.waiting += taken
        self._parked.unpark_all()
        return len(taken)

    def take(self, max_bytes: int | None) -> bytearray:
        """Returns what waits, or its first part."""
        taken = self.waiting[:max_bytes]
        del self.waiting[:max_bytes]
        self._parked.unpark_all()
        return taken

    def end(self) -> None:
        """The sender sends nothing more."""
        self.ended = True
        self._parked.unpark_all()

    def abandon(self) -> None:
        """The receiver takes nothing more."""
        self.abandoned = True
        self.waiting.clear()
        self._parked.unpark_all()

    async def wait_for_change(self) -> None:
        await self._parked.park()


@attrs.define(eq=False, repr=False)
class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a `memory_stream_pair`, which behaves like a TCP stream without a network.

    Unlike `trio.testing.memory_stream_pair`, the other end may hold a limited number of bytes. Then
    `send_all` waits as it does with TCP, while the peer does not receive.
    """

    name: str
    """Its own name."""
    peer_name: str
    """The name of the other end; the log of a server calls the client that."""
    _incoming: _Pipe
    _outgoing: _Pipe
    _closed: bool = attrs.field(default=False, init=False)
    _busy: set[str] = attrs.field(factory=set, init=False)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<MemoryStream from {self.name} to {self.peer_name} {state}>"

    @property
    def bytes_unread(self) -> int:
        """How many bytes the other end has sent that were not received here yet."""
        return len(self._incoming.waiting)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Like `trio.abc.SendStream.send_all`: waits until the other end holds all of the data.

        A checkpoint. If it is cancelled, what the other end has taken so far stays there.

        Args:
            data: the bytes to send.

        Raises:
            trio.BrokenResourceError: the other end was closed.
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: this end was closed, or `send_eof` was called.
        """
        with self._exclusively("sending"), memoryview(data) as view, view.cast("B") as left:
            await trio.lowlevel.checkpoint()
            sent = 0
            while True:
                self._check_sendable()
                with left[sent:] as rest:
                    sent += self._outgoing.put(rest)
                if sent == len(left):
                    return
                await self._outgoing.wait_for_change()

    async def wait_send_all_might_not_block(self) -> None:
        """Like `trio.abc.SendStream.wait_send_all_might_not_block`: waits until there is room.

        A checkpoint; cancelling it changes nothing.

        Raises:
            trio.BrokenResourceError: the other end was closed.
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: this end was closed, or `send_eof` was called.
        """
        with self._exclusively("sending"):
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            while self._outgoing.room == 0:
                await self._outgoing.wait_for_change()
                self._check_sendable()

    async def send_eof(self) -> None:
        """Like `trio.abc.HalfCloseableStream.send_eof`: the other end can still send.

        A checkpoint; if it is cancelled, this side has ended all the same.

        Raises:
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: this end was closed.
        """
        with self._exclusively("sending"):
            self._check_open()
            self._outgoing.end()
            await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytearray:
        """Like `trio.abc.ReceiveStream.receive_some`.

        A checkpoint; cancelling it loses nothing.

        Args:
            max_bytes: the most bytes to return, an int; None, the default, for all that are there.

        Returns:
            The bytes received; empty at the end of the stream.

        Raises:
            ValueError: `max_bytes` is less than 1.
            trio.BusyResourceError: another task is receiving.
            trio.ClosedResourceError: this end was closed.
        """
        if max_bytes is not None and operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        with self._exclusively("receiving"):
            await trio.lowlevel.checkpoint()
            self._check_open()
            while not self._incoming.waiting and not self._incoming.ended:
                await self._incoming.wait_for_change()
                self._check_open()
            return self._incoming.take(max_bytes)

    def close(self) -> None:
        """Closes it, like `aclose`, at once and without a checkpoint."""
        self._closed = True
        self._incoming.abandon()
        self._outgoing.end()

    async def aclose(self) -> None:
        """Closes it. The other end still receives what was sent, and then the end of the stream.

        A checkpoint; if it is cancelled, it is closed all the same.
        """
        self.close()
        await trio.lowlevel.checkpoint()

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")

    def _check_sendable(self) -> None:
        self._check_open()
        if self._outgoing.ended:
            raise trio.ClosedResourceError("this side of the stream was ended")
        if self._outgoing.abandoned:
            raise trio.BrokenResourceError(f"{self.peer_name} has closed the stream")

    @contextmanager
    def _exclusively(self, doing: str) -> Iterator[None]:
        if doing in self._busy:
            raise trio.BusyResourceError(f"another task is {doing} on this stream")
        self._busy.add(doing)
        try:
            yield
        finally:
            self._busy.discard(doing)


def memory_stream_pair(
    *, buffer: float = math.inf, names: tuple[str, str] = ("the client", "the server")
) -> tuple[MemoryStream, MemoryStream]:
    """Returns two streams that are joined in memory, as `trio.testing.memory_stream_pair` does.

    Args:
        buffer: how many bytes each of them holds that were not received yet, an int; whoever sends
            more has to wait. By default `math.inf`, for any number.
        names: what each of them is called in logs and errors, two str; by default
            `("the client", "the server")`.

    Raises:
        ValueError: `buffer` is less than 1, or there are not two names.
        TypeError: an argument has the wrong type.
    """
    check_int("buffer", buffer, 1, math.inf)
    both = tuple_of("names", names, "two names", str)
    if len(both) != 2:
        raise ValueError(f"names are those of the two ends, not {len(both)}")
    ours, theirs = both
    there, back = _Pipe(buffer), _Pipe(buffer)
    return MemoryStream(ours, theirs, back, there), MemoryStream(theirs, ours, there, back)


@attrs.define(eq=False, repr=False)
class MemoryListener(trio.abc.Listener[MemoryStream]):
    """A listener in memory, for `serve_websocket(handler, listeners=[...])`.

    It accepts what `dial` connects. `served` uses one.
    """

    buffer: float = attrs.field(default=math.inf, kw_only=True)
    """How many bytes each end of its streams holds, as for `memory_stream_pair`."""
    dialled: int = attrs.field(default=0, init=False)
    """How many streams it has connected so far."""
    _sender: trio.MemorySendChannel[MemoryStream] = attrs.field(init=False)
    _receiver: trio.MemoryReceiveChannel[MemoryStream] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        check_int("buffer", self.buffer, 1, math.inf)
        self._sender, self._receiver = trio.open_memory_channel[MemoryStream](math.inf)

    def __repr__(self) -> str:
        return f"<MemoryListener dialled={self.dialled}>"

    def dial(self) -> MemoryStream:
        """Connects a new stream, and returns the client's end. The ends are called "client 1" and
        "the server", then "client 2", and so on.

        Raises:
            ConnectionRefusedError: the listener was closed.
        """
        number = self.dialled + 1
        ours, theirs = memory_stream_pair(
            buffer=self.buffer, names=(f"client {number}", "the server")
        )
        try:
            self._sender.send_nowait(theirs)
        except trio.BrokenResourceError:
            raise ConnectionRefusedError("the listener was closed") from None
        self.dialled = number
        return ours

    async def accept(self) -> MemoryStream:
        """Waits for the next `dial`, and returns the server's end.

        A checkpoint; cancelling it loses nothing.

        Raises:
            trio.ClosedResourceError: the listener was closed.
        """
        return await self._receiver.receive()

    async def aclose(self) -> None:
        """Closes the listener, and the streams that were not accepted yet.

        A checkpoint; if it is cancelled, they are closed all the same.
        """
        waiting = self._receiver.statistics().current_buffer_used
        streams = [self._receiver.receive_nowait() for _ in range(waiting)]
        self._receiver.close()
        for stream in streams:
            stream.close()
        await trio.lowlevel.checkpoint()
