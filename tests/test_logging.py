"""What a server logs of each failure, once; and what a client's errors carry."""

from __future__ import annotations

import logging
import math
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from tests.wire import (
    KEY3,
    dial,
    masked,
    raw_server,
    read_request,
    read_to_end,
    read_until,
    request,
    request_13,
    serving,
)
from trio_draftws import (
    Connection,
    ConnectionLost,
    DialFailed,
    HandshakeError,
    HeaderFields,
    PeerClosed,
    Request,
    TLSFailed,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

# What is nobody's business, in each place where a request may have it
SECRET = "hunter2"
SECRETS = {"Cookie": f"session={SECRET}", "Authorization": f"Bearer {SECRET}"}
LINE = f"GET /room?token={SECRET} HTTP/1.1"
OPENED = b"\r\n\r\n"


def asks(**changes: str | None) -> bytes:
    return request_13(LINE, **SECRETS, **changes)


def reset(stream: trio.SocketStream) -> None:
    """Ends TCP by a reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def opened(stream: trio.SocketStream) -> None:
    await stream.send_all(asks())
    await read_until(stream, lambda received: OPENED in received)


# What a peer does


async def says(said: bytes, stream: trio.SocketStream) -> None:
    await stream.send_all(said)
    await read_to_end(stream)


async def opens_and_says(said: bytes, stream: trio.SocketStream) -> None:
    await opened(stream)
    await stream.send_all(said)
    await read_to_end(stream)


async def resets_at_once(stream: trio.SocketStream) -> None:
    await stream.send_all(asks()[:-2])
    await trio.testing.wait_all_tasks_blocked(0.01)
    reset(stream)


async def opens_and_resets(stream: trio.SocketStream) -> None:
    await opened(stream)
    await trio.testing.wait_all_tasks_blocked(0.01)
    reset(stream)


async def opens_and_takes_nothing(stream: trio.SocketStream) -> None:
    await opened(stream)
    await trio.sleep(100)


# What a handler does


async def receives(connection: Connection, state: object) -> None:
    async for _ in connection:
        pass


async def receives_in_a_nursery(connection: Connection, state: object) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receives, connection, state)
        nursery.start_soon(receives_no_more, connection)


async def receives_no_more(connection: Connection) -> None:
    await trio.sleep_forever()


async def swallows(connection: Connection, state: object) -> None:
    try:
        await receives(connection, state)
    except trio.BrokenResourceError:
        pass


async def sleeps(connection: Connection, state: object) -> None:
    while not connection.closed:  # noqa: ASYNC110
        await trio.sleep(1)


async def floods(connection: Connection, state: object) -> None:
    while True:
        await connection.send("x" * 65536)


async def fails(connection: Connection, state: object) -> None:
    raise LookupError("no such room")


async def fails_in_a_nursery(connection: Connection, state: object) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receives, connection, state)
        nursery.start_soon(fails, connection, state)


async def conn_headers_fails(request: Request) -> tuple[HeaderFields, Any]:
    raise LookupError("no such room")


@attrs.frozen(kw_only=True)
class Failure:
    """One kind, and the one record that it leaves."""

    peer: Callable[[trio.SocketStream], Awaitable[None]]
    cause: str
    draft: str | None = "rfc6455"
    level: int = logging.INFO
    handler: Callable[[Connection, Any], Awaitable[None]] = receives
    settings: dict[str, Any] = attrs.field(factory=dict)
    path: str | None = "/room"


REFUSED = "no connection with "
VIOLATES = partial(opens_and_says, masked(0x83, b""))
LOST = "ended under its handler: "

FAILURES = {
    "bad request": Failure(
        peer=partial(says, asks(Upgrade=None)), cause="status 400: The field `Upgrade: WebSocket`"
    ),
    "no HTTP": Failure(
        peer=partial(says, f"GET /\x1b[2J?{SECRET} HTTP/1.1\r\n\r\n".encode()),
        cause=r"expected a request line as `GET /path HTTP/1.1`, got `GET /\x1b[2J?... HTTP/1.1`",
        draft=None,
        path=None,
    ),
    "a field that is none": Failure(
        peer=partial(says, f"{LINE}\r\nCookie : {SECRET}\r\n\r\n".encode()),
        cause="expected a field as `Name: value`, got `Cookie`",
        draft=None,
        path=None,
    ),
    "a folded field": Failure(
        peer=partial(says, f"{LINE}\r\nCookie: a=b;\r\n {SECRET}\r\n\r\n".encode()),
        cause="a field goes on in a further line, which HTTP no longer has",
        draft=None,
        path=None,
    ),
    "another version": Failure(
        peer=partial(says, f"GET / ?{SECRET}\r\n\r\n".encode()),
        cause="expected HTTP/1.1, got `?...`",
        draft=None,
        path=None,
    ),
    "no WebSocket request": Failure(
        peer=partial(says, f"{LINE}\r\nHost: a\r\nCookie: {SECRET}\r\n\r\n".encode()),
        cause="status 426: This is no WebSocket request",
        draft=None,
    ),
    "refused origin": Failure(
        peer=partial(says, asks(Origin="http://\x9b2J")),
        cause=r"status 403: This server is not for pages of http://\x9b2J",
        settings={"origins": ["https://example.com"]},
    ),
    "refused draft": Failure(
        peer=partial(says, asks()), cause="status 426: ", draft=None, settings={"drafts": ["old"]}
    ),
    "TLS failed": Failure(
        peer=partial(says, asks()),
        cause="TLS failed: ",
        draft=None,
        settings={"tls": 1},
        path=None,
    ),
    "handshake timeout": Failure(
        peer=partial(says, asks()[:-2]),
        cause="the opening handshake was not done within 10 s",
        draft=None,
        path=None,
    ),
    "handshake timeout before the body": Failure(
        peer=partial(says, request() + KEY3[:7]),
        cause="the opening handshake was not done within 10 s",
        draft="hixie-76",
        path="/",
    ),
    "reset within the opening": Failure(
        peer=resets_at_once,
        cause="Connection reset by peer",
        draft=None,
        path=None,
    ),
    "conn_headers failed": Failure(
        peer=partial(says, asks()),
        cause="LookupError: no such room",
        level=logging.ERROR,
        settings={"conn_headers": conn_headers_fails},
    ),
    "handler failed": Failure(
        peer=partial(opens_and_says, b""),
        handler=fails,
        cause="LookupError: no such room",
        level=logging.ERROR,
    ),
    "handler failed in a nursery": Failure(
        peer=VIOLATES,
        handler=fails_in_a_nursery,
        cause="LookupError: no such room",
        level=logging.ERROR,
    ),
    "violation": Failure(peer=VIOLATES, cause=f"{LOST}the peer broke its draft: the opcode 0x3"),
    "violation in a nursery": Failure(
        peer=VIOLATES,
        handler=receives_in_a_nursery,
        cause=f"{LOST}the peer broke its draft: the opcode 0x3",
    ),
    "violation, swallowed": Failure(
        peer=VIOLATES, handler=swallows, cause=f"{LOST}the peer broke its draft: the opcode 0x3"
    ),
    "too big": Failure(
        peer=partial(opens_and_says, masked(0x81, b"x" * 100)),
        cause=f"{LOST}a message is longer than 99 bytes, the max_message_size of this side",
        settings={"max_message_size": 99},
    ),
    "lost": Failure(peer=opens_and_resets, cause=f"{LOST}the connection broke: "),
    "lost while it sleeps": Failure(
        peer=opens_and_resets, handler=sleeps, cause=f"{LOST}the connection broke: "
    ),
    "keepalive timeout": Failure(
        peer=opens_and_takes_nothing, cause=f"{LOST}no answer to a ping came within 20 s"
    ),
    "keepalive timeout while it sleeps": Failure(
        peer=opens_and_takes_nothing,
        handler=sleeps,
        cause=f"{LOST}no answer to a ping came within 20 s",
    ),
    "write timeout": Failure(
        peer=opens_and_takes_nothing,
        handler=floods,
        cause=f"{LOST}the peer took nothing of what waits for it for 60 s",
        settings={"ping_interval": math.inf},
    ),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_one_record(
    name: str,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
    server_ssl: ssl.SSLContext,
) -> None:
    """Its level, who it was, in which draft, and why; and nothing secret."""
    failure = FAILURES[name]
    # Loopback has to have a chance before the clock jumps.
    autojump_clock.autojump_threshold = 0.05
    caplog.set_level(logging.DEBUG, "trio_draftws")
    # Whoever has said which origins may come in is not warned of cookies.
    settings: dict[str, Any] = {"origins": lambda request: True, **failure.settings}
    if settings.pop("tls", None):
        settings["ssl_context"] = server_ssl
    async with serving(failure.handler, **settings) as server:
        stream = await dial(server)
        address = "{} port {}".format(*stream.socket.getsockname())
        try:
            await failure.peer(stream)
        except trio.BrokenResourceError:
            pass  # reset, for bytes that nobody read
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.02)
        while not caplog.records and server.connections:  # noqa: ASYNC110
            await trio.sleep(1)
    [record] = caplog.records
    text = logging.Formatter().format(record)
    assert (record.name, record.levelno) == ("trio_draftws", failure.level)
    assert address in record.message
    assert failure.cause in text
    assert record.message.isprintable()
    assert (record.exc_info is not None) is (failure.level == logging.ERROR)
    assert (failure.draft or "(") in record.message or failure.draft is None
    # The same, for a log that is no text
    given = vars(record)
    assert (given["peer"], given["path"]) == (address, failure.path)
    assert given["draft"] == failure.draft
    connection_id = given["connection_id"]
    assert (f"<Connection {connection_id} server " in record.message) is (connection_id is not None)
    assert (failure.handler in (fails, fails_in_a_nursery) or LOST in failure.cause) is (
        connection_id is not None
    )
    assert SECRET not in text
    assert "dGhlIHNhbXBsZSBub25jZQ==" not in text


async def test_one_too_many(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trio_draftws")
    async with serving(max_connections=1) as server, await dial(server):
        await trio.testing.wait_all_tasks_blocked()
        async with await dial(server) as stream:
            port = stream.socket.getsockname()[1]
            await says(asks(), stream)
        await trio.testing.wait_all_tasks_blocked()
        [record] = caplog.records
        assert record.levelno == logging.INFO
        assert f"127.0.0.1 port {port}: the request was refused with status 503" in record.message
        caplog.clear()


async def test_an_opening_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Who is told 503 because the server is going is in the log as well."""
    caplog.set_level(logging.DEBUG, "trio_draftws")
    async with serving() as server, await dial(server):
        await trio.testing.wait_all_tasks_blocked()
        await server.aclose()
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith(": the server is shutting down")


async def test_a_good_end_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "trio_draftws")
    async with serving(receives) as server:
        for draft in ("hixie-75", "old", "rfc6455"):
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
                await client.send("hello")
        await trio.testing.wait_all_tasks_blocked()
    assert not caplog.records


# A client's errors


def causes(error: BaseException) -> list[BaseException]:
    """What an error stands on, itself first."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        if (one := waiting.pop()) is not None:
            found.append(one)
            waiting.append(one.__cause__)
            if isinstance(one, BaseExceptionGroup):
                waiting += one.exceptions
    return found


def stands_on(error: BaseException, kind: type[BaseException]) -> bool:
    return any(isinstance(cause, kind) for cause in causes(error)[1:])


async def free_port() -> int:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return int(listener.socket.getsockname()[1])


async def fail_to_dial() -> None:
    async with open_websocket(f"ws://127.0.0.1:{await free_port()}/"):
        raise AssertionError("there is no connection")


async def fail_at_tls(context: ssl.SSLContext) -> None:
    async with serving(ssl_context=context) as server:
        async with open_websocket(f"wss://127.0.0.1:{server.port}/"):
            raise AssertionError("there is no connection")


async def reset_within_the_opening() -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        reset(stream)

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455"):
            raise AssertionError("there is no connection")


async def reset_when_open(act: Callable[[Connection], Awaitable[object]]) -> None:
    async def handler(connection: Connection, state: object) -> None:
        stream: Any = connection._endpoint.stream
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()

    with use_framing_mode("rfc6455"):
        async with serving(handler) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                await act(client)


async def send_on(client: Connection) -> None:
    while True:
        await client.send("x" * 65536)


async def test_dial_failed() -> None:
    with pytest.raises(DialFailed, match="Connection refused") as caught:
        await fail_to_dial()
    assert isinstance(caught.value.__cause__, OSError)
    assert stands_on(caught.value, ConnectionRefusedError)


async def test_tls_failed(server_ssl: ssl.SSLContext) -> None:
    with pytest.raises(TLSFailed, match="certificate verify failed") as caught:
        await fail_at_tls(server_ssl)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_reset_within_the_opening() -> None:
    with pytest.raises(HandshakeError, match="Connection reset by peer") as caught:
        await reset_within_the_opening()
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
    assert stands_on(caught.value, ConnectionResetError)


@pytest.mark.parametrize("act", [Connection.receive, send_on], ids=["receive", "send"])
async def test_reset_when_open(act: Callable[[Connection], Awaitable[object]]) -> None:
    with pytest.raises(ConnectionLost, match="the connection broke: ") as caught:
        await reset_when_open(act)
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
    assert stands_on(caught.value, OSError)


# No group of ours, whatever the run says of nurseries


@pytest.mark.filterwarnings("ignore::trio.TrioDeprecationWarning")
@pytest.mark.parametrize("strict", [True, False])
class TestNoGroup:
    @pytest.mark.parametrize(
        ("act", "kind"),
        [
            (fail_to_dial, DialFailed),
            (reset_within_the_opening, HandshakeError),
            (partial(reset_when_open, Connection.receive), ConnectionLost),
            (partial(reset_when_open, send_on), ConnectionLost),
        ],
    )
    def test_what_fails(
        self, act: Callable[[], Awaitable[None]], kind: type[Exception], strict: bool
    ) -> None:
        with pytest.raises(kind):
            trio.run(act, strict_exception_groups=strict)

    @pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("cancelled", [False, True])
    def test_what_a_body_raises(
        self, error: type[BaseException], cancelled: bool, strict: bool
    ) -> None:
        """Also while it is cancelled, and its connection is being lost."""

        async def main() -> None:
            async with serving(receives) as server:
                with trio.CancelScope() as scope:
                    url = f"ws://127.0.0.1:{server.port}/"
                    async with open_websocket(url, draft="rfc6455"):
                        if cancelled:
                            scope.cancel()
                        raise error("mine")

        with pytest.raises(error, match="mine"):
            trio.run(main, strict_exception_groups=strict)

    @pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
    def test_what_a_body_of_accept_raises(self, error: type[BaseException], strict: bool) -> None:
        async def main() -> None:
            client, stream = trio.testing.memory_stream_pair()
            await client.send_all(asks())
            with trio.CancelScope() as scope:
                async with accept(stream):
                    await client.aclose()
                    scope.cancel()
                    raise error("mine")

        with pytest.raises(error, match="mine"):
            trio.run(main, strict_exception_groups=strict)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_program(self, error: type[BaseException], strict: bool) -> None:
        async def handler(connection: Connection, state: object) -> None:
            raise error("mine")

        async def main() -> None:
            async with serving(handler) as server:
                async with open_websocket(
                    f"ws://127.0.0.1:{server.port}/", draft="rfc6455"
                ) as client:
                    with pytest.raises((PeerClosed, ConnectionLost)):
                        await client.receive()

        with pytest.raises(error, match="mine"):
            trio.run(main, strict_exception_groups=strict)

    def test_a_port_that_is_taken(self, strict: bool) -> None:
        async def main() -> None:
            async with serving() as server:
                await serve_websocket(receives, server.port or 0, host="127.0.0.1")

        with pytest.raises(OSError, match="in use"):
            trio.run(main, strict_exception_groups=strict)


def test_secrets_of_ones_own() -> None:
    """A password with the line end of its file is a mistake that people make."""

    async def main(fields: dict[str, str]) -> None:
        async with open_websocket("ws://127.0.0.1:1/", headers=fields):
            raise AssertionError("there is no connection")

    for value in (f"{SECRET}\n", f"{SECRET}☃"):
        with pytest.raises(ValueError, match=r"at 7$") as caught:
            trio.run(main, {"Authorization": value})
        assert SECRET not in str(caught.value)
