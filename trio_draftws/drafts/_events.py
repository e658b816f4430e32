"""What codecs encode and decode, and the errors they raise.

A message is a plain `str` or `bytes`; fragments and control frames are classes.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from ._close_codes import plain_code

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

    `code` is None if the frame carried none, which is always so in drafts before hybi-06.
    """

    code: int | None = attrs.field(default=None, converter=plain_code)
    reason: str = ""
    body: bytes = b""
    """All that the frame carried, in drafts whose closing frame has no code (hybi-01 to 05)."""


@attrs.frozen
class Fragment:
    """A part of a message that is sent or received in parts."""

    data: str | bytes
    final: bool = False
    """Whether the message ends with this part."""


@attrs.frozen
class EncodedText:
    """A text message as its UTF-8, which was checked; it is only sent."""

    data: Buffer

    def __len__(self) -> int:
        return len(self.data)


Event: TypeAlias = str | bytes | EncodedText | Fragment | Ping | Pong | Close
"""What a codec encodes and decodes; a message is a plain str or bytes."""


class LocalProtocolError(ValueError):
    """You asked for something that the connection's draft cannot express.

    The connection stays open, and nothing was sent.
    """


class RemoteProtocolError(Exception):
    """The peer broke its draft.

    `close_code` is the code to answer with if the draft has close codes. None means that the
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


def encode_text(message: str) -> bytes:
    """Returns `message` in UTF-8.

    Raises:
        LocalProtocolError: it holds a lone surrogate, which UTF-8 cannot express.
    """
    try:
        return message.encode()
    except UnicodeEncodeError as error:
        raise not_encodable(error) from None


def not_encodable(error: UnicodeEncodeError) -> LocalProtocolError:
    """The error for a text that UTF-8 cannot express."""
    return LocalProtocolError(
        f"text must be encodable in UTF-8, but character {error.start} is the lone surrogate "
        f"U+{ord(error.object[error.start]):04X}"
    )


def not_utf8(error: UnicodeDecodeError) -> LocalProtocolError:
    """The error for bytes that are to be sent as text, and are no UTF-8."""
    return LocalProtocolError(f"what is sent as text must be UTF-8: {error}")


def refuse_to_encode(event: object, draft: str, can: str) -> LocalProtocolError | TypeError:
    """The error for an event that the text-only codec of `draft` cannot encode.

    `can` names what it can send.
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
    """The error for what `draft` cannot express; it names a draft that can."""
    return LocalProtocolError(f'{draft} has no {what}{so}; draft="rfc6455" has them')


def no_message(event: object) -> TypeError:
    """The error for what no draft can send."""
    kind = type(event).__name__
    return TypeError(f"a message is a str or bytes, not {kind}; a bytearray or memoryview will do")
