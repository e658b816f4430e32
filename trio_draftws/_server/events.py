"""What a server reports: to the log, to its instruments, and in its statistics."""

from __future__ import annotations

import logging
import sys
from typing import Any

import attrs
import trio

from trio_draftws._connection.connection import Connection, endpoint_of
from trio_draftws._connection.instrument import Instruments
from trio_draftws._connection.statistics import Totals
from trio_draftws._exceptions import FlashPolicyServed, PageServed, RequestRefused
from trio_draftws.drafts import Draft, HandshakeError, Request, escaped

from .peer import name_of
from .settings import Handler
from .statistics import ServerCounts, ServerStatistics

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

logger = logging.getLogger("trio_draftws")

# What a handler may let through once its peer has gone: that is no mistake of the handler's
PEER_WENT = (trio.BrokenResourceError, trio.EndOfChannel)


@attrs.define(eq=False)
class ServerEvents:
    """Reports the events of one server."""

    _instruments: Instruments | None
    _counts: ServerCounts = attrs.field(factory=ServerCounts, init=False)

    def statistics(self, current: list[Totals], opening: int) -> ServerStatistics:
        """Returns what was counted, as `ServerCounts.statistics`."""
        return self._counts.statistics(current, opening)

    def connection_opened(self) -> None:
        """A connection was opened, and its handler is about to run."""
        self._counts.add_accepted()

    def connection_closed(self, code: int | None, totals: Totals) -> None:
        """A connection has ended with that close code."""
        self._counts.add_closed(code, totals)

    def instrumented(self, handler: Handler) -> Handler:
        """Returns the handler within what the instruments have around it, if any of them does."""
        return handler if self._instruments is None else self._instruments.around(handler)

    def opening_failed(
        self,
        error: Exception,
        peer: str,
        draft: Draft | None,
        request: Request | None,
        *,
        is_mistake: bool,
    ) -> None:
        """An opening handshake did not lead to a connection.

        Args:
            error: why. Unless it is a `HandshakeError`, it is a mistake, of the program or of ours.
            peer: who the client is.
            draft: the draft that it asked for, if that is known.
            request: what it asked for, if that is known.
            is_mistake: whether a function of the program raised it, whatever it is.
        """
        if is_mistake:
            self._counts.add_failed()
        elif isinstance(error, RequestRefused):
            self._counts.add_refused(error.status)
        elif isinstance(error, PageServed):
            self._counts.add_page(error.status)
        elif isinstance(error, FlashPolicyServed):
            self._counts.add_flash_policy()
        else:
            self._counts.add_failed()
        report_failed_opening(self._instruments, error, peer)
        client = peer if draft is None else f"{peer} ({draft.name})"
        facts = _log_facts(peer, draft=draft, request=request)
        if isinstance(error, HandshakeError) and not is_mistake:
            logger.info("no connection with %s: %s", client, error, extra=facts)
        else:
            logger.error("the opening for %s failed", client, exc_info=error, extra=facts)

    def handler_failed(self, connection: Connection, error: Exception) -> None:
        """A handler raised. That is a mistake, unless it only passes on that its connection has
        ended.
        """
        # Where the program itself has closed it, from another task, the handler was told so.
        ends = (
            (*PEER_WENT, trio.ClosedResourceError)
            if endpoint_of(connection).aclose_called
            else PEER_WENT
        )
        if connection.closed and (loss := _find_loss(error, ends)) is not None:
            self.connection_lost(connection, loss)
            return
        peer = name_of(connection)
        facts = _log_facts(peer, connection)
        logger.error(
            "the handler of %r with %s failed", connection, peer, exc_info=error, extra=facts
        )

    def connection_lost(self, connection: Connection, loss: BaseException) -> None:
        """A connection ended while its handler ran, without a closing handshake."""
        peer = name_of(connection)
        facts = _log_facts(peer, connection)
        logger.info("%r with %s ended under its handler: %s", connection, peer, loss, extra=facts)


def report_failed_opening(instruments: Instruments | None, error: Exception, peer: str) -> None:
    """Calls the instruments for a handshake that failed. One that was answered with a page or a
    policy did not fail.
    """
    if instruments is None or isinstance(error, (PageServed, FlashPolicyServed)):
        return
    if isinstance(error, RequestRefused):
        instruments.tell("opening_refused", error.request, error.status, peer)
    else:
        instruments.tell("opening_failed", error, peer)


def _log_facts(
    peer: str,
    connection: Connection | None = None,
    *,
    draft: Draft | None = None,
    request: Request | None = None,
) -> dict[str, Any]:
    """Returns the `extra` of a log record."""
    if connection is not None:
        request, draft = connection.request, connection.draft
    return {
        "peer": peer,
        "draft": None if draft is None else draft.name,
        "connection_id": None if connection is None else connection.id,
        "path": None if request is None else escaped(request.path),
    }


def _find_loss(error: BaseException, ends: tuple[type[Exception], ...]) -> BaseException | None:
    """Returns the exception that reports the end of a connection, one of `ends`, if `error` reports
    nothing else; a nursery may have put it into a group.
    """
    if isinstance(error, BaseExceptionGroup):
        if error.split(ends)[1] is not None:
            return None
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
    return error if isinstance(error, ends) else None
