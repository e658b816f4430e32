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
    gathered = [part async for part in parts]
    if not gathered:
        return None
    if any(isinstance(part, str) is not isinstance(gathered[0], str) for part in gathered):
        raise LocalProtocolError("a message is text or binary in all its parts")
    return gathered[0][:0].join(gathered)  # type: ignore[arg-type]
