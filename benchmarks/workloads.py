"""The workloads: what is asked of every peer that can do it."""

from __future__ import annotations

from typing import Any

import attrs

BARE = "bare Trio"
STREAM = "Trio's streams"
OURS = "trio_draftws"
RFC6455 = f"{OURS} rfc6455"
MICROSECONDS = "µs of server CPU"
CLIENT_MICROSECONDS = "µs of client CPU"

# What a peer must be able to do, for each exercise
NEEDS = {
    "echo": "echo",
    "deflated": "deflate",
    "broadcast": "broadcast",
    "handshakes": "handshakes",
    "memory": "echo",
    "client_echo": "client",
    "client_handshakes": "client",
}


@attrs.frozen
class Workload:
    """A row for each thing that is measured."""

    name: str
    """None begins with the whole of another, which stands for all that begin with it."""
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
    at_once: int = 0
    content: str = "ascii"
    delay: float = 0

    @property
    def needs(self) -> frozenset[str]:
        """What a peer must be able to do."""
        needs = {NEEDS[self.exercise]}
        if self.tls:
            needs.add("tls")
        if self.content == "binary":
            needs.add("binary")
        return frozenset(needs)

    def task(self, quick: bool) -> dict[str, Any]:
        """What it is to the load generator."""
        connections = self.connections
        if quick and connections >= 1000:
            connections //= 25
        return {
            "exercise": self.exercise,
            "connections": connections,
            "in_flight": self.in_flight,
            "at_once": self.at_once,
            "size": self.size,
            "content": self.content,
            "delay": self.delay,
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
    Workload(
        "crowd-one",
        "1,000 connections, 32 bytes, one message in flight in all",
        "echo",
        connections=1000,
        at_once=1,
    ),
    Workload(
        "crowd-some",
        "1,000 connections, 32 bytes, 16 messages in flight in all",
        "echo",
        connections=1000,
        at_once=16,
    ),
    Workload("64-kib", "1 connection, 64 KiB, one message in flight", "echo", size=2**16),
    Workload("256-kib", "1 connection, 256 KiB, one message in flight", "echo", size=2**18),
    Workload(
        "binary-256-kib",
        "1 connection, 256 KiB of binary data, one message in flight",
        "echo",
        size=2**18,
        content="binary",
    ),
    Workload("1-mib", "1 connection, 1 MiB, one message in flight", "echo", size=2**20),
    Workload(
        "two-byte-32",
        "1 connection, 32 bytes of two-byte characters, one message in flight",
        "echo",
        content="two-byte",
    ),
    Workload(
        "two-byte-256-kib",
        "1 connection, 256 KiB of two-byte characters, one message in flight",
        "echo",
        size=2**18,
        content="two-byte",
    ),
    Workload(
        "json-1-kib",
        "1 connection, 1 KiB of JSON compressed both ways, one message in flight",
        "deflated",
        size=2**10,
        base=RFC6455,
    ),
    Workload(
        "json-64-kib",
        "1 connection, 64 KiB of JSON compressed both ways, one message in flight",
        "deflated",
        size=2**16,
        base=RFC6455,
    ),
    Workload(
        "broadcast-32",
        "32 bytes broadcast to 1,000 connections",
        "broadcast",
        connections=1000,
        each="broadcast",
    ),
    Workload(
        "broadcast-1-kib",
        "1 KiB broadcast to 1,000 connections",
        "broadcast",
        connections=1000,
        size=2**10,
        each="broadcast",
    ),
    Workload(
        "handshakes",
        "Connections opened and closed, one after the other",
        "handshakes",
        each="connection",
    ),
    Workload(
        "late-handshakes",
        "Connections opened and closed, the request a millisecond after TCP",
        "handshakes",
        each="connection",
        delay=0.001,
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
    Workload(
        "client-1",
        "A client with 1 connection, 32 bytes, one message in flight",
        "client_echo",
        unit=CLIENT_MICROSECONDS,
    ),
    Workload(
        "client-64",
        "64 clients in a process, 32 bytes, one message in flight on each",
        "client_echo",
        connections=64,
        unit=CLIENT_MICROSECONDS,
    ),
    Workload(
        "client-handshakes",
        "Connections opened and closed by a client, one after the other",
        "client_handshakes",
        each="connection",
        unit=CLIENT_MICROSECONDS,
    ),
)
