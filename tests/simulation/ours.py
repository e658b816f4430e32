"""A side that is our library, used as a program would use it."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import attrs
import trio

import trio_draftws as ws
from trio_draftws import Connection, Draft

from . import steps
from .journal import OBJECT, Got, Journal, Refused, Sent, explain, settle
from .programs import Library
from .steps import Step

T = TypeVar("T")


class ProgramError(Exception):
    """What a program raises that is told to."""


@attrs.define(eq=False, repr=False, kw_only=True)
class OurSide(Journal):
    """One side of a connection that is our library."""

    program: Library
    draft: Draft
    connection: Connection | None = None
    opened: float = math.inf
    closing: float = math.inf
    """When it began to end the connection, or left its block."""
    left_at: float = math.inf
    """When its program was over."""
    closed: float = math.inf
    """When its block was, closing included."""
    said_close: float = math.inf
    cut_itself: float = math.inf
    """When it left a message unfinished, which ends the connection."""
    ended: tuple[float, Exception] | None = None
    """The end of the connection, as it was told to whoever received."""
    refused: list[Refused] = attrs.field(factory=list)
    """What could not be sent."""
    seen_closed: float = math.inf
    """When `closed` was first found true, with nothing done about it by this side."""
    takes: list[tuple[float, int]] = attrs.field(factory=list)
    """When it took messages, or parts of them, and how much memory they took before."""
    sent_size: int = 0
    """How many bytes of messages calls took that returned."""
    taken: int = 0
    """How many bytes of messages it took."""
    closings: list[tuple[float, float]] = attrs.field(factory=list)
    """From when to when `aclose`, or leaving the block, took."""
    left: trio.Event = attrs.field(factory=trio.Event)
    """Set when its program is over."""
    cut: trio.Event = attrs.field(factory=trio.Event)
    """Set when a broadcast found the peer too slow."""
    failure: Exception | None = None
    """What its program raised."""
    on_change: Callable[[], None] | None = None
    """Is called whenever a step is done, and for each message that `send` took."""
    _tasks: int = 1
    _looked: bool = False

    @property
    def last_active(self) -> float:
        """When it last took or sent anything, or opened."""
        sent = max((sent.at for sent in self.sent), default=0)
        return max(self.opened, sent, self.takes[-1][0] if self.takes else 0)

    async def play(self, connection: Connection) -> None:
        """Does what its program says."""
        self.connection = connection
        self.opened = trio.current_time()
        try:
            await self._do_all(self.program.steps, "a")
        except Exception as error:
            self.failure = error
            if not isinstance(error, ProgramError):
                self.world.found("errors", f"{self}: {explain(error)}")
            raise
        finally:
            self.look()
            self.left_at = trio.current_time()
            self.closing = min(self.closing, self.left_at)
            self.left.set()

    def leave_scope(self) -> None:
        """Says that its block is over, closing included."""
        self.closed = trio.current_time()
        if self.left.is_set():
            self.closings.append((self.left_at, self.closed))

    async def _do_all(self, some_steps: tuple[Step, ...], branch: str) -> None:
        for step in some_steps:
            if isinstance(step, steps.Repeat):
                for _ in range(step.times):
                    await self._do_all(step.steps, branch)
                    if self.ended or self.refused or self.closing < math.inf:
                        break
            elif isinstance(step, steps.Within):
                with trio.move_on_after(step.seconds):
                    await self._do_all(step.steps, branch)
            elif isinstance(step, steps.Meanwhile):
                self._tasks += 1
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._do_all, step.one, branch)
                    nursery.start_soon(self._do_all, step.other, chr(ord(branch) + 1))
                self._tasks -= 1
            else:
                await self._do(step, branch)

    async def _do(self, step: Step, branch: str) -> None:
        self.begin(step)
        since = self.since
        try:
            match step:
                case steps.Sleep(seconds):
                    await trio.sleep(seconds)
                case steps.Compute():
                    time.sleep(0.002)  # noqa: ASYNC251
                case steps.Raise():
                    raise ProgramError
                case steps.Ping():
                    await self._ping()
                case steps.SendClose():
                    await self._send_close()
                case steps.Aclose():
                    await self._aclose()
                case steps.WaitReadable():
                    await self._take(self._connection.wait_readable)
                case (
                    steps.Receive()
                    | steps.ReceiveMany()
                    | steps.ReceiveAll()
                    | steps.ReceiveStream()
                    | steps.Answer()
                ):
                    await self._receive(step, branch)
                case _:
                    await self._send(step, branch)
        finally:
            self.end(step, since)
            self.look()

    @property
    def _connection(self) -> Connection:
        assert self.connection is not None
        return self.connection

    def look(self) -> None:
        """Finds out whether the connection has ended, by nothing that was done here."""
        did = min(self.closing, self.said_close, self.cut_itself, self.world.ending)
        if self.connection is not None and self.connection.closed and did == math.inf:
            self.seen_closed = min(self.seen_closed, trio.current_time())
        if self.on_change is not None:
            self.on_change()

    # Sending

    async def _send(self, step: Step, branch: str) -> None:
        connection = self._connection
        match step:
            case steps.Send(count, size):
                for _ in range(count):
                    if not await self._send_one(branch, size):
                        return
            case steps.SendMany(count, size):
                batch = [self.new_message(branch, size) for _ in range(count)]
                with self._sending(*batch):
                    await connection.send_many([sent.text for sent in batch])
            case steps.SendStream(parts, size, pause):
                sent = self.new_message(branch, parts * size)
                with self._sending(sent, in_parts=True):
                    await connection.send_stream(self._parts(sent, parts, size, pause))
            case steps.Broadcast(count, size):
                for _ in range(count):
                    await self._broadcast(branch, size)
            case _:
                raise TypeError(f"no step of the library's: {step!r}")

    async def _send_one(self, branch: str, size: int) -> bool:
        sent = self.new_message(branch, size)
        with self._sending(sent):
            await self._connection.send(sent.text)
        return sent.outcome == "returned"

    @contextmanager
    def _sending(self, *messages: Sent, in_parts: bool = False) -> Iterator[None]:
        outcome = "failed"
        try:
            yield
            outcome = "returned"
        except trio.Cancelled:
            # What was begun ends the connection; before that, nothing was sent.
            outcome = "cut" if in_parts and self._connection.closed else "cancelled"
            raise
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            self._refuse(error)
        finally:
            for sent in messages:
                settle(sent, outcome)
                if outcome == "returned":
                    self.sent_size += sent.size
                elif outcome == "cut":
                    self.cut_itself = min(self.cut_itself, sent.at)
            self.world.progress()
            if outcome == "returned" and self.on_change is not None:
                self.on_change()

    def _refuse(self, error: Exception) -> None:
        self.refused.append(Refused(trio.current_time(), error, self._looked))

    async def _parts(
        self, sent: Sent, parts: int, size: int, pause: float
    ) -> AsyncGenerator[str, None]:
        for part in range(parts):
            if part and pause:
                await trio.sleep(pause)
            text = sent.text[part * size :]
            yield text if part == parts - 1 else text[:size]

    async def _broadcast(self, branch: str, size: int) -> None:
        sent = self.new_message(branch, size)
        outcome = "cancelled"
        try:
            result = await ws.broadcast([self._connection], sent.text, slow="close")
            outcome = "returned" if result.sent else "failed"
            if result.cut:
                self.cut.set()
        finally:
            settle(sent, outcome)

    async def _send_close(self) -> None:
        try:
            await self._connection.send_close()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            self._refuse(error)
        else:
            self.said_close = min(self.said_close, trio.current_time())

    async def _ping(self) -> None:
        if not self.draft.ping:
            return
        try:
            await self._connection.ping()
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            self._refuse(error)

    async def _aclose(self) -> None:
        begun = trio.current_time()
        self.look()
        self.closing = min(self.closing, begun)
        try:
            await self._connection.aclose()
        finally:
            self.closings.append((begun, trio.current_time()))

    # Receiving

    async def _receive(self, step: Step, branch: str) -> None:
        connection = self._connection
        match step:
            case steps.Receive(count):
                for _ in range(count):
                    if await self._take_one() is None:
                        return
            case steps.Answer(count, after):
                for _ in range(count):
                    if await self._take_one() is None:
                        return
                    await trio.sleep(after)
                    await self._send_one(branch, 20)
            case steps.ReceiveMany():
                since = trio.current_time()
                for message in await self._take(connection.receive_many) or []:
                    self._note(str(message), since)
            case steps.ReceiveStream(parts, pause):
                await self._take(lambda: self._receive_stream(parts, pause))
            case _:
                await self._receive_all()

    async def _take_one(self) -> str | bytes | None:
        since = trio.current_time()
        message = await self._take(self._connection.receive)
        if message is not None:
            self._note(str(message), since)
        return message

    async def _receive_all(self) -> None:
        """As a program does: `async for` ends where the peer closed."""
        iterator = aiter(self._connection)
        since = trio.current_time()
        while (message := await self._take(iterator.__anext__)) is not None:
            self._note(str(message), since)
            since = trio.current_time()

    async def _receive_stream(self, limit: int | None, pause: float) -> None:
        text, whole, since = "", False, trio.current_time()
        async with self._connection.receive_stream() as parts:
            try:
                count = 0
                if limit != 0:
                    async for part in parts:
                        text += str(part)
                        self._note_taken(len(part), objects=count == 0)
                        count += 1
                        if count == limit:
                            break
                        await trio.sleep(pause)
                    else:
                        whole = True
            finally:
                self.got.append(Got(text, trio.current_time(), since, whole))

    def _note(self, text: str, since: float) -> None:
        self.got.append(Got(text, trio.current_time(), since))
        self._note_taken(len(text))

    def _note_taken(self, size: int, *, objects: bool = True) -> None:
        self._looked = False
        self.taken += size
        self.takes.append((trio.current_time(), size + OBJECT * objects))
        self.world.progress()

    async def _take(self, how: Callable[[], Awaitable[T]]) -> T | None:
        """What comes of waiting for something; None where it is the end."""
        self._looked = True
        try:
            return await how()
        except StopAsyncIteration:
            self._be_told(ws.PeerClosed())
        except (ws.PeerClosed, ws.ConnectionLost, ws.PeerViolation) as error:
            self._be_told(error)
        except trio.ClosedResourceError as error:
            if self.closing == math.inf:
                self.world.found("errors", f"{self} did not close, and was told {error!r}")
        except trio.BusyResourceError as error:
            if self._tasks == 1:
                self.world.found("errors", f"{self} receives in one task, and was told {error!r}")
        except Exception as error:  # noqa: BLE001
            self.world.found("errors", f"{self} in {self.doing}: {explain(error)}")
        return None

    def _be_told(self, error: Exception) -> None:
        if self.ended is None:
            self.ended = (trio.current_time(), error)
        elif type(self.ended[1]) is not type(error):
            self.world.found("errors", f"{self} was told {self.ended[1]!r}, and then {error!r}")
