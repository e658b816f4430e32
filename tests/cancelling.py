"""Cancelling an action at each of its cancellation points in turn.

`cancelled_at(k, action)` runs `action` and cancels it at its k-th cancellation point: where its
task is suspended, or where it only asks whether it is cancelled. `at_every_point` does that for
every k until the action gets through.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import pytest
import trio

import trio_draftws

Action: TypeAlias = Callable[[], Awaitable[object]]
Cancel: TypeAlias = Callable[[Action], Awaitable[bool]]
"""Runs an action, cancelled somewhere; False when it got through."""

# Where `checkpoint_if_cancelled` was imported by its name
BY_NAME = [
    module
    for name, module in sys.modules.items()
    if name.startswith(f"{trio_draftws.__name__}.") and "checkpoint_if_cancelled" in vars(module)
]


@attrs.define(eq=False)
class Canceller(trio.abc.Instrument):
    """Counts the cancellation points of one task, and cancels a scope at the k-th."""

    task: trio.lowlevel.Task
    scope: trio.CancelScope
    at: int
    count: int = 0

    def reach(self) -> None:
        self.count += 1
        if self.count == self.at:
            self.scope.cancel()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task:
            self.reach()


async def cancelled_at(k: int, action: Action) -> bool:
    """Runs `action`, cancelled at its k-th point; False when it has fewer than k."""
    task = trio.lowlevel.current_task()
    ask_trio = trio.lowlevel.checkpoint_if_cancelled
    with trio.CancelScope() as scope, pytest.MonkeyPatch.context() as monkeypatch:
        canceller = Canceller(task, scope, k)

        async def checkpoint_if_cancelled() -> None:
            if trio.lowlevel.current_task() is task:
                canceller.reach()
            await ask_trio()

        trio.lowlevel.add_instrument(canceller)
        for module in (trio.lowlevel, *BY_NAME):
            monkeypatch.setattr(module, "checkpoint_if_cancelled", checkpoint_if_cancelled)
        try:
            await action()
        finally:
            trio.lowlevel.remove_instrument(canceller)
    return canceller.count >= k


async def at_every_point(
    scenario: Callable[[Cancel], Awaitable[bool]], *, at_least: int, at_most: int = 2000
) -> None:
    """Runs `scenario`, which cancels something, for k = 1, 2, ... until that gets through."""
    for k in range(1, at_most):

        async def cancel(action: Action, k: int = k) -> bool:
            return await cancelled_at(k, action)

        try:
            was_cancelled = await scenario(cancel)
        except Exception as error:
            raise AssertionError(f"cancelled at point {k}: {error!r:.300}") from error
        if not was_cancelled:
            assert k > at_least, f"only {k - 1} points were found"
            return
    raise AssertionError("the scenario never got through")
