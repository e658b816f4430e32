"""Waiting for whichever of several connections has something first."""

from __future__ import annotations

import trio

from trio_draftws._settings.checks import needs_trio, tuple_of

from .connection import Connection


async def wait_any(*connections: Connection) -> Connection:
    """Waits until one of `connections` has a whole message, or has ended.

    Nothing is consumed: `receive` on that connection then returns or raises without waiting. A ping
    or half a message does not count. Each call costs more the more connections there are (about
    0.1 ms for three, 3 ms for a hundred); for many, a task for each connection is better. A
    checkpoint; cancelling it loses nothing.

    Returns:
        The connection that was ready first; of several, the one that was given first.

    Raises:
        ValueError: no connection was given.
        TypeError: something else was given, such as a list: write `wait_any(*connections)`.
        trio.ClosedResourceError: we closed one of them.
        trio.BusyResourceError: another task receives on one of them, or one was given twice.
    """
    needs_trio("wait_any")
    tuple_of("connections", connections, "connections", Connection)
    if not connections:
        raise ValueError("wait_any needs one connection at least")
    for connection in connections:
        if connection.readable:
            await connection.wait_readable()
            return connection
    ready: list[Connection] = []
    errors: list[Exception] = []

    async def watch(connection: Connection, others: trio.CancelScope) -> None:
        try:
            await connection.wait_readable()
        except (trio.ClosedResourceError, trio.BusyResourceError) as error:
            errors.append(error)
        else:
            ready.append(connection)
        others.cancel()

    # Nothing is raised inside, so no group ever wraps it.
    async with trio.open_nursery() as nursery:
        for connection in connections:
            nursery.start_soon(watch, connection, nursery.cancel_scope)
    if ready:
        return min(ready, key=connections.index)
    raise errors[0]
