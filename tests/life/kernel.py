"""What a system does beneath a connection: bytes on their way, full buffers, descriptors."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.pairs import stream_pair
from trio_draftws import Connection, Draft
from trio_draftws.drafts import Event
from trio_draftws.testing import Faults, FaultyStream, RawPeer

from .peers import facing

# Bytes on their way


async def bytes_of(peer: RawPeer, *events: Event) -> bytes:
    """What `send_frame` would send."""
    stream = peer.stream
    taking, taken = trio.testing.memory_stream_one_way_pair()
    peer.stream = trio.StapledStream(taking, stream)
    try:
        await peer.send_frame(*events)
    finally:
        peer.stream = stream
    return bytes(await taken.receive_some())


async def send_without_a_pass(peer: RawPeer, *events: Event) -> None:
    """Sends, and the scheduler does not turn between that and what the caller does next."""
    data = await bytes_of(peer, *events)
    if isinstance(peer.stream, trio.SocketStream):
        assert os.write(peer.stream.socket.fileno(), data) == len(data)
    else:
        # In memory this is how it is anyway.
        await peer.send(data)


async def let_the_kernel_settle(
    transport: str, clock: trio.testing.MockClock, seconds: float = 0.5
) -> None:
    """Lets bytes arrive that are on their way; the mocked clock stands still."""
    if transport == "memory":
        await trio.testing.wait_all_tasks_blocked()
        return
    clock.autojump_threshold = math.inf
    # A delayed acknowledgement takes 40 ms, and what fits into a rest of a window some 200.
    await trio.testing.wait_all_tasks_blocked(seconds)
    clock.autojump_threshold = 0


# Full buffers

WRITE_TIMEOUT = 60
SLACK = 6
# How many bytes memory takes until its reader resumes, where it is to take no more
TAKEN = 100_000
# One message, more than is taken by anybody before its receiver takes some
LONG = "x" * 2**20


@asynccontextmanager
async def facing_nobody(
    role: str, transport: str, draft: Draft
) -> AsyncGenerator[tuple[Connection, RawPeer, Faults], None]:
    """As `facing`, but little is taken of what is sent to the peer before that takes some.

    In memory that is before `resume` is set.
    """
    faults = Faults(stall_at=TAKEN if transport == "memory" else None)
    streams = await stream_pair(transport)
    for stream in streams:
        narrow(stream)
    client, server = streams
    if transport == "memory" and role == "client":
        client = FaultyStream(client, outgoing=faults)
    elif transport == "memory":
        server = FaultyStream(server, outgoing=faults)
    async with facing(role, transport, draft, streams=(client, server)) as (connection, peer):
        yield connection, peer, faults


def given_up_within(transport: str) -> float:
    """Seconds in which one that takes nothing is given up.

    The kernel's own timers go by another clock: it may move a few bytes late, from which the time
    counts again.
    """
    return WRITE_TIMEOUT * (1 if transport == "memory" else 2) + SLACK


def narrow(stream: trio.abc.Stream) -> None:
    """Makes the kernel keep little of what is sent on it."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            stream.setsockopt(socket.SOL_SOCKET, option, 65536)


# Descriptors

DESCRIPTORS = Path("/proc/self/fd")
needs_proc = pytest.mark.skipif(
    not DESCRIPTORS.exists(), reason="this system does not say which descriptors are open"
)


def open_sockets() -> int:
    """How many sockets this process has."""

    def is_socket(descriptor: Path) -> bool:
        try:
            return str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            return False  # what the directory was read with

    return sum(map(is_socket, DESCRIPTORS.iterdir()))
