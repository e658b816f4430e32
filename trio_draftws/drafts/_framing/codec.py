"""What a codec is: events to bytes and back, for one side of one connection.

Nothing here does I/O, looks at a clock or knows of trio.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol, TypeAlias

import attrs

from trio_draftws.drafts._events import Buffer, EncodedText, Event, Fragment, Role

from .compression import Deflate

# One call of `decode` takes at most so many frames of any kind: other connections get a turn too.
MOST_AT_ONCE = 256

ShortReceive: TypeAlias = Callable[[int, "list[Event]"], "int | tuple[int, bytes] | None"]
ShortSend: TypeAlias = Callable[[int, Event | Buffer], int | tuple[int, bytes] | None]


class Codec(Protocol):
    """Events to bytes and back, for one side of one connection. No I/O, no clock, no trio."""

    @property
    def receive_short(self) -> ShortReceive | None:
        """A function that receives from a descriptor once, and adds the whole short messages that
        came to a list; None if the codec has no such fast path.

        It returns how many bytes came, with those that are left for `decode`, if any; None if
        nothing has come. Call it only while `between_messages`.
        """
        ...

    @property
    def send_short(self) -> ShortSend | None:
        """A function that frames a short message and sends it to a descriptor; None if the codec
        has no such fast path.

        It returns how many bytes were sent, with the frame if that was not all of it; None if it
        is no short message. Call it only if nothing waits to be sent, and the message need not be
        compressed.
        """
        ...

    @property
    def mid_message(self) -> bool:
        """Whether a message has begun and not ended, so that an end of stream would cut it.

        Bytes that are kept for the next call, while `has_more_output`, do not count.
        """
        ...

    @property
    def between_messages(self) -> bool:
        """Whether the next byte begins a frame of a new message, and nothing is kept."""
        ...

    @property
    def has_more_output(self) -> bool:
        """Whether `decode(b"")` would give more of what came, or raise a violation."""
        ...

    @property
    def decoded_control(self) -> bool:
        """Whether the last `decode` returned pings or pongs."""
        ...

    def encode(self, event: Event | Buffer, compress: bool | None = None) -> list[Buffer]:
        """Returns the bytes of `event`, in one buffer or several.

        Between the fragments of a message, only control frames may be encoded.

        Args:
            compress: whether to compress a message, if compression was negotiated; None leaves it
                to the settings. For a message in fragments, that of the first one counts.

        Raises:
            LocalProtocolError: the draft cannot express it; nothing has changed.
        """
        ...

    def decode(self, data: Buffer) -> list[Event]:
        """Returns the events that `data` completes; any split of the bytes gives the same ones.

        One call takes at most `MOST_AT_ONCE` frames of any kind, and stops soon after it has
        inflated 64 KiB. The rest is kept for the next call, in front of its `data`, so an empty
        list does not mean that nothing is left: call `decode(b"")` while `has_more_output`.

        Events before a violation are returned first, and the violation is raised by the next call
        and every one after it. Nothing is decoded after a `Close`.

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
            RemoteProtocolError: the peer broke the draft.
        """
        ...

    def encoding_key(
        self, message: str | bytes | EncodedText, compress: bool | None = None
    ) -> Hashable | None:
        """Cache key: codecs with equal keys encode this message to the same bytes.

        None if the bytes cannot be shared, for example because they are masked.
        """
        ...

    def stream(self) -> Fragment | None:
        """Returns what has come of the current message; None if none has begun.

        From then on the rest of that message is decoded to `Fragment`s as it comes. Later messages
        are whole again.
        """
        ...


@attrs.frozen
class NegotiatedParameters:
    """What the opening handshake settled in addition to the draft; codecs are made from it."""

    subprotocol: str | None = None
    masking_key: bytes = b""
    """The connection's masking key, which only hybi-04 has: 20 bytes."""
    deflate: Deflate | None = None
    """How messages are compressed; None if they are not."""


# Most connections share this one.
NOTHING_NEGOTIATED = NegotiatedParameters()


class CodecFactory(Protocol):
    """Makes a codec for one side.

    Its arguments are the role, the limit in bytes for received messages, and what was negotiated.
    """

    def __call__(
        self, role: Role, max_message_size: float, negotiated: NegotiatedParameters = ..., /
    ) -> Codec: ...
