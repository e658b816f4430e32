"""Runs a handler within the context managers of instruments, whose faults must not become its own.

1. A context manager that fails is as if it had done nothing: the handler runs, and what it returned
   or raised is what comes out; but not a cancellation by that context manager.
2. What the handler raised comes out, even if a context manager swallows it. Only a cancellation may
   be swallowed: that is how a cancel scope ends its own.
3. A cancellation that comes while a context manager is entered or exited comes out, together with
   what the handler raised.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import TypeAlias

import attrs
import trio

from trio_draftws._settings.checks import check_awaitable, check_sync_result

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

AnyContextManager: TypeAlias = AbstractContextManager[object] | AbstractAsyncContextManager[object]


async def run_within(
    managers: Iterable[tuple[Callable[[], AnyContextManager], Callable[[Exception], object]]],
    handler: Callable[[], Awaitable[object]],
) -> None:
    """Runs the handler within context managers, the first one outermost.

    Args:
        managers: for each, what makes it, and what is called with an exception of its own.
        handler: called without arguments.

    Raises:
        BaseException: what the handler raised, or a cancellation of a context manager.
    """
    async with AsyncExitStack() as stack:
        for make, on_failure in managers:
            await stack.enter_async_context(_Contained(make, on_failure))
        await check_awaitable("handler", handler())


@attrs.define(eq=False)
class _Contained(AbstractAsyncContextManager[None]):
    """A context manager, sync or async, whose failures are reported and go no further."""

    make: Callable[[], AnyContextManager]
    on_failure: Callable[[Exception], object]
    entered: AnyContextManager | None = attrs.field(default=None, init=False)

    async def __aenter__(self) -> None:
        try:
            manager: object = self.make()
            if isinstance(manager, AbstractAsyncContextManager):
                await manager.__aenter__()
            elif isinstance(manager, AbstractContextManager):
                manager.__enter__()
            else:
                check_sync_result("around_handler", manager)
                kind = type(manager).__name__
                raise TypeError(f"around_handler returns a context manager, not a {kind}")
        except Exception as failure:  # noqa: BLE001
            self.on_failure(failure)
        else:
            self.entered = manager

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        manager = self.entered
        try:
            if isinstance(manager, AbstractAsyncContextManager):
                swallowed = await manager.__aexit__(kind, error, traceback)
            elif manager is not None:
                swallowed = manager.__exit__(kind, error, traceback)
            else:
                return False
        except BaseException as raised:
            if _only_exception(raised) is error:
                return False
            if isinstance(error, BaseExceptionGroup) and not isinstance(error, Exception):
                # What a cancel scope leaves of a group, without its own cancellations
                raise
            if isinstance(raised, Exception):
                self.on_failure(raised)
                # If it had cancelled the handler, as `trio.fail_after` does, nobody else waits for
                # that cancellation, and it would end the server.
                return isinstance(error, trio.Cancelled) and not await _is_cancelled()
            if isinstance(error, Exception):
                raise BaseExceptionGroup("a handler, and its end", [error, raised]) from None
            raise
        return bool(swallowed) and error is not None and _is_cancellation(error)


async def _is_cancelled() -> bool:
    """Returns whether the task is cancelled, from where it is now."""
    try:
        await trio.lowlevel.checkpoint_if_cancelled()
    except trio.Cancelled:
        return True
    return False


def _only_exception(error: BaseException) -> BaseException:
    """Returns the exception itself, without the groups that nurseries put around a single one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _is_cancellation(error: BaseException) -> bool:
    """Returns whether it is nothing but a cancellation, perhaps of several tasks."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
