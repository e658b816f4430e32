"""What a codec is: events to bytes and back, for one side of one connection.

Nothing here does I/O, looks at a clock or knows of trio.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol, TypeAlias

import attrs

from trio_draftws.drafts._events import Buffer, Event, Fragment, Role

from .compression import Deflate

# One call of `decode` takes so many frames, of whatever kind: others want their turn too.
MOST_AT_ONCE = 256

ShortReceive: TypeAlias = Callable[[int, "list[Event]"], "int | tuple[int, bytes] | None"]
ShortSend: TypeAlias = Callable[[int, "Event | Buffer"], "int | tuple[int, bytes] | None"]


class Codec(Protocol):
    """Events to bytes and back, for one side of one connection. No I/O, no clock, no trio."""

    @property
    def receive_short(self) -> ShortReceive | None:
        """Receives from a descriptor once, and adds the whole short messages that came to a list:
        returns how many bytes came, and with them those that are for `decode`, if any; None where
        nothing has come. Only while `between_messages`. None if the codec has no such fast
        path.
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
    def between_messages(self) -> bool:
        """Whether the next byte, if any comes, begins a message, and nothing is owed."""
        ...

    @property
    def has_more_output(self) -> bool:
        """Whether `decode(b"")` has something to say: more of what came, or a violation."""
        ...

    @property
    def decoded_control(self) -> bool:
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

    def get_buffer(self) -> memoryview | None:
        """Writable view for the rest of a long frame's payload; None if there is no such frame.

        Bytes that are read into it need no `decode`: call `buffer_updated` with their number.
        """
        ...

    def buffer_updated(self, size: int) -> list[Event]:
        """Like `decode`, for `size` bytes that were put at the beginning of the buffer.

        Raises:
            RemoteProtocolError: as `decode`.
        """
        ...

    def encoding_key(self, message: str | bytes, compress: bool | None = None) -> Hashable | None:
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
        self, role: Role, max_message_size: float, negotiated: NegotiatedParameters = ..., /
    ) -> Codec: ...
