"""A client that comes back: one connection after the other to the same server.

Nothing of Trio's is opened when a connection begins and closed when it ends: as on a server, all of
them share one scope, whose nursery opens and closes with the caller's `async with`. So whatever
cancel scopes and nurseries the caller opens between, within an iteration or across several, nest
rightly; and leaving the loop, however that happens, leaves nothing behind that the block's end does
not close.
"""

from __future__ import annotations

import calendar
import logging
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_tz
from typing import TYPE_CHECKING

import attrs
import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import Scope, open_scope
from trio_draftws._exceptions import Rejected, code_after
from trio_draftws._settings.checks import check_sync_result, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import Draft, HandshakeError

from .connector import Connector, make_connector
from .hints import is_unknown_draft
from .settings import ReconnectSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger("trio_draftws")

_random = secrets.SystemRandom()


@attrs.define(kw_only=True)
class Backoff:
    """How long to wait before the next attempt: longer after each that came to nothing."""

    initial_backoff: float
    max_backoff: float
    backoff_factor: float
    backoff_jitter: float
    settled_after: float
    _next: float = attrs.field(init=False)

    @classmethod
    def of(cls, settings: ReconnectSettings) -> Backoff:
        """As those of the settings say, which must be complete."""
        return cls(
            initial_backoff=settings["initial_backoff"],
            max_backoff=settings["max_backoff"],
            backoff_factor=settings["backoff_factor"],
            backoff_jitter=settings["backoff_jitter"],
            settled_after=settings["settled_after"],
        )

    def __attrs_post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew, after a connection that lived."""
        self._next = min(self.initial_backoff, self.max_backoff)

    def next(self, at_least: float = 0) -> float:
        """The next wait in seconds, of which a random share is left out; `at_least` is what the
        server asked for.
        """
        wait = self._next * (1 - self.backoff_jitter * _random.random())
        self._next = min(self._next * self.backoff_factor, self.max_backoff)
        return max(wait, min(at_least, self.max_backoff))


@attrs.define(eq=False, repr=False)
class Reconnecting(AsyncIterator[Connection]):
    """The connections that `reconnecting` gives, one after the other."""

    _call: Connector
    _backoff: Backoff
    _retry: Callable[[HandshakeError], bool]
    _scope: Scope
    _connection: Connection | None = attrs.field(default=None, init=False)
    _agreed: Draft | None = attrs.field(default=None, init=False)
    """The draft of the last connection, which is tried first for the next."""
    _opened_at: float = attrs.field(default=0, init=False)
    _not_before: float = attrs.field(default=-math.inf, init=False)
    """When the next attempt may be made; kept, so that a cancelled wait does not shorten it."""
    _busy: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    def __repr__(self) -> str:
        return f"<Reconnecting connection={self._connection!r}>"

    async def __anext__(self) -> Connection:
        """Closes the connection that there was, and opens the next, trying until that succeeds.

        A checkpoint. Cancelled, it leaves no connection, and may be called again.

        Raises:
            HandshakeError: that `retry` does not want to be tried again.
            trio.BusyResourceError: another task is waiting for the next connection.
            trio.ClosedResourceError: the block of `reconnecting` has ended.
        """
        if self._busy:
            raise trio.BusyResourceError("another task is waiting for the next connection")
        if self._ended:
            raise trio.ClosedResourceError("the block of reconnecting has ended")
        self._busy = True
        try:
            await self._part(1000)
            while True:
                await trio.sleep_until(self._not_before)
                try:
                    self._connection = await self._call.open(self._scope, self._agreed)
                except HandshakeError as error:
                    if is_unknown_draft(error):
                        self._agreed = None
                    wait = self._put_off(error)
                    if not check_sync_result("retry", self._retry(error)):
                        raise
                    logger.info(
                        "no connection to %s, next attempt in %.1f s: %s",
                        self._call.wish.url.host_field,
                        wait,
                        error,
                    )
                else:
                    self._agreed = self._connection.draft
                    self._opened_at = trio.current_time()
                    return self._connection
        finally:
            self._busy = False

    def _put_off(self, error: HandshakeError) -> float:
        """Sets the time of the next attempt, and returns how many seconds that is from now."""
        wait = self._backoff.next(_retry_after(error))
        self._not_before = trio.current_time() + wait
        return wait

    async def _part(self, code: int) -> None:
        """Closes the connection that there is, and sets the time of the next attempt."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        now = trio.current_time()
        if now - self._opened_at >= self._backoff.settled_after:
            self._backoff.reset()
        self._not_before = now + self._backoff.next()
        await connection.aclose(code)

    async def end(self, code: int) -> None:
        """Closes the connection that there is; there is no other."""
        self._ended = True
        await self._part(code)


def _retry_after(error: HandshakeError) -> float:
    """The seconds that a refusal asks for (RFC 9110 section 10.2.3): 0 where it asks for none.

    A date is counted from the answer's own Date if it has one, since clocks differ.
    """
    if not isinstance(error, Rejected):
        return 0
    sent = _moment(error.headers.get("Date", ""))
    asked = [0.0]
    for value in error.headers.get_all("Retry-After"):
        if value.isascii() and value.isdigit():
            # Not int: Python reads no more than 4300 digits.
            asked.append(float(value))
        elif (moment := _moment(value)) is not None:
            asked.append(moment - (time.time() if sent is None else sent))
    return max(asked)


def _moment(value: str) -> float | None:
    """An HTTP-date in seconds since 1970 (RFC 9110 section 5.6.7); None where it is none."""
    parts = parsedate_tz(value)
    if parts is None:
        return None
    try:
        # All three forms mean GMT, and one does not say so.
        return calendar.timegm((*parts[:6], 0, 0, 0)) - (parts[9] or 0)
    except (ValueError, OverflowError):
        return None


@expand_signature(ReconnectSettings)
@asynccontextmanager
async def reconnecting(
    url: str, **settings: Unpack[ReconnectSettings]
) -> AsyncGenerator[AsyncIterator[Connection], None]:
    """Connects to a server, again and again: `async with reconnecting(url) as connections`.

    `async for connection in connections` then opens a connection, and when the loop's body is
    through with it closes it in order and opens the next; the loop never ends by itself. What the
    body raises comes out, also that a connection was lost: a body that wants the next one catches
    `trio.BrokenResourceError`. Leaving the loop leaves the connection open until the block ends,
    which closes it in order, also when it is cancelled or raises.

    The first attempt is made at once. Before each other one it waits, longer every time; after a
    connection that lived for `settled_after`, as short as at first. Where a refusal has a
    `Retry-After`, in seconds or as a date, it waits that long, or `max_backoff` if that is less.

    Nothing is ever sent again: what was sent on a connection that was lost may have arrived or
    not, and only the program knows whether to repeat it.

    Args:
        url: as for `open_websocket`. `framing_mode` is read once, when the block is entered. Where
            several drafts may be tried, the one that was agreed is asked first the next time.
        settings: those of `open_websocket`, but for `stream`; and `initial_backoff`,
            `max_backoff`, `backoff_factor`, `backoff_jitter`, `settled_after` and `retry`.

    Entering is no checkpoint.

    Raises:
        ValueError: an argument is out of range, or as `open_websocket`.
        TypeError: an argument is nothing of its kind.
        ImportError: the proxy needs the extra `proxy`.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("reconnecting")
    settings = with_defaults(ReconnectSettings, settings, "reconnecting")
    backoff = Backoff.of(settings)
    call = make_connector(url, None, settings)
    told = Instruments.of(settings["instruments"])
    async with open_scope(told) as scope:
        connections = Reconnecting(call, backoff, settings["retry"], scope)
        try:
            yield connections
        except BaseException as error:
            # A cancellation would take the place of what the block raised.
            with trio.CancelScope(shield=True):
                await connections.end(code_after(error))
            raise
        await connections.end(1000)
