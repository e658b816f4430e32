"""Messages from pieces of payload: what the codecs of all drafts have in common.

A codec takes the frames apart and says which bytes belong to a message. Here they are put
together, in one buffer and no object per piece, or handed on as they come: then no more is kept
than what one call of `decode` brought. Text is looked at as it comes: where bad UTF-8 fails the
connection, it does so at the first byte that no further ones can mend.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from trio_draftws.drafts._events import Buffer, Event, Fragment, RemoteProtocolError

from .masking import apply_mask
from .payload import RESERVED_AHEAD, Payload, decode_utf8, new_payload

Kind: TypeAlias = int
NONE, TEXT, BINARY = 0, 1, 2

# From so many bytes on, memory is reserved for no more than has come once again.
MUCH = 2**24


def decode_leniently(payloads: list[bytes]) -> list[str]:
    """The texts of whole messages; U+FFFD stands for what is no UTF-8."""
    try:
        # To name the encoding, or what becomes of errors, makes Python look both up each time.
        return [payload.decode() for payload in payloads]
    except UnicodeDecodeError:
        return [payload.decode("utf-8", "replace") for payload in payloads]


class Assembler:
    """The message that one side is receiving, if it did not come all at once."""

    __slots__ = ("_errors", "_limit", "_payload", "kind", "room", "streaming")

    def __init__(self, limit: float, errors: Literal["strict", "replace"]) -> None:
        self._limit = limit
        # What becomes of bad UTF-8: a violation, or U+FFFD
        self._errors = errors
        #: TEXT or BINARY; NONE while no message has begun.
        self.kind: Kind = NONE
        #: How many more bytes it may have.
        self.room = limit
        #: Whether it is handed on as it comes.
        self.streaming = False
        # What has come of it; None before anything has
        self._payload: Payload | None = None

    def begin(self, kind: Kind) -> None:
        """A message begins, or goes on."""
        self.kind = kind

    def _begun(self) -> Payload:
        if self._payload is None:
            self._payload = new_payload(self.kind == TEXT, self._errors == "replace")
        return self._payload

    def add(self, part: Buffer, key: bytes = b"", offset: int = 0) -> None:
        """Takes a part of it behind which others follow; there must be room.

        Args:
            key: what it is masked with, if with anything, beginning `offset` bytes into it.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        if not self._begun().add(part, key, offset):
            raise _not_utf8()
        self.room -= len(part)

    def check(self, part: Buffer) -> None:
        """Looks at a part of it, as `add` does, but does not take it.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        if not self._begun().check(part):
            raise _not_utf8()

    def end(self, part: Buffer, key: bytes = b"", offset: int = 0) -> Event:
        """Takes the last part of it, as `add` does, and gives the message, or its last fragment.

        Raises:
            RemoteProtocolError: it is a text and no UTF-8.
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
        """There is no such message any more."""
        self.kind = NONE
        self.room = self._limit
        self.streaming = False
        self._payload = None

    # Where it will stay

    def may_reserve(self, coming: int = 0) -> int:
        """How much memory may be reserved, for what has come and `coming` more bytes."""
        come = coming if self._payload is None else len(self._payload) + coming
        return max(min(RESERVED_AHEAD * come, MUCH), 2 * come) - come

    def reserve(self, size: int, coming: int = 0) -> memoryview:
        """Memory for `size` more bytes, of which `coming` have come, or for as many as may be."""
        return self._begun().reserve(min(size, coming + self.may_reserve(coming)))

    def take(self, size: int, key: bytes, offset: int) -> None:
        """Takes so many bytes that were put there, as `add` does.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        if not self._begun().take(size, key, offset):
            raise _not_utf8()
        self.room -= size

    # Part by part

    def stream(self) -> Fragment | None:
        """As `Codec.stream`."""
        if self.kind == NONE:
            return None
        self.streaming = True
        return Fragment(self._begun().pop(False))

    def hand_on(self, events: list[Event]) -> None:
        """Adds what has come of a message that is to be given part by part."""
        if data := self._begun().pop(False):
            events.append(Fragment(data))


def _not_utf8() -> RemoteProtocolError:
    return RemoteProtocolError(1007, "a text is not UTF-8")
