"""Assembles messages from pieces of payload, for the codecs of all drafts.

A codec takes frames apart, and passes on the bytes that belong to a message. They are joined in one
buffer, or handed on as fragments, in which case no more is kept than what one call of `decode`
brought. Text is checked as it comes: if bad UTF-8 fails the connection, it does so at the first
byte that no further bytes can make valid.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from trio_draftws.drafts._close_codes import CloseCode
from trio_draftws.drafts._events import Buffer, Event, Fragment, RemoteProtocolError

from .masking import apply_mask
from .payload import RESERVED_AHEAD, Payload, decode_utf8, new_payload

Kind: TypeAlias = int
NONE, TEXT, BINARY = 0, 1, 2

# From so many bytes on, no more memory is reserved ahead than for as much again as has come.
MUCH = 2**24


def decode_leniently(payloads: list[bytes]) -> list[str]:
    """Decodes the texts of whole messages; bad UTF-8 becomes U+FFFD."""
    try:
        # Arguments to `decode` would be looked up each time.
        return [payload.decode() for payload in payloads]
    except UnicodeDecodeError:
        return [payload.decode("utf-8", "replace") for payload in payloads]


class Assembler:
    """The message that one side is receiving."""

    __slots__ = ("_errors", "_limit", "_payload", "kind", "room", "streaming")

    def __init__(self, limit: float, errors: Literal["strict", "replace"]) -> None:
        self._limit = limit
        # How to treat bad UTF-8: as a violation, or as U+FFFD
        self._errors = errors
        #: TEXT or BINARY; NONE while no message has begun.
        self.kind: Kind = NONE
        #: How many more bytes it may have.
        self.room = limit
        #: Whether it is handed on as fragments.
        self.streaming = False
        # What has come of it; None before anything has
        self._payload: Payload | None = None

    def begin(self, kind: Kind) -> None:
        """Begins a message, or continues it."""
        self.kind = kind

    def _begun(self) -> Payload:
        if self._payload is None:
            self._payload = new_payload(self.kind == TEXT, self._errors == "replace")
        return self._payload

    def add(self, part: Buffer, key: bytes = b"", offset: int = 0) -> None:
        """Appends a non-final part. The caller has checked `room`.

        Args:
            key: the masking key, if the part is masked, applied from byte `offset` of it on.

        Raises:
            RemoteProtocolError: no further bytes can make it valid UTF-8.
        """
        if not self._begun().add(part, key, offset):
            raise _not_utf8()
        self.room -= len(part)

    def check(self, part: Buffer) -> None:
        """Checks a part as `add` does, without appending it.

        Raises:
            RemoteProtocolError: no further bytes can make it valid UTF-8.
        """
        if not self._begun().check(part):
            raise _not_utf8()

    def end(self, part: Buffer, key: bytes = b"", offset: int = 0) -> Event:
        """Appends the final part; returns the message, or its last fragment.

        Raises:
            RemoteProtocolError: it is a text, and not UTF-8.
        """
        event: Event
        try:
            if self._payload is None and not self.streaming:
                if key:
                    part = apply_mask(part, key, offset)
                event = decode_utf8(part, self._errors) if self.kind == TEXT else bytes(part)
            else:
                self.add(part, key, offset)
                if self.streaming:
                    event = Fragment(self._begun().pop(True), final=True)
                else:
                    event = self._begun().finish()
        except UnicodeDecodeError:
            raise _not_utf8() from None
        self.forget()
        return event

    def forget(self) -> None:
        """Drops the message."""
        self.kind = NONE
        self.room = self._limit
        self.streaming = False
        self._payload = None

    # Reading into its memory

    def may_reserve(self, coming: int = 0) -> int:
        """How many bytes may be reserved, after what has come and `coming` more bytes."""
        come = coming if self._payload is None else len(self._payload) + coming
        return max(min(RESERVED_AHEAD * come, MUCH), 2 * come) - come

    def reserve(self, size: int, coming: int = 0) -> memoryview:
        """Returns memory for `size` more bytes, or fewer; `coming` of them have come."""
        return self._begun().reserve(min(size, coming + self.may_reserve(coming)))

    def take(self, size: int, key: bytes, offset: int) -> None:
        """Appends `size` bytes that were put into the reserved memory.

        Raises:
            RemoteProtocolError: no further bytes can make it valid UTF-8.
        """
        if not self._begun().take(size, key, offset):
            raise _not_utf8()
        self.room -= size

    # Part by part

    def stream(self) -> Fragment | None:
        """See `Codec.stream`."""
        if self.kind == NONE:
            return None
        self.streaming = True
        return Fragment(self._begun().pop(False))

    def hand_on(self, events: list[Event]) -> None:
        """Adds what has come of a message that is handed on as fragments."""
        if data := self._begun().pop(False):
            events.append(Fragment(data))


def _not_utf8() -> RemoteProtocolError:
    return RemoteProtocolError(CloseCode.INVALID_PAYLOAD, "a text is not UTF-8")
