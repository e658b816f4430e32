"""The server that `soak/run` keeps busy, with a fault: for test_soak.py.

python -m tests.bad_server FAULT
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from soak import server
from trio_draftws import Connection

Fault: TypeAlias = Callable[[Connection, str], Awaitable[object]]
"""What is done with every hundredth message in place of sending it back."""

kept: list[object] = []


async def lose(connection: Connection, message: str) -> None:
    pass


async def double(connection: Connection, message: str) -> None:
    await connection.send_many([message, message])


async def change(connection: Connection, message: str) -> None:
    await connection.send(message.upper())


async def close(connection: Connection, message: str) -> None:
    await connection.aclose()


async def keep_objects(connection: Connection, message: str) -> None:
    kept.append([connection.request for _ in range(50)])
    await connection.send(message)


async def keep_memory(connection: Connection, message: str) -> None:
    kept.append(os.urandom(1 << 20))
    await connection.send(message)


async def keep_tasks(connection: Connection, message: str) -> None:
    trio.lowlevel.spawn_system_task(trio.sleep_forever)
    await connection.send(message)


async def log_an_error(connection: Connection, message: str) -> None:
    logging.getLogger("trio_draftws").error("this is not as it should be")
    await connection.send(message)


async def complain(connection: Connection, message: str) -> None:
    print("somebody should know", file=sys.stderr)
    await connection.send(message)


async def die(connection: Connection, message: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        *(lose, double, change, close, keep_objects, keep_memory, keep_tasks),
        *(log_an_error, complain, die),
    )
}


class House(server.House):
    """As the good one; but each hundredth message is for the fault."""

    async def talk(self, connection: Connection, state: object) -> None:
        async for message in connection:
            assert isinstance(message, str)
            if message == server.RAISE:
                raise server.Planned
            if message == server.STATUS:
                await connection.send(self.status())
            elif " from " in message and next(numbers) % 100 == 99:
                await FAULTS[sys.argv[1]](connection, message)
            else:
                await connection.send(message)


numbers = itertools.count()

if __name__ == "__main__":
    server.House = House  # type: ignore[misc]
    trio.run(server.main)
