"""`bridge`: two connections joined, so that each sends what the other receives, in any drafts.

The rules:

1. Nothing is read from one side before the other has room for what came before. So backpressure
   passes through, and little is held in between: a message of up to 64 KiB is forwarded whole, and
   a longer one part by part, if the target's draft has fragments.
2. A peer that closes gets its answer when the other side has ended too. Until then, messages of the
   other side are still forwarded to it. So a hixie-75 peer, which ends its side of TCP to say that
   it has sent everything, still receives the responses.
3. When one side ends, the other is closed in the terms of its own draft, with the nearest code that
   this has.
4. Pings and pongs are not forwarded.
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
from trio_draftws.drafts import EARLY_MESSAGE_TOO_BIG, Close, CloseCode, Draft, LocalProtocolError

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

BinaryPolicy: TypeAlias = Literal["refuse", "base64"]
"""How a binary message is treated if the other side's draft has none: a str, see `bridge`."""

# Messages up to this many bytes are sent unfragmented: simple peers may not handle fragments.
MAX_WHOLE = 65536

# The codes to use instead of one that a draft does not have, the best first
NEAREST_CODES = {
    EARLY_MESSAGE_TOO_BIG: (CloseCode.MESSAGE_TOO_BIG,),
    CloseCode.NO_STATUS_RECEIVED: (CloseCode.NORMAL_CLOSURE,),
    CloseCode.ABNORMAL_CLOSURE: (CloseCode.INTERNAL_ERROR, CloseCode.GOING_AWAY),
    CloseCode.INVALID_PAYLOAD: (CloseCode.PROTOCOL_ERROR,),
    CloseCode.POLICY_VIOLATION: (CloseCode.PROTOCOL_ERROR,),
    CloseCode.MESSAGE_TOO_BIG: (EARLY_MESSAGE_TOO_BIG,),
    CloseCode.MANDATORY_EXTENSION: (CloseCode.PROTOCOL_ERROR,),
}
# The other codes say something about the other side, such as that it is restarting.
FALLBACK_CODES = (CloseCode.INTERNAL_ERROR, CloseCode.GOING_AWAY)
# RFC 6455 section 5.5: a closing frame carries 125 bytes, and two of them are the code.
MAX_REASON = 123


async def bridge(a: Connection, b: Connection, *, binary: BinaryPolicy = "refuse") -> None:
    """Joins two open connections until both have ended: each sends what the other receives.

    Text messages are forwarded as text, long ones part by part, with backpressure: a peer that does
    not read stops the one that writes. When one side closes, the other is closed with the same code
    and reason, with the nearest code that its draft has, or without one if its draft has no codes.
    When one side is lost, the other is closed with 1001 if the lost peer was a client, else with
    1011; when one side violates its draft, with 1011 (RFC 6455 section 7.4.1). Both connections are
    closed when this returns, and when it raises one of the first three exceptions below.

    A checkpoint. Cancelling it closes neither connection: that is left to the blocks that opened
    them. A message that was being forwarded may then be lost, so close them.

    Args:
        a: a `Connection`.
        b: another `Connection`.
        binary: what happens to a binary message if the other side's draft has none
            (`connection.draft.binary`). `"refuse"`, the default, closes the connection that it came
            from with code 1003, and the other one with 1011. `"base64"` sends it as text, encoded
            in base64, with nothing to mark it. Text sent the other way stays text in either case.

    Returns:
        None, when both sides have ended, each with a closing handshake of its draft.

    Raises:
        ConnectionLost: a `trio.BrokenResourceError`; one side ended without a closing handshake.
        PeerViolation: a `trio.BrokenResourceError`; one side violated its draft, or sent a binary
            message that was refused.
        MessageTooBig: a `PeerViolation`; one side sent a message longer than our
            `max_message_size`.
        trio.BusyResourceError: another task is receiving on one of them; neither was closed.
        ValueError: `binary` is unknown, or `a` and `b` are the same connection.
        TypeError: `a` or `b` is not a `Connection`.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("bridge")
    check_kind("a", a, Connection, "a Connection")
    check_kind("b", b, Connection, "a Connection")
    check_binary_policy(binary)
    if a is b:
        raise ValueError("a bridge has two ends, not one connection twice")
    relay = _Relay(binary=binary)
    endpoint_of(a).hold_answer()
    endpoint_of(b).hold_answer()
    try:
        await _run_together(partial(relay.forward, a, b), partial(relay.forward, b, a))
    finally:
        endpoint_of(a).release_answer()
        endpoint_of(b).release_answer()
    await _run_together(partial(relay.close, a), partial(relay.close, b))
    if relay.failure is not None:
        raise relay.failure


def check_binary_policy(binary: str) -> None:
    """Checks the argument `binary`.

    Raises:
        ValueError: there is no such policy.
    """
    if binary not in ("refuse", "base64"):
        raise ValueError(f"binary is 'refuse' or 'base64', not {binary!r}")


@attrs.define(eq=False, kw_only=True)
class _Relay:
    """Forwards both ways, and remembers how the two ended."""

    binary: BinaryPolicy
    failure: Exception | None = None
    """What `bridge` raises in the end."""
    closes: dict[Connection, Close] = attrs.field(factory=dict)
    """How to close a side that has not been sent a Close yet; normally if it is not in here."""

    async def close(self, connection: Connection, scope: trio.CancelScope) -> None:
        del scope  # `aclose` has a timeout of its own
        close = self.closes.get(connection, Close())
        await connection.aclose(*close_arguments(connection.draft, close))

    async def forward(
        self, source: Connection, target: Connection, scope: trio.CancelScope
    ) -> None:
        """Forwards what `source` receives, and then its end; `scope` is that of both directions."""
        try:
            await self.forward_messages(source, target)
        except PeerClosed as end:
            await self.forward_close(target, Close(end.code, end.reason), scope)
        except LocalProtocolError as error:
            self.failure = PeerViolation(
                f"it sent what cannot be passed on: {error}", CloseCode.UNSUPPORTED_DATA
            )
            self.closes[source] = Close(
                CloseCode.UNSUPPORTED_DATA, "no binary messages on the other side"
            )
            self.closes[target] = Close(
                CloseCode.INTERNAL_ERROR, "the other side sent a binary message"
            )
            scope.cancel()
        except trio.ClosedResourceError:
            # The owner of one of them closed it.
            self.closes[source] = self.closes[target] = Close(CloseCode.GOING_AWAY)
            scope.cancel()
        except trio.BrokenResourceError as error:
            if not source.closed:
                return  # `target` broke, and the other direction, which receives on it, knows how
            if _ended_after_our_close(error, source):
                await self.forward_close(target, Close(), scope)
                return
            self.failure = self.failure or error
            self.closes.setdefault(target, _close_after_loss(error, source))
            scope.cancel()

    async def forward_messages(self, source: Connection, target: Connection) -> None:
        while True:
            async with source.receive_stream() as parts:
                await self.forward_message(parts, target)
            # What has arrived already is taken together, which costs less for small messages.
            if source.readable:
                messages = [self.converted(some, target) for some in await source.receive_many()]
                if sum(map(len, messages)) <= MAX_WHOLE:
                    await target.send_many(messages)
                else:
                    for message in messages:
                        await target.send(message)

    async def forward_message(self, parts: MessageStream, target: Connection) -> None:
        recoded = not parts.is_text and not target.draft.binary
        if recoded and self.binary == "refuse":
            raise LocalProtocolError(f"{target.draft.name} has no binary messages")
        gathered = GatheredParts(parts.is_text)
        size = 0
        async for part in parts:
            gathered.add(part)
            size += len(part)
            if size > MAX_WHOLE and not recoded:
                break
        beginning = gathered.whole()
        if parts.has_all:
            await target.send(self.converted(beginning, target))
        else:
            await target.send_stream(_prepend(beginning, parts))

    def converted(self, message: str | bytes, target: Connection) -> str | bytes:
        """Returns a whole message as `target` can send it."""
        if self.binary == "refuse" or isinstance(message, str) or target.draft.binary:
            return message
        return b64encode(message).decode()

    async def forward_close(
        self, target: Connection, close: Close, scope: trio.CancelScope
    ) -> None:
        """Sends a Close on `target`, but keeps receiving what its peer still sends."""
        endpoint = endpoint_of(target)
        if endpoint.end_type is None:
            try:
                await target.send_close(*close_arguments(target.draft, close))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
        # Half of it: the peer that closed has a deadline too, and must get its answer in time.
        scope.deadline = min(scope.deadline, trio.current_time() + endpoint.close_timeout / 2)


def close_arguments(draft: Draft, close: Close) -> tuple[int, str]:
    """Returns the code and reason for `Connection.aclose` that express `close` in `draft`."""
    if not draft.close_status:
        return CloseCode.NORMAL_CLOSURE, ""
    code = CloseCode.NO_STATUS_RECEIVED if close.code is None else close.code
    candidates = (code, *NEAREST_CODES.get(code, FALLBACK_CODES))
    nearest = next(
        (c for c in candidates if c >= 3000 or c in draft.close_codes), CloseCode.NORMAL_CLOSURE
    )
    # "ignore" drops a character that was cut in two.
    reason = close.reason.encode()[:MAX_REASON].decode("utf-8", "ignore")
    return nearest, reason


def _close_after_loss(error: trio.BrokenResourceError, source: Connection) -> Close:
    """Returns how to close the other side, after `source` ended with `error`."""
    if isinstance(error, MessageTooBig):
        return Close(CloseCode.INTERNAL_ERROR, "the other side sent too long a message")
    if isinstance(error, PeerViolation):
        return Close(CloseCode.INTERNAL_ERROR, "the other side broke the protocol")
    # Not 1014 (bad gateway): it was registered late, and many clients treat it as a violation.
    return Close(
        CloseCode.GOING_AWAY if source.role == "server" else CloseCode.INTERNAL_ERROR,
        "the other side was lost",
    )


def _ended_after_our_close(error: trio.BrokenResourceError, source: Connection) -> bool:
    """Returns whether the peer ended the stream after our Close, without one of its own.

    Many implementations of 2010 did so. After a reset, messages may have been lost.
    """
    lost = isinstance(error, ConnectionLost) and error.__cause__ is None
    return lost and source.close_sent is not None


async def _prepend(beginning: str | bytes, rest: MessageStream) -> AsyncGenerator[Any, None]:
    yield beginning
    async for part in rest:
        yield part


async def _run_together(*tasks: Callable[[trio.CancelScope], Awaitable[None]]) -> None:
    """Runs functions concurrently, each called with their common cancel scope.

    What one of them raises cancels the others, and is raised without a group around it.
    """
    raised: list[BaseException] = []

    async def run(task: Callable[[trio.CancelScope], Awaitable[None]]) -> None:
        try:
            await task(nursery.cancel_scope)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001
            raised.append(error)
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(run, task)
    except BaseExceptionGroup:
        # It holds only Cancelled; the checkpoint raises one of them, without the group.
        await trio.lowlevel.checkpoint()
        raise  # pragma: no cover
    if raised:
        raise raised[0]
