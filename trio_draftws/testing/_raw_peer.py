"""What a peer by hand can do: send bytes and frames, and say what it expects."""

from __future__ import annotations

from typing import NoReturn, TypeVar

import attrs
import trio

from trio_draftws.drafts import (
    Buffer,
    Close,
    Codec,
    Draft,
    Event,
    NegotiatedParameters,
    Ping,
    Pong,
    RemoteProtocolError,
    Role,
    draft_named,
    find_head_end,
)

Frame = TypeVar("Frame", Ping, Pong, Close)

# How much of what came an error shows
SHOWN = 200


@attrs.define(eq=False)
class RawPeer(trio.abc.AsyncResource):
    """What `RawClient` and `RawServer` share: bytes, frames, and what is expected of the other.

    Whatever is expected and does not come is an `AssertionError` that shows what was expected and
    what came. What is sent is a checkpoint each time; what is expected is one where it has to wait
    for it, and cancelling that loses nothing.
    """

    stream: trio.abc.Stream
    """What it speaks on; closed with it."""
    timeout: float = attrs.field(default=60, kw_only=True)
    """How many seconds it waits for what it expects."""
    draft: Draft | None = attrs.field(default=None, init=False)
    """The draft of its frames; None until the opening handshake is done, or `speak` was called."""
    _role: Role = attrs.field(init=False)
    _codec: Codec | None = attrs.field(default=None, init=False)
    _came: bytearray = attrs.field(factory=bytearray, init=False)
    _ended: str = attrs.field(default="", init=False)

    async def aclose(self) -> None:
        """Closes the stream, with no goodbye of the draft's. A checkpoint."""
        await self.stream.aclose()

    # Bytes

    async def send(self, data: Buffer) -> None:
        """Sends these bytes as they are.

        Raises:
            trio.BrokenResourceError: the stream is broken.
        """
        await self.stream.send_all(data)

    async def send_eof(self) -> None:
        """Ends this side of the stream, which must be a `trio.abc.HalfCloseableStream`."""
        assert isinstance(self.stream, trio.abc.HalfCloseableStream)
        await self.stream.send_eof()

    async def expect(self, data: bytes) -> None:
        """Expects exactly these bytes next; what follows them is left for the next call."""
        while len(self._came) < len(data):
            if not data.startswith(self._came) or not await self._read_more():
                self._fail(repr(data))
        if self._came[: len(data)] != data:
            self._fail(repr(data))
        self._take(len(data))

    async def receive_exactly(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self._came) < size:
            if not await self._read_more():
                self._fail(f"{size} bytes")
        return self._take(size)

    async def receive_rest(self) -> bytes:
        """All that comes until the stream ends."""
        while await self._read_more():
            pass
        if self._ended != "the end":
            self._fail("the end of the stream")
        return self._take(len(self._came))

    async def expect_end(self) -> None:
        """Expects that the stream ends, and that nothing comes before that."""
        if self._came or await self._read_more() or self._ended != "the end":
            self._fail("the end of the stream")

    # Frames

    def speak(self, draft: str | Draft, *, agreement: NegotiatedParameters | None = None) -> None:
        """Frames are of this draft from now on: for an opening handshake that was made by hand."""
        self.draft = draft_named(draft)
        self._codec = self.draft.codec(
            self._role, float("inf"), agreement or NegotiatedParameters()
        )

    async def send_frame(self, *events: Event) -> None:
        """Sends frames as the draft says: messages, or a `Ping`, `Pong`, `Close` or `Fragment`.

        Raises:
            LocalProtocolError: the draft cannot say one of them, and nothing was sent; `frame`
                makes frames that are wrong.
            trio.BrokenResourceError: the stream is broken.
        """
        codec = self._speaking()
        await self.send(b"".join(bytes(part) for event in events for part in codec.encode(event)))

    async def receive_frame(self) -> Event:
        """What comes next: a whole message, however many frames it has, or a control frame."""
        return await self._next_frame("a frame")

    async def expect_message(self, message: str | bytes) -> None:
        """Expects this message, in however many frames."""
        self._compare(message, await self._next_frame(repr(message)))

    async def expect_ping(self, payload: bytes | None = None) -> bytes:
        """Expects a ping, with that payload if one is given; returns its payload."""
        expected = "a ping" if payload is None else repr(Ping(payload))
        ping = await self._next_of(Ping, expected)
        if payload is not None:
            self._compare(Ping(payload), ping)
        return ping.payload

    async def expect_pong(self, payload: bytes | None = None) -> bytes:
        """Expects a pong, with that payload if one is given; returns its payload."""
        expected = "a pong" if payload is None else repr(Pong(payload))
        pong = await self._next_of(Pong, expected)
        if payload is not None:
            self._compare(Pong(payload), pong)
        return pong.payload

    async def expect_close(self, code: int | None = None, reason: str | None = None) -> Close:
        """Expects a closing frame, with that code and reason where they are given; returns it."""
        wanted = [
            f"{name} {value!r}"
            for name, value in (("code", code), ("reason", reason))
            if value is not None
        ]
        expected = " ".join(["a close", *wanted])
        close = await self._next_of(Close, expected)
        if code not in (None, close.code) or reason not in (None, close.reason):
            raise AssertionError(f"expected {expected}, got {close!r}")
        return close

    async def _next_of(self, kind: type[Frame], expected: str) -> Frame:
        event = await self._next_frame(expected)
        if not isinstance(event, kind):
            raise AssertionError(f"expected {expected}, got {event!r}")
        return event

    async def _next_frame(self, expected: str) -> Event:
        codec = self._speaking()
        while True:
            try:
                events = self._decode_some(codec)
            except RemoteProtocolError as error:
                raise AssertionError(
                    f"expected {expected}, got what is no frame: {error}"
                ) from error
            if events:
                # One byte can end no more than one frame.
                [event] = events
                return event
            if not self._came and not await self._read_more():
                self._fail(expected)

    def _decode_some(self, codec: Codec) -> list[Event]:
        """Decodes what came as far as the next frame's end, so that `expect` can follow."""
        taken = 0
        events: list[Event] = []
        while taken < len(self._came) and not events:
            buffer = codec.get_buffer()
            if buffer is None:
                events = codec.decode(self._came[taken : taken + 1])
                taken += 1
            else:
                size = min(len(buffer), len(self._came) - taken)
                buffer[:size] = self._came[taken : taken + size]
                events = codec.buffer_updated(size)
                taken += size
        self._take(taken)
        return events

    def _speaking(self) -> Codec:
        if self._codec is None:
            raise RuntimeError("open the connection first, or say with speak() which draft it is")
        return self._codec

    # What both do to open

    async def _read_head(self, what: str) -> bytes:
        while (end := find_head_end(self._came, 0)) < 0:
            if not await self._read_more():
                self._fail(what)
        return self._take(end)

    async def _read_more(self) -> bool:
        """Whether more came, and not the stream's end or nothing at all."""
        if self._ended == "the end":
            return False
        self._ended = f"nothing within {self.timeout} s"
        with trio.move_on_after(self.timeout):
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError as error:
                self._ended = f"a break: {error.__cause__ or error!r}"
                return False
            self._ended = "" if data else "the end"
            self._came += data
        return not self._ended

    def _take(self, size: int) -> bytes:
        taken = bytes(self._came[:size])
        del self._came[:size]
        return taken

    def _compare(self, expected: object, got: object) -> None:
        if expected != got:
            raise AssertionError(f"expected {expected!r}, got {got!r}")

    def _fail(self, expected: str) -> NoReturn:
        got = [repr(bytes(self._came[:SHOWN]))] if self._came else []
        if len(self._came) > SHOWN:
            got.append(f"{len(self._came) - SHOWN} bytes more")
        if self._ended:
            got.append(self._ended)
        raise AssertionError(f"expected {expected}, got {' and then '.join(got)}")
