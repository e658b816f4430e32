"""A reader that waits until TLS has written its answers, and a writer that waits beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.test_streams import Passes

from .tls_records import blocked, drain


class Waiting:
    """Tasks that wait for one stream, and how that ended for each."""

    def __init__(self, victim: Any, nursery: trio.Nursery) -> None:
        self._waits = {"reader": victim.wait_readable, "writer": victim.wait_writable}
        self._nursery = nursery
        self.ended: dict[str, str] = {}
        self.scopes: dict[str, trio.CancelScope] = {}

    async def start(self, *names: str) -> None:
        for name in names:
            self.scopes[name] = trio.CancelScope()
            self._nursery.start_soon(self._wait, name)
            await trio.testing.wait_all_tasks_blocked()

    async def _wait(self, name: str) -> None:
        try:
            with self.scopes[name] as scope:
                await self._waits[name]()
                self.ended[name] = "ready"
            if scope.cancelled_caught:
                self.ended[name] = "cancelled"
        except trio.ClosedResourceError:
            self.ended[name] = "closed"


each_order = pytest.mark.parametrize(
    "names", [("reader",), ("reader", "writer"), ("writer", "reader")], ids=" ".join
)


@each_order
async def test_a_blocked_reader_is_interrupted(names: tuple[str, ...], tmp_path: Path) -> None:
    """A writer is not, and another reader can wait."""
    async with blocked(tmp_path) as (victim, peer), trio.open_nursery() as nursery:
        waiting = Waiting(victim, nursery)
        await waiting.start(*names)
        victim.interrupt()
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.ended == {"reader": "closed"}
        await waiting.start("reader")
        nursery.start_soon(drain, peer)
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.ended == dict.fromkeys(names, "ready")
        assert await victim.receive_some() == b"behind it"
        nursery.cancel_scope.cancel()


class Interrupting(trio.abc.Instrument):
    """Interrupts when another task is about to run."""

    def __init__(self, victim: Any) -> None:
        self._victim = victim
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self._task:
            self._victim.interrupt()


async def test_an_interrupt_between_event_and_reader(tmp_path: Path) -> None:
    """It finds nobody who waits, and is not lost."""
    async with blocked(tmp_path) as (victim, peer), trio.open_nursery() as nursery:
        waiting = Waiting(victim, nursery)
        await waiting.start("reader")
        instrument = Interrupting(victim)
        trio.lowlevel.add_instrument(instrument)
        peer.stream.receive_nowait()
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(instrument)
        assert waiting.ended == {"reader": "closed"}


@pytest.mark.parametrize(
    ("names", "leaves"),
    [
        (("reader",), "reader"),
        (("reader", "writer"), "reader"),
        (("reader", "writer"), "writer"),
        (("writer", "reader"), "reader"),
        (("writer", "reader"), "writer"),
    ],
)
async def test_whoever_waits_is_cancelled(
    names: tuple[str, ...], leaves: str, tmp_path: Path
) -> None:
    """And the other goes on."""
    async with blocked(tmp_path) as (victim, peer), trio.open_nursery() as nursery:
        waiting = Waiting(victim, nursery)
        await waiting.start(*names)
        waiting.scopes[leaves].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.ended[leaves] == "cancelled"
        assert waiting.ended.get("reader") != "ready"
        nursery.start_soon(drain, peer)
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.ended == dict.fromkeys(names, "ready") | {leaves: "cancelled"}
        assert await victim.receive_some() == b"behind it"
        nursery.cancel_scope.cancel()


@each_order
async def test_the_stream_is_closed_under_them(names: tuple[str, ...], tmp_path: Path) -> None:
    async with blocked(tmp_path) as (victim, _), trio.open_nursery() as nursery:
        waiting = Waiting(victim, nursery)
        await waiting.start(*names)
        victim.close()
        await trio.testing.wait_all_tasks_blocked()
        assert waiting.ended == dict.fromkeys(names, "closed")
        with pytest.raises(trio.ClosedResourceError):
            await victim.wait_readable()


async def test_a_writer_ends_the_block(tmp_path: Path) -> None:
    """What makes no event any more makes a read worth trying."""
    async with blocked(tmp_path) as (victim, peer), trio.open_nursery() as nursery:
        nursery.start_soon(drain, peer)
        while victim.blocked_by_output:
            await victim.wait_writable()
            assert victim.send_nowait([b""]) == 0
        assert victim.may_have_more
        nursery.cancel_scope.cancel()


async def test_a_read_ends_the_block(tmp_path: Path) -> None:
    async with blocked(tmp_path) as (victim, peer):
        while victim.blocked_by_output:
            await peer.read()
            assert victim.receive_nowait() is None
        assert victim.may_have_more


async def test_waiting_costs_nothing_while_the_peer_reads_nothing(tmp_path: Path) -> None:
    async with blocked(tmp_path) as (victim, _), trio.open_nursery() as nursery:
        await Waiting(victim, nursery).start("reader", "writer")
        passes = Passes()
        trio.lowlevel.add_instrument(passes)
        await trio.testing.wait_all_tasks_blocked(0.01)
        trio.lowlevel.remove_instrument(passes)
        assert passes.count < 10
        nursery.cancel_scope.cancel()
