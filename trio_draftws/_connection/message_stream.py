"""One message, part by part, as it is received or sent."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable

import attrs

from trio_draftws.drafts import Fragment, LocalProtocolError, no_message, not_utf8


@attrs.define(eq=False)
class MessageStream:
    """One message that is being received: an async iterator of its parts, all str or all bytes.

    Each part is what has come since the one before; where the peer cut the message into fragments
    means nothing. Waiting for a part is a checkpoint; cancelling it loses nothing. If the rest of
    the message never comes, it raises what `Connection.receive` would: the iteration ends only
    where the message does.
    """

    _next_fragment: Callable[[], Awaitable[Fragment]]
    _fragment: Fragment
    """The next one to yield, if it is not empty."""
    is_text: bool
    """Whether the parts are `str`; otherwise they are `bytes`."""
    _ended: bool = False

    @property
    def has_all(self) -> bool:
        """Whether the whole message has come."""
        return self._fragment.final

    def __aiter__(self) -> MessageStream:
        return self

    async def __anext__(self) -> str | bytes:
        while not self._ended:
            fragment = self._fragment
            if fragment.data:
                self._fragment = Fragment("", fragment.final)
                return fragment.data
            if fragment.final:
                self._ended = True
            else:
                self._fragment = await self._next_fragment()
        raise StopAsyncIteration


async def text_parts(
    parts: AsyncIterable[str] | AsyncIterable[bytes],
) -> AsyncGenerator[str, None]:
    """Yields parts of UTF-8 as text; they may end inside of a character, which then comes later.

    Raises:
        LocalProtocolError: they are not UTF-8.
        TypeError: a part is neither text nor bytes.
    """
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        async for part in parts:
            if isinstance(part, str):
                decode(b"", final=True)  # no character begins in bytes and ends in a str
                yield part
            elif isinstance(part, (bytes, bytearray, memoryview)):
                yield decode(bytes(part))
            else:
                raise no_message(part)
        decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None


async def gather(parts: AsyncIterable[str] | AsyncIterable[bytes]) -> str | bytes | None:
    """Joins all parts to one message; returns None if there are none.

    Raises:
        LocalProtocolError: they are not all of one type.
    """
    gathered: GatheredParts | None = None
    async for part in parts:
        if gathered is None:
            gathered = GatheredParts(isinstance(part, str))
        if isinstance(part, str) is not gathered.is_text:
            raise LocalProtocolError("a message is text or binary in all its parts")
        gathered.add(part)
    return None if gathered is None else gathered.whole()


@attrs.define(eq=False)
class GatheredParts:
    """A message that is put together; a list of its parts could take many times as much memory."""

    is_text: bool
    _data: bytearray = attrs.field(factory=bytearray, init=False)

    def add(self, part: str | bytes) -> None:
        """Appends a part.

        Raises:
            TypeError: it is neither text nor bytes.
        """
        # Sending the message raises the right error for a lone surrogate.
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        self._data += memoryview(data)

    def whole(self) -> str | bytes:
        """Returns the whole message; to be called once."""
        data, self._data = self._data, bytearray()
        return data.decode("utf-8", "surrogatepass") if self.is_text else bytes(data)
