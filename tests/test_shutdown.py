"""SIGTERM to a server that is busy: what its peers see, and when the process ends."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from trio_draftws import DRAFTS, Connection, PeerClosed, open_websocket
from trio_draftws.drafts import draft_named

from .pairs import SOME_DRAFTS
from .processes import HOST, echo_server, read_all, read_line, start
from .slow_server import COUNT, UNDECIDED
from .wire import (
    Answer,
    raw_server,
    read_request,
    read_to_end,
    read_until,
    request,
    request_13,
    take_up,
)

NAMES = [draft.name for draft in DRAFTS]
# The server's answer to `request_13`, and the frame that says 1001 (RFC 6455 section 5.5.1)
ANSWERED = b"\r\n\r\n"
GOING_AWAY = b"\x88\x02\x03\xe9"
HELLO = b"\x81\x05hello"
# Under a mask of zeros
GOODBYE = b"\x88\x82\0\0\0\0\x03\xe9"


@attrs.define(eq=False)
class Guest:
    """A client that sends numbers as fast as it can, and keeps what comes back."""

    connection: Connection
    received: list[str | bytes] = attrs.field(factory=list)
    some_came: trio.Event = attrs.field(factory=trio.Event)
    end: PeerClosed | None = None

    async def talk(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.send)
            await self.listen()

    async def send(self) -> None:
        number = 0
        try:
            while True:
                await self.connection.send(str(number))
                number += 1
        except trio.BrokenResourceError:
            # The server closed: what it had not read is known not to have been echoed.
            assert self.connection.closed

    async def listen(self) -> None:
        try:
            while True:
                self.received.append(await self.connection.receive())
                self.some_came.set()
        except PeerClosed as end:
            self.end = end

    def saw_the_end(self) -> None:
        """That of a server that goes, as the draft can tell it."""
        assert self.end is not None
        codes = self.connection.draft.close_status
        assert self.end.code == (1001 if codes else None)


async def visit(
    url: str, draft: str, task_status: trio.TaskStatus[Guest] = trio.TASK_STATUS_IGNORED
) -> None:
    async with open_websocket(url, draft=draft) as connection:
        guest = Guest(connection)
        task_status.started(guest)
        await guest.talk()


@asynccontextmanager
async def guests_at(url: str, drafts: list[str]) -> AsyncGenerator[list[Guest], None]:
    """Each has been answered when the block begins, and has seen the end when it is left."""
    async with trio.open_nursery() as nursery:
        guests: list[Guest] = [await nursery.start(visit, url, draft) for draft in drafts]
        for guest in guests:
            await guest.some_came.wait()
        yield guests


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


async def dial(port: int, data: bytes) -> trio.SocketStream:
    """A connection of TCP, on which that was sent."""
    stream = await trio.open_tcp_stream(HOST, port)
    await stream.send_all(data)
    return stream


async def open_plainly(port: int) -> trio.SocketStream:
    """A client of RFC 6455 that knows nothing but its opening."""
    stream = await dial(port, request_13())
    await read_until(stream, lambda answer: answer.endswith(ANSWERED))
    return stream


async def is_free(port: int) -> None:
    """Nobody listens there; somebody else can."""
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream(HOST, port)
    [listener] = await trio.open_tcp_listeners(port, host=HOST)
    async with listener:
        ours = await trio.open_tcp_stream(HOST, port)
        await (await listener.accept()).aclose()
        await ours.aclose()


async def is_sent_away(stream: trio.SocketStream) -> None:
    answer = Answer.parse(await read_to_end(stream))
    assert answer.line.startswith(b"HTTP/1.1 503 ")
    assert answer.text == "The server is shutting down.\n"
    await stream.aclose()


# The command


async def test_the_echo_command_under_load() -> None:
    """With one client that takes its time, so that all else is seen while the process runs."""
    async with echo_server("--framing-mode", "old") as (process, url):
        drafts = [name for name in NAMES if name not in ("whatwg-2010-08", "hybi-01")]
        # Whoever comes behind these is accepted after them.
        unfinished = [await dial(port_of(url), data) for data in (b"", request()[:50])]
        slow = await open_plainly(port_of(url))
        async with guests_at(url, 2 * drafts) as guests:
            process.terminate()
        for guest in guests:
            guest.saw_the_end()
            # All that the server had read came back, in its order, and nothing twice.
            assert guest.received == [str(number) for number in range(len(guest.received))]
        await is_free(port_of(url))
        for stream in unfinished:
            await is_sent_away(stream)
        assert await read_until(slow, lambda data: len(data) >= 4) == GOING_AWAY
        assert process.poll() is None
        await slow.send_all(GOODBYE)
        assert await read_to_end(slow) == b""
        await slow.aclose()
        assert await process.wait() == 0
        assert await read_all(process.stderr) == ""


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_the_command_at_once(signum: signal.Signals) -> None:
    """Though a client that was told does not answer."""
    async with echo_server() as (process, url):
        slow = await open_plainly(port_of(url))
        process.send_signal(signum)
        assert await read_until(slow, lambda data: len(data) >= 4) == GOING_AWAY
        process.send_signal(signum)
        # Far less than the five seconds for which it would wait
        with trio.fail_after(3):
            assert await process.wait() == -signum
        await slow.aclose()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_connect_at_once(signum: signal.Signals) -> None:
    """Though the server does not answer its goodbye."""
    told = trio.Event()

    async def keep_quiet(stream: trio.SocketStream) -> None:
        head, _ = await read_request(stream, 0)
        answer, _ = take_up(draft_named("rfc6455"), head, b"")
        await stream.send_all(answer)
        await stream.send_all(HELLO)
        await read_until(stream, lambda data: len(data) >= 6)
        told.set()
        await read_to_end(stream)

    async with raw_server(keep_quiet) as port:
        async with start("connect", f"ws://{HOST}:{port}/", "--draft", "rfc6455") as process:
            assert await read_line(process.stdout) == "hello\n"
            process.send_signal(signum)
            await told.wait()
            process.send_signal(signum)
            with trio.fail_after(3):
                assert await process.wait() == -signum


# A program whose handlers take their time


@asynccontextmanager
async def slow_server(
    close_timeout: float, mode: str = "old"
) -> AsyncGenerator[tuple[trio.Process, int], None]:
    """The program, and its port."""
    async with start(str(close_timeout), mode, module="tests.slow_server") as process:
        yield process, int(await read_line(process.stdout))


async def let_return(process: trio.Process) -> None:
    assert process.stdin is not None
    await process.stdin.send_all(b"\n")


async def read_lines(process: trio.Process, count: int) -> list[str]:
    return [(await read_line(process.stdout)).rstrip("\n") for _ in range(count)]


@pytest.mark.parametrize("mode", [draft.name for draft in SOME_DRAFTS])
async def test_handlers_that_take_their_time(mode: str) -> None:
    """All the while the port is free and openings are refused; goodbyes come at the end."""
    async with slow_server(1000, mode) as (process, port):
        url = f"ws://{HOST}:{port}/"
        undecided = await dial(port, request_13(f"GET {UNDECIDED} HTTP/1.1"))
        assert await read_lines(process, 1) == ["undecided"]
        unfinished = [await dial(port, data) for data in (b"", request()[:50])]
        async with guests_at(url, [mode] * 10) as guests:
            process.terminate()
            assert await read_lines(process, 10) == ["told to end"] * 10
            await is_free(port)
            for stream in (undecided, *unfinished):
                await is_sent_away(stream)
            assert not any(guest.connection.closed for guest in guests)
            await let_return(process)
        for guest in guests:
            guest.saw_the_end()
            count = len(guest.received) - 1
            assert guest.received == [*map(str, range(count)), f"{count} sent"]
        assert await process.wait() == 0
        assert await read_all(process.stderr) == ""


@pytest.mark.parametrize("mode", [draft.name for draft in SOME_DRAFTS])
async def test_what_waits_to_be_written_is_delivered(mode: str) -> None:
    """The client reads no further until the server was told to end, and then gets all of it."""
    async with slow_server(1000, mode) as (process, port):
        async with open_websocket(f"ws://{HOST}:{port}{COUNT}", draft=mode) as connection:
            guest = Guest(connection)
            guest.received.append(await connection.receive())
            process.terminate()
            assert await read_lines(process, 1) == ["told to end"]
            await let_return(process)
            await guest.listen()
        guest.saw_the_end()
        count = len(guest.received) - 1
        assert guest.received == [*map(str, range(count)), f"{count} sent"]
        assert await process.wait() == 0


async def test_the_process_ends_within_close_timeout_of_the_last_handler() -> None:
    """Though clients that were told neither answer nor read."""
    close_timeout = 1.5
    async with slow_server(close_timeout) as (process, port):
        clients = [await open_plainly(port) for _ in range(5)]
        process.terminate()
        await read_lines(process, 5)
        await let_return(process)
        returned = [float(line.split()[1]) for line in await read_lines(process, 5)]
        assert await process.wait() == 0
        # The rest is the end of a Python process, on a busy machine.
        assert close_timeout * 0.9 < time.monotonic() - max(returned) < close_timeout + 5
        for client in clients:
            assert (await read_to_end(client)).endswith(GOING_AWAY)
            await client.aclose()
