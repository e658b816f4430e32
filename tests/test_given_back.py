"""What `conn_headers` opened and no handler will get is given back, however the opening fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    DialFailed,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    accept,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.testing import echo, memory_stream_pair, served_on_port

from .wire import KEY3, dial, read_until, request, request_13, serving


@attrs.define
class Session:
    """What is opened for a connection: entered by its handler, and left once."""

    left: list[BaseException | None] = attrs.field(factory=list)
    entered: bool = False

    async def __aenter__(self) -> None:
        self.entered = True

    async def __aexit__(self, kind: object, error: BaseException | None, where: object) -> None:
        # It may take its time, also where the server is being cancelled.
        await trio.lowlevel.checkpoint()
        self.left.append(error)

    async def conn_headers(self, request: Request) -> tuple[HeaderFields, Session]:
        return (), self


def refuses(request: Request) -> str | None:
    raise Reject(400, body="Ask for another.\n")


def fails(request: Request) -> str | None:
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("subprotocols", "error", "status"),
    [
        (refuses, RequestRefused, 400),
        (fails, RuntimeError, 500),
        (lambda asked: "b", ValueError, 500),
        (lambda asked: 1, ValueError, 500),
    ],
    ids=["refused", "failed", "not asked for", "no name"],
)
async def test_the_subprotocol(
    subprotocols: Callable[[Sequence[str]], Any], error: type[Exception], status: int
) -> None:
    session = Session()
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13(Sec_WebSocket_Protocol="a"))
    await client.send_eof()
    settings: dict[str, Any] = {"subprotocols": subprotocols}
    with pytest.raises(error) as caught:
        async with accept(stream, conn_headers=session.conn_headers, **settings):
            raise AssertionError("there is no connection")
    answer = await client.receive_some()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert session.left == [caught.value]
    assert not session.entered


FORBIDDEN = [
    {"X-Name": "a\r\nX-Evil: 1"},
    {"Content-Length": "0"},
    {"content-length": "5"},
    {"Transfer-Encoding": "chunked"},
    {"Connection": "close"},
    {"UPGRADE": "h2c"},
    {"Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    {"Sec-WebSocket-Protocol": "chat"},
    {"WebSocket-Protocol": "chat"},
    {"Sec-WebSocket-Extensions": "permessage-deflate"},
    {"Sec-WebSocket-Nonce": "a"},
    {"Sec-WebSocket-Version": "13"},
    [("Sec-WebSocket-Origin", "http://a"), ("sec-websocket-origin", "http://a")],
    [("WebSocket-Location", "ws://a/"), ("WebSocket-Location", "ws://b/")],
]


@pytest.mark.parametrize("fields", FORBIDDEN, ids=repr)
async def test_a_field_that_no_answer_can_have(
    fields: HeaderFields, caplog: pytest.LogCaptureFixture
) -> None:
    """500 in the place of an answer that nobody would understand; the log says which field."""
    session = Session()

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        return fields, session

    async with serving(conn_headers=conn_headers) as server:
        for said in (request_13(), request() + KEY3):
            async with await dial(server) as stream:
                await stream.send_all(said)
                answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert b"The server made a mistake." in answer
    assert [type(error) for error in session.left] == [ValueError, ValueError]
    for record in caplog.records:
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        name = next(iter(fields if isinstance(fields, dict) else dict(fields)))
        assert str(name).lower() in str(record.exc_info[1]).lower()
    assert len(caplog.records) == 2


async def test_what_an_answer_may_have() -> None:
    """Each of what the oldest drafts say once; and others as often as they like."""
    fields = [
        ("WebSocket-Origin", "http://a"),
        ("Sec-WebSocket-Location", "ws://a/"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
    ]

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        return fields, None

    async with serving(conn_headers=conn_headers) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="rfc6455") as connection:
            assert connection.headers.get_all("Set-Cookie") == ["a=b", "c=d"]


async def test_errors_that_look_like_those_of_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A function of the program raised them, of its own resources: they are its mistakes."""
    for error in (
        trio.BrokenResourceError("the database went away"),
        trio.ClosedResourceError("the database went away"),
        HandshakeError("the database went away"),
        DialFailed("the database went away"),
    ):

        async def conn_headers(request: Request, error: Exception = error) -> Any:
            raise error

        for draft in ("hixie-75", "rfc6455"):
            caplog.clear()
            with use_framing_mode(draft), pytest.raises(Rejected, match="500"):
                async with served_on_port(echo, draft=draft, conn_headers=conn_headers) as server:
                    await server.open_websocket(draft=draft).__aenter__()
            [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
            assert record.exc_info is not None
            assert record.exc_info[1] is error
            ours, theirs = memory_stream_pair()
            with use_framing_mode(draft):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(is_refused, theirs, draft)
                    with pytest.raises(type(error)) as raised:
                        await accept(ours, conn_headers=conn_headers).__aenter__()
            assert raised.value is error


async def is_refused(stream: trio.abc.Stream, draft: str) -> None:
    with pytest.raises(Rejected, match="500"):
        await open_websocket("ws://a/", stream=stream, draft=draft).__aenter__()


async def test_a_client_that_has_gone() -> None:
    """While `conn_headers` ran; so there is nobody to answer."""
    session = Session()
    client, stream = trio.testing.memory_stream_pair()

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        await client.aclose()
        return (), session

    await client.send_all(request_13())
    with pytest.raises(HandshakeError, match="the connection broke"):
        async with accept(stream, conn_headers=conn_headers):
            raise AssertionError("there is no connection")
    [error] = session.left
    assert isinstance(error, trio.BrokenResourceError)


@pytest.mark.parametrize("sent", [0, 7])
async def test_a_client_that_ends_in_the_middle(sent: int) -> None:
    """Of the eight bytes behind its head, which the answer proves."""
    session = Session()
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request() + KEY3[:sent])
    await client.send_eof()
    with pytest.raises(HandshakeError, match="the peer ended the stream") as caught:
        async with accept(stream, conn_headers=session.conn_headers):
            raise AssertionError("there is no connection")
    assert session.left == [caught.value]


async def test_a_client_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    session = Session()
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request() + KEY3[:7])
    with pytest.raises(HandshakeTimeout):
        async with accept(stream, conn_headers=session.conn_headers, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    [error] = session.left
    assert isinstance(error, trio.Cancelled)


async def test_a_client_that_does_not_read_its_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    session = Session()
    client, stream = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, request_13())
        with pytest.raises(HandshakeTimeout):
            async with accept(stream, conn_headers=session.conn_headers, handshake_timeout=7):
                raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    assert len(session.left) == 1


async def test_an_opening_that_is_cancelled() -> None:
    """Within `accept`."""
    session = Session()
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request())
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel() -> None:
                await trio.testing.wait_all_tasks_blocked()
                assert session.left == []
                scope.cancel()

            nursery.start_soon(cancel)
            async with accept(stream, conn_headers=session.conn_headers):
                raise AssertionError("there is no connection")
    [error] = session.left
    assert isinstance(error, trio.Cancelled)


@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_a_server_that_ends(how: str) -> None:
    """While the eight bytes are still to come."""
    session = Session()
    async with AsyncExitStack() as stack:
        async with serving(conn_headers=session.conn_headers) as server:
            stream = await stack.enter_async_context(await dial(server))
            await stream.send_all(request())
            await read_until(stream, lambda received: b"\r\n\r\n" in received)
            assert session.left == []
            if how == "aclose":
                await server.aclose()
        # Else the end of the block cancels it.
        [error] = session.left
        assert isinstance(error, trio.Cancelled)


async def test_a_connection_that_opens() -> None:
    """From then on it is the handler's."""
    session = Session()

    async def handler(connection: Connection, state: Session) -> None:
        async with state:
            await connection.send(await connection.receive())
        assert state.left == [None]

    async with serving(handler, conn_headers=session.conn_headers) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="rfc6455") as connection:
            await connection.send("a")
            assert await connection.receive() == "a"
    assert session.left == [None]


async def test_a_stack_of_what_was_opened() -> None:
    """As where `conn_headers` opens several things, and may itself fail between them."""
    closed: list[str] = []

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[str]:
        try:
            yield name
        finally:
            closed.append(name)

    async def conn_headers(request: Request) -> tuple[HeaderFields, AsyncExitStack]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(opened("one"))
            if request.path == "/half":
                raise Reject(403)
            await stack.enter_async_context(opened("two"))
            return (), stack.pop_all()

    async with serving(conn_headers=conn_headers, subprotocols=refuses) as server:
        for path in ("/half", "/whole"):
            url = f"ws://127.0.0.1:{server.port}{path}"
            with pytest.raises(Rejected):
                async with open_websocket(url, draft="rfc6455", subprotocols=["a"]):
                    raise AssertionError("there is no connection")
    assert closed == ["one", "two", "one"]


async def test_what_was_not_even_entered() -> None:
    """A state that is entered by the handler alone has opened nothing."""
    began: list[str] = []

    @asynccontextmanager
    async def later() -> AsyncIterator[None]:
        began.append("it did")
        yield

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        return (), later()

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13(Sec_WebSocket_Protocol="a"))
    await client.send_eof()
    with pytest.raises(RequestRefused):
        async with accept(stream, conn_headers=conn_headers, subprotocols=refuses):
            raise AssertionError("there is no connection")
    assert began == []


@pytest.mark.parametrize("stuck", [False, True])
async def test_what_cannot_be_given_back(
    stuck: bool, caplog: pytest.LogCaptureFixture, autojump_clock: trio.testing.MockClock
) -> None:
    """It is logged, and bounded by `close_timeout`; why there is no connection is told as well."""

    class Stubborn(Session):
        async def __aexit__(self, *why: object) -> None:
            if stuck:
                await trio.sleep_forever()
            raise OSError("the disk is full")

    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13("GET /a%0Ab HTTP/1.1", Sec_WebSocket_Protocol="a"))
    await client.send_eof()
    accepting = partial(accept, conn_headers=Stubborn().conn_headers, close_timeout=3)
    with pytest.raises(RequestRefused, match="status 400: Ask for another"):
        async with accepting(stream, subprotocols=refuses):
            raise AssertionError("there is no connection")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    end = " within 3 s" if stuck else ""
    assert record.message == f"the state that conn_headers returned for /a\\nb was not closed{end}"
    assert (record.exc_info is None) is stuck
    assert trio.current_time() == (3 if stuck else 0)
