"""A peer by hand, made of `trio_draftws.testing`: what it does is not for our library to decide."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio
import trio.testing

import trio_draftws as ws
from trio_draftws import Draft
from trio_draftws.drafts import Event, RemoteProtocolError, Role

from . import steps
from .ear import Client, Ear, Server
from .journal import Got, Journal, explain, settle
from .programs import Raw
from .steps import Step
from .wire import Wire

# In no draft a message begins like this.
_VIOLATION = b"\xff" * 64


@attrs.frozen
class SentPing:
    """A ping that a peer by hand sent."""

    payload: bytes
    at: float
    """When it was out."""
    before: int
    """How many bytes had been written with it, and what stood before it."""


@attrs.define(eq=False, repr=False, kw_only=True)
class RawSide(Journal):
    """One side of a connection that is not our library."""

    program: Raw
    draft: Draft
    peer: Client | Server
    wire: Wire
    other_said_close: Callable[[], bool] = lambda: False
    """Whether what comes may be a goodbye."""
    pings: list[SentPing] = attrs.field(factory=list)
    pongs: list[tuple[float, bytes]] = attrs.field(factory=list)
    """Those that came."""
    closes: list[float] = attrs.field(factory=list)
    """When the other side said goodbye, in the draft's words."""
    behind_close: list[str] = attrs.field(factory=list)
    """What came behind the other side's goodbye and is no pong."""
    said_close: float = math.inf
    gone: trio.Event = attrs.field(factory=trio.Event)
    """Set when it vanished, or its side of the stream ended."""
    vanished: float = math.inf
    went: float = math.inf
    """When its side of the stream ended, or all of it."""
    over: float = math.inf
    """When the other side's end of the stream came."""
    guilty: float = math.inf
    """From when on it was not a peer that lives, reads, and answers."""
    pauses: list[tuple[float, float]] = attrs.field(factory=list)
    """When it did not read all that came."""
    slow: bool = False
    """Whether it ever read slowly: it may be as slow as it likes."""
    answers: bool = True
    half_closed: bool = False
    broken: bool = False
    _nursery: trio.Nursery = attrs.field(init=False)
    _writing: trio.Lock = attrs.field(factory=trio.Lock)

    def read_all_during(self, since: float, until: float) -> bool:
        return not any(begun <= until and ended >= since for begun, ended in self.pauses)

    async def run(self, url: str) -> None:
        """Opens the connection, does what it is told, and stays until the stream ends."""
        try:
            if isinstance(self.peer, Client):
                await self.peer.open(self.draft, url)
            else:
                await self.peer.open(self.draft)
        except (AssertionError, trio.BrokenResourceError) as error:
            self.world.found("errors", f"{self} could not open: {explain(error)}")
            await self._leave()
            return
        role: Role = "client" if isinstance(self.peer, Client) else "server"
        ear = Ear(self.draft, role, self.peer.agreement)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._read, ear)
            await self._do_all(self.program.steps)

    # What comes

    async def _read(self, ear: Ear) -> None:
        data: bytes | bytearray = await self._behind_the_opening()
        while True:
            try:
                events = ear.hear(data, maybe_close=self.other_said_close())
            except RemoteProtocolError as error:
                self.world.found("data", f"{self} could not decode what came: {error}")
                break
            for event in events:
                await self._see(event)
            self.world.progress()
            try:
                data = await self.wire.receive_some(65_536)
            except trio.BrokenResourceError:
                break
            if not data:
                break
        self.over = trio.current_time()
        self.world.progress()
        if self.answers:
            await self._leave()

    async def _behind_the_opening(self) -> bytes:
        """What the peer has read already, and would not give us before the stream ends."""
        self.wire.feign_end = True
        rest = await self.peer.receive_rest()
        self.wire.feign_end = False
        return rest

    async def _see(self, event: Event) -> None:
        now = trio.current_time()
        if self.closes and not isinstance(event, ws.Pong):
            self.behind_close.append(repr(event)[:50])
        elif isinstance(event, str):
            self.got.append(Got(event, now, 0))
        elif isinstance(event, ws.Ping):
            if self.answers:
                # Whatever it is writing, it goes on reading.
                self._nursery.start_soon(self._say, ws.Pong(event.payload))
        elif isinstance(event, ws.Pong):
            self.pongs.append((now, event.payload))
        elif isinstance(event, ws.Close):
            await self._see_close()

    async def _see_close(self) -> None:
        self.closes.append(trio.current_time())
        if not self.answers:
            return
        if self.said_close == math.inf:
            self._nursery.start_soon(self._answer_close)
        elif isinstance(self.peer, Server):
            await self._leave()

    async def _answer_close(self) -> None:
        async with self._writing:
            pass  # what it is writing comes first
        self.said_close = min(self.said_close, trio.current_time())
        await self._say(ws.Close(1000))
        if isinstance(self.peer, Server):
            await self._leave()

    async def _leave(self) -> None:
        self._go()
        await trio.aclose_forcefully(self.wire)

    # What it does

    async def _do_all(self, some_steps: tuple[Step, ...]) -> None:
        for step in some_steps:
            if self.broken:
                return
            if isinstance(step, steps.Repeat):
                for _ in range(step.times):
                    await self._do_all(step.steps)
                continue
            self.begin(step)
            since = self.since
            await self._do(step)
            self.end(step, since)

    async def _do(self, step: Step) -> None:
        match step:
            case steps.Sleep(seconds):
                await trio.sleep(seconds)
            case steps.Send(count, size):
                for _ in range(count):
                    await self._send(size)
            case steps.SendStream(parts, size, pause):
                await self._send_parts(parts, size, pause)
            case steps.Drip(size, pause):
                self.wire.split, self.wire.pause = 1, pause
                await self._send(size)
                self.wire.split, self.wire.pause = 4096, 0
            case steps.Half(size):
                await self._send_half(size)
            case steps.Pings(count, size):
                await self._ping(count, size)
            case steps.Pongs(count):
                await self._say(*[ws.Pong(b"unasked")] * count)
            case steps.Stall(seconds):
                await self._stall(seconds)
            case steps.Read(rate):
                self._set_rate(rate)
            case steps.Answering(on):
                self.answers = on
                self._be_guilty()
            case _:
                await self._end(step)

    async def _end(self, step: Step) -> None:
        self._be_guilty()
        match step:
            case steps.Violate():
                await self._write(_VIOLATION)
            case steps.Close():
                await self._close()
            case steps.Eof() if self.wire.can_send_eof:
                await self._send_eof()
            case steps.Eof() | steps.Reset():
                self._go()
                self.broken = True
                await self.wire.reset()
            case steps.Vanish():
                self.vanished = trio.current_time()
                self.gone.set()
                self.wire.vanish()
            case _:
                raise TypeError(f"no step of a peer by hand: {step!r}")

    async def _close(self) -> None:
        if self.said_close < math.inf:
            return
        if self.draft.closing_handshake:
            await self._say(ws.Close(1000))
        self.said_close = trio.current_time()
        role = "server" if isinstance(self.peer, Server) else "client"
        if role in self.draft.close_ends_stream:
            await self._send_eof()

    def _go(self) -> None:
        self.went = min(self.went, trio.current_time())
        self.gone.set()

    async def _send_eof(self) -> None:
        self._go()
        if not self.draft.closing_handshake:
            self.said_close = min(self.said_close, trio.current_time())
        if not self.wire.can_send_eof:
            self.broken = True
            await self.wire.reset()
            return
        async with self._writing:
            try:
                await self.wire.send_eof()
                self.half_closed = True
            except trio.BrokenResourceError:
                self.broken = True

    async def _send(self, size: int) -> None:
        sent = self.new_message("a", size)
        await self._say(sent.text)
        settle(sent, "failed" if self.broken else "returned")

    async def _send_parts(self, parts: int, size: int, pause: float) -> None:
        sent = self.new_message("a", parts * size)
        if not self.draft.fragments:
            await trio.sleep(pause * (parts - 1))
            await self._say(sent.text)
        else:
            for part in range(parts):
                if part and pause:
                    await trio.sleep(pause)
                text = sent.text[part * size :]
                last = part == parts - 1
                await self._say(ws.Fragment(text if last else text[:size], final=last))
        settle(sent, "failed" if self.broken else "returned")

    async def _send_half(self, size: int) -> None:
        sent = self.new_message("a", size)
        settle(sent, "cut")
        if self.draft.fragments:
            await self._say(ws.Fragment(sent.text))
        else:
            self.wire.cut = True
            await self._say(sent.text)
            self.wire.cut = False
            # Nothing may follow it, no goodbye either.
            self.broken = True
            self._be_guilty()

    async def _ping(self, count: int, size: int) -> None:
        if not self.draft.ping:
            return
        payloads = [str(len(self.pings) + 1 + number).encode() for number in range(count)]
        payloads = [payload.ljust(size, b".") for payload in payloads]
        await self._say(*map(ws.Ping, payloads))
        now = trio.current_time()
        self.pings += [SentPing(payload, now, self.wire.written) for payload in payloads]

    async def _stall(self, seconds: float) -> None:
        # Whatever was said has come to where it goes, but nobody has looked.
        await trio.testing.wait_all_tasks_blocked()
        now = trio.current_time()
        self.world.stalls.append((now, now + seconds))
        self.world.clock.jump(seconds)

    def _set_rate(self, rate: int | None) -> None:
        now = trio.current_time()
        if self.pauses and self.pauses[-1][1] == math.inf:
            self.pauses[-1] = (self.pauses[-1][0], now)
        if rate is not None:
            self.slow = self.slow or rate > 0
            self.pauses.append((now, math.inf))
        self.wire.set_rate(rate)

    def _be_guilty(self) -> None:
        self.guilty = min(self.guilty, trio.current_time())

    async def _say(self, *events: str | ws.Ping | ws.Pong | ws.Close | ws.Fragment) -> None:
        async with self._writing:
            self.wire.carries = isinstance(events[0], (str, ws.Fragment))
            if self.broken:
                return
            if self.said_close < math.inf and not isinstance(events[0], ws.Close):
                # Nothing is said behind a goodbye.
                self.broken = self.wire.carries
                return
            try:
                await self.peer.send_frame(*events)
            except trio.BrokenResourceError:
                self.broken = True
        self.world.progress()

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            try:
                await self.wire.send_all(data)
            except trio.BrokenResourceError:
                self.broken = True
