"""One connection after the other: `reconnecting`, over real servers that come and go."""

from __future__ import annotations

import inspect
import logging
import math
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    DialFailed,
    HandshakeError,
    InvalidAnswer,
    PeerClosed,
    Reject,
    Rejected,
    TLSFailed,
    is_transient,
    open_websocket,
    reconnecting,
    serve_websocket,
)

from .processes import HOST, read_line, start
from .wire import echo, plain_nursery, raw_server, read_request, read_to_end, serving

LONG = 1000.0


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """A clock that jumps, but not while the kernel is passing bytes on."""
    autojump_clock.autojump_threshold = 0.01
    return autojump_clock


@pytest.fixture
def port() -> Iterator[int]:
    """A port for a server that is started again and again."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


reconnect = partial(reconnecting, draft="rfc6455", backoff_jitter=0)


@attrs.define
class Doorkeeper:
    """A server that refuses as often as it is told, and notes when it is asked."""

    refusals: list[Reject] = attrs.field(factory=list)
    asked_at: list[float] = attrs.field(factory=list)
    ended: list[int | None] = attrs.field(factory=list)
    url: str = ""

    async def conn_headers(self, request: Any) -> tuple[tuple[()], None]:
        self.asked_at.append(trio.current_time())
        if self.refusals:
            raise self.refusals.pop(0)
        await trio.lowlevel.checkpoint()
        return (), None

    async def handle(self, connection: Connection, state: object) -> None:
        """Echoes; "go" makes it close. Notes with which code the client closed."""
        try:
            while True:
                message = await connection.receive()
                if message == "go":
                    await connection.aclose()
                    self.ended.append(None)
                    return
                await connection.send(message)
        except PeerClosed as end:
            self.ended.append(end.code)


@asynccontextmanager
async def guarded(*refusals: Reject) -> AsyncIterator[Doorkeeper]:
    keeper = Doorkeeper(list(refusals))
    async with serving(keeper.handle, conn_headers=keeper.conn_headers) as server:
        keeper.url = f"ws://{HOST}:{server.port}/"
        yield keeper


async def echo_once(connection: Connection) -> None:
    await connection.send("hello")
    assert await connection.receive() == "hello"


async def open_one(url: str, **settings: Any) -> None:
    async with reconnect(url, **settings) as connections:
        await connections.__anext__()


def busy() -> list[Reject]:
    return [Reject(503) for _ in range(5)]


# It comes back


async def test_one_after_the_other(clock: trio.testing.MockClock) -> None:
    """Each is closed before the next is opened, and the last with the block."""
    async with guarded() as keeper:
        seen: list[Connection] = []
        async with reconnect(keeper.url, settled_after=0.5) as connections:
            async for connection in connections:
                assert all(earlier.closed for earlier in seen)
                seen.append(connection)
                await echo_once(connection)
                if len(seen) == 3:
                    break
            await echo_once(connection)
        assert connection.closed
        await trio.testing.wait_all_tasks_blocked()
        assert keeper.ended == [1000, 1000, 1000]


async def test_a_server_that_ends_and_begins_again(
    port: int, clock: trio.testing.MockClock
) -> None:
    """It is away for a while; what the loop's body meets is an ordinary end."""
    echoed = 0
    restart_at: list[float] = []

    async def serve_now_and_then() -> None:
        for _ in range(3):
            async with plain_nursery() as nursery:
                server = await nursery.start(partial(serve_websocket, echo, port, host=HOST))
                restart_at.append(trio.current_time())
                await trio.sleep(12)
                await server.aclose()
            await trio.sleep(12)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_now_and_then)
        async with reconnect(f"ws://{HOST}:{port}/", initial_backoff=1) as connections:
            async for connection in connections:
                await echo_once(connection)
                echoed += 1
                with pytest.raises(PeerClosed) as caught:
                    await connection.receive()
                assert caught.value.code == 1001
                if echoed == 3:
                    break
    assert echoed == 3


async def use_for_ever(connection: Connection) -> None:
    while True:
        await connection.send("x" * 10_000)
        await connection.receive()


async def test_a_process_that_is_killed(port: int) -> None:
    """In the middle of everything, so that nobody says goodbye; and started again."""
    url = f"ws://{HOST}:{port}/"
    arguments = ("echo", "--host", HOST, "--port", str(port))
    lost = 0
    settings: dict[str, Any] = {"initial_backoff": 0.01, "max_backoff": 0.05}
    async with reconnecting(url, draft="rfc6455", **settings) as connections:
        for _ in range(2):
            async with start(*arguments) as process:
                await read_line(process.stdout)
                connection = await connections.__anext__()
                await echo_once(connection)
                process.send_signal(signal.SIGKILL)
                with pytest.raises(trio.BrokenResourceError):
                    await use_for_ever(connection)
                lost += 1
        with trio.move_on_after(0.3) as scope:
            await connections.__anext__()
        assert scope.cancelled_caught
    assert lost == 2


# How long it waits


async def attempts_at(keeper: Doorkeeper, **settings: Any) -> list[float]:
    """When the attempts were made, the last of which is let in."""
    async with reconnect(keeper.url, **settings) as connections:
        async for connection in connections:
            await echo_once(connection)
            break
    return keeper.asked_at


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 1, 3, 7, 15, 31]),
        ({"initial_backoff": 4, "backoff_factor": 3, "max_backoff": 20}, [0, 4, 16, 36, 56, 76]),
        ({"initial_backoff": 4, "backoff_factor": 1}, [0, 4, 8, 12, 16, 20]),
        ({"initial_backoff": 4, "max_backoff": 2}, [0, 2, 4, 6, 8, 10]),
    ],
)
async def test_it_waits_longer_each_time(
    settings: dict[str, float], expected: list[float], clock: trio.testing.MockClock
) -> None:
    async with guarded(*busy()) as keeper:
        assert await attempts_at(keeper, **settings) == pytest.approx(expected, abs=0.1)


async def test_the_server_says_how_long(clock: trio.testing.MockClock) -> None:
    """Never less than its own wait, nor more than the most; test_retry_after.py has the rest."""
    asked = ["7", "1", "99999", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"]
    refusals = [Reject(503, {"Retry-After": value}) for value in asked]
    async with guarded(*refusals) as keeper:
        times = await attempts_at(keeper, max_backoff=16)
    assert times == pytest.approx([0, 7, 9, 25, 33, 49], abs=0.1)


@pytest.mark.parametrize("jitter", [0, 0.25, 0.5, 1])
async def test_jitter_stays_within_bounds(
    jitter: float, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random share of that size is left out, of each wait anew."""
    attempts: list[float] = []

    async def dial(host: str, port: int) -> trio.SocketStream:
        attempts.append(trio.current_time())
        if len(attempts) == 6:
            scope.cancel()
        await trio.lowlevel.checkpoint()
        raise OSError("nobody is there")

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    waits: list[list[float]] = []
    for _ in range(100):
        attempts.clear()
        with trio.CancelScope() as scope:
            await open_one("ws://a.example/", backoff_jitter=jitter, max_backoff=8)
        waits.append([later - earlier for earlier, later in pairwise(attempts)])
    for place, full in zip(zip(*waits, strict=True), [1, 2, 4, 8, 8], strict=True):
        least = full * (1 - jitter)
        assert all(least - 1e-6 <= wait <= full + 1e-6 for wait in place)
        spread = full - least
        # That 100 draws miss a quarter at an end has a chance of 1 in 10^12.
        assert min(place) <= least + spread / 4 + 1e-6
        assert max(place) >= full - spread / 4 - 1e-6


@pytest.mark.parametrize(("lived", "waited"), [(9, [1, 2, 4]), (11, [1, 1, 1])])
async def test_only_a_connection_that_lived_begins_anew(
    lived: float, waited: list[float], clock: trio.testing.MockClock
) -> None:
    """One that ends soon counts as an attempt that came to nothing."""
    waits: list[float] = []
    ended = -math.inf
    async with guarded() as keeper:
        async with reconnect(keeper.url, settled_after=10) as connections:
            async for connection in connections:
                if ended > 0:
                    waits.append(trio.current_time() - ended)
                if len(waits) == 3:
                    break
                await trio.sleep(lived)
                await connection.send("go")
                with pytest.raises(PeerClosed):
                    await connection.receive()
                ended = trio.current_time()
    assert waits == pytest.approx(waited, abs=0.1)


async def test_a_cancelled_wait_is_not_shortened(clock: trio.testing.MockClock) -> None:
    """Whoever gives up after a while and asks again does not ask the server more often."""
    async with guarded(Reject(503)) as keeper:
        async with reconnect(keeper.url, initial_backoff=50, max_backoff=50) as connections:
            for _ in range(4):
                with trio.move_on_after(10) as scope:
                    await connections.__anext__()
                assert scope.cancelled_caught
            await echo_once(await connections.__anext__())
        assert keeper.asked_at == pytest.approx([0, 50], abs=0.1)


# When it gives up


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 426, 501, 505])
async def test_a_refusal_that_will_not_change(status: int, clock: trio.testing.MockClock) -> None:
    async with guarded(Reject(status)) as keeper:
        async with reconnect(keeper.url) as connections:
            with pytest.raises(Rejected) as caught:
                await connections.__anext__()
            assert caught.value.status == status
            # Asked again it tries again, and not at once.
            await echo_once(await connections.__anext__())
        assert keeper.asked_at == pytest.approx([0, 1], abs=0.1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_a_refusal_that_may_change(status: int, clock: trio.testing.MockClock) -> None:
    async with guarded(Reject(status)) as keeper:
        assert len(await attempts_at(keeper)) == 2


async def test_a_certificate_that_is_not_trusted(server_ssl: ssl.SSLContext) -> None:
    async with serving(ssl_context=server_ssl) as server:
        with pytest.raises(TLSFailed, match="certificate verify failed"):
            await open_one(f"wss://localhost:{server.port}/")


async def test_a_server_that_goes_within_the_opening(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, clock: trio.testing.MockClock
) -> None:
    """Within TLS, and behind it: as one that is being started behind a balancer."""
    came = 0

    async def behave(stream: trio.SocketStream) -> None:
        nonlocal came
        came += 1
        if came == 2:
            dressed = trio.SSLStream(stream, server_ssl, server_side=True, https_compatible=True)
            await read_request(dressed, 0)

    async with raw_server(behave) as port:
        with trio.move_on_after(4):
            settings: dict[str, Any] = {"ssl_context": client_ssl}
            async with reconnect(f"wss://{HOST}:{port}/", **settings) as connections:
                async for _ in connections:
                    raise AssertionError("there is no connection")
    assert came == 3


async def test_another_protocol() -> None:
    """A mail server will not become a WebSocket server."""

    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(b"\x00220 mail.example.org ESMTP\r\n")
        await stream.receive_some()

    async with raw_server(behave) as port:
        with pytest.raises(HandshakeError, match="no HTTP") as caught:
            async with reconnect(f"ws://{HOST}:{port}/") as connections:
                await connections.__anext__()
    assert not is_transient(caught.value)
    assert not is_transient(InvalidAnswer("what", 1, 2))


async def test_a_hook_decides(clock: trio.testing.MockClock) -> None:
    """About every failed attempt, and nothing else."""
    asked: list[str] = []

    def retry(error: HandshakeError) -> bool:
        asked.append(str(error))
        return is_transient(error) or (isinstance(error, Rejected) and error.status == 404)

    async with guarded(Reject(404), Reject(503), Reject(403)) as keeper:
        async with reconnect(keeper.url, retry=retry) as connections:
            with pytest.raises(Rejected, match="403"):
                await connections.__anext__()
    assert [text[-3:] for text in asked] == ["404", "503", "403"]


async def test_a_hook_that_raises() -> None:
    def retry(error: HandshakeError) -> bool:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await open_one("ws://127.0.0.1:1/", retry=retry)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"url": "http://h/"}, "write 'ws://h/'"),
        ({"draft": "hybi-99"}, "no draft is named"),
        ({"initial_backoff": 0}, "initial_backoff must be above 0"),
        ({"max_backoff": -1}, "max_backoff must be above 0"),
        ({"backoff_factor": 0.5}, "backoff_factor must be at least 1"),
        ({"backoff_factor": math.nan}, "backoff_factor must be at least 1"),
        ({"backoff_jitter": 1.1}, "backoff_jitter must be from 0 to 1"),
        ({"backoff_jitter": math.nan}, "backoff_jitter must be from 0 to 1"),
        ({"settled_after": 0}, "settled_after must be above 0"),
        ({"close_timeout": 0}, "close_timeout must be above 0"),
    ],
)
async def test_mistakes_are_told_at_once(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        async with reconnecting(**{"url": "ws://h/", **settings}):
            raise AssertionError("it was entered")


# Leaving it, from every place


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """That as many tasks run behind the block as before it."""
    await trio.testing.wait_all_tasks_blocked()
    before = trio.lowlevel.current_statistics().tasks_living
    yield
    assert trio.lowlevel.current_statistics().tasks_living == before


class Stop(BaseException):
    """Nothing that anybody else catches."""


@pytest.mark.parametrize("way", ["break", "return", "raise", "raise fiercely", "cancel"])
@pytest.mark.parametrize("place", ["first", "third"])
async def test_leaving_the_body(way: str, place: str, clock: trio.testing.MockClock) -> None:
    raised: dict[str, type[BaseException]] = {"raise": KeyError, "raise fiercely": Stop}
    last: list[Connection] = []

    async def run(url: str) -> str:
        count = 0
        async with reconnect(url) as connections:
            async for connection in connections:
                count += 1
                await echo_once(connection)
                if count < (1 if place == "first" else 3):
                    continue
                last.append(connection)
                if way == "return":
                    return "returned"
                if way == "cancel":
                    await trio.sleep(LONG)
                if way in raised:
                    raise raised[way]("mine")
                break
        return "left"

    async with guarded() as keeper, nothing_left():
        with trio.move_on_after(20) as scope:
            if way in raised:
                with pytest.raises(raised[way], match="mine"):
                    await run(keeper.url)
            else:
                assert await run(keeper.url) == ("returned" if way == "return" else "left")
        assert scope.cancelled_caught is (way == "cancel")
        assert last[0].closed
        await trio.testing.wait_all_tasks_blocked()
        expected = 1000 if way in ("break", "return") else 1001 if way == "cancel" else 1011
        assert keeper.ended[-1] == expected
        assert len(keeper.ended) == (1 if place == "first" else 3)
        # The server's tasks, one for each client, have ended too.
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("place", ["waiting", "dialling", "opening", "closing"])
@pytest.mark.parametrize("outside", [False, True], ids=["the step", "the block"])
async def test_cancelling_between(place: str, outside: bool, clock: trio.testing.MockClock) -> None:
    """Cancelled while no body runs: what was under way is undone, and the next step works."""
    heard: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        heard.append(await read_to_end(stream))

    class Slow(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *arguments: Any, **settings: Any) -> Any:
            await trio.sleep(LONG)

        async def getnameinfo(self, *arguments: Any) -> Any:
            raise AssertionError

    refusals = [Reject(503)] if place == "waiting" else []
    async with guarded(*refusals) as keeper, raw_server(behave) as deaf, nothing_left():
        if place == "dialling":
            trio.socket.set_custom_hostname_resolver(Slow())
        urls = {"dialling": "ws://slow.example/", "opening": f"ws://{HOST}:{deaf}/"}
        settings: dict[str, Any] = {
            "handshake_timeout": LONG,
            "initial_backoff": 50,
            "close_timeout": 70,
        }
        with trio.move_on_after(20 if outside else LONG) as block:
            async with reconnect(urls.get(place, keeper.url), **settings) as connections:
                with trio.move_on_after(LONG if outside else 20) as step:
                    if place == "closing":
                        connection = await connections.__anext__()
                        await echo_once(connection)
                    await connections.__anext__()
                assert step.cancelled_caught
                if place in ("waiting", "closing"):
                    await echo_once(await connections.__anext__())
        assert block.cancelled_caught is outside
        trio.socket.set_custom_hostname_resolver(None)
        await trio.testing.wait_all_tasks_blocked()
    assert len(heard) == (place == "opening")


@pytest.mark.parametrize("end", ["break", "cancel", "next"])
async def test_a_peer_that_does_not_answer_the_close(
    end: str, clock: trio.testing.MockClock
) -> None:
    """It is waited for within `close_timeout`, whatever ends the connection."""
    from trio_draftws.drafts import draft_named

    from .wire import take_up

    async def behave(stream: trio.SocketStream) -> None:
        head, _ = await read_request(stream, 0)
        answer, _ = take_up(draft_named("rfc6455"), head, b"")
        await stream.send_all(answer)
        await read_to_end(stream)

    async with raw_server(behave) as port, nothing_left():
        url = f"ws://{HOST}:{port}/"
        with trio.move_on_after(10 if end == "cancel" else LONG):
            async with reconnect(url, close_timeout=7) as connections:
                async for _ in connections:
                    if end == "next":
                        await connections.__anext__()
                    if end == "cancel":
                        await trio.sleep(LONG)
                    break
        expected = {"break": 7, "cancel": 17, "next": 14}[end]
        assert trio.current_time() == pytest.approx(expected, abs=0.2)
        await trio.testing.wait_all_tasks_blocked()


# Scopes and nurseries of the caller's


async def test_scopes_of_the_callers_nest_as_they_like(clock: trio.testing.MockClock) -> None:
    """A connection belongs to the block, not to what was open round the step that gave it."""
    async with guarded() as keeper, nothing_left():
        async with reconnect(keeper.url) as connections:
            with trio.fail_after(5):
                first = await connections.__anext__()
            await echo_once(first)
            async with trio.open_nursery() as nursery:
                second = await connections.__anext__()
                nursery.start_soon(echo_once, second)
            assert first.closed
            await echo_once(second)
            scope = trio.CancelScope()
            scope.__enter__()
            third = await connections.__anext__()
            await echo_once(third)
            scope.__exit__(None, None, None)
            async with trio.open_nursery() as nursery:
                # What uses a connection that the next step closes is told so.
                nursery.start_soon(wait_for_closing, third)
                await trio.testing.wait_all_tasks_blocked()
                fourth = await connections.__anext__()
            await echo_once(fourth)
        await trio.testing.wait_all_tasks_blocked()


async def wait_for_closing(connection: Connection) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await connection.receive()


async def test_one_cancel_scope_across_steps(clock: trio.testing.MockClock) -> None:
    async with guarded() as keeper, nothing_left():
        count = 0
        async with reconnect(keeper.url) as connections:
            with trio.move_on_after(20) as scope:
                async for connection in connections:
                    await echo_once(connection)
                    count += 1
            assert scope.cancelled_caught
            assert count == 5
            await echo_once(await connections.__anext__())
        await trio.testing.wait_all_tasks_blocked()


async def test_who_else_may_ask(clock: trio.testing.MockClock) -> None:
    async with guarded(Reject(503)) as keeper:
        async with reconnect(keeper.url) as connections:
            assert connections.__aiter__() is connections
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connections.__anext__)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await connections.__anext__()
            assert re.search(r"<Connection \d+ client rfc6455 open>", repr(connections))
        with pytest.raises(trio.ClosedResourceError):
            await connections.__anext__()


# What is told


async def test_each_attempt_is_logged(
    clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With the wait; without what is secret."""
    caplog.set_level(logging.INFO, "trio_draftws")
    async with guarded(Reject(503), Reject(503)) as keeper:
        url = keeper.url.replace("//", "//me:secret@") + "?token=secret"
        async with reconnect(url, cookies={"a": "secret"}) as connections:
            await connections.__anext__()
    told = [record.message for record in caplog.records if "next attempt" in record.message]
    host = keeper.url[5:-1]
    refused = "the server refused with status 503"
    assert told == [
        f"no connection to {host}, next attempt in 1.0 s: {refused}",
        f"no connection to {host}, next attempt in 2.0 s: {refused}",
    ]
    assert "secret" not in caplog.text


async def test_the_first_attempt_fails_too(clock: trio.testing.MockClock) -> None:
    """Nobody is there yet: that is no reason to give up."""
    with trio.move_on_after(20) as scope:
        async with reconnect("ws://127.0.0.1:1/") as connections:
            async for _ in connections:
                raise AssertionError("there is no connection")
    assert scope.cancelled_caught
    assert is_transient(DialFailed("nobody"))


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: (parameter.default, parameter.annotation)
        for name, parameter in inspect.signature(function).parameters.items()
    }


def test_it_takes_what_open_websocket_takes() -> None:
    """With the same defaults, but for a stream, which can be used once."""
    ours = parameters(reconnecting)
    theirs = parameters(open_websocket)
    del theirs["stream"]
    assert {name: ours.get(name) for name in theirs} == theirs
