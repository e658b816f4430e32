"""One message, part by part: what is received of it, and what a caller sends of it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

import attrs

from trio_draftws.drafts import Fragment, LocalProtocolError


@attrs.define(eq=False)
class MessageStream:
    """One message that is being received: an async iterator of its parts, all str or all bytes.

    The parts are what has come so far; where the peer cut the message into fragments means
    nothing. Waiting for one is a checkpoint, and cancelling that loses nothing. Errors are those
    of `Connection.receive`, and say that the message has no end; it does not end quietly before.
    """

    _next_fragment: Callable[[], Awaitable[Fragment]]
    _fragment: Fragment
    """The one that is to be given next, if it is not empty."""
    is_text: bool
    """Whether the parts are str; else they are bytes."""
    _ended: bool = False

    @property
    def has_all(self) -> bool:
        """Whether all of it has come."""
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


async def gather(parts: AsyncIterable[str] | AsyncIterable[bytes]) -> str | bytes | None:
    """All parts as one message; None where there are none.

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
    """A message that is put together. A list of its parts could take many times as much memory."""

    is_text: bool
    _data: bytearray = attrs.field(factory=bytearray, init=False)

    def add(self, part: str | bytes) -> None:
        """Takes a part more.

        Raises:
            TypeError: it is neither text nor bytes.
        """
        # Whoever sends the message says what is wrong with a lone surrogate.
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        self._data += memoryview(data)

    def whole(self) -> str | bytes:
        """All of it; to be called once."""
        data, self._data = self._data, bytearray()
        return data.decode("utf-8", "surrogatepass") if self.is_text else bytes(data)
