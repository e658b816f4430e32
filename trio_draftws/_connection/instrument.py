"""Instruments: what a program wants to be told of its connections, as for metrics.

Where there are none nothing is paid. Where one wants to hear of messages or bytes, each connection
gets an `InstrumentedCodec` round its codec: a message is told as soon as it was decoded or encoded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from trio_draftws._settings.checks import several
from trio_draftws.drafts import Buffer, Close, Fragment, Ping, Pong, Request

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
        for instrument in several("instruments", instruments, "instruments", Instrument):
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
