"""Two connections joined: what one receives, the other sends, whatever their drafts.

The rules:

1. Nothing is read from one side before the other has room for what came before. So a slow peer at
   one end stops the peer at the other, and little is held between them: a message of up to 64 KiB
   goes on as a whole, and a longer one part by part, where the draft of the other side can say so.
2. A peer that closes is answered when the other side has ended too. What the other side had said
   until it heard of it is still passed on; so hixie-75's peer, which says that it has sent all by
   ending its side of TCP, still gets its answers.
3. Each side is told in its draft's own words how the other ended, in the nearest code that it has.
4. Pings are each side's own business.
"""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeAlias

import attrs
import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.message_stream import GatheredParts, MessageStream
from trio_draftws._exceptions import ConnectionLost, MessageTooBig, PeerClosed, PeerViolation
from trio_draftws._settings.checks import check_kind, needs_trio
from trio_draftws.drafts import Close, Draft, LocalProtocolError

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

BinaryPolicy: TypeAlias = Literal["refuse", "base64"]
"""What becomes of a binary message for a side whose draft has none."""

# Simple peers may know no fragments, so only what is long is sent in some.
WHOLE_UP_TO = 65536

# What to say instead where a draft does not have a code, the best first
NEAREST = {
    1004: (1009,),  # too big, before version 13
    1005: (1000,),  # none was given: never sent
    1006: (1011, 1001),  # lost: never sent
    1007: (1002,),
    1008: (1002,),
    1009: (1004,),
    1010: (1002,),
}
# What is missing there is news of the other side, as that it restarts.
NEWS = (1011, 1001)
# RFC 6455 section 5.5: a closing frame carries 125 bytes, and two of them are the code.
MAX_REASON = 123


async def bridge(a: Connection, b: Connection, *, binary: BinaryPolicy = "refuse") -> None:
    """Joins two open connections until both have ended: each sends what the other receives.

    Text passes as text. Long messages pass part by part, and a peer that does not read stops the
    one that writes. When one side closes, the other is closed with the same code and reason, or
    with the nearest that its draft has: where it has none, with its bare close. When one side is
    lost, the other is closed with 1001 if that was a client, and else with 1011; when it breaks
    its draft, with 1011. Both connections are closed when this returns or raises what the list
    below says.

    It is a checkpoint. Cancelling it closes neither connection: that is left to the blocks that
    opened them. A message that was on its way may then be lost, so they are good for nothing else.

    Args:
        binary: what becomes of a binary message where the other side's draft has none
            (`connection.draft.binary`). `"refuse"` closes the connection that it came from with
            1003, and the other one too. `"base64"` sends it as text, in base64 and without a
            mark. Text of the other side stays text in either case.

    Raises:
        ConnectionLost: a `trio.BrokenResourceError`; one side ended without a goodbye.
        PeerViolation: a `trio.BrokenResourceError`; one side broke its draft, or sent a binary
            message that was refused.
        MessageTooBig: a `PeerViolation`; it sent a message above our `max_message_size`.
        trio.BusyResourceError: another task receives on one of them; neither was closed.
        ValueError: `binary` is neither of the two, or both connections are one.
        TypeError: one of them is no `Connection`.
    """
    needs_trio("bridge")
    check_kind("a", a, Connection, "a Connection")
    check_kind("b", b, Connection, "a Connection")
    check_binary_policy(binary)
    if a is b:
        raise ValueError("a bridge has two ends, not one connection twice")
    joint = _Bridge(binary)
    endpoint_of(a).hold_answer()
    endpoint_of(b).hold_answer()
    try:
        await _together(partial(joint.pass_all, a, b), partial(joint.pass_all, b, a))
    finally:
        endpoint_of(a).release_answer()
        endpoint_of(b).release_answer()
    await _together(partial(joint.close, a), partial(joint.close, b))
    if joint.failure is not None:
        raise joint.failure


def check_binary_policy(binary: str) -> None:
    """Whether there is such a policy.

    Raises:
        ValueError: there is none.
    """
    if binary not in ("refuse", "base64"):
        raise ValueError(f"binary is 'refuse' or 'base64', not {binary!r}")


@attrs.define(eq=False)
class _Bridge:
    binary: BinaryPolicy
    failure: Exception | None = None
    goodbyes: dict[Connection, Close] = attrs.field(factory=dict)
    """What to say to a side that was not told yet."""

    async def close(self, connection: Connection, scope: trio.CancelScope) -> None:
        del scope  # nothing that `aclose` does is cut short
        goodbye = self.goodbyes.get(connection, Close())
        await connection.aclose(*close_in(connection.draft, goodbye))

    async def pass_all(
        self, source: Connection, target: Connection, scope: trio.CancelScope
    ) -> None:
        """Passes on what `source` receives, and then how it ended; `scope` is that of both ways."""
        try:
            await self.pass_messages(source, target)
        except PeerClosed as end:
            await self.pass_close(target, Close(end.code, end.reason), scope)
        except LocalProtocolError as error:
            self.failure = PeerViolation(f"it sent what cannot be passed on: {error}", 1003)
            self.goodbyes[source] = Close(1003, "no binary messages on the other side")
            self.goodbyes[target] = Close(1011, "the other side sent a binary message")
            scope.cancel()
        except trio.ClosedResourceError:
            # Whoever owns one of them closed it.
            self.goodbyes[source] = self.goodbyes[target] = Close(1001)
            scope.cancel()
        except trio.BrokenResourceError as error:
            if not source.closed:
                return  # it is the target's, and who receives from that knows how it ended
            if _is_goodbye(error, source):
                await self.pass_close(target, Close(), scope)
                return
            self.failure = self.failure or error
            self.goodbyes.setdefault(target, _news_of(error, source))
            scope.cancel()

    async def pass_messages(self, source: Connection, target: Connection) -> None:
        while True:
            async with source.receive_stream() as parts:
                await self.pass_message(parts, target)
            # What came with it: less work for each, where they are small
            if source.readable:
                messages = [self.said(some, target) for some in await source.receive_many()]
                if sum(map(len, messages)) <= WHOLE_UP_TO:
                    await target.send_many(messages)
                else:
                    for message in messages:
                        await target.send(message)

    async def pass_message(self, parts: MessageStream, target: Connection) -> None:
        recoded = not parts.is_text and not target.draft.binary
        if recoded and self.binary == "refuse":
            raise LocalProtocolError(f"{target.draft.name} has no binary messages")
        begun = GatheredParts(parts.is_text)
        size = 0
        async for part in parts:
            begun.add(part)
            size += len(part)
            if size > WHOLE_UP_TO and not recoded:
                break
        beginning = begun.whole()
        if parts.has_all:
            await target.send(self.said(beginning, target))
        else:
            await target.send_stream(_whole(beginning, parts))

    def said(self, message: str | bytes, target: Connection) -> str | bytes:
        """A whole message as it is to be sent."""
        if self.binary == "refuse" or isinstance(message, str) or target.draft.binary:
            return message
        return b64encode(message).decode()

    async def pass_close(self, target: Connection, close: Close, scope: trio.CancelScope) -> None:
        """Closes `target` as far as that goes without losing what its peer still says."""
        endpoint = endpoint_of(target)
        if endpoint.end_type is None:
            try:
                await target.send_close(*close_in(target.draft, close))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
        # Half of it, since the peer that closed has a deadline too, and is to be answered in time.
        scope.deadline = min(scope.deadline, trio.current_time() + endpoint.close_timeout / 2)


def close_in(draft: Draft, close: Close) -> tuple[int, str]:
    """Code and reason with which to say `close` in `draft`, as `Connection.aclose` takes them."""
    if not draft.close_status:
        return 1000, ""
    code = 1005 if close.code is None else close.code
    candidates = (code, *NEAREST.get(code, NEWS))
    nearest = next((c for c in candidates if c >= 3000 or c in draft.close_codes), 1000)
    # Not in the middle of a character
    reason = close.reason.encode()[:MAX_REASON].decode("utf-8", "ignore")
    return nearest, reason


def _news_of(error: trio.BrokenResourceError, source: Connection) -> Close:
    """What the other side is told of how `source` ended."""
    if isinstance(error, MessageTooBig):
        return Close(1011, "the other side sent too long a message")
    if isinstance(error, PeerViolation):
        return Close(1011, "the other side broke the protocol")
    # 1014, of a bad gateway, came late: many clients take it for a violation.
    return Close(1001 if source.role == "server" else 1011, "the other side was lost")


def _is_goodbye(error: trio.BrokenResourceError, source: Connection) -> bool:
    """Whether the peer, which was told of a close, only left its own out, as many of the time did.

    A reset is something else: what was on its way may be lost.
    """
    lost = isinstance(error, ConnectionLost) and error.__cause__ is None
    return lost and source.close_sent is not None


async def _whole(beginning: str | bytes, rest: MessageStream) -> AsyncGenerator[Any, None]:
    yield beginning
    async for part in rest:
        yield part


async def _together(*ways: Callable[[trio.CancelScope], Awaitable[None]]) -> None:
    """Runs them side by side, each with the scope of all; what one raises comes out bare."""
    raised: list[BaseException] = []

    async def run(way: Callable[[trio.CancelScope], Awaitable[None]]) -> None:
        try:
            await way(nursery.cancel_scope)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001
            raised.append(error)
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for way in ways:
                nursery.start_soon(run, way)
    except BaseExceptionGroup:
        # Of nothing but cancellations: whoever was cancelled hears of it once.
        await trio.lowlevel.checkpoint()
        raise  # pragma: no cover
    if raised:
        raise raised[0]
