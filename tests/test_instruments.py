"""What instruments are told, and that nobody pays or suffers for them."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from tests.pairs import connected
from tests.wire import dial, echo, masked, read_to_end, request_13, serving
from trio_draftws import (
    Close,
    Compression,
    Connection,
    DialFailed,
    Draft,
    Fragment,
    HandshakeError,
    HTTPResponse,
    Instrument,
    LocalProtocolError,
    PeerClosed,
    PeerViolation,
    Ping,
    Pong,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    accept,
    broadcast,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import Codec, draft_named
from trio_draftws.testing import served_on_port

from .turns import each_draft, in_turn

if TYPE_CHECKING:
    from trio_draftws.drafts import Buffer

RFC6455 = draft_named("rfc6455")
HOST = "127.0.0.1"


@attrs.define(eq=False)
class Recorder(Instrument):
    """Writes down all that it is told, as `(name, *facts)`."""

    told: list[tuple[Any, ...]] = attrs.field(factory=list)

    def connection_opened(self, connection: Connection) -> None:
        assert not connection.closed
        self.told.append(("opened", connection))

    def connection_closed(self, connection: Connection) -> None:
        assert connection.closed
        self.told.append(("closed", connection))

    def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
        self.told.append(("refused", request and request.path, status, peer.partition(" port")[0]))

    def opening_failed(self, error: Exception, peer: str) -> None:
        self.told.append(("failed", type(error), peer.partition(" port")[0]))

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        self.told.append(("message received", message))

    def message_sent(self, connection: Connection, message: str | Buffer) -> None:
        self.told.append(("message sent", message))

    def part_received(self, connection: Connection, part: Fragment) -> None:
        self.told.append(("part received", part))

    def part_sent(self, connection: Connection, part: Fragment) -> None:
        self.told.append(("part sent", part))

    def control_received(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        self.told.append(("control received", frame))

    def control_sent(self, connection: Connection, frame: Ping | Pong | Close) -> None:
        self.told.append(("control sent", frame))

    def bytes_received(self, connection: Connection, size: int) -> None:
        self.told.append(("bytes received", size))

    def bytes_sent(self, connection: Connection, size: int) -> None:
        self.told.append(("bytes sent", size))

    def latency_measured(self, connection: Connection, seconds: float) -> None:
        self.told.append(("latency", seconds))

    def of(self, *kinds: str) -> list[Any]:
        """The facts of those kinds, in order."""
        return [fact for kind, *facts in self.told if kind in kinds for fact in facts]

    def sum(self, kind: str) -> int:
        return sum(self.of(kind))


@asynccontextmanager
async def both(
    draft: Draft = RFC6455, handler: Any = echo, **settings: Any
) -> AsyncIterator[tuple[Connection, Recorder, Recorder]]:
    """A client with its instrument, and the instrument of the server that it speaks to."""
    at_client, at_server = Recorder(), Recorder()
    with use_framing_mode(draft.name):
        async with serving(handler, instruments=[at_server], **settings) as server:
            url = f"ws://{HOST}:{server.port}/"
            async with open_websocket(url, draft=draft, instruments=[at_client]) as client:
                yield client, at_client, at_server


@each_draft
async def test_messages_and_bytes(draft: Draft) -> None:
    """Whatever the way of sending; and the sums are those of the statistics."""
    messages = ["one", "two", "three", "x" * 70_000, "four"]
    async with both(draft) as (client, at_client, at_server):
        await client.send("one")
        await client.send_many(["two", "three"])
        await client.send("x" * 70_000)
        result = await broadcast([client], "four")
        assert result.sent == (client,)
        assert [await client.receive() for _ in messages] == messages
        await client.aclose()
        assert at_client.of("message sent") == messages
        assert at_client.of("message received") == messages
        assert at_server.of("message received") == messages
        counted = client.statistics()
        assert at_client.sum("bytes sent") == counted.bytes_sent
        assert at_client.sum("bytes received") == counted.bytes_received
        assert at_server.sum("bytes received") == counted.bytes_sent
        assert at_server.sum("bytes sent") == counted.bytes_received
        assert at_client.told[0] == ("opened", client)
        assert at_client.told[-1] == ("closed", client)
        closing = at_client.of("control sent", "control received")
        assert [type(frame) for frame in closing] == [Close] * 2 * draft.closing_handshake
        await trio.testing.wait_all_tasks_blocked(0.01)
        [opened, closed] = at_server.of("opened", "closed")
        assert opened is closed


async def test_control_frames_and_latency() -> None:
    async with both() as (client, at_client, at_server):
        latency = await client.ping()
        await client.aclose(4000, "enough")
    [ping, close] = at_client.of("control sent")
    [pong, answer] = at_client.of("control received")
    assert isinstance(ping, Ping)
    assert pong == Pong(ping.payload)
    assert close == Close(4000, "enough")
    assert answer == Close(4000)
    assert at_client.of("latency") == [latency]
    assert at_server.of("control received") == [ping, close]
    assert at_server.of("control sent") == [pong, answer]
    assert at_server.of("latency") == []


async def test_part_by_part() -> None:
    joined = trio.Event()

    async def handler(connection: Connection, state: object) -> None:
        async with connection.receive_stream() as stream:
            joined.set()
            assert "".join([str(part) async for part in stream]) == "onetwothree"

    async def slow() -> AsyncIterator[str]:
        yield "one"
        await joined.wait()
        yield "two"
        yield "three"

    async with both(handler=handler) as (client, at_client, at_server):
        # The handler waits already.
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send_stream(slow())
        with pytest.raises(PeerClosed):
            await client.receive()
    sent = at_client.of("part sent")
    received = at_server.of("part received")
    assert [part.data for part in sent] == ["one", "two", "three", ""]
    assert "".join(part.data for part in received) == "onetwothree"
    for seen in (sent, received):
        assert [part.final for part in seen] == [False] * (len(seen) - 1) + [True]
    assert at_client.of("message sent") == at_server.of("message received") == []


async def test_what_was_not_sent_is_not_told() -> None:
    async with both() as (client, at_client, _):
        with pytest.raises(LocalProtocolError):
            await client.send("\ud800")
        with pytest.raises(LocalProtocolError):
            await client.aclose(1005)
        assert at_client.of("message sent", "control sent", "bytes sent") == []


async def test_compression_and_broadcast() -> None:
    """Each says what it took on its own wire; and what is compressed without them is with them."""
    settings = Compression(server_no_context_takeover=True)
    recorder = Recorder()
    async with serving(compression=settings, instruments=[recorder]) as server:
        url = f"ws://{HOST}:{server.port}/"
        async with (
            open_websocket(url, draft="rfc6455", compression=settings) as one,
            open_websocket(url, draft="rfc6455", compression=settings) as two,
        ):
            await broadcast(server.connections, "x" * 1000)
            assert await one.receive() == await two.receive() == "x" * 1000
            assert recorder.of("message sent") == ["x" * 1000] * 2
            assert recorder.sum("bytes sent") < 100
            assert recorder.sum("bytes sent") == server.statistics().bytes_sent


async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
    if request.path == "/forbidden":
        raise Reject(403)
    raise LookupError("a mistake")


async def page(request: Request) -> HTTPResponse:
    return HTTPResponse(200, {}, b"a page")


async def test_openings_that_fail() -> None:
    """On both sides; a page is no refusal, and its function has seen the request."""
    recorder = Recorder()
    mine = Recorder()
    settings: dict[str, Any] = {"conn_headers": conn_headers, "http_handler": page}
    async with serving(instruments=[recorder], **settings) as server:
        for path in ("/forbidden", "/fault"):
            url = f"ws://{HOST}:{server.port}{path}"
            with pytest.raises(Rejected):
                async with open_websocket(url, draft="rfc6455", instruments=[mine]):
                    raise AssertionError("it came in")
        for said in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            async with await dial(server) as stream:
                await stream.send_all(said)
                await read_to_end(stream)
        await (await dial(server)).aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with await dial(server):
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
    assert recorder.told == [
        ("refused", "/forbidden", 403, HOST),
        ("failed", LookupError, HOST),
        ("refused", None, 400, HOST),
        ("failed", HandshakeError, HOST),
        ("failed", HandshakeError, HOST),
    ]
    with pytest.raises(DialFailed):
        async with open_websocket(f"ws://{HOST}:{server.port}/", instruments=[mine]):
            raise AssertionError("it came in")
    assert mine.told == [("failed", Rejected, HOST)] * 2 + [("failed", DialFailed, HOST)]


async def test_accept_tells_as_well() -> None:
    recorder = Recorder()
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13(Upgrade=None))
    with pytest.raises(RequestRefused) as caught:
        async with accept(stream, instruments=[recorder], close_timeout=0.01):
            raise AssertionError("it came in")
    assert caught.value.request is not None
    assert recorder.told == [("refused", "/", 400, "a StapledStream")]

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13() + masked(0x81, b"early"))
    async with accept(stream, instruments=[recorder], close_timeout=0.01) as connection:
        assert await connection.receive() == "early"
    told = [kind for kind, *_ in recorder.told[1:]]
    assert told[:3] == ["opened", "bytes received", "message received"]
    assert told[-1] == "closed"


async def test_a_violation_behind_a_message() -> None:
    """Its bytes are told once, though the codec is asked for it again."""
    recorder = Recorder()
    client, stream = trio.testing.memory_stream_pair()
    frames = masked(0x81, b"one") + masked(0x83, b"")
    await client.send_all(request_13() + frames)
    async with accept(stream, instruments=[recorder], close_timeout=0.01) as connection:
        assert await connection.receive() == "one"
        with pytest.raises(PeerViolation):
            await connection.receive()
    assert recorder.of("bytes received") == [len(frames)]
    [close] = recorder.of("control sent")
    assert close.code == 1002


async def test_one_that_raises_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged once; no connection notices, and other instruments are told all."""

    class Bad(Recorder):
        def message_received(self, connection: Connection, message: str | bytes) -> None:
            super().message_received(connection, message)
            raise LookupError("a mistake")

    bad, good = Bad(), Recorder()
    async with serving(instruments=[bad, good]) as server:
        url = f"ws://{HOST}:{server.port}/"
        async with open_websocket(url) as client, open_websocket(url) as other:
            for connection in (client, other):
                for message in ("one", "two"):
                    await connection.send(message)
                    assert await connection.receive() == message
    assert good.of("message received") == ["one", "two"] * 2
    assert bad.of("message received") == ["one"]
    assert bad.of("message sent", "closed") == []
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "is not called again" in record.message
    assert record.exc_info is not None


HOOKS = [name for name in vars(Instrument) if not name.startswith("_")]


@pytest.mark.parametrize("hook", HOOKS)
async def test_whichever_raises(hook: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*facts: object) -> None:
        raise LookupError(hook)

    begun = trio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "one"
        await begun.wait()
        yield "two"

    async def handler(connection: Connection, state: object) -> None:
        async with connection.receive_stream() as stream:
            begun.set()
            assert "".join([str(part) async for part in stream]) == "onetwo"
        await echo(connection)

    bad = type("Bad", (Instrument,), {hook: fail})
    async with serving(handler, instruments=[bad()]) as server:
        url = f"ws://{HOST}:{server.port}/"
        async with open_websocket(url, draft="rfc6455", instruments=[bad()]) as client:
            await client.send_stream(slow())
            await client.send("three")
            assert await client.receive() == "three"
            await client.ping()
        async with await dial(server) as stream:
            await stream.send_all(b"nonsense\r\n\r\n")
            await read_to_end(stream)
        await (await dial(server)).aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert len(caplog.records) in (1, 2)


async def test_what_is_no_instrument() -> None:
    with pytest.raises(TypeError, match="is no Instrument"):
        await serve_websocket(echo, 0, instruments=[print])  # type: ignore[list-item]


# Nothing is paid


async def calls_of(
    draft: Draft, act: Callable[[Connection, Connection], Awaitable[None]], *instruments: Instrument
) -> set[tuple[str, str]]:
    """The Python functions of this package that run while one side acts, each with its file."""
    called: set[tuple[str, str]] = set()

    def note(frame: Any, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and "trio_draftws" in code.co_filename:
            called.add((Path(code.co_filename).stem, code.co_name))

    async with connected("tcp", draft, instruments=instruments) as (client, server):
        await client.send("warm")
        await server.receive()
        sys.setprofile(note)
        try:
            await act(client, server)
        finally:
            sys.setprofile(None)
    return called


async def say_hello(client: Connection, server: Connection) -> None:
    await client.send("hello")
    assert await server.receive() == "hello"


def for_instruments(called: set[tuple[str, str]]) -> set[str]:
    """The functions that only instruments need, by the names of their files."""
    return {name for file, name in called if "instrument" in file}


@each_draft
async def test_no_call_is_made_for_it(draft: Draft) -> None:
    """Of a message that is sent and received, no instrument, count or statistics knows."""
    called = await calls_of(draft, say_hello)
    names = {name for _, name in called}
    assert {"send", "receive"} <= names
    assert not {"tell", "statistics"} & names
    assert not for_instruments(called)


async def test_calls_are_made_only_where_somebody_listens() -> None:
    """To what passes, that is: whoever wants to hear of connections is not asked about messages."""

    class Doorman(Instrument):
        def connection_opened(self, connection: Connection) -> None:
            pass

    class Reader(Doorman):
        def message_received(self, connection: Connection, message: str | bytes) -> None:
            pass

    for instrument, listens in ((Doorman(), False), (Reader(), True)):
        called = await calls_of(RFC6455, say_hello, Instrument(), instrument)
        assert ("tell" in for_instruments(called)) is listens
        assert bool(for_instruments(called)) is listens


@in_turn("why", ["origin", "route", "conn_headers"])
@each_draft
async def test_a_request_that_was_refused_says_who_asked_in_which_draft(
    draft: Draft, why: str
) -> None:
    """Also where it was answered at sight, without a look at the request."""
    seen: list[tuple[Draft | None, str | None]] = []

    class Refused(Instrument):
        def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
            assert request is not None
            seen.append((request.draft, request.remote and request.remote.host))

    async def refuse(request: Request) -> Any:
        raise Reject(403)

    settings: dict[str, Any] = {"instruments": [Refused()]}
    handler: Any = echo
    if why == "origin":
        settings["origins"] = ["https://example.com"]
    elif why == "route":
        handler = {"/elsewhere": echo}
    else:
        settings["conn_headers"] = refuse
    async with served_on_port(handler, draft=draft, **settings) as server:
        with pytest.raises(HandshakeError):
            async with open_websocket(server.url, draft=draft, origin="https://example.org"):
                pass
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [(draft, "127.0.0.1")]


async def test_the_codec_that_tells_them_is_a_codec() -> None:
    """It has all that a connection may ask a codec for, the optional members included."""
    members = {name for name in vars(Codec) if not name.startswith("_")}
    async with connected("memory", RFC6455, instruments=[Recorder()]) as (client, _):
        codec = client._protocol.codec
        assert type(codec).__name__ != type(RFC6455.codec("client", 1000)).__name__
        assert members <= set(dir(codec))
        assert codec.between_messages
        codec.decode(b"\x81")
        assert codec.mid_message
        await trio.aclose_forcefully(client)
