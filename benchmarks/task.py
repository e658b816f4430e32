"""A load generator's task, its result, and how a process is measured."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from .cpu import cpu_nanoseconds


@attrs.frozen
class Task:
    """What to do to which server, or with which client."""

    dialect: str
    exercise: str
    """The name of one of `load.EXERCISES`."""
    port: int = 0
    """The server's; where a client is measured, the load generator listens on one of its own."""
    pid: int = 0
    """The server's process."""
    client: tuple[str, ...] = ()
    """How to start the client that is measured."""
    cwd: str | None = None
    environment: dict[str, str] = attrs.field(factory=dict)
    """Of the client."""
    connections: int = 1
    in_flight: int = 1
    """Messages sent at once on a connection; the next come when all are back."""
    at_once: int = 0
    """Connections that have messages in flight at the same time; 0: all of them."""
    size: int = 32
    """Bytes in a message."""
    content: str = "ascii"
    """What a message consists of: a key of `wire.CONTENTS`."""
    delay: float = 0
    """Seconds between a new TCP connection and the request on it."""
    tls: bool = False
    warm_up: float = 0.3
    """Seconds."""
    seconds: float = 1.0


@attrs.frozen
class Sample:
    """The result of a task."""

    count: int
    """Messages, broadcasts, handshakes or connections."""
    seconds: float
    cost: float
    """For each of them: microseconds of processor time, or KiB of memory."""
    sent: float | None = None
    """Bytes that the server sends for each, if that differs from peer to peer."""

    @property
    def rate(self) -> float:
        """So many in a second."""
        return self.count / self.seconds


class Failed(Exception):
    """The peer did something wrong."""


def measured(task: Task, pid: int, some: Callable[[], int]) -> Sample:
    """The cost of calling `some` again and again; it returns how many it did."""
    until(task.warm_up, some)
    began, used = time.perf_counter(), cpu_nanoseconds(pid)
    count = until(task.seconds, some)
    used, ended = cpu_nanoseconds(pid) - used, time.perf_counter()
    return Sample(count, ended - began, used / count / 1000)


def until(seconds: float, some: Callable[[], int]) -> int:
    """Calls `some` for so many seconds, and until it has counted at least one."""
    deadline = time.perf_counter() + seconds
    count = some()
    while not count or time.perf_counter() < deadline:
        count += some()
    return count
