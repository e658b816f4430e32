"""How much one call of `decode` does: what is behind that is kept for the next call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from trio_draftws.drafts._events import Buffer, Event, RemoteProtocolError

from .codec import MOST_AT_ONCE, ShortReceive, ShortSend


class BoundedDecoder(ABC):
    """The half of a codec that keeps back what is due only when what came before it was taken.

    Most of what a connection gets is whole short messages, so those have a short way; `_decode`
    knows everything. What is behind enough for one call stays as it came until it is asked for.
    """

    __slots__ = (
        "_buffer",
        "_closed",
        "_kept",
        "_kept_from",
        "_later",
        "_violation",
        "_work",
        "between_messages",
        "decoded_control",
        "has_more_output",
    )

    def __init__(self) -> None:
        #: As `Codec.decoded_control`.
        self.decoded_control = False
        #: As `Codec.has_more_output`.
        self.has_more_output = False
        #: As `Codec.between_messages`.
        self.between_messages = True
        # What `get_buffer` returns
        self._buffer: memoryview | None = None
        # Not the exception: its traceback would hold on to the bytes that it was found in.
        self._violation: Callable[[], RemoteProtocolError] | None = None
        # Whether a `Close` was given; then nothing more is.
        self._closed = False
        # How many more steps this call may take
        self._work = 0
        # What is behind enough for one call, from there on; and what came when that was not yet
        # taken
        self._kept = b""
        self._kept_from = 0
        self._later: bytearray | None = None

    @property
    def receive_short(self) -> ShortReceive | None:
        """As `Codec.receive_short`."""
        return None

    @property
    def send_short(self) -> ShortSend | None:
        """As `Codec.send_short`."""
        return None

    def decode(self, data: Buffer) -> list[Event]:
        """As `Codec.decode`."""
        if type(data) is not bytes:
            data = bytes(data)
        events: list[Event] = []
        position = 0
        self.decoded_control = False
        if self.between_messages:
            position = self._take_short_messages(data, 0, events, MOST_AT_ONCE)
            if position == len(data):
                return events
        elif self.has_more_output:
            if self._violation is not None:
                raise self._violation()
            data, position = self._go_on(data)
        elif self._closed:
            return events
        self._work = MOST_AT_ONCE - len(events)
        self.between_messages = False
        try:
            self._decode(data, position, events)
        except RemoteProtocolError as violation:
            self._keep_back(violation)
        if self._violation is not None and not events:
            raise self._violation()
        return events

    def get_buffer(self) -> memoryview | None:
        """See `Codec.get_buffer`."""
        return self._buffer

    def buffer_updated(self, size: int) -> list[Event]:
        """As `Codec.buffer_updated`."""
        events: list[Event] = []
        self.decoded_control = False
        try:
            self._take_from_buffer(size, events)
            self.between_messages = self._is_between()
        except RemoteProtocolError as violation:
            self._keep_back(violation)
            raise
        return events

    def _go_on(self, data: bytes) -> tuple[bytes, int]:
        """What was kept, and where to go on in it; `data` has come behind it."""
        if self._kept:
            if data:
                if self._later is None:
                    self._later = bytearray()
                self._later += data
            return self._kept, self._kept_from
        # All that came later together, and once: whoever gives bytes and never asks for the rest
        # pays for each byte as others do.
        assert self._later is not None
        data = bytes(self._later + data)
        self._later = None
        return data, 0

    def _keep(self, data: bytes, position: int) -> None:
        """Keeps what is behind enough for one call, but nothing behind a close."""
        if self._closed:
            self._kept = b""
            self._later = None
            self.has_more_output = False
            return
        self._kept, self._kept_from = (data, position) if position < len(data) else (b"", 0)
        self.has_more_output = bool(self._kept or self._later)
        self.between_messages = not self.has_more_output and self._is_between()

    def _keep_back(self, violation: RemoteProtocolError) -> None:
        """Keeps a violation, and nothing of what is behind it."""
        self._violation = partial(type(violation), violation.close_code, violation.reason)
        self._kept = b""
        self._later = None
        self.has_more_output = True

    def _take_more_messages(self, data: bytes, position: int, events: list[Event]) -> int:
        """As `_take_short_messages`, within what this call may still do."""
        before = len(events)
        position = self._take_short_messages(data, position, events, self._work)
        self._work -= len(events) - before
        return position

    def _take_from_buffer(self, size: int, events: list[Event]) -> None:
        """As `_decode`, for what was put at `get_buffer`; only for those who ever have one."""
        raise NotImplementedError

    @abstractmethod
    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        """Takes whole short messages, as many as follow each other, but not more than `most`; says
        where the rest begins.

        It stops at anything else, and before anything wrong. Only called between messages.
        """

    @abstractmethod
    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        """Adds the events that `data` from `position` on completes, in at most `_work` steps of
        which none takes more than one frame; what is then left goes to `_keep`.

        Raises:
            RemoteProtocolError: a violation.
        """

    @abstractmethod
    def _is_between(self) -> bool:
        """Whether the next byte, if any comes, begins a message."""
