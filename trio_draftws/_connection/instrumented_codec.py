"""A codec that reports each event and the bytes on either side of it, for the instruments."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from trio_draftws.drafts import Buffer, Close, Codec, EncodedText, Event, Fragment, Ping, Pong

# What an event is called in the names of an instrument's methods; all others are messages.
_KINDS: dict[type, str] = {Fragment: "part", Ping: "control", Pong: "control", Close: "control"}


class InstrumentedCodec:
    """Wraps a codec, and calls `tell` with the name of an instrument's method for all that passes.

    Args:
        inner: the codec that does the work.
        connection: what the instruments are given as the connection; nothing of it is used here.
        tell: as `Instruments.tell`.
    """

    __slots__ = ("_connection", "_tell", "inner")

    receive_short = None
    send_short = None

    def __init__(self, inner: Codec, connection: object, tell: Callable[..., None]) -> None:
        self.inner = inner
        self._connection = connection
        self._tell = tell

    @property
    def mid_message(self) -> bool:
        """Like `Codec.mid_message`."""
        return self.inner.mid_message

    @property
    def between_messages(self) -> bool:
        """Like `Codec.between_messages`."""
        return self.inner.between_messages

    @property
    def has_more_output(self) -> bool:
        """Like `Codec.has_more_output`."""
        return self.inner.has_more_output

    @property
    def decoded_control(self) -> bool:
        """Like `Codec.decoded_control`."""
        return self.inner.decoded_control

    def get_buffer(self) -> memoryview | None:
        """Like `Codec.get_buffer`."""
        return self.inner.get_buffer()

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """Like `Codec.encode`."""
        wire = self.inner.encode(event, compress)
        kind = _KINDS.get(type(event), "message")
        if isinstance(event, EncodedText):
            event = str(event.data, "utf-8")
        self._tell(f"{kind}_sent", self._connection, event)
        self._tell("bytes_sent", self._connection, sum(map(len, wire)))
        return wire

    def decode(self, data: Buffer) -> list[Event]:
        """Like `Codec.decode`."""
        if data:
            self._tell("bytes_received", self._connection, len(data))
        return self._report_received(self.inner.decode(data))

    def buffer_updated(self, size: int) -> list[Event]:
        """Like `Codec.buffer_updated`."""
        self._tell("bytes_received", self._connection, size)
        return self._report_received(self.inner.buffer_updated(size))

    def stream(self) -> Fragment | None:
        """Like `Codec.stream`."""
        begun = self.inner.stream()
        if begun is not None:
            self._report_received([begun])
        return begun

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable | None:
        """Like `Codec.encoding_key`, but no two are equal: each connection reports its own."""
        key = self.inner.encoding_key(message, compress)
        return None if key is None else (id(self), key)

    def _report_received(self, events: list[Event]) -> list[Event]:
        for event in events:
            kind = _KINDS.get(type(event), "message")
            self._tell(f"{kind}_received", self._connection, event)
        return events
