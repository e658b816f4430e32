"""Every test here runs by a mocked clock, and fails where that stands still while tasks run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio
from trio.testing import MockClock

# More than any exchange here takes, and less than a second of a process that spins
PASSES_AT_ONE_MOMENT = 2000
# So often that no time would end it
SPINS = 20
# Of a process that has nothing to do: a round of those that nobody receives on comes four times.
PASSES_PER_SECOND = 25


@attrs.define(eq=False)
class Passes(trio.abc.Instrument):
    """Counts the scheduler's passes, and moves the clock where those that spin hold it."""

    count: int = 0
    spun_at: list[float] = attrs.field(factory=list)
    """The moments at which there were too many."""
    _moment: float = -1
    _at_this_moment: int = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1
        now = trio.current_time()
        if now != self._moment:
            self._moment = now
            self._at_this_moment = 0
        self._at_this_moment += 1
        if self._at_this_moment > PASSES_AT_ONE_MOMENT:
            self.spun_at.append(now)
            clock = trio.lowlevel.current_clock()
            assert isinstance(clock, MockClock)
            # Further each time, so that a test of hours ends too.
            clock.jump(2.0 ** len(self.spun_at))
            if len(self.spun_at) == SPINS:
                trio.lowlevel.current_trio_token().run_sync_soon(self._end_the_run)

    def _end_the_run(self) -> NoReturn:
        raise AssertionError(f"it still spins, and did so at {self.spun_at}")


@pytest.fixture
def passes() -> Passes:
    """How often the scheduler turned."""
    return Passes()


def run_and_count(
    main: Callable[[], Awaitable[object]],
    clock: trio.abc.Clock | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> None:
    """As `trio.run`, for pytest-trio, which finds clocks and instruments in a test's arguments."""
    passes = next((one for one in instruments if isinstance(one, Passes)), Passes())
    trio.run(
        main, clock=clock or MockClock(autojump_threshold=0), instruments=[*instruments, passes]
    )
    assert not passes.spun_at, f"tasks ran while time stood still at {passes.spun_at}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    by_this = pytest.mark.trio(run=run_and_count)
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here:
            item.add_marker(by_this, append=False)
