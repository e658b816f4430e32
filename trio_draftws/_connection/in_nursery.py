"""A connection that is no block: what it needs runs as one task in a nursery of the caller's.

The rules:

1. The opening handshake runs as `nursery.start` runs a task: within the cancel scopes of whoever
   awaits it, and what it raises is raised there, as it is.
2. From then on the task belongs to the nursery, and lasts until the connection's transport is over,
   whoever ended it. When the nursery is cancelled, the connection is closed in order.
3. A fault of ours is the connection's error, and in the log; it does not leave the task.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from trio_draftws.drafts import Close

from .connection import Connection, endpoint_of
from .observers import ConnectionInstruments
from .scope import Scope, open_scope

logger = logging.getLogger("trio_draftws")


def check_nursery(function: str, given: object) -> None:
    """Checks the nursery that a public function of that name is to run a connection in.

    Raises:
        TypeError: it is none. The message does not show it, since it may be a URL.
    """
    if isinstance(given, trio.Nursery):
        return
    hint = ""
    if hasattr(given, "__aenter__"):
        hint = "; `async with trio.open_nursery() as nursery:` opens one"
    raise TypeError(
        f"the first argument of {function} is the trio.Nursery to run the connection in, not "
        f"a {type(given).__name__}{hint}"
    )


async def open_in_nursery(
    nursery: trio.Nursery,
    instruments: ConnectionInstruments | None,
    open_connection: Callable[[Scope], Awaitable[Connection]],
) -> Connection:
    """Opens a connection whose scope runs as a task in `nursery`.

    Args:
        nursery: what the task runs in.
        instruments: called when something happens to the connection.
        open_connection: opens it in a scope.

    Raises:
        RuntimeError: the nursery is closed.
        Exception: whatever `open_connection` raises.
    """
    # Not raised from the task: `nursery.start` would take away the cause.
    failures: list[Exception] = []
    connection: Connection | None = await nursery.start(
        _keep, instruments, open_connection, failures
    )
    if connection is None:
        raise failures.pop()
    return connection


async def _keep(
    instruments: ConnectionInstruments | None,
    open_connection: Callable[[Scope], Awaitable[Connection]],
    failures: list[Exception],
    *,
    task_status: trio.TaskStatus[Connection | None],
) -> None:
    """Opens a connection, and waits until its transport is over."""
    connection: Connection | None = None
    try:
        async with open_scope(instruments) as scope:
            connection = await open_connection(scope)
            endpoint = endpoint_of(connection)
            over = trio.Event()
            endpoint.when_transport_over(over.set)
            task_status.started(connection)
            try:
                await over.wait()
            except BaseException as error:
                # Whoever receives on it and was cancelled too leaves first, as cancelled.
                await trio.lowlevel.cancel_shielded_checkpoint()
                await endpoint.close_shielded(Close(scope.close_code_after(error)))
                raise
            endpoint.report_gone()
    except Exception as error:
        if connection is None:
            failures.append(error)
            task_status.started(None)
        else:
            logger.exception("%r was closed", connection)
