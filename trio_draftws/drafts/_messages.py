"""Messages from pieces of payload: what the codecs of all drafts have in common.

A codec takes the frames apart and says which bytes belong to a message. Here they are put
together, in one buffer and no object per piece, or handed on as they come: then no more is kept
than what one call of `decode` brought. Text is looked at as it comes: where bad UTF-8 fails the
connection, it does so at the first byte that no further ones can mend.
"""

from __future__ import annotations

import codecs
from typing import Literal, TypeAlias

from ._codec import Buffer, Event, Fragment, RemoteProtocolError

Kind: TypeAlias = int
NONE, TEXT, BINARY = 0, 1, 2

# A length alone takes no memory: so many times what has come of the message, at most.
TAKEN_AHEAD = 4
# How much text is looked at together: what Python makes of it takes up to four times the memory.
_SLICE = 16384
# Where no message has begun: one for all codecs, to which nothing is ever added
_NOTHING = bytearray()


def decode_leniently(payloads: list[bytes]) -> list[str]:
    """The texts of whole messages; U+FFFD stands for what is no UTF-8."""
    try:
        # To name the encoding, or what becomes of errors, makes Python look both up each time.
        return [payload.decode() for payload in payloads]
    except UnicodeDecodeError:
        return [payload.decode("utf-8", "replace") for payload in payloads]


class Messages:
    """The message that one side is receiving, if it did not come all at once."""

    __slots__ = ("_body", "_errors", "_limit", "_unchecked", "kind", "room", "streaming")

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
        self._body = _NOTHING
        self._unchecked = b""  # the start of a character, at the end of `_body`

    def begin(self, kind: Kind) -> None:
        """A message begins, or goes on."""
        self.kind = kind
        if self._body is _NOTHING:
            self._body = bytearray()

    def add(self, part: Buffer) -> None:
        """Takes a part of it behind which others follow; there must be room.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        self.check(part)
        self.room -= len(part)
        self._body += part

    def check(self, part: Buffer) -> None:
        """Looks at a part of it, as `add` does, but does not take it.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        if self.kind == TEXT and self._errors == "strict":
            self._check_utf8(part)

    def end(self, part: Buffer) -> Event:
        """Takes the last part of it, and gives the message, or its last fragment.

        Raises:
            RemoteProtocolError: it is a text and no UTF-8.
        """
        if self._body or self.streaming:
            self._body += part
            part = self._body
        event: Event
        try:
            if self.streaming:
                event = Fragment(self._taken(final=True), final=True)
            elif self.kind == TEXT:
                event = str(part, "utf-8", self._errors)
            else:
                event = bytes(part)
        except UnicodeDecodeError:
            raise RemoteProtocolError(1007, "a text is not UTF-8") from None
        self.forget()
        return event

    def forget(self) -> None:
        """There is no such message any more."""
        self.kind = NONE
        self.room = self._limit
        self.streaming = False
        self._unchecked = b""
        self._body = _NOTHING

    # Where it will stay

    def may_take(self, coming: int = 0) -> int:
        """How much memory may be taken ahead, for what has come and `coming` more bytes."""
        return TAKEN_AHEAD * (len(self._body) + coming)

    def take_place(self, size: int, coming: int = 0) -> memoryview:
        """Takes memory for `size` more bytes, or for as many as may be taken."""
        came = len(self._body)
        # Zeros that nobody writes to take no memory yet.
        body = bytearray(came + min(size, self.may_take(coming)))
        body[:came] = self._body
        self._body = body
        return memoryview(body)[came:]

    def put(self, part: memoryview, is_ascii: bool) -> None:
        """Takes a part that was put there, of which is known whether it is ASCII.

        Raises:
            RemoteProtocolError: no further bytes can make UTF-8 of it.
        """
        if (
            self.kind == TEXT
            and self._errors == "strict"
            and not (is_ascii and not self._unchecked)
        ):
            self._check_utf8(part)
        self.room -= len(part)

    def give_back(self, size: int) -> None:
        """Gives back what was taken and not put."""
        del self._body[len(self._body) - size :]

    # Part by part

    def stream(self) -> Fragment | None:
        """As `Codec.stream`."""
        if self.kind == NONE:
            return None
        self.streaming = True
        return Fragment(self._taken())

    def hand_on(self, events: list[Event]) -> None:
        """Adds what has come of a message that is to be given part by part."""
        if self._body and (data := self._taken()):
            events.append(Fragment(data))

    def _taken(self, *, final: bool = False) -> str | bytes:
        if self.kind == BINARY:
            data = bytes(self._body)
            self._body = bytearray()
            return data
        text, used = codecs.utf_8_decode(self._body, self._errors, final)
        del self._body[:used]
        return text

    def _check_utf8(self, part: Buffer) -> None:
        """Looks at text that goes on; no byte is looked at more than twice, here or at the end."""
        rest = self._unchecked
        for start in range(0, len(part), _SLICE):
            piece = part[start : start + _SLICE]
            unchecked = rest + piece if rest else piece
            try:
                checked = codecs.utf_8_decode(unchecked)[1]
            except UnicodeDecodeError:
                raise RemoteProtocolError(1007, "a text is not UTF-8") from None
            rest = bytes(unchecked[checked:])
        self._unchecked = rest
        # RFC 3629 section 4: ED goes on with 80 to 9F. Python waits for the third byte here, in
        # case that somebody wants surrogates.
        if rest[:1] == b"\xed" and rest[1:] >= b"\xa0":
            raise RemoteProtocolError(1007, "a text is not UTF-8")
