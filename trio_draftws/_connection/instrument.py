"""Instruments: what a program wants to be told of its connections, as for metrics.

Where there are none nothing is paid. Where one wants to hear of messages or bytes, each connection
gets an `InstrumentedCodec` round its codec: a message is told as soon as it was decoded or encoded.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from trio_draftws._settings.checks import tuple_of
from trio_draftws.drafts import Buffer, Close, Codec, Event, Fragment, Ping, Pong, Request

if TYPE_CHECKING:
    from .connection import Connection

logger = logging.getLogger("trio_draftws")


class Instrument:
    """Is told what happens to connections: override what you want to know.

    Given as `instruments=[...]` to `serve_websocket`, `accept` or `open_websocket`. Each method is
    called at once, in whichever task it happens, and everything waits until it returns: so be
    quick, and do not block. One that raises is logged, once, and that instrument is told nothing
    more; no connection notices.
    """

    def connection_opened(self, connection: Connection) -> None:
        """The opening handshake is done."""

    def connection_closed(self, connection: Connection) -> None:
        """It has ended, and its stream is closed."""

    def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
        """A server of ours refused a request, with that status.

        Args:
            request: None where it could not be read, or was not.
            status: of the answer.
            peer: who asked, in words, as in the log.
        """

    def opening_failed(self, error: Exception, peer: str) -> None:
        """No connection came about, and no refusal of ours is the reason.

        On a client this is any `HandshakeError`, also where the server refused.

        Args:
            error: why.
            peer: the other end, in words, as in the log.
        """

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        """A whole message has come; it may be a while until somebody receives it."""

    def message_sent(self, connection: Connection, message: str | Buffer) -> None:
        """A message is sent, just as it was given; it may still wait to be written."""

    def part_received(self, connection: Connection, part: Fragment) -> None:
        """A part of a message has come that is being received part by part."""

    def part_sent(self, connection: Connection, part: Fragment) -> None:
        """A part of a message is sent that is being sent part by part."""

    def control_received(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        """A ping, an answer to one, or a closing frame has come."""

    def control_sent(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        """A ping, an answer to one, or a closing frame is sent."""

    def bytes_received(self, connection: Connection, size: int) -> None:
        """So many bytes have come in one read; this is told before what is in them."""

    def bytes_sent(self, connection: Connection, size: int) -> None:
        """What was told just before takes so many bytes on the wire."""

    def latency_measured(self, connection: Connection, seconds: float) -> None:
        """A ping was answered after so long."""


_HOOKS = [name for name in vars(Instrument) if not name.startswith("_")]
_FRAME_HOOKS = [name for name in _HOOKS if name.startswith(("message", "part", "control", "bytes"))]


class Instruments:
    """Those of one scope; each is only told what it listens to."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._listeners: dict[str, list[Instrument]] = {}
        for instrument in tuple_of("instruments", instruments, "instruments", Instrument):
            for name in _HOOKS:
                overridden = getattr(getattr(instrument, name), "__func__", None)
                if overridden is not getattr(Instrument, name):
                    self._listeners.setdefault(name, []).append(instrument)
        self.hears_frames: bool = not self._listeners.keys().isdisjoint(_FRAME_HOOKS)

    @classmethod
    def of(cls, instruments: Iterable[Instrument]) -> Instruments | None:
        """None where nobody listens to anything.

        Raises:
            TypeError: one of them is no `Instrument`, or it is one alone.
        """
        made = cls(instruments)
        return made if made._listeners else None

    def tell(self, name: str, *facts: object) -> None:
        """Calls the method of that name of all that have one."""
        for instrument in self._listeners.get(name, ()):
            try:
                getattr(instrument, name)(*facts)
            except Exception:
                logger.exception("the instrument %r failed, and is told nothing more", instrument)
                # New lists, since the old one is being gone through.
                self._listeners = {
                    hook: [one for one in listeners if one is not instrument]
                    for hook, listeners in self._listeners.items()
                }


class InstrumentedCodec:
    """A codec that tells what goes in and comes out; else it is just like the one inside."""

    __slots__ = ("_connection", "_tell", "inner")

    receive_short = None
    send_short = None

    def __init__(self, inner: Codec, connection: Connection, instruments: Instruments) -> None:
        self.inner = inner
        self._connection = connection
        self._tell = instruments.tell

    @property
    def mid_message(self) -> bool:
        """As `Codec.mid_message`."""
        return self.inner.mid_message

    @property
    def between_messages(self) -> bool:
        """As `Codec.between_messages`."""
        return self.inner.between_messages

    @property
    def has_more_output(self) -> bool:
        """As `Codec.has_more_output`."""
        return self.inner.has_more_output

    @property
    def decoded_control(self) -> bool:
        """As `Codec.decoded_control`."""
        return self.inner.decoded_control

    def get_buffer(self) -> memoryview | None:
        """As `Codec.get_buffer`."""
        return self.inner.get_buffer()

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """As `Codec.encode`."""
        wire = self.inner.encode(event, compress)
        kind = _KINDS.get(type(event), "message")
        self._tell(f"{kind}_sent", self._connection, event)
        self._tell("bytes_sent", self._connection, sum(map(len, wire)))
        return wire

    def decode(self, data: Buffer) -> list[Event]:
        """As `Codec.decode`."""
        if data:
            self._tell("bytes_received", self._connection, len(data))
        return self._tell_received(self.inner.decode(data))

    def buffer_updated(self, size: int) -> list[Event]:
        """As `Codec.buffer_updated`."""
        self._tell("bytes_received", self._connection, size)
        return self._tell_received(self.inner.buffer_updated(size))

    def stream(self) -> Fragment | None:
        """As `Codec.stream`."""
        begun = self.inner.stream()
        if begun is not None:
            self._tell_received([begun])
        return begun

    def encoding_key(self, message: str | bytes, compress: bool | None = None) -> Hashable | None:
        """As `Codec.encoding_key`, but each encodes for itself, so that each is told of."""
        key = self.inner.encoding_key(message, compress)
        return None if key is None else (id(self), key)

    def _tell_received(self, events: list[Event]) -> list[Event]:
        for event in events:
            kind = _KINDS.get(type(event), "message")
            self._tell(f"{kind}_received", self._connection, event)
        return events


_KINDS: dict[type, str] = {Fragment: "part", Ping: "control", Pong: "control", Close: "control"}
