"""Measures how long other tasks wait for their turn while peers flood a server, or its clients.

The heartbeat is a task that is ready to run in every pass of the scheduler. Between any two of its
steps it measures the CPU time this thread used: that is how long every other task had to wait.
The clock is mocked and moves on a little with each step, so whatever the library does by the clock
happens within a fixed number of steps. A flood is written to the kernel in full, as far as the
kernel takes it, before anybody reads any of it.
"""

from __future__ import annotations

import gc
import ssl
import time
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio
import trio.testing

from trio_draftws import Connection, ConnectionStatistics, Draft, StreamFactory, open_websocket
from trio_draftws import ssl_stream_factory as client_factory
from trio_draftws.drafts import COMPRESSION, Role
from trio_draftws.testing import (
    Fragment,
    RawClient,
    RawPeer,
    RawServer,
    serve_raw,
    served_on_port,
)

from .floods import Flood, in_tiny_records, write, write_rest

# Seconds that the mocked clock moves on with each step
STEP = 0.002
# The flood is over when nothing was read for so long: longer than any round of the library's.
QUIET = 3
# It is over after so long in any case: shorter than `ping_interval`, so our own pings stay out.
LONGEST = 16

Behave: TypeAlias = Callable[[Connection], Awaitable[object]]
"""What the attacked program does with a connection."""


async def sleeps(connection: Connection) -> None:
    await trio.sleep_forever()


async def receives(connection: Connection) -> None:
    async for _ in connection:
        pass


async def receives_many(connection: Connection) -> None:
    while True:
        await connection.receive_many()


async def pings(connection: Connection) -> None:
    """Waits for a pong that never comes."""
    await connection.ping()


async def streams(connection: Connection) -> None:
    """Receives message after message, part by part."""
    while True:
        async with connection.receive_stream() as parts:
            async for _ in parts:
                pass


@attrs.frozen(kw_only=True)
class Target:
    """Who is attacked, and over which transport."""

    draft: Draft
    role: Role
    behave: Behave
    count: int
    """How many connections there are; each has its own attacker."""
    begun: bool = False
    """Whether each attacker first begins a message that never ends."""
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
    """The contexts of a client and a server, if they speak TLS."""
    records: Callable[[RawPeer, bytes], Awaitable[bytes]] = in_tiny_records
    """With TLS, turns the frames of a flood into records."""
    stream_factory: StreamFactory | None = None
    """Wraps the attacked streams, so that they are not the library's own."""
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    """Settings of the attacked connections that are not the default."""

    async def prepare(self, peer: RawPeer, flood: Flood) -> bytes:
        """Returns the frames that `peer` will flood with."""
        if self.begun:
            await peer.send_frame(Fragment("x"))
        return await flood(peer)

    async def wrap(self, peer: RawPeer, frames: bytes) -> bytes:
        """Returns what `peer` has to write to the kernel for these frames."""
        return await self.records(peer, frames) if self.tls else frames

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[tuple[list[Connection], list[RawPeer]], None]:
        """Opens the connections and their attackers, which in the end vanish without a goodbye."""
        connections: list[Connection] = []
        peers: list[RawPeer] = []

        async def behave(connection: Connection) -> None:
            connections.append(connection)
            try:
                await self.behave(connection)
            except (trio.BrokenResourceError, trio.EndOfChannel):
                pass

        attacked = self._server if self.role == "server" else self._clients
        async with attacked(behave, peers):
            while not len(connections) == len(peers) == self.count:
                await trio.lowlevel.checkpoint()
            try:
                yield connections, peers
            finally:
                for peer in peers:
                    await trio.aclose_forcefully(peer.stream)

    @asynccontextmanager
    async def _server(self, behave: Behave, peers: list[RawPeer]) -> AsyncGenerator[None, None]:
        async with served_on_port(
            lambda connection, state: behave(connection),
            framing_mode=lambda request: self.draft.name,
            ssl_context=self.tls[1] if self.tls else None,
            stream_factory=self.stream_factory,
            **self.settings,
        ) as server:
            assert server.port is not None
            for _ in range(self.count):
                stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", server.port)
                if self.tls is not None:
                    stream = trio.SSLStream(stream, self.tls[0], server_hostname="localhost")
                client = RawClient(stream)
                await client.open(self.draft, compression=COMPRESSION)
                peers.append(client)
            yield

    @asynccontextmanager
    async def _clients(self, behave: Behave, peers: list[RawPeer]) -> AsyncGenerator[None, None]:
        over = trio.Event()
        factory = self.stream_factory
        if self.tls is not None:
            factory = client_factory(self.tls[0], server_hostname="localhost")

        async def answer(server: RawServer) -> None:
            if self.tls is not None:
                server.stream = trio.SSLStream(server.stream, self.tls[1], server_side=True)
            await server.open(self.draft, compression=COMPRESSION)
            peers.append(server)
            await over.wait()

        async def visit(url: str) -> None:
            async with open_websocket(
                url, draft=self.draft, stream_factory=factory, **self.settings
            ) as connection:
                await behave(connection)

        async with serve_raw(answer) as url, trio.open_nursery() as nursery:
            for _ in range(self.count):
                nursery.start_soon(visit, url.replace("ws:", "wss:") if self.tls else url)
            try:
                yield
            finally:
                over.set()
                nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class Heartbeat:
    """A task that is ready to run in every pass, and what it sees of a flood."""

    clock: trio.testing.MockClock
    longest: float = 0
    """The most CPU seconds between two of its steps."""
    total: float = 0
    """The CPU seconds between all of its steps."""
    most_read: int = 0
    """The most bytes that one connection read between two steps."""
    read_all: bool = False
    """Whether the whole flood was read."""
    memory: int = 0
    """How many more bytes Python holds than before the flood, if `tracemalloc` is on."""
    statistics: list[ConnectionStatistics] = attrs.field(factory=list)
    """The latest statistics of the attacked connections."""
    _begun: bool = False
    _watched: list[Connection] = attrs.field(factory=list)
    _coming: int = 0
    _steps: int = 0
    _quiet: int = 0
    """For how many steps nothing was read."""
    _ran_at: float = 0
    _over: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        while True:
            if self._begun:
                self.clock.jump(STEP)
            self._ran_at = time.thread_time()
            await trio.lowlevel.checkpoint()
            if self._watched:
                self._note(time.thread_time() - self._ran_at)

    def _note(self, waited: float) -> None:
        self.total += waited
        self.longest = max(self.longest, waited)
        before, self.statistics = self.statistics, [one.statistics() for one in self._watched]
        read = [
            now.bytes_received - then.bytes_received
            for now, then in zip(self.statistics, before, strict=True)
        ]
        self.most_read = max(self.most_read, *read)
        self._coming -= sum(read)
        self.read_all = self._coming <= 0
        self._steps += 1
        self._quiet = 0 if any(read) else self._quiet + 1
        # What was read last may be decoded over several steps.
        quiet = self._quiet * STEP > (QUIET / 10 if self.read_all else QUIET)
        if quiet or self._steps * STEP > LONGEST:
            self._watched = []
            self._over.set()

    async def watch(self, connections: list[Connection], flood: Callable[[], int]) -> None:
        """Calls `flood`, then measures until nothing more is read.

        `flood` returns how many bytes of frames it sends.
        """
        # No collection is anybody's turn.
        gc.disable()
        try:
            self.statistics = [connection.statistics() for connection in connections]
            before = tracemalloc.get_traced_memory()[0]
            self._begun = True
            self._watched = connections
            self._coming = flood()
            # Nobody had to wait for the flood itself.
            self._ran_at = time.thread_time()
            await self._over.wait()
            if tracemalloc.is_tracing():
                gc.collect()
                self.memory = tracemalloc.get_traced_memory()[0] - before
        finally:
            gc.enable()


@asynccontextmanager
async def beating(clock: trio.testing.MockClock) -> AsyncGenerator[Heartbeat, None]:
    """Runs a heartbeat; the clock moves on with its steps from when it first watches."""
    heart = Heartbeat(clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heart.run)
        yield heart
        nursery.cancel_scope.cancel()


async def flooded(clock: trio.testing.MockClock, target: Target, flood: Flood) -> Heartbeat:
    """Lets all attackers flood at once, and returns what the heartbeat saw."""
    async with (
        beating(clock) as heart,
        target.open() as (connections, peers),
        trio.open_nursery() as nursery,
    ):
        frames = [await target.prepare(peer, flood) for peer in peers]
        wires = [await target.wrap(*each) for each in zip(peers, frames, strict=True)]

        def write_all() -> int:
            for peer, wire in zip(peers, wires, strict=True):
                if rest := write(peer, wire):
                    nursery.start_soon(write_rest, peer, rest)
            return sum(map(len, frames))

        await heart.watch(connections, write_all)
        nursery.cancel_scope.cancel()
    return heart
