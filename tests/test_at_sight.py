"""Openings that are answered at sight: what today's clients send, over TCP."""

from __future__ import annotations

import logging
import math
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    Instrument,
    Reject,
    Request,
    RequestRefused,
    Server,
    accept,
    same_host,
)

from .drafts.heads import CHROME, PLAIN, PROXIED, TODAYS
from .pairs import stream_pair
from .wire import ACCEPT, Answer, dial, echo, masked, read_to_end, read_until, serving

OPENED = b"\r\n\r\n"
CLOSE = masked(0x88, b"\x03\xe8")
HANDSHAKE = str(Path("_server", "handshake.py"))


@pytest.fixture
def at_sight_alone() -> Iterator[None]:
    """Fails where an opening goes the other way, which shows nowhere but in the time it takes."""
    other_way: list[FrameType] = []
    at_sight: list[FrameType] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.endswith(HANDSHAKE):
            if frame.f_code.co_name == "_answer":
                other_way.append(frame)
            elif frame.f_code.co_name == "_answer_fast":
                at_sight.append(frame)

    sys.setprofile(note)
    yield
    sys.setprofile(None)
    assert at_sight, "has it another name?"
    assert not other_way


@asynccontextmanager
async def dialled(server: Server, *pieces: bytes) -> AsyncIterator[trio.SocketStream]:
    """A connection of TCP on which that was sent, piece by piece."""
    async with await dial(server) as stream:
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        for piece in pieces:
            await trio.testing.wait_all_tasks_blocked(0.01)
            await stream.send_all(piece)
        yield stream


async def answer_of(stream: trio.abc.Stream) -> bytes:
    return await read_until(stream, lambda said: said.endswith(OPENED))


async def conn_headers(request: Request) -> tuple[HeaderFields, Request]:
    await trio.lowlevel.checkpoint()
    return {"X-Path": request.path}, request


async def keep_request(connection: Connection, request: Request) -> None:
    """A handler that says what `conn_headers` saw, and what it sees itself."""
    first, second = request, connection.request
    assert (first.line, first.draft, first.secure) == (second.line, second.draft, second.secure)
    assert first.headers.raw == second.headers.raw
    assert dict(first.headers) == dict(second.headers) == dict(connection.headers)
    assert first.remote == second.remote == connection.remote
    assert first.local == second.local == connection.local
    assert connection.remote is not None
    assert connection.remote.host == "127.0.0.1"
    assert first.wildcard == second.wildcard
    await connection.send(f"{first.path} {first.wildcard}")


SETTINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "conn_headers": {"conn_headers": conn_headers},
    "origins": {"origins": same_host},
    "origins in a list": {
        "origins": [
            None,
            "null",
            "http://localhost:8080",
            "https://example.com",
            "https://app.example.com",
        ]
    },
    "routes": {"handler": {"/*": echo}},
    "subprotocols": {"subprotocols": ["superchat", "chat"]},
    "a function of subprotocols": {
        "subprotocols": lambda asked: next(iter(asked.subprotocols), None)
    },
    "on_answer": {"on_answer": lambda request, answer: None},
    "pages": {"http_handler": conn_headers},
    "proxies": {"trusted_proxies": ["127.0.0.1"]},
    "a policy": {"flash_policy": True},
    "instruments": {"instruments": [Instrument()]},
    "limits": {"max_connections": 3, "max_connections_per_host": 2},
    "no compression": {"compression": None},
    "one draft": {"drafts": ["rfc6455"]},
}


@pytest.mark.usefixtures("at_sight_alone")
@pytest.mark.parametrize("settings", SETTINGS)
async def test_what_todays_clients_send(settings: str) -> None:
    """It does not matter what the server is told, nor whether the request comes at once."""
    told = dict(SETTINGS[settings])
    async with serving(told.pop("handler", echo), **told) as server:
        for name, asked in TODAYS.items():
            if "origins" in told and told["origins"] is same_host and name == "Safari":
                continue
            for pieces in ([asked], [b"", asked + masked(0x81, b"hello")]):
                async with dialled(server, *filter(None, pieces)) as stream:
                    await stream.send_all(CLOSE)
                    answer = Answer.parse(await read_to_end(stream))
                    assert answer.line == b"HTTP/1.1 101 Switching Protocols"
                    assert answer.headers["Sec-WebSocket-Accept"] == ACCEPT
                    echoed = b"" if pieces[0] else b"\x81\x05hello"
                    assert answer.body == echoed + b"\x88\x02\x03\xe8"


@pytest.mark.usefixtures("at_sight_alone")
async def test_the_request_is_what_the_parser_makes() -> None:
    """For `conn_headers`, and for the handler, which has it parsed when it asks."""
    routes = {"/rooms/*": keep_request, "/*": keep_request}
    async with serving(routes, conn_headers=conn_headers) as server:
        asked = CHROME.replace(b"/chat?room=1", b"/rooms/b%C3%BCcher?a=b")
        async with dialled(server, asked) as stream:
            told = "/rooms/bücher bücher".encode()
            said = await read_until(stream, lambda said: told in said)
            assert b"X-Path: /rooms/b\xfccher\r\n" in said
            await stream.send_all(CLOSE)


@pytest.mark.usefixtures("at_sight_alone")
async def test_what_was_agreed_to() -> None:
    async with serving(subprotocols=["superchat"]) as server:
        async with dialled(server, CHROME) as stream:
            answer = Answer.parse(await answer_of(stream))
            [connection] = server.connections
            assert answer.headers["Sec-WebSocket-Protocol"] == connection.subprotocol == "superchat"
            offer = "permessage-deflate; client_max_window_bits=12"
            assert answer.headers["Sec-WebSocket-Extensions"] == connection.compression == offer
        async with dialled(server, PLAIN) as stream:
            answer = Answer.parse(await answer_of(stream))
            assert set(answer.headers) == {"upgrade", "connection", "sec-websocket-accept"}


@pytest.mark.parametrize(("settings", "warnings"), [({}, 1), ({"origins": same_host}, 0)])
async def test_cookies_are_warned_of(
    settings: dict[str, Any], warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and only where nobody told the server about origins."""
    async with serving(**settings) as server:
        for asked in (PLAIN, PROXIED, PROXIED):
            async with dialled(server, asked) as stream:
                await answer_of(stream)
    assert sum("with cookies" in record.message for record in caplog.records) == warnings


async def test_a_head_that_comes_in_pieces() -> None:
    async with serving() as server:
        for cut in (1, 3, len(PLAIN) - 1):
            async with dialled(server, PLAIN[:cut], PLAIN[cut:]) as stream:
                assert ACCEPT.encode() in await answer_of(stream)


async def test_a_head_of_just_the_size() -> None:
    """The limit holds also where all of the head is there at once."""
    for size, status in ((len(PLAIN), b"101"), (len(PLAIN) - 1, b"431")):
        async with serving(max_head_size=size) as server:
            async with dialled(server, PLAIN) as stream:
                said = await read_until(stream, lambda said: OPENED in said)
                assert said.startswith(b"HTTP/1.1 " + status)


# What is refused


async def fail(request: Request) -> tuple[HeaderFields, None]:
    raise RuntimeError("no database")


async def refuse(request: Request) -> tuple[HeaderFields, None]:
    raise Reject(418, {"X-Kind": "pot"}, "short and stout")


def no_subprotocol(asked: Any) -> str | None:
    return "another"


@pytest.mark.parametrize(
    ("settings", "status", "error"),
    [
        ({"conn_headers": fail}, 500, RuntimeError),
        ({"conn_headers": refuse}, 418, RequestRefused),
        ({"subprotocols": no_subprotocol}, 500, ValueError),
        ({"origins": ["https://example.org"]}, 403, RequestRefused),
        ({"origins": lambda request: 1 / 0}, 500, ZeroDivisionError),
    ],
    ids=["fails", "refuses", "subprotocol", "origin", "origins fail"],
)
async def test_what_the_application_says(
    settings: dict[str, Any], status: int, error: type[Exception]
) -> None:
    answers: list[Answer] = []
    client, stream = await stream_pair("tcp")

    async def ask() -> None:
        async with client:
            await client.send_all(CHROME)
            answers.append(Answer.parse(await read_to_end(client)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with pytest.raises(error) as caught:
            async with accept(stream, **settings):
                raise AssertionError("there is no connection")
    [answer] = answers
    assert answer.line.startswith(b"HTTP/1.1 %d " % status)
    assert "Date" in answer.headers
    if isinstance(caught.value, RequestRefused):
        assert caught.value.status == status


# What is late


async def test_each_is_late_at_its_own_time(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever came first is late first, and those who open in between are not touched."""
    caplog.set_level(logging.INFO)
    ends: list[tuple[int, float]] = []

    async def say_nothing(number: int) -> None:
        async with await dial(server) as stream:
            assert await read_to_end(stream) == b""
            ends.append((number, trio.current_time()))

    async with serving(handshake_timeout=7) as server, trio.open_nursery() as nursery:
        began = trio.current_time()
        for number in range(3):
            nursery.start_soon(say_nothing, number)
            await trio.sleep(2)
        async with dialled(server) as stream:
            await trio.sleep(6.5)
            await stream.send_all(PLAIN)
            await answer_of(stream)
            await trio.sleep(2)
            assert len(server.connections) == 1
    assert [number for number, _ in ends] == [0, 1, 2]
    assert [at - began for _, at in ends] == pytest.approx([7, 9, 11], abs=0.1)
    late = [record for record in caplog.records if "not done within 7 s" in record.message]
    assert len(late) == 3


async def test_many_that_are_late_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with serving(handshake_timeout=7) as server:
        streams = [await dial(server) for _ in range(100)]
        await trio.sleep(7.5)
        for stream in streams:
            assert await read_to_end(stream) == b""
            await stream.aclose()
        assert server.statistics().failed == 100


async def test_nothing_comes(autojump_clock: trio.testing.MockClock) -> None:
    """Within `accept`."""
    client, stream = await stream_pair("tcp")
    async with client:
        with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
            async with accept(stream, handshake_timeout=7):
                raise AssertionError("there is no connection")
        assert trio.current_time() == pytest.approx(7)
        assert await read_to_end(client) == b""


async def test_one_deadline_for_all(autojump_clock: trio.testing.MockClock) -> None:
    """A request that comes late leaves less time for what follows."""

    async def sleep(request: Request) -> tuple[HeaderFields, None]:
        await trio.sleep(4)
        return (), None

    client, stream = await stream_pair("tcp")
    async with client, trio.open_nursery() as nursery:

        async def ask() -> None:
            await trio.sleep(4)
            await client.send_all(PLAIN)

        nursery.start_soon(ask)
        with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
            async with accept(stream, handshake_timeout=7, conn_headers=sleep):
                raise AssertionError("there is no connection")
        assert trio.current_time() == pytest.approx(7)
        assert await read_to_end(client) == b""


async def test_a_head_whose_rest_never_comes(autojump_clock: trio.testing.MockClock) -> None:
    client, stream = await stream_pair("tcp")
    async with client, trio.open_nursery() as nursery:

        async def ask() -> None:
            await trio.sleep(4)
            await client.send_all(PLAIN[:-1])

        nursery.start_soon(ask)
        with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
            async with accept(stream, handshake_timeout=7):
                raise AssertionError("there is no connection")
        assert trio.current_time() == pytest.approx(7)


class Given:
    """A state that is left where no connection comes of it."""

    def __init__(self) -> None:
        self.left: list[BaseException | None] = []

    async def __aenter__(self) -> None:
        raise AssertionError("it is the handler's to enter it")

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        self.left.append(error)


FILLING = {f"X-{number}": "x" * 2**20 for number in range(16)}


@pytest.mark.parametrize("reads", [True, False])
async def test_an_answer_that_does_not_leave_at_once(
    reads: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """It is sent as the client takes it, as long as an opening may take."""
    given = Given()

    async def fill(request: Request) -> tuple[HeaderFields, Given]:
        return FILLING, given

    client, stream = await stream_pair("tcp")
    async with client, trio.open_nursery() as nursery:
        await client.send_all(PLAIN)
        opening = accept(stream, handshake_timeout=7, close_timeout=1, conn_headers=fill)
        if reads:
            # What the kernel does with so many bytes takes its own time.
            autojump_clock.autojump_threshold = math.inf

            async def read() -> None:
                await client.send_all(CLOSE)
                said = await read_to_end(client)
                assert len(said) > 2**24
                assert said.endswith(OPENED + b"\x88\x02\x03\xe8")

            nursery.start_soon(read)
            async with opening as connection:
                assert connection.state is given
                assert [message async for message in connection] == []
            assert given.left == []
        else:
            with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
                async with opening:
                    raise AssertionError("there is no connection")
            assert trio.current_time() == pytest.approx(7)
            assert len(given.left) == 1


# What ends before it began


@pytest.mark.parametrize("said", [b"", PLAIN[:-2]], ids=["nothing", "half"])
async def test_a_client_that_goes(said: bytes) -> None:
    client, stream = await stream_pair("tcp")
    await client.send_all(said)
    await client.aclose()
    with pytest.raises(HandshakeError, match="the peer ended the stream"):
        async with accept(stream):
            raise AssertionError("there is no connection")


async def test_a_client_that_resets() -> None:
    client, stream = await stream_pair("tcp")
    assert isinstance(client, trio.SocketStream)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    async with trio.open_nursery() as nursery:

        async def reset() -> None:
            await trio.testing.wait_all_tasks_blocked()
            await client.aclose()

        nursery.start_soon(reset)
        with pytest.raises(HandshakeError, match="the connection broke") as caught:
            async with accept(stream):
                raise AssertionError("there is no connection")
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)


async def test_a_stranger_closes_the_descriptor() -> None:
    client, stream = await stream_pair("tcp")
    assert isinstance(stream, trio.SocketStream)
    number = stream.socket.fileno()
    async with client, trio.open_nursery() as nursery:

        async def close() -> None:
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(number)

        nursery.start_soon(close)
        with pytest.raises(HandshakeError, match="the connection broke"):
            async with accept(stream):
                raise AssertionError("there is no connection")
        assert await read_to_end(client) == b""


async def sleep_forever(request: Request) -> tuple[HeaderFields, None]:
    await trio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize("wait", ["before", "for the request", "for the hook"])
async def test_one_that_is_cancelled(wait: str) -> None:
    """The client is told 503, and the stream is closed."""
    client, stream = await stream_pair("tcp")
    async with client:
        if wait == "for the hook":
            await client.send_all(PLAIN)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()

                if wait == "before":
                    scope.cancel()
                else:
                    nursery.start_soon(cancel)
                async with accept(stream, conn_headers=sleep_forever):
                    raise AssertionError("there is no connection")
        assert scope.cancelled_caught
        answer = Answer.parse(await read_to_end(client))
        assert answer.line.startswith(b"HTTP/1.1 503 ")
        assert answer.text == "The server is shutting down.\n"


@pytest.mark.parametrize("abroad", [True, False])
@pytest.mark.parametrize("hook", [None, sleep_forever])
async def test_the_server_ends(hook: Any, abroad: bool) -> None:
    """Also where the handlers run in somebody else's nursery."""
    async with trio.open_nursery() as nursery:
        settings: dict[str, Any] = {"handler_nursery": nursery} if abroad else {}
        if hook is not None:
            settings["conn_headers"] = hook
        async with serving(**settings) as server, dialled(server) as stream:
            if hook is not None:
                await stream.send_all(PLAIN)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await server.aclose()
            assert (await read_to_end(stream)).startswith(b"HTTP/1.1 503 ")
