"""What a codec is: events to bytes and back, for one side of one connection.

Nothing here does I/O, looks at a clock or knows of trio.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from functools import partial
from typing import Literal, Protocol, TypeAlias

import attrs

from .close_codes import plain_code
from .compression import Deflate

# One call of `decode` takes so many frames, of whatever kind: others want their turn too.
MOST_AT_ONCE = 256

Buffer: TypeAlias = bytes | bytearray | memoryview
Role: TypeAlias = Literal["client", "server"]


@attrs.frozen
class Ping:
    """Asks the peer for a `Pong` with the same payload (hybi-01 on)."""

    payload: bytes = b""


@attrs.frozen
class Pong:
    """The answer to a `Ping` (hybi-01 on)."""

    payload: bytes = b""


@attrs.frozen
class Close:
    """The closing handshake's frame.

    `code` is None where the frame carried none, as it always is in drafts before hybi-06.
    """

    code: int | None = attrs.field(default=None, converter=plain_code)
    reason: str = ""
    body: bytes = b""
    """All that the frame carried, in drafts whose closing frame has no code (hybi-01 to 05)."""


@attrs.frozen
class Fragment:
    """A part of a message that is sent or received part by part."""

    data: str | bytes
    final: bool = False
    """Whether the message ends with it."""


Event: TypeAlias = str | bytes | Fragment | Ping | Pong | Close
"""What goes in and comes out of a codec; a message is a plain str or bytes."""


class LocalProtocolError(ValueError):
    """You asked for something that the connection's draft has no way to say.

    The connection is as good as before.
    """


class RemoteProtocolError(Exception):
    """The peer broke its draft.

    `close_code` is what to answer where the draft has close codes; None means that the
    connection is to be cut without a closing frame.
    """

    def __init__(self, close_code: int | None, reason: str) -> None:
        close_code = plain_code(close_code)
        super().__init__(close_code, reason)
        self.close_code = close_code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class MessageOverLimit(RemoteProtocolError):
    """A message is longer than the codec's `max_message_size`, which no draft forbids."""


ShortReceive: TypeAlias = Callable[[int, "list[Event]"], "int | tuple[int, bytes] | None"]
ShortSend: TypeAlias = Callable[[int, "Event | Buffer"], "int | tuple[int, bytes] | None"]


class Codec(Protocol):
    """Events to bytes and back, for one side of one connection. No I/O, no clock, no trio."""

    @property
    def receive_short(self) -> ShortReceive | None:
        """Receives from a descriptor once, and adds the whole short messages that came to a list:
        returns how many bytes came, and with them those that are for `decode`, if any; None where
        nothing has come. For while the codec is `between` messages; None where there is no such
        short way.
        """
        ...

    @property
    def send_short(self) -> ShortSend | None:
        """Frames a short message and sends it to a descriptor: returns how many bytes were sent,
        and with them the frame, if that was not all of it; None for what is no short message. For
        where nothing else waits, and nothing has to be compressed. None where there is no such
        short way.
        """
        ...

    @property
    def mid_message(self) -> bool:
        """True while a message has begun and not ended: an end of stream now cuts it.

        While something is owed, it says nothing of the bytes that are kept back.
        """
        ...

    @property
    def between(self) -> bool:
        """Whether the next byte, if any comes, begins a message, and nothing is owed."""
        ...

    @property
    def has_more_output(self) -> bool:
        """Whether `decode(b"")` has something to say: more of what came, or a violation."""
        ...

    @property
    def heard_control(self) -> bool:
        """Whether pings or pongs are among what the last `decode` gave."""
        ...

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """The bytes that say `event`, in one buffer or several.

        Between the fragments of a message, only control frames may be encoded.

        Args:
            compress: whether to compress a message, where that was agreed to; None leaves it to
                the settings. What counts is what was said with its first fragment.

        Raises:
            LocalProtocolError: the draft has no way to say it; nothing has changed.
        """
        ...

    def decode(self, data: Buffer) -> list[Event]:
        """The events that `data` completes; any split of the wire gives the same ones.

        One call takes at most `MOST_AT_ONCE` frames, of whatever kind, and stops soon after it has
        inflated 64 KiB. It keeps the rest for the next call, in front of whatever that brings; so
        it may give nothing, and there is still more.
        Events that came before a violation are returned first, and the violation is raised by
        the next call (and every one after). Until both are done `has_more_output` is true; calling
        `decode(b"")` while it is gives all that came. Nothing is decoded after a `Close`.

        Raises:
            RemoteProtocolError: the peer broke the draft. Nothing else is ever raised.
        """
        ...

    @property
    def place(self) -> memoryview | None:
        """Where the next bytes may be put, instead of giving them to `decode`: the payload of a
        long frame. `fill` has to follow.
        """
        ...

    def fill(self, size: int) -> list[Event]:
        """As `decode`, for `size` bytes that were put at the beginning of `place`.

        Raises:
            RemoteProtocolError: as `decode`.
        """
        ...

    def shared(self, message: str | bytes, compress: bool | None = None) -> Hashable | None:
        """The same for all codecs that `encode` a message to the same bytes, which any of them
        may then send; None where only this one can say it so, as with a mask of its own.
        """
        ...

    def stream(self) -> Fragment | None:
        """What has come of a message that has not ended; None where none has begun.

        The rest of that message is then given as `Fragment`s, as it comes; those behind it are
        whole again.
        """
        ...


class DecodesInOrder(ABC):
    """The half of a codec that keeps back what is due only when what came before it was taken.

    Most of what a connection gets is whole short messages, so those have a short way; `_decode`
    knows everything. What is behind enough for one call stays as it came until it is asked for.
    """

    __slots__ = (
        "_closed",
        "_kept",
        "_kept_from",
        "_later",
        "_violation",
        "_work",
        "between",
        "has_more_output",
        "heard_control",
        "inflated",
        "place",
    )

    def __init__(self) -> None:
        #: As `Codec.heard_control`.
        self.heard_control = False
        #: As `Codec.owes`.
        self.has_more_output = False
        #: As `Codec.between`.
        self.between = True
        #: How many bytes were made of what came compressed, in all.
        self.inflated = 0
        #: As `Codec.place`.
        self.place: memoryview | None = None
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
        self.heard_control = False
        if self.between:
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
        self.between = False
        try:
            self._decode(data, position, events)
        except RemoteProtocolError as violation:
            self._keep_back(violation)
        if self._violation is not None and not events:
            raise self._violation()
        return events

    def fill(self, size: int) -> list[Event]:
        """As `Codec.fill`."""
        events: list[Event] = []
        self.heard_control = False
        try:
            self._fill(size, events)
            self.between = self._is_between()
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
        self.between = not self.has_more_output and self._is_between()

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

    def _fill(self, size: int, events: list[Event]) -> None:
        """As `_decode`, for what was put at `place`; only for those who ever have one."""
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


@attrs.frozen
class NegotiatedParameters:
    """What an opening handshake settled beside the draft; codecs are made from it."""

    subprotocol: str | None = None
    masking_key: bytes = b""
    """The connection's masking key, which only hybi-04 has: 20 bytes."""
    deflate: Deflate | None = None
    """How messages are compressed; None where they are not."""


# One for all, since most are it
NOTHING_NEGOTIATED = NegotiatedParameters()


class CodecFactory(Protocol):
    """Makes a codec for one side.

    It is given the most bytes that a received message may have, and what the opening settled.
    """

    def __call__(
        self, role: Role, max_message_size: float, agreement: NegotiatedParameters = ..., /
    ) -> Codec: ...


def encode_text(message: str) -> bytes:
    """`message` in UTF-8.

    Raises:
        LocalProtocolError: it holds a lone surrogate, which UTF-8 cannot say.
    """
    try:
        return message.encode()
    except UnicodeEncodeError as error:
        raise not_encodable(error) from None


def not_encodable(error: UnicodeEncodeError) -> LocalProtocolError:
    """The error for a text that UTF-8 cannot say."""
    return LocalProtocolError(
        f"text must be encodable in UTF-8, but character {error.start} is the lone surrogate "
        f"U+{ord(error.object[error.start]):04X}"
    )


def refuse_to_encode(event: object, draft: str, can: str) -> LocalProtocolError | TypeError:
    """The error for an event that the text-only codec of `draft` was asked to encode.

    `can` is what it can send.
    """
    if isinstance(event, (bytes, bytearray, memoryview)):
        so = f", so {type(event).__name__} cannot be sent"
        return cannot_say(draft, "binary messages", f"{so}: it can send {can}")
    if isinstance(event, (Fragment, Ping, Pong, Close)):
        what = (
            "fragments" if isinstance(event, Fragment) else f"{type(event).__name__.lower()} frames"
        )
        return cannot_say(draft, what, f": it can send {can}")
    return no_message(event)


def cannot_say(draft: str, what: str, so: str = "") -> LocalProtocolError:
    """The error for what `draft` has no way to say, which names one that has."""
    return LocalProtocolError(f'{draft} has no {what}{so}; draft="rfc6455" has them')


def no_message(event: object) -> TypeError:
    """The error for what no draft can send."""
    kind = type(event).__name__
    return TypeError(f"a message is a str or bytes, not {kind}; a bytearray or memoryview will do")
