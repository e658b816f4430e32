"""`RawPeer`: sends bytes and frames by hand, and expects some."""

from __future__ import annotations

from typing import NoReturn, TypeVar

import attrs
import trio

from trio_draftws.drafts import (
    Buffer,
    Close,
    Codec,
    Draft,
    DraftName,
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

# How many of the received bytes an error shows
MAX_SHOWN = 200


@attrs.define(eq=False)
class RawPeer(trio.abc.AsyncResource):
    """What `RawClient` and `RawServer` share: sending and expecting bytes and frames.

    If something else comes than what is expected, or nothing within `timeout` seconds, an
    `AssertionError` shows both. The methods that send are checkpoints; cancelling one may leave
    part of the data sent. The methods that expect or receive are checkpoints if they have to wait,
    and cancelling one loses nothing.
    """

    stream: trio.abc.Stream
    """The stream that it uses, and closes when it is closed."""
    timeout: float = attrs.field(default=60, kw_only=True)
    """How many seconds to wait for what is expected."""
    draft: Draft | None = attrs.field(default=None, init=False)
    """The draft of its frames; None before the opening handshake, or a call of `speak`."""
    _role: Role = attrs.field(init=False, repr=False)
    _codec: Codec | None = attrs.field(default=None, init=False, repr=False)
    _received: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _ended: str = attrs.field(default="", init=False, repr=False)

    async def aclose(self) -> None:
        """Closes the stream without a closing handshake. A checkpoint."""
        await self.stream.aclose()

    # Bytes

    async def send(self, data: Buffer) -> None:
        """Sends these bytes unchanged.

        Args:
            data: the bytes.

        Raises:
            trio.BrokenResourceError: the stream is broken.
        """
        await self.stream.send_all(data)

    async def send_eof(self) -> None:
        """Ends this side of the stream, which must be a `trio.abc.HalfCloseableStream`.

        Raises:
            trio.BrokenResourceError: the stream is broken.
        """
        assert isinstance(self.stream, trio.abc.HalfCloseableStream)
        await self.stream.send_eof()

    async def expect(self, data: bytes) -> None:
        """Expects exactly these bytes next. What follows them is left for the next call."""
        while len(self._received) < len(data):
            if not data.startswith(self._received) or not await self._read_more():
                self._fail(repr(data))
        if self._received[: len(data)] != data:
            self._fail(repr(data))
        self._take(len(data))

    async def receive_exactly(self, size: int) -> bytes:
        """Returns the next `size` bytes, once they have come."""
        while len(self._received) < size:
            if not await self._read_more():
                self._fail(f"{size} bytes")
        return self._take(size)

    async def receive_rest(self) -> bytes:
        """Returns everything that comes until the stream ends."""
        while await self._read_more():
            pass
        if self._ended != "the end":
            self._fail("the end of the stream")
        return self._take(len(self._received))

    async def expect_end(self) -> None:
        """Expects that the stream ends, with nothing before that."""
        if self._received or await self._read_more() or self._ended != "the end":
            self._fail("the end of the stream")

    # Frames

    def speak(
        self, draft: DraftName | str | Draft, *, agreement: NegotiatedParameters | None = None
    ) -> None:
        """Sets the draft of the frames from now on, after an opening handshake made by hand.

        Args:
            draft: the draft, by name or as a `Draft`.
            agreement: what the handshake settled, such as compression; by default nothing.

        Raises:
            ValueError: no draft has that name.
        """
        self.draft = draft_named(draft)
        self._codec = self.draft.codec(
            self._role, float("inf"), agreement or NegotiatedParameters()
        )

    async def send_frame(self, *events: Event) -> None:
        """Sends frames of the draft, all in one write.

        Args:
            events: messages, as str or bytes, or a `Ping`, `Pong`, `Close` or `Fragment`.

        Raises:
            LocalProtocolError: the draft cannot express one of them; nothing was sent. To send
                invalid frames, use `frame`.
            RuntimeError: there was neither an opening handshake nor a call of `speak`.
            trio.BrokenResourceError: the stream is broken.
        """
        codec = self._require_codec()
        await self.send(b"".join(bytes(part) for event in events for part in codec.encode(event)))

    async def receive_frame(self) -> Event:
        """Returns what comes next: a whole message, or a `Ping`, `Pong` or `Close`."""
        return await self._next_frame("a frame")

    async def expect_message(self, message: str | bytes) -> None:
        """Expects this message, in any number of frames."""
        self._compare(message, await self._next_frame(repr(message)))

    async def expect_ping(self, payload: bytes | None = None) -> bytes:
        """Expects a ping, with this payload unless that is None; returns its payload."""
        expected = "a ping" if payload is None else repr(Ping(payload))
        ping = await self._next_of(Ping, expected)
        if payload is not None:
            self._compare(Ping(payload), ping)
        return ping.payload

    async def expect_pong(self, payload: bytes | None = None) -> bytes:
        """Expects a pong, with this payload unless that is None; returns its payload."""
        expected = "a pong" if payload is None else repr(Pong(payload))
        pong = await self._next_of(Pong, expected)
        if payload is not None:
            self._compare(Pong(payload), pong)
        return pong.payload

    async def expect_close(self, code: int | None = None, reason: str | None = None) -> Close:
        """Expects a closing frame, with this code and reason unless they are None; returns it."""
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
        codec = self._require_codec()
        while True:
            try:
                events = self._decode_some(codec)
            except RemoteProtocolError as error:
                raise AssertionError(
                    f"expected {expected}, got what is no frame: {error}"
                ) from error
            if events:
                # Fed byte by byte, the codec completes one frame at most.
                [event] = events
                return event
            if not self._received and not await self._read_more():
                self._fail(expected)

    def _decode_some(self, codec: Codec) -> list[Event]:
        """Decodes what was received up to the end of the next frame, and leaves the rest."""
        taken = 0
        events: list[Event] = []
        while taken < len(self._received) and not events:
            buffer = codec.get_buffer()
            if buffer is None:
                events = codec.decode(self._received[taken : taken + 1])
                taken += 1
            else:
                size = min(len(buffer), len(self._received) - taken)
                buffer[:size] = self._received[taken : taken + size]
                events = codec.buffer_updated(size)
                taken += size
        self._take(taken)
        return events

    def _require_codec(self) -> Codec:
        if self._codec is None:
            raise RuntimeError("open the connection first, or say with speak() which draft it is")
        return self._codec

    # For the opening handshake of both

    async def _read_head(self, what: str) -> bytes:
        while (end := find_head_end(self._received, 0)) < 0:
            if not await self._read_more():
                self._fail(what)
        return self._take(end)

    async def _read_more(self) -> bool:
        """Reads more. Returns False at the end of the stream, or if nothing came in time."""
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
            self._received += data
        return not self._ended

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _compare(self, expected: object, got: object) -> None:
        if expected != got:
            raise AssertionError(f"expected {expected!r}, got {got!r}")

    def _fail(self, expected: str) -> NoReturn:
        got = [repr(bytes(self._received[:MAX_SHOWN]))] if self._received else []
        if len(self._received) > MAX_SHOWN:
            got.append(f"{len(self._received) - MAX_SHOWN} bytes more")
        if self._ended:
            got.append(self._ended)
        raise AssertionError(f"expected {expected}, got {' and then '.join(got)}")
