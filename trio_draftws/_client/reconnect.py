"""`reconnecting`: one connection after another to the same server.

No cancel scope or nursery is opened with a connection and closed with it. As on a server, all
connections share one scope, whose nursery opens and closes with the caller's `async with`. So the
cancel scopes and nurseries that the caller opens, in one iteration or across several, nest
correctly; and whatever is open when the loop is left, the end of the block closes.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING

import attrs
import trio

from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.scope import Scope, open_scope
from trio_draftws._exceptions import Rejected
from trio_draftws._settings.checks import check_sync_result, needs_trio
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import CloseCode, Draft, HandshakeError

from .connector import Connector, make_connector
from .hints import means_unknown_draft
from .settings import ReconnectSettings

if TYPE_CHECKING:
    from typing_extensions import Unpack

logger = logging.getLogger("trio_draftws")

_random = secrets.SystemRandom()


@attrs.define(kw_only=True)
class Backoff:
    """How many seconds to wait before the next attempt: longer after each one that failed."""

    initial_backoff: float
    max_backoff: float
    backoff_factor: float
    backoff_jitter: float
    settled_after: float
    _next: float = attrs.field(init=False)

    @classmethod
    def of(cls, settings: ReconnectSettings) -> Backoff:
        """Made from all of the settings, as `with_defaults` returns them."""
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
        """Starts again with the shortest wait, after a connection that lasted."""
        self._next = min(self.initial_backoff, self.max_backoff)

    def next(self, at_least: float = 0) -> float:
        """Returns the next wait in seconds, shortened by a random share of it.

        Args:
            at_least: the seconds that the server asked for; they count up to `max_backoff`.
        """
        wait = self._next * (1 - self.backoff_jitter * _random.random())
        self._next = min(self._next * self.backoff_factor, self.max_backoff)
        return max(wait, min(at_least, self.max_backoff))


@attrs.define(eq=False, repr=False, kw_only=True)
class Reconnecting(AsyncIterator[Connection]):
    """The connections of a `reconnecting` block: an async iterator over `Connection`."""

    _connector: Connector
    _backoff: Backoff
    _retry: Callable[[HandshakeError], bool]
    _scope: Scope
    _connection: Connection | None = attrs.field(default=None, init=False)
    _last_draft: Draft | None = attrs.field(default=None, init=False)
    """The draft of the last connection, which is tried first for the next one."""
    _opened_at: float = attrs.field(default=0, init=False)
    _next_attempt_at: float = attrs.field(default=-math.inf, init=False)
    """When the next attempt may be made; cancelling a wait does not change it."""
    _busy: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    def __repr__(self) -> str:
        return f"<Reconnecting connection={self._connection!r}>"

    async def __anext__(self) -> Connection:
        """Closes the current connection, if any, and opens the next, trying until that succeeds.

        A checkpoint. If it is cancelled, no connection is left open, and it may be called again.

        Raises:
            HandshakeError: an attempt failed with it, and `retry` returned False for it.
            Exception: whatever the function `headers` raised, if that is one.
            trio.BusyResourceError: another task is waiting for the next connection.
            trio.ClosedResourceError: the block of `reconnecting` has ended.
        """
        if self._busy:
            raise trio.BusyResourceError("another task is waiting for the next connection")
        self._check_not_ended()
        self._busy = True
        try:
            await self._close_current(CloseCode.NORMAL_CLOSURE)
            while True:
                await trio.sleep_until(self._next_attempt_at)
                # It may have ended meanwhile, where another task than this one entered it.
                self._check_not_ended()
                try:
                    self._connection = await self._connector.open(self._scope, self._last_draft)
                except HandshakeError as error:
                    if means_unknown_draft(error):
                        self._last_draft = None
                    wait = self._schedule_retry(error)
                    if not check_sync_result("retry", self._retry(error)):
                        raise
                    logger.info(
                        "no connection to %s, next attempt in %.1f s: %s",
                        self._connector.request.url.host_field,
                        wait,
                        error,
                    )
                except Exception as error:
                    # From the caller's `headers`. If another loop follows, it waits like any other.
                    self._schedule_retry(error)
                    raise
                else:
                    if self._ended:
                        await self._close_current(CloseCode.GOING_AWAY)
                    self._check_not_ended()
                    self._last_draft = self._connection.draft
                    self._opened_at = trio.current_time()
                    return self._connection
        finally:
            self._busy = False

    def _check_not_ended(self) -> None:
        if self._ended:
            raise self._scope.why_closed("the block of reconnecting has ended")

    def _schedule_retry(self, error: Exception) -> float:
        """Sets the time of the next attempt; returns in how many seconds that is."""
        wait = self._backoff.next(_retry_after(error))
        self._next_attempt_at = trio.current_time() + wait
        return wait

    async def _close_current(self, code: int) -> None:
        """Closes the current connection, if any, and sets the time of the next attempt."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        now = trio.current_time()
        if now - self._opened_at >= self._backoff.settled_after:
            self._backoff.reset()
        self._next_attempt_at = now + self._backoff.next()
        await connection.aclose(code)

    async def aclose(self, code: int) -> None:
        """Closes the current connection with that code; no other is opened."""
        self._ended = True
        await self._close_current(code)


def _retry_after(error: Exception) -> float:
    """Returns the seconds that a refusal asks to wait (RFC 9110 section 10.2.3), or 0.

    A date is compared with the answer's own Date if it has one, since clocks differ.
    """
    if not isinstance(error, Rejected):
        return 0
    sent = _parse_http_date(error.headers.get("Date", ""))
    asked = [0.0]
    for value in error.headers.get_all("Retry-After"):
        if value.isascii() and value.isdigit():
            # Not `int`, which refuses more than 4300 digits
            asked.append(float(value))
        elif (moment := _parse_http_date(value)) is not None:
            asked.append(moment - (time.time() if sent is None else sent))
    return max(asked)


def _parse_http_date(value: str) -> float | None:
    """Parses an HTTP-date to seconds since 1970 (RFC 9110 section 5.6.7); None if it is invalid."""
    # Only those that are refused need these, and they take long to import.
    import calendar
    from email.utils import parsedate_tz

    parts = parsedate_tz(value)
    if parts is None:
        return None
    try:
        # All three forms are in GMT, though one of them does not say so.
        return calendar.timegm((*parts[:6], 0, 0, 0)) - (parts[9] or 0)
    except (ValueError, OverflowError):
        return None


@expand_signature(ReconnectSettings)
@block("connections", loop="async for connection in connections:")
async def reconnecting(
    url: str, **settings: Unpack[ReconnectSettings]
) -> AsyncGenerator[AsyncIterator[Connection], None]:
    """Connects to a server, again and again: `async with reconnecting(url) as connections`.

    `async for connection in connections` opens a connection for each iteration. After the loop's
    body it closes that connection with a closing handshake and opens the next; the loop never ends
    by itself. What the body raises leaves the loop, including the error for a lost connection: to
    go on with the next connection, catch `trio.BrokenResourceError` in the body. Leaving the loop
    leaves the connection open until the end of the block, which closes it with code 1000, with 1011
    if the block raised, or with 1001 if it was cancelled.

    The first attempt is made at once. Before each further one it waits, longer every time, until a
    connection has lasted for `settled_after` seconds; then the waits are short again. If a refusal
    has a `Retry-After`, in seconds or as a date, it waits that long, but at most `max_backoff`.

    Nothing is ever sent again: what was sent on a connection that was lost may or may not have
    arrived, and only the program knows whether to repeat it.

    Entering is not a checkpoint. Each step of the loop is one: it closes, waits, dials and performs
    the opening handshake. If it is cancelled, no connection is left open, and another loop over
    `connections` may follow. Leaving the block is a checkpoint if a connection is open.

    Args:
        url: as for `open_websocket`. `framing_mode` is read once, when the block is entered. If
            several drafts may be tried, the one agreed on last is tried first the next time.
        settings: the keyword arguments that `ReconnectSettings` describes: those of
            `open_websocket` without `stream`, and `initial_backoff`, `max_backoff`,
            `backoff_factor`, `backoff_jitter`, `settled_after` and `retry`. All have defaults.

    Returns:
        An async context manager, which gives an async iterator over `Connection`. The iterator
        raises the `HandshakeError` of an attempt for which `retry` returns False, whatever
        `headers` raises if it is a function, `trio.BusyResourceError` if another task is waiting
        for the next connection, and `trio.ClosedResourceError` after the end of the block.

    Raises:
        ValueError: an argument is out of range, or for the reasons `open_websocket` gives.
        TypeError: an argument has the wrong type.
        ImportError: the proxy needs the extra `proxy`, which is not installed.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("reconnecting")
    settings = with_defaults(ReconnectSettings, settings, "reconnecting")
    backoff = Backoff.of(settings)
    connector = make_connector(url, None, settings)
    instruments = Instruments.of(settings["instruments"])
    async with open_scope(instruments) as scope:
        connections = Reconnecting(
            connector=connector, backoff=backoff, retry=settings["retry"], scope=scope
        )
        try:
            yield connections
        except BaseException as error:
            # Shielded, since a Cancelled in here would replace what the block raised
            with trio.CancelScope(shield=True):
                await connections.aclose(scope.close_code_after(error))
            raise
        await connections.aclose(CloseCode.NORMAL_CLOSURE)
