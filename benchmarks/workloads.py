"""The workloads: what is asked of every server."""

from __future__ import annotations

from typing import Any

import attrs

BARE = "bare Trio"
STREAM = "Trio's streams"
MICROSECONDS = "µs of server CPU"


@attrs.frozen
class Workload:
    """A row for each thing that is measured."""

    name: str
    title: str
    exercise: str
    connections: int = 1
    in_flight: int = 1
    size: int = 32
    tls: bool = False
    each: str = "message"
    unit: str = MICROSECONDS
    base: str = BARE
    """The peer that the others are compared with."""

    def task(self, quick: bool) -> dict[str, Any]:
        """What it is to the load generator."""
        connections = self.connections
        if quick and self.exercise == "memory":
            connections //= 25
        return {
            "exercise": self.exercise,
            "connections": connections,
            "in_flight": self.in_flight,
            "size": self.size,
            "tls": self.tls,
            "warm_up": 0.05 if quick else 0.3,
            "seconds": 0.2 if quick else 1.0,
        }


WORKLOADS = (
    Workload("ping-pong-1", "1 connection, 32 bytes, one message in flight", "echo"),
    Workload(
        "ping-pong-64",
        "64 connections, 32 bytes, one message in flight on each",
        "echo",
        connections=64,
    ),
    Workload("in-flight-100", "1 connection, 32 bytes, 100 messages in flight", "echo", 1, 100),
    Workload("64-kib", "1 connection, 64 KiB, one message in flight", "echo", size=2**16),
    Workload("256-kib", "1 connection, 256 KiB, one message in flight", "echo", size=2**18),
    Workload("1-mib", "1 connection, 1 MiB, one message in flight", "echo", size=2**20),
    Workload(
        "handshakes",
        "Connections opened and closed, one after the other",
        "handshakes",
        each="connection",
    ),
    Workload(
        "tls-64",
        "TLS, 64 connections, 32 bytes, one message in flight on each",
        "echo",
        connections=64,
        tls=True,
        base=STREAM,
    ),
    Workload(
        "memory",
        "Idle connections, 5000 of them",
        "memory",
        connections=5000,
        each="connection",
        unit="KiB of server memory",
    ),
)
