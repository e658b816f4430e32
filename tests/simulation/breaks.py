"""Ten ways to break the library on purpose, each of which must be found.

They go in from outside, through what users have too: settings, streams, `Connection.send`, and the
codec of a draft; so they hold however the inside is built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import attrs
import pytest
import trio

from trio_draftws import Connection, Draft, Pong
from trio_draftws.drafts import Codec, NegotiatedParameters, Role

from .world import Seams


@attrs.frozen
class Break:
    """One way, and which invariant it offends."""

    name: str
    invariant: str
    seams: Seams


# What is sent

Send = Callable[..., Any]


def _send_instead(make: Callable[[Send], Send]) -> Callable[[], AbstractContextManager[object]]:
    @contextmanager
    def patched() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(Connection, "send", make(Connection.send))
            yield

    return patched


def _losing(send: Send) -> Send:
    async def lose(self: Connection, message: str, **options: Any) -> None:
        if "7:" not in message[:8]:
            await send(self, message, **options)

    return lose


def _doubling(send: Send) -> Send:
    async def double(self: Connection, message: str, **options: Any) -> None:
        await send(self, message, **options)
        if "3:" in message[:8]:
            await send(self, message, **options)

    return double


def _reordering(send: Send) -> Send:
    held: dict[Connection, str] = {}

    async def reorder(self: Connection, message: str, **options: Any) -> None:
        if "3:" in message[:8]:
            held[self] = message
            return
        await send(self, message, **options)
        if self in held:
            await send(self, held.pop(self), **options)

    return reorder


def _deaf_to_cancelling(send: Send) -> Send:
    async def send_all_the_same(self: Connection, message: str, **options: Any) -> None:
        try:
            await send(self, message, **options)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await send(self, message, **options)
            raise

    return send_all_the_same


# What a codec says


class _NoPongs:
    """A codec that says nothing for a pong, and all else as another does."""

    def __init__(self, codec: Codec) -> None:
        object.__setattr__(self, "_codec", codec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._codec, name, value)

    def encode(self, event: Any, *options: Any, **more: Any) -> Any:
        return [] if isinstance(event, Pong) else self._codec.encode(event, *options, **more)


def _without_pongs(draft: Draft) -> Draft:
    def codec(role: Role, most: float, agreement: NegotiatedParameters | None = None) -> Any:
        return _NoPongs(draft.codec(role, most, agreement or NegotiatedParameters()))

    return attrs.evolve(draft, codec=codec)


# What a stream does


@attrs.define(eq=False)
class _Passing(trio.abc.Stream):
    """A stream that passes everything on."""

    inner: trio.abc.Stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.inner.aclose()


class _LeftOpen(_Passing):
    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class _WithTask(_Passing):
    """A stream with a task of its own, until it is closed."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        super().__init__(inner)
        self.held = bytearray()
        self.changed = trio.Event()
        self.closed = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self._run)

    async def _run(self) -> None:
        with self.closed:
            try:
                await self.work()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    async def work(self) -> None:
        raise NotImplementedError

    def change(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def aclose(self) -> None:
        self.closed.cancel()
        await self.inner.aclose()


class _ReadAhead(_WithTask):
    """Reads whatever comes, whether or not anybody wants it."""

    ended = False

    async def work(self) -> None:
        try:
            while data := await self.inner.receive_some(65_536):
                self.held += data
                self.change()
        finally:
            self.ended = True
            self.change()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self.held and not self.ended:
            await self.changed.wait()
        taken = bytes(self.held[:max_bytes])
        del self.held[: len(taken)]
        return taken


class _TakesAll(_WithTask):
    """Takes whatever is to be sent, at once."""

    async def work(self) -> None:
        while True:
            if not self.held:
                await self.changed.wait()
            data = bytes(self.held)
            self.held.clear()
            await self.inner.send_all(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        self.held += data
        self.change()


_NEVER = dict.fromkeys(("ping_interval", "ping_timeout", "idle_timeout", "write_timeout"), math.inf)

BREAKS = (
    Break("close_timeout is doubled", "closing", Seams(settings={"close_timeout": 10})),
    Break("the dead are never given up", "dead", Seams(settings=_NEVER)),
    Break("pings are not answered", "prompt", Seams(codec=_without_pongs)),
    Break("a message is lost", "data", Seams(patches=_send_instead(_losing))),
    Break("a message is doubled", "data", Seams(patches=_send_instead(_doubling))),
    Break("messages are reordered", "data", Seams(patches=_send_instead(_reordering))),
    Break("a cancelled send goes out", "data", Seams(patches=_send_instead(_deaf_to_cancelling))),
    Break("reading ahead has no end", "bounded", Seams(stream=_ReadAhead)),
    Break("senders do not wait for room", "bounded", Seams(stream=_TakesAll)),
    Break("a stream is left open", "held", Seams(stream=_LeftOpen)),
)
