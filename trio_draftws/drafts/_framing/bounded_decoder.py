"""Decodes a bounded amount in one call, and keeps the rest for the next one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from trio_draftws.drafts._events import Buffer, Event, RemoteProtocolError

from .codec import MOST_AT_ONCE, ShortReceive, ShortSend


class BoundedDecoder(ABC):
    """The half of a codec that decodes; a subclass knows the frames.

    Most of what a connection receives is whole short messages, which have a fast path; `_decode`
    takes everything. Bytes that are too many for one call are kept undecoded.
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
        #: See `Codec.decoded_control`.
        self.decoded_control = False
        #: See `Codec.has_more_output`.
        self.has_more_output = False
        #: See `Codec.between_messages`.
        self.between_messages = True
        # What `get_buffer` returns
        self._buffer: memoryview | None = None
        # Makes the exception: a stored one would keep the bytes alive through its traceback.
        self._violation: Callable[[], RemoteProtocolError] | None = None
        # Whether a `Close` was returned; nothing is decoded after it.
        self._closed = False
        # How many more steps this call may take
        self._work = 0
        # Bytes that were too many for one call, from `_kept_from` on; and bytes that came later
        self._kept = b""
        self._kept_from = 0
        self._later: bytearray | None = None

    @property
    def receive_short(self) -> ShortReceive | None:
        """See `Codec.receive_short`."""
        return None

    @property
    def send_short(self) -> ShortSend | None:
        """See `Codec.send_short`."""
        return None

    def decode(self, data: Buffer) -> list[Event]:
        """See `Codec.decode`."""
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
        """See `Codec.buffer_updated`."""
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
        """Returns the bytes to decode next, and the position in them, after `data` has come."""
        if self._kept:
            if data:
                if self._later is None:
                    self._later = bytearray()
                self._later += data
            return self._kept, self._kept_from
        # Joined once, so that the cost per byte stays the same however the calls are cut.
        assert self._later is not None
        data = bytes(self._later + data)
        self._later = None
        return data, 0

    def _keep(self, data: bytes, position: int) -> None:
        """Keeps the bytes from `position` on for the next call, but none after a close."""
        if self._closed:
            self._kept = b""
            self._later = None
            self.has_more_output = False
            return
        self._kept, self._kept_from = (data, position) if position < len(data) else (b"", 0)
        self.has_more_output = bool(self._kept or self._later)
        self.between_messages = not self.has_more_output and self._is_between()

    def _keep_back(self, violation: RemoteProtocolError) -> None:
        """Keeps a violation for the next call, and drops the bytes after it."""
        self._violation = partial(type(violation), violation.close_code, violation.reason)
        self._kept = b""
        self._later = None
        self.has_more_output = True

    def _take_more_messages(self, data: bytes, position: int, events: list[Event]) -> int:
        """Like `_take_short_messages`, within the work that is left for this call."""
        before = len(events)
        position = self._take_short_messages(data, position, events, self._work)
        self._work -= len(events) - before
        return position

    def _take_from_buffer(self, size: int, events: list[Event]) -> None:
        """Like `_decode`, for `size` bytes in the buffer. Only for codecs that ever have one."""
        raise NotImplementedError

    @abstractmethod
    def _take_short_messages(
        self, data: bytes, position: int, events: list[Event], most: int
    ) -> int:
        """Takes consecutive whole short messages, `most` of them at most.

        Stops at anything else, and before anything wrong. Only called between messages.

        Returns:
            The position where the rest begins.
        """

    @abstractmethod
    def _decode(self, data: bytes, position: int, events: list[Event]) -> None:
        """Adds the events that `data` from `position` on completes, and passes the rest to `_keep`.

        It takes at most `_work` steps, of one frame each at most.

        Raises:
            RemoteProtocolError: a violation.
        """

    @abstractmethod
    def _is_between(self) -> bool:
        """Whether the next byte begins a frame of a new message."""
