"""Blocks: what `open_websocket` and its kind return, to be entered with `async with`.

A block has a nursery, so Trio demands that it is left in the task that entered it, and before
whatever was entered earlier. The rules:

1. What can be told to be wrong before anything is done raises, and changes nothing: the block can
   still be used as it should be.
2. A block that is garbage collected before it was left is ended by Trio, which closes the async
   generator in it, in a task of Trio's own. Then everything in it ends, but its nursery, which only
   the task that opened it could leave, stays behind, empty.
3. A block that outlives the task that entered it is ended in the same way, by a system task, which
   the run's end waits for. What notices that is an instrument, which the first block of a run adds.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeAlias, TypeVar
from weakref import WeakMethod

import attrs
import trio

P = ParamSpec("P")
T = TypeVar("T")
WeakEnd: TypeAlias = "WeakMethod[Callable[[], Awaitable[None]]]"

logger = logging.getLogger("trio_draftws")

ADVICE = "use `async with`, and `aclosing` around an async generator that has the block in it"


@attrs.frozen
class Advice:
    """What to write in place of a misused function."""

    name: str
    """Of the function."""
    given: str
    """What its block gives, as a plural or singular noun that can be a variable's name."""
    loop: str = ""
    """A loop to write in the block."""
    instead: str = ""
    """What does not need a block."""

    @property
    def call(self) -> str:
        """The function, called."""
        return f"{self.name}(...)"

    @property
    def block(self) -> str:
        """The statement to write."""
        return f"`async with {self.call} as {self.given}:`"


@attrs.define(eq=False, repr=False)
class Block(AbstractAsyncContextManager[T], Generic[T]):
    """An async context manager that says how to use it, if it is used in another way."""

    _advice: Advice
    _inside: AbstractAsyncContextManager[T]
    """What does the work."""
    _entered: bool = attrs.field(default=False, init=False)
    _left: bool = attrs.field(default=False, init=False)
    _task: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    """The task that entered it."""
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    """The innermost of those that entering it opened."""
    _open_blocks: _OpenBlocks | None = attrs.field(default=None, init=False)
    """Those of the run, this one included while it is entered and not left."""

    def __repr__(self) -> str:
        state = "left" if self._left else "entered" if self._entered else "not entered"
        return f"<{self._advice.call} {state}>"

    async def __aenter__(self) -> T:
        advice = self._advice
        if self._entered:
            raise RuntimeError(
                f"{advice.call} was entered before, and can be entered once: call {advice.name} "
                "for each block"
            )
        self._entered = True
        try:
            entered = await self._inside.__aenter__()
        except BaseException:
            self._left = True
            raise
        self._task = trio.lowlevel.current_task()
        self._nursery = self._task.child_nurseries[-1]
        self._open_blocks = _OpenBlocks.of_this_run()
        self._open_blocks.add(self._task, self._nursery, WeakMethod(self._end))
        return entered

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        # A generator that has the block in it may be closed by Trio, in a task of Trio's own.
        if kind is not GeneratorExit or trio.lowlevel.current_task() is self._task:
            self._check_leaving()
        return await self._leave(kind, error, traceback)

    async def _leave(self, *why: Any) -> bool | None:
        self._left = True
        assert self._task is not None
        assert self._nursery is not None
        assert self._open_blocks is not None
        self._open_blocks.discard(self._task, self._nursery)
        return await self._inside.__aexit__(*why)

    async def _end(self) -> None:
        """Leaves it in place of the task that should have done so, and has ended."""
        try:
            await self._leave(GeneratorExit, GeneratorExit(), None)
        except Exception:
            text = "%s was entered in the task %r, which has ended and did not leave it"
            logger.exception(text, self._advice.call, self._task and self._task.name)

    def _check_leaving(self) -> None:
        """Checks that the block can be left here and now.

        Raises:
            RuntimeError: it cannot.
        """
        call = self._advice.call
        if self._task is None or self._left:
            was = "was left before" if self._left else "was not entered"
            raise RuntimeError(f"{call} {was}, so it cannot be left")
        task = trio.lowlevel.current_task()
        if task is not self._task:
            raise RuntimeError(
                f"{call} was entered in the task {self._task.name!r} and cannot be left in the "
                f"task {task.name!r}: a block begins and ends in one task{self._instead}"
            )
        if self._nursery not in task.child_nurseries[-1:]:
            raise RuntimeError(
                f"{call} cannot be left now: blocks and nurseries are left in the reverse order of "
                f"entering, and another one is out of order{self._instead}"
            )

    @property
    def _instead(self) -> str:
        return self._advice.instead and f"; {self._advice.instead}"

    def __del__(self) -> None:
        if self._task is not None and not self._left:
            warnings.warn(
                f"{self._advice.call} was entered and never left, so what it opened is closed now: "
                f"write {self._advice.block}{self._instead}",
                RuntimeWarning,
                stacklevel=2,
            )

    if not TYPE_CHECKING:  # pragma: no branch
        # Type checkers refuse all of these without being told.

        def __await__(self) -> NoReturn:
            raise TypeError(
                f"{self._advice.call} cannot be awaited: write {self._advice.block}{self._instead}"
            )

        def __enter__(self) -> NoReturn:
            raise TypeError(f"{self._advice.call} needs `async`: write {self._advice.block}")

        def __exit__(self, *why: object) -> NoReturn:  # pragma: no cover
            raise AssertionError("never called, but looked for before `__enter__` is")

        def __aiter__(self) -> NoReturn:
            loop = self._advice.loop and f", and in it `{self._advice.loop}`"
            raise TypeError(f"{self._advice.call} is no loop: write {self._advice.block}{loop}")

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(
                f"{self._advice.call} has no {name!r}: write {self._advice.block}, and use "
                f"{self._advice.given}.{name}",
                name=name,
                obj=self,
            )


def block(
    given: str, *, loop: str = "", instead: str = ""
) -> Callable[[Callable[P, AsyncGenerator[T, None]]], Callable[P, Block[T]]]:
    """Returns a decorator that makes a `Block` of an async generator function, like
    `contextlib.asynccontextmanager`.

    Args:
        given: a name for what the block gives.
        loop: a loop to write in the block, for whoever loops over the block itself.
        instead: what does the same without a block, as a sentence without its full stop.
    """

    def with_block(function: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Block[T]]:
        advice = Advice(function.__name__, given, loop, instead)
        manager = asynccontextmanager(function)

        @wraps(function)
        def make(*args: P.args, **kwargs: P.kwargs) -> Block[T]:
            return Block(advice, manager(*args, **kwargs))

        # For Sphinx
        make.__returns_acontextmanager__ = True  # type: ignore[attr-defined]
        return make

    return with_block


class _OpenBlocks(trio.abc.Instrument):
    """The blocks of a run that were entered and not left, by their tasks and nurseries."""

    def __init__(self) -> None:
        self._blocks: dict[trio.lowlevel.Task, dict[trio.Nursery, WeakEnd]] = {}

    @staticmethod
    def of_this_run() -> _OpenBlocks:
        """Returns those of the run that calls it."""
        try:
            return _open_blocks.get()
        except LookupError:
            blocks = _OpenBlocks()
            _open_blocks.set(blocks)
            trio.lowlevel.add_instrument(blocks)
            return blocks

    def add(self, task: trio.lowlevel.Task, nursery: trio.Nursery, end: WeakEnd) -> None:
        """Adds a block.

        Args:
            task: what has entered it.
            nursery: the innermost of those that it opened.
            end: ends it in place of that task.
        """
        self._blocks.setdefault(task, {})[nursery] = end

    def discard(self, task: trio.lowlevel.Task, nursery: trio.Nursery) -> None:
        """Removes a block, if it is there."""
        of_task = self._blocks.get(task, {})
        if nursery in of_task:
            del of_task[nursery]
            if not of_task:
                del self._blocks[task]

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio at the end of each task."""
        of_task = self._blocks.pop(task, None)
        if of_task is not None:
            trio.lowlevel.spawn_system_task(_end_blocks, of_task)


_open_blocks: trio.lowlevel.RunVar[_OpenBlocks] = trio.lowlevel.RunVar("trio_draftws_open_blocks")


async def _end_blocks(blocks: dict[trio.Nursery, WeakEnd]) -> None:
    with trio.CancelScope(shield=True):
        for nursery, found in reversed(blocks.items()):
            end = found()
            if end is None:
                # The block was garbage collected, and Trio is about to end it.
                await _wait_empty(nursery)
            else:
                await end()


class BlockNursery(AbstractAsyncContextManager[trio.Nursery]):
    """A nursery for a block, that knows when it is left in another task than its own.

    Then it waits for its tasks, but stays behind, and a RuntimeError says so.
    """

    __slots__ = ("_manager", "_nursery")

    async def __aenter__(self) -> trio.Nursery:
        self._manager = trio.open_nursery()
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        nursery = self._nursery
        if trio.lowlevel.current_task() is nursery.parent_task:
            return await self._manager.__aexit__(kind, error, traceback)
        with trio.CancelScope(shield=True):
            await _wait_empty(nursery)
        raise RuntimeError(
            "a block was not left by the task that entered it, so what it opened is closed: "
            f"{ADVICE}"
        )


class _LastExit(trio.abc.Instrument):
    """Sets an event when a nursery has no tasks any more."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.event = trio.Event()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        if not self.nursery.child_tasks:
            self.event.set()


async def _wait_empty(nursery: trio.Nursery) -> None:
    # Not in the nursery's own way, which is to leave it
    if nursery.child_tasks:
        last_exit = _LastExit(nursery)
        trio.lowlevel.add_instrument(last_exit)
        await last_exit.event.wait()
        trio.lowlevel.remove_instrument(last_exit)
