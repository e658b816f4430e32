"""Runs a program: all its connections under one clock, which jumps whenever nobody has to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

import attrs
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import just

import trio_draftws as ws
from trio_draftws import Connection, Draft
from trio_draftws.drafts import draft_named
from trio_draftws.testing import FaultyStream

from . import programs
from .ear import Client, Server
from .invariants import check_link
from .joined import Joined
from .journal import Finding, explain
from .ours import OurSide, ProgramError
from .passes import Passes
from .programs import Program
from .raw import RawSide
from .transports import End, Listener, open_descriptors, open_pair, tls_contexts
from .watch import check_room, watch_link
from .wire import Wire

# Later than anything ends; what is still there then would be there for ever.
FOR_EVER = 1e6


@attrs.frozen
class Seams:
    """Where a run may be broken on purpose."""

    settings: dict[str, Any] = attrs.field(factory=dict)
    codec: Callable[[Draft], Draft] = lambda draft: draft
    stream: Callable[[trio.abc.Stream], trio.abc.Stream] | None = None
    patches: Callable[[], AbstractContextManager[object]] = nullcontext


@attrs.define(eq=False)
class World:
    """One run of a program."""

    program: Program
    seams: Seams
    clock: trio.testing.MockClock
    findings: list[Finding] = attrs.field(factory=list)
    joined: list[Joined] = attrs.field(factory=list)
    stalls: list[tuple[float, float]] = attrs.field(factory=list)
    ending: float = math.inf
    """When all that still went on was cancelled."""
    ended: float = math.inf
    server: ws.Server | None = None
    passes: Passes = attrs.field(init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _listener: Listener = attrs.field(factory=Listener)
    _wrapped: list[trio.abc.Stream] = attrs.field(factory=list)
    """What is in the streams of a run that is broken on purpose, which may not be closed by it."""
    _playing: int = 0
    _all_played: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.passes = Passes(self.clock, self._moved, self._spins)

    # What sides, watchers and invariants call

    def found(self, invariant: str, text: str) -> None:
        self.findings.append(Finding(invariant, text))

    def progress(self) -> None:
        self.passes.progress()

    def stalled(self, since: float, until: float) -> float:
        """How many seconds of those the process stood still."""
        return sum(max(0, min(until, end) - max(since, begin)) for begin, end in self.stalls)

    def later(self, since: float, seconds: float) -> float:
        """So many seconds after `since`, not counting those in which the process stood still."""
        until = since + seconds
        while (later := since + seconds + self.stalled(since, until)) > until:
            until = later
        return until

    def _moved(self) -> int:
        moved = 0
        for joined in self.joined:
            for side, _ in joined.directions:
                stream = joined.end_of(side).stream
                if isinstance(stream, FaultyStream):
                    moved += stream.bytes_received + stream.bytes_sent
                if isinstance(side, OurSide) and side.connection is not None:
                    statistics = side.connection.statistics()
                    moved += statistics.bytes_received + statistics.bytes_sent
        return moved

    def _spins(self, text: str) -> None:
        self.found("spin", text)
        self._scope.cancel()

    # The run

    async def run(self) -> None:
        """Runs it to its end, and then looks at what was left behind, and at all that was seen."""
        descriptors = len(open_descriptors())
        tasks = trio.lowlevel.current_statistics().tasks_living
        with trio.move_on_after(FOR_EVER) as scope:
            await self._run()
        if scope.cancelled_caught:
            self.found("held", "it did not end")
        left = trio.lowlevel.current_statistics().tasks_living - tasks
        if left:
            self.found("held", f"{left} tasks are left")
        left = len(open_descriptors()) - descriptors
        if left > 0:
            self.found("held", f"{left} descriptors are left")
        for joined in self.joined:
            check_link(self, joined)

    async def _run(self) -> None:
        await self._join()
        async with trio.open_nursery() as around:
            async with trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                await self._start(nursery, around)
                with trio.move_on_after(self.program.until):
                    await self._all_played.wait()
                    # As long as closing may take, and a little
                    await trio.sleep(6)
                for side in self._our_sides():
                    side.look()
                self.ending = trio.current_time()
                if self.server is not None and self.program.scope == "serve":
                    await self.server.aclose()
                nursery.cancel_scope.cancel()
            self.ended = trio.current_time()
            for joined in self.joined:
                for one, _ in joined.directions:
                    if isinstance(one, OurSide) and await joined.end_of(one).is_open():
                        self.found("held", f"the stream of {one} is still open")
            around.cancel_scope.cancel()
        for stream in [
            *self._wrapped,
            *(end.stream for j in self.joined for end in j.ends.values()),
        ]:
            await trio.aclose_forcefully(stream)

    def _our_sides(self) -> list[OurSide]:
        sides = [side for joined in self.joined for side, _ in joined.directions]
        return [side for side in sides if isinstance(side, OurSide)]

    async def _join(self) -> None:
        for number, link in enumerate(self.program.links):
            client, server = await open_pair(self.program.transport)
            draft = draft_named(link.draft)
            self.joined.append(
                Joined(
                    draft,
                    self._side(f"client {number}", link.client, draft, client),
                    self._side(f"server {number}", link.server, draft, server),
                    {"client": client, "server": server},
                )
            )

    def _side(self, name: str, program: programs.Side, draft: Draft, end: End) -> OurSide | RawSide:
        transport = self.program.transport
        if isinstance(program, programs.Library):
            self._playing += 1
            return OurSide(name, transport, self, program=program, draft=draft)
        assert isinstance(program, programs.Raw)
        stream = end.stream
        is_client = name.startswith("client")
        if transport == "tls":
            stream = trio.SSLStream(
                stream,
                tls_contexts()[not is_client],
                server_hostname="localhost" if is_client else None,
                server_side=not is_client,
                https_compatible=True,
            )
        wire = Wire(stream)
        peer = (Client if is_client else Server)(wire, timeout=math.inf)
        return RawSide(name, transport, self, program=program, draft=draft, peer=peer, wire=wire)

    async def _start(self, nursery: trio.Nursery, around: trio.Nursery) -> None:
        if self.program.scope != "accept":
            self.server = await nursery.start(self._serve)
        for number, joined in enumerate(self.joined):
            joined.introduce()
            check_room(self, joined)
            around.start_soon(watch_link, self, joined)
            if isinstance(joined.client, RawSide):
                around.start_soon(joined.client.run, f"{self._scheme}://localhost/{number}")
            else:
                nursery.start_soon(self._client, number)
            if isinstance(joined.server, RawSide):
                around.start_soon(joined.server.run, "")
            elif self.program.scope == "accept":
                nursery.start_soon(self._accept, joined)
            else:
                self._listener.dial(joined.ends["server"].stream)

    # Our own scopes

    @property
    def _scheme(self) -> str:
        return "wss" if self.program.transport == "tls" else "ws"

    async def _client(self, number: int) -> None:
        joined = self.joined[number]
        settings = dict(self.seams.settings)
        scheme = self._scheme
        if self.program.transport == "tls" and isinstance(joined.server, RawSide):
            # A server by hand does not know of TLS, and hixie's answers say which it is.
            scheme = "ws"
            context, _ = tls_contexts()
            settings["stream_factory"] = ws.ssl_stream_factory(context, server_hostname="localhost")
        elif self.program.transport == "tls":
            settings["ssl_context"] = tls_contexts()[0]
        elif self.seams.stream is not None:
            settings["stream_factory"] = self._wrap
        opening = ws.open_websocket(
            f"{scheme}://localhost/{number}",
            stream=joined.ends["client"].stream,
            draft=self.seams.codec(joined.draft),
            **settings,
        )
        await self._play(joined.client, opening)

    async def _accept(self, joined: Joined) -> None:
        stream = joined.ends["server"].stream
        await self._play(joined.server, ws.accept(stream, **self._server_settings()))

    async def _play(
        self, side: OurSide | RawSide, opening: AbstractAsyncContextManager[Connection]
    ) -> None:
        assert isinstance(side, OurSide)
        try:
            async with opening as connection:
                await side.play(connection)
        except ProgramError:
            pass
        except Exception as error:  # noqa: BLE001
            if error is not side.failure:
                self._judge_opening(side, error)
        finally:
            side.leave_scope()
            self._note_played()

    def _judge_opening(self, side: OurSide, error: Exception) -> None:
        """Every connection opens, and what its block raises is all that comes out of it."""
        self.found("errors", f"out of the scope of {side} came {explain(error)}")

    async def _serve(self, task_status: trio.TaskStatus[ws.Server]) -> None:
        try:
            await ws.serve_websocket(
                self._handle,
                listeners=[self._listener],
                task_status=task_status,
                **self._server_settings(),
            )
        except Exception as error:  # noqa: BLE001
            self.found("errors", f"out of the server came {explain(error)}")

    async def _handle(self, connection: Connection, state: object) -> None:
        side = self.joined[_number(connection.request)].server
        assert isinstance(side, OurSide)
        try:
            await side.play(connection)
        finally:
            self._note_played()

    def _note_played(self) -> None:
        self._playing -= 1
        if not self._playing:
            self._all_played.set()

    def _server_settings(self) -> dict[str, Any]:
        settings = dict(self.seams.settings)
        codec = self.seams.codec
        drafts = {draft.name: codec(draft) for draft in ws.DRAFTS}
        settings["drafts"] = list(drafts.values())
        settings["framing_mode"] = lambda request: drafts[self.joined[_number(request)].draft.name]
        if self.program.transport == "tls":
            settings["ssl_context"] = tls_contexts()[1]
        elif self.seams.stream is not None:
            settings["stream_factory"] = self._wrap
        return settings

    async def _wrap(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        assert self.seams.stream is not None
        self._wrapped.append(stream)
        return self.seams.stream(stream)


def _number(request: ws.Request | None) -> int:
    assert request is not None
    return int(request.path.strip("/"))


def run(program: Program, seams: Seams | None = None) -> World:
    """Runs a program, always with the same chances for whoever is to run next."""
    seams = seams or Seams()
    # TCP hands over at once what it carries within a host, but nobody promises that.
    threshold = 0.001 if program.transport == "tcp" else 0
    clock = trio.testing.MockClock(autojump_threshold=threshold)
    world = World(program, seams, clock)

    # Hypothesis is whom Trio lets seed the order in which it runs tasks.
    @settings(max_examples=1, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(just(None))
    def with_fixed_chances(_: None) -> None:
        try:
            trio.run(world.run, clock=clock, instruments=[world.passes])
        except BaseException as error:  # noqa: BLE001
            # It would try again, to see whether it fails again.
            failures.append(error)

    failures: list[BaseException] = []
    with seams.patches():
        with_fixed_chances()
    if failures:
        raise failures[0]
    return world
