"""`trio_draftws.testing`: pairs, served handlers, peers by hand, fixtures."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trio_draftws.testing
from trio_draftws import (
    Close,
    Compression,
    Connection,
    ConnectionLost,
    ConnectionSettings,
    DialFailed,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    HTTPResponse,
    PeerClosed,
    PeerViolation,
    Reject,
    Rejected,
    Request,
    accept,
    open_websocket,
    same_host,
    use_framing_mode,
)
from trio_draftws.testing import (
    Faults,
    FaultyStream,
    Ping,
    Pong,
    RawClient,
    RawServer,
    connected_pair,
    echo,
    frame,
    serve_raw,
    served,
    served_on_port,
)
from trio_draftws.testing.fixtures import echo_server, websocket_pair

from .pairs import SOME_DRAFTS
from .rows import drafts_that_differ_most
from .wire import MASK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

draft = drafts_that_differ_most()

__all__ = ["echo_server", "websocket_pair"]

# Of RFC 6455, as pings go both ways there
CLOSE_1002 = frame(8, b"\x03\xea", mask=MASK)


def some_drafts(argument: str = "draft") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(argument, SOME_DRAFTS, ids=lambda draft: draft.name)


# Pairs


async def test_a_pair(draft: Draft) -> None:
    """Both sides speak the draft, after a real opening; both are closed in order at the end."""
    async with connected_pair(
        draft,
        url="ws://example.com/chat?room=1",
        headers={"Cookie": "a=b"},
        origin="http://example.com",
        subprotocols=["chat"],
        state="ours",
    ) as (client, server):
        assert (client.role, server.role) == ("client", "server")
        assert client.draft.name == server.draft.name == draft.name
        await client.send("hello")
        assert await server.receive() == "hello"
        await server.send("world")
        assert await client.receive() == "world"
        request = server.request
        assert (request.target, request.host) == ("/chat?room=1", "example.com")
        assert (request.headers["Cookie"], request.origin) == ("a=b", "http://example.com")
        assert client.subprotocol == server.subprotocol == "chat"
        assert (client.state, server.state) == (None, "ours")
        assert [side.closed for side in (client, server)] == [False, False]
    assert [side.closed for side in (client, server)] == [True, True]
    if draft.closing_handshake:
        assert client.close_sent is not None
        assert server.close_received is not None
        assert server.close_received.code == (1000 if draft.close_status else None)


async def test_settings_of_a_pair() -> None:
    """Those for both, and those for one side, which come first."""
    async with connected_pair(
        max_message_size=10, compression=None, server={"max_message_size": 4}
    ) as (client, server):
        assert client.compression is None
        await server.send("ten bytes!")
        assert await client.receive() == "ten bytes!"
        await client.send("ten bytes!")
        with pytest.raises(PeerViolation, match="4 bytes"):
            await server.receive()
    async with connected_pair(
        client={"compression": Compression(client_no_context_takeover=True)}
    ) as pair:
        assert "client_no_context_takeover" in str(pair[0].compression)
        assert pair[0].compression == pair[1].compression


def test_settings_are_those_of_both_sides() -> None:
    """Each of the settings is one of either side, with the same default."""
    ours, theirs = (inspect.signature(side).parameters for side in (open_websocket, accept))
    for name in ConnectionSettings.__annotations__:
        assert ours[name].default == theirs[name].default


async def test_subprotocols_of_a_pair() -> None:
    """The server may agree to others than the client asks for."""
    async with connected_pair(subprotocols=["a", "b"], agreed_subprotocols=["c", "b"]) as (
        client,
        server,
    ):
        assert client.subprotocol == server.subprotocol == "b"


async def test_the_state_of_a_pair() -> None:
    async def conn_headers(request: Request) -> tuple[HeaderFields, str]:
        return {"X-Path": request.path}, request.path.upper()

    async with connected_pair(
        url="ws://localhost/abc", conn_headers=conn_headers, state="not this"
    ) as (client, server):
        assert server.state == "/ABC"
        assert client.headers["X-Path"] == "/abc"


async def test_no_pair_comes_about() -> None:
    """What went wrong is told as the client sees it, but for mistakes in the test's own code."""

    async def refuse(request: Request) -> tuple[HeaderFields, None]:
        raise Reject(401, body="who are you?")

    async def fail(request: Request) -> tuple[HeaderFields, None]:
        raise RuntimeError("a mistake")

    for settings, error, match in (
        ({"conn_headers": refuse}, Rejected, "401: 'who are you"),
        ({"conn_headers": fail}, RuntimeError, "a mistake"),
        ({"origins": ["http://a"], "origin": "http://b"}, Rejected, "403"),
        ({"draft": "hybi-99"}, ValueError, "no draft is named"),
        ({"draft": "hixie-75", "subprotocols": ["a", "b"]}, ValueError, "it can ask for one"),
        ({"close_timeout": 0}, ValueError, "close_timeout must be above 0"),
        ({"server": {"ping_timeout": 0}}, ValueError, "ping_timeout must be above 0"),
    ):
        with pytest.raises(error, match=match):
            async with connected_pair(**settings):
                raise AssertionError("there is no pair")


async def test_a_pair_over_ones_own_streams() -> None:
    """Of any kind; here one on which each byte comes alone, and which then breaks."""
    client_end, server_end = trio.testing.memory_stream_pair()
    faulty = FaultyStream(server_end, incoming=Faults(split=1))
    async with connected_pair(streams=(client_end, faulty)) as (client, server):
        await client.send("hello")
        assert await server.receive() == "hello"
        faulty.incoming.reset_at = faulty.bytes_received
        await client.send("lost")
        with pytest.raises(ConnectionLost):
            await server.receive()
    async with connected_pair("old", streams=trio.testing.lockstep_stream_pair()) as (
        client,
        server,
    ):
        await client.send("hello")
        assert await server.receive() == "hello"


async def test_a_pair_whose_stream_breaks_in_the_opening() -> None:
    client_end, server_end = trio.testing.memory_stream_pair()
    faulty = FaultyStream(server_end, outgoing=Faults(end_at=10))
    with pytest.raises(HandshakeError, match="after 10 bytes of it"):
        async with connected_pair(streams=(client_end, faulty)):
            raise AssertionError("there is no pair")


@pytest.mark.parametrize("error", [ValueError, HandshakeError], ids=lambda error: error.__name__)
async def test_what_the_block_raises_comes_out(error: type[Exception]) -> None:
    """As it is, in no group, and both sides are closed."""
    with pytest.raises(error, match="of the block"):
        async with connected_pair() as pair:
            raise error("of the block")
    assert pair[0].closed
    assert pair[1].closed
    assert pair[1].close_received == Close(1011)


async def test_a_pair_is_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    """Before it is open, or after: both sides are closed; and no second passes but mocked ones."""
    client_end, server_end = trio.testing.memory_stream_pair()
    stalled = FaultyStream(server_end, incoming=Faults(stall_at=0))
    with trio.move_on_after(3) as scope:
        async with connected_pair(streams=(client_end, stalled)):
            raise AssertionError("there is no pair")
    assert scope.cancelled_caught
    with pytest.raises(trio.ClosedResourceError):
        await client_end.send_all(b"x")
    with trio.move_on_after(100) as scope:
        async with connected_pair() as pair:
            # Pings keep them both alive.
            await pair[0].receive()
    assert scope.cancelled_caught
    assert pair[0].closed
    assert pair[1].closed
    assert pair[0].latency is not None


async def test_a_stalled_opening_times_out(autojump_clock: trio.testing.MockClock) -> None:
    client_end, server_end = trio.testing.memory_stream_pair()
    stalled = FaultyStream(server_end, incoming=Faults(stall_at=0))
    with pytest.raises(HandshakeTimeout):
        async with connected_pair(streams=(client_end, stalled), server={"handshake_timeout": 60}):
            raise AssertionError("there is no pair")
    assert trio.current_time() >= 10


# Handlers


async def shout(connection: Connection, state: object) -> None:
    await connection.send(f"state: {state}")
    async for message in connection:
        if not isinstance(message, str):
            raise TypeError("text only")
        await connection.send(message.upper())


@some_drafts()
async def test_a_served_handler(draft: Draft) -> None:
    """It runs as on a server: with its state, its origins, its pages, and clients of any draft."""

    async def conn_headers(request: Request) -> tuple[HeaderFields, str]:
        return (), request.target

    async def page(request: Request) -> HTTPResponse:
        return HTTPResponse(200, body="a page")

    with use_framing_mode(draft.name):
        async with served(
            shout,
            draft=draft,
            conn_headers=conn_headers,
            http_handler=page,
            origins=["http://example.com", None],
            subprotocols=["x"],
        ) as server:
            async with server.open_websocket("/a?b") as client:
                assert await client.receive() == "state: /a?b"
                await client.send("hello")
                assert await client.receive() == "HELLO"
                assert len(server.server.connections) == 1
            async with server.open_websocket(
                "ws://example.com/", origin="http://example.com", subprotocols=["x"]
            ) as client:
                assert client.draft is draft
                assert await client.receive() == "state: /"
            with pytest.raises(Rejected, match="403"):
                async with server.open_websocket(origin="http://a", draft="rfc6455"):
                    raise AssertionError("there is no connection")
            async with RawClient(await server.dial()) as peer:
                await peer.send(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await peer.expect_response(200)
                assert await peer.receive_rest() == b"a page"
    assert server.errors == []
    assert server.server.connections == set()


async def test_a_handler_that_raises() -> None:
    """The client gets 1011, the log and `errors` the exception; the others go on."""
    async with served(shout) as server:
        async with (
            server.open_websocket(draft="rfc6455") as first,
            server.open_websocket(draft="rfc6455", headers={"X-Number": "2"}) as second,
        ):
            await first.receive()
            await first.send(b"\x00")
            with pytest.raises(PeerClosed) as caught:
                await first.receive()
            assert caught.value.code == 1011
            await second.receive()
            await second.send("still here")
            assert await second.receive() == "STILL HERE"
    [error] = server.errors
    assert isinstance(error, TypeError)


async def test_served_paths() -> None:
    """Handlers for paths, as the server takes them."""
    async with served({"/shout": shout, "/echo": echo}) as server:
        async with server.open_websocket("/echo", draft="rfc6455") as client:
            await client.send("hello")
            assert await client.receive() == "hello"
        async with server.open_websocket("/shout", draft="rfc6455") as client:
            await client.receive()
            await client.send(b"")
            with pytest.raises(PeerClosed):
                await client.receive()
        with pytest.raises(Rejected, match="404"):
            async with server.open_websocket("/", draft="rfc6455"):
                raise AssertionError("it leads nowhere")
    assert [type(error) for error in server.errors] == [TypeError]


async def test_the_caps_of_a_served_handler() -> None:
    """Settings are the server's."""
    async with served(shout, max_connections=1) as server:
        async with server.open_websocket(draft="rfc6455") as client:
            await client.receive()
            with pytest.raises(Rejected, match="503"):
                async with server.open_websocket(draft="rfc6455"):
                    raise AssertionError("there is no room")


async def test_a_served_handler_meets_faults() -> None:
    """`stream_factory`, of either side, puts them on the stream."""

    async def trickle(stream: trio.abc.Stream) -> trio.abc.Stream:
        return FaultyStream(stream, incoming=Faults(split=1))

    async with served(shout, stream_factory=trickle) as server:
        async with server.open_websocket(stream_factory=trickle, draft="rfc6455") as client:
            await client.receive()
            await client.send("hello")
            assert await client.receive() == "HELLO"


async def test_the_served_end(autojump_clock: trio.testing.MockClock) -> None:
    """Clients get 1001, who has not asked yet 503, who was not heard yet nothing; and whoever
    comes later has nobody to dial.
    """
    async with served(shout) as server:
        async with server.open_websocket(draft="rfc6455") as client:
            await client.receive()
            listener: Any = server.server.listeners[0]
            not_asked, unheard = RawClient(listener.dial()), listener.dial()
            await server.aclose()
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
            assert caught.value.code == 1001
            await not_asked.expect_response(503)
            assert await unheard.receive_some() == b""
    with pytest.raises(DialFailed, match="the server has ended"):
        async with server.open_websocket():
            raise AssertionError("there is no server")


async def test_served_passes_on_what_the_block_raises() -> None:
    with pytest.raises(KeyError, match="of the block"):
        async with served(echo) as server, server.open_websocket() as client:
            raise KeyError("of the block")
    assert client.closed
    with pytest.raises(ValueError, match="close_timeout must be above 0"):
        async with served(echo, close_timeout=0):
            raise AssertionError("there is no server")


async def test_served_on_a_port(draft: Draft) -> None:
    """It is the same object, which has a URL as well."""
    async with served_on_port(origins=same_host, draft=draft) as server:
        assert server.url == f"ws://127.0.0.1:{server.port}/"
        for opening in (open_websocket(server.url, draft=draft), server.open_websocket("/x")):
            async with opening as client:
                assert client.draft is draft
                await client.send("hello")
                assert await client.receive() == "hello"
                assert len(server.connections) == 1
        async with RawClient(await server.dial()) as peer:
            await peer.open("rfc6455")
            await peer.send_frame("hello", Close(1000))
            await peer.expect_message("hello")
            await peer.expect_close(1000)
        await server.aclose()
        with pytest.raises(DialFailed, match="the server has ended"):
            await server.dial()
    assert server.errors == []


async def test_a_server_on_another_interface() -> None:
    async with served_on_port(shout, host="::1") as server:
        assert server.url == f"ws://[::1]:{server.port}/"
        async with server.open_websocket() as client:
            await client.receive()
            await client.send(b"")
            with pytest.raises(PeerClosed):
                await client.receive()
    assert [type(error) for error in server.errors] == [TypeError]


@pytest.mark.parametrize("start", [served, served_on_port])
async def test_what_clients_of_a_served_handler_speak(start: Any) -> None:
    """RFC 6455 as in a pair, whatever the framing mode; or what was said, to the server or here."""
    with use_framing_mode("hybi-01"):
        async with start() as server:
            async with server.open_websocket() as client:
                assert client.draft.name == "rfc6455"
            # What the keys of a request leave open is the framing mode's.
            async with server.open_websocket(draft="hybi-01") as client:
                await client.send(b"hello")
                assert await client.receive() == b"hello"
        async with start(draft="new") as server:
            for named in (None, "new"):
                async with server.open_websocket(draft=named) as client:
                    assert client.draft.name == "whatwg-2010-08"
                    await client.send("hello")
                    assert await client.receive() == "hello"
            async with server.open_websocket(draft="old") as client:
                assert client.draft.name == "hixie-76"
        async with start(draft="new", framing_mode=lambda request: "old") as server:
            async with server.open_websocket(draft="old") as client:
                await client.send("hello")
                assert await client.receive() == "hello"
    with pytest.raises(ValueError, match="no draft is named 'nope'"):
        async with start(draft="nope"):
            raise AssertionError("there is no server")


async def test_a_server_ends_where_streams_take_a_checkpoint_to_close() -> None:
    """Its end cancels what serves them; they are counted out all the same."""

    async def stay(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    async with served(stay) as server:
        async with server.open_websocket():
            with trio.fail_after(5):
                await server.aclose()
    assert server.connections == set()


# Clients by hand


async def test_a_client_by_hand(draft: Draft) -> None:
    """It opens any draft without a fault, and frames say what they should."""
    with use_framing_mode(draft.name):
        async with served(echo) as server, RawClient(await server.dial()) as peer:
            response = await peer.open(draft, "ws://localhost/x", headers={"Cookie": "a=b"})
            assert response is peer.response
            assert response.status == 101
            assert peer.draft is draft
            await peer.send_frame("hello", "world")
            await peer.expect_message("hello")
            assert await peer.receive_frame() == "world"
            if draft.ping:
                await peer.send_frame(Ping(b"p"))
                assert await peer.expect_pong() == b"p"
                await peer.send_frame(Ping(b"q"))
                assert await peer.expect_pong(b"q") == b"q"
            if draft.closing_handshake:
                await peer.send_frame(Close(1000 if draft.close_status else None))
                await peer.expect_close()
            await peer.send_eof()
            await peer.expect_end()
            await peer.expect_end()


async def test_bytes_by_hand() -> None:
    """Exact bytes out, exact bytes in; frames and bytes may follow each other."""
    long = b"x" * 70_000
    async with served(echo, compression=None) as server, RawClient(await server.dial()) as peer:
        await peer.open(subprotocols=["a"], origin="http://b", compression=Compression())
        await peer.send(frame(1, b"one", mask=MASK) + frame(2, b"two", mask=MASK))
        await peer.expect(b"\x81\x03on")
        await peer.expect(b"e")
        await peer.send(frame(1, b"th", final=False, mask=MASK) + frame(0, b"ree", mask=MASK))
        await peer.expect_message(b"two")
        await peer.expect(frame(1, b"three"))
        for payload in (b"y" * 126, long):
            await peer.send(frame(2, payload, mask=MASK))
            await peer.expect_message(payload)
        await peer.send(frame(2, long, mask=MASK) + frame(2, b"end", mask=MASK))
        await peer.expect(frame(2, long) + frame(2, b"end"))
        await peer.send(frame(1, b"", reserved=4, mask=MASK))
        close = await peer.expect_close(1002)
        assert close.code == 1002
        await peer.expect_end()


def test_frames_by_hand() -> None:
    """RFC 6455 section 5.7, and what nobody should send."""
    assert frame(1, b"Hello") == b"\x81\x05Hello"
    assert frame(1, b"Hello", mask=MASK) == b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    assert frame(1, b"Hel", final=False) + frame(0, b"lo") == b"\x01\x03Hel\x80\x02lo"
    assert frame(2, bytes(256)) == b"\x82\x7e\x01\x00" + bytes(256)
    assert frame(2, bytes(65536)) == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536)
    assert frame(9, reserved=5, length=300) == b"\xd9\x7e\x01\x2c"
    for arguments in ({"opcode": 16}, {"opcode": 1, "reserved": 8}, {"opcode": 1, "mask": b"abc"}):
        with pytest.raises(ValueError, match=r"an opcode is 0 to 15|four bytes long, not 3"):
            frame(**arguments)


async def test_an_opening_by_hand() -> None:
    """Requests that are not in order, and answers to them."""
    async with served(echo) as server:
        async with RawClient(await server.dial()) as peer:
            await peer.send(peer.request("old").replace(b"Host", b"Hots"))
            await peer.expect_response(400)
            assert b"Host" in await peer.receive_rest()
        async with RawClient(await server.dial()) as peer:
            head = peer.request(headers={"X": "y"})
            for part in (head[:20], head[20:]):
                await peer.send(part)
                await trio.testing.wait_all_tasks_blocked()
            await peer.expect_opened()
            await peer.send_frame("hello")
            await peer.expect_message("hello")
        async with RawClient(await server.dial()) as peer:
            await peer.send(b"HELO\r\n\r\n")
            response = await peer.expect_response()
            assert response.status == 400
        async with RawClient(await server.dial()) as peer:
            await peer.send(peer.request())
            await peer.expect_response(101)
            peer.speak("rfc6455")
            await peer.send_frame("hello")
            await peer.expect_message("hello")


def failing(expected: str, got: str) -> Any:
    return pytest.raises(AssertionError, match=f"^expected {expected}, got {got}$")


async def test_what_is_expected_and_does_not_come() -> None:
    """Each failure shows what was expected and what came."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with RawClient(ours) as peer:
        with pytest.raises(RuntimeError, match="open the connection first"):
            await peer.send_frame("hello")
        with pytest.raises(RuntimeError, match="nothing was asked for"):
            await peer.expect_opened()
        peer.speak("rfc6455")
        await theirs.send_all(b"hello")
        with failing("b'help!!'", "b'hello'"):
            await peer.expect(b"help!!")
        with failing("b'hi'", "b'hello'"):
            await peer.expect(b"hi")
        with failing("the end of the stream", "b'hello'"):
            await peer.expect_end()
        await peer.expect(b"hello")
        await theirs.send_all(frame(1, b"one") + frame(9, b"two") + frame(10, b"3") + frame(9))
        with failing("'two'", "'one'"):
            await peer.expect_message("two")
        with failing("a pong", "Ping.payload=b'two'."):
            await peer.expect_pong()
        with failing("Pong.payload=b'4'.", "Pong.payload=b'3'."):
            await peer.expect_pong(b"4")
        with failing("Ping.payload=b'4'.", "Ping.payload=b''."):
            await peer.expect_ping(b"4")
        close = frame(8, b"\x03\xe8bye")
        await theirs.send_all(frame(1, b"one") + close * 2)
        with failing("a close", "'one'"):
            await peer.expect_close()
        with failing("a close code 1002", r"Close\(code=1000, reason='bye', body=b''\)"):
            await peer.expect_close(1002)
        peer.speak("rfc6455")
        with failing("a close code 1000 reason 'no'", r"Close\(code=1000, reason='bye', .*"):
            await peer.expect_close(1000, "no")
        peer.speak("rfc6455")
        await theirs.send_all(b"\x83\x00" + b"x" * 300)
        with failing("a ping", "what is no frame: .*"):
            await peer.expect_ping()
        await theirs.send_all(b"y" * 300)
        with failing("b'z'", r"b'.*x{190,}' and then [0-9]+ bytes more"):
            await peer.expect(b"z")
        await theirs.send_eof()
        with failing("1000 bytes", "b'.*x' and then [0-9]+ bytes more and then the end"):
            await peer.receive_exactly(1000)
        assert (await peer.receive_rest()).endswith(b"y")
        peer.speak("rfc6455")
        with failing("a frame", "the end"):
            await peer.receive_frame()
        with failing("an answer 101", "the end"):
            await peer.expect_response(101)


async def test_pings_by_hand() -> None:
    """They come as they were sent, and a close with a reason that is expected."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with RawServer(ours) as peer:
        peer.speak("hybi-08")
        await theirs.send_all(frame(9, b"a", mask=MASK) * 2 + frame(8, b"\x03\xe8x", mask=MASK))
        assert await peer.expect_ping() == await peer.expect_ping(b"a") == b"a"
        assert (await peer.expect_close(1000, "x")).reason == "x"


async def test_answers_that_are_none() -> None:
    """An answer that is not what the draft demands, or no answer."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with RawClient(ours) as peer:
        await theirs.send_all(b"HTTP/1.1 404 No\r\n\r\n")
        with pytest.raises(AssertionError, match=r"expected status 101, got b'HTTP/1\.1 404"):
            await peer.expect_response(101)
        await theirs.send_all(b"SSH-2.0\r\n\r\n")
        with pytest.raises(AssertionError, match="expected an answer, got b'SSH"):
            await peer.expect_response()
        peer.request("rfc6455")
        await theirs.send_all(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n")
        with pytest.raises(AssertionError, match="the Connection field"):
            await peer.expect_opened()


async def test_a_peer_does_not_wait_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with RawClient(ours, timeout=7) as peer:
        await theirs.send_all(b"ab")
        with failing("b'abc'", "b'ab' and then nothing within 7 s"):
            await peer.expect(b"abc")
        assert trio.current_time() >= 7
        # What comes later still counts.
        await theirs.send_all(b"c")
        await peer.expect(b"abc")
        with trio.move_on_after(1):
            await peer.receive_exactly(1)
        await trio.aclose_forcefully(theirs)
        await peer.expect_end()


async def test_a_peer_meets_a_break() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    faulty = FaultyStream(ours, incoming=Faults(reset_at=2))
    async with RawServer(faulty) as peer:
        await theirs.send_all(b"ab")
        with failing("the end of the stream", "b'ab' and then a break: .*reset.*"):
            await peer.receive_rest()


# Servers by hand


async def test_a_server_by_hand(draft: Draft) -> None:
    """Clients of any draft are answered without a fault."""
    seen: list[Request] = []

    async def behave(server: RawServer) -> None:
        seen.append(await server.open(draft, headers={"X": "y"}, subprotocol="chat"))
        await server.expect_message("hello")
        await server.send_frame("world")
        if draft.ping:
            await server.send_frame(Pong(b"for nothing"))
        if draft.closing_handshake:
            close = await server.expect_close(1000 if draft.close_status else None)
            await server.send_frame(close)
        else:
            await server.expect_end()

    async with serve_raw(behave) as url:
        async with open_websocket(url + "x", draft=draft, subprotocols=["chat"]) as client:
            assert client.subprotocol == "chat"
            assert client.headers["X"] == "y"
            await client.send("hello")
            assert await client.receive() == "world"
    assert [request.path for request in seen] == ["/x"]


async def test_a_server_that_compresses() -> None:
    async def behave(server: RawServer) -> None:
        request = await server.open(compression=Compression(threshold=0))
        assert "permessage-deflate" in request.headers["Sec-WebSocket-Extensions"]
        await server.send_frame("aaaa" * 100)
        await server.expect_message("bbbb" * 100)
        await server.expect_close()

    async with serve_raw(behave) as url:
        async with open_websocket(url, draft="rfc6455", close_timeout=0.1) as client:
            assert await client.receive() == "aaaa" * 100
            await client.send("bbbb" * 100)


async def test_a_server_that_answers_wrongly() -> None:
    async def behave(server: RawServer) -> None:
        await server.expect_request()
        answer = await server.answer()
        await server.send(answer.replace(b"101", b"203"))

    async with serve_raw(behave) as url:
        with pytest.raises(Rejected, match="203"):
            async with open_websocket(url, draft="rfc6455"):
                raise AssertionError("there is no connection")


@pytest.mark.parametrize("body", ["not today\n", b"not today\n"], ids=["str", "bytes"])
async def test_a_server_that_refuses(body: str | bytes) -> None:
    async def behave(server: RawServer) -> None:
        await server.expect_request()
        await server.refuse(503, {"Retry-After": "5"}, body)

    async with serve_raw(behave) as url:
        with pytest.raises(Rejected, match="503: 'not today'") as caught:
            async with open_websocket(url):
                raise AssertionError("there is no connection")
    assert caught.value.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("sent", "behave", "message"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", RawServer.open, "expected a request to open, got"),
        (b"nothing\r\n\r\n", RawServer.open, "expected a request, got b'nothing"),
        (b"GET", RawServer.expect_request, "expected a request, got b'GET' and then the end"),
    ],
    ids=["a page", "no HTTP", "cut"],
)
async def test_requests_that_are_none(
    sent: bytes, behave: Callable[[RawServer], Awaitable[object]], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):  # noqa: PT012
        async with serve_raw(behave) as url:
            port = int(url.rsplit(":", 1)[1].rstrip("/"))
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(sent)
                await stream.send_eof()
                await trio.sleep_forever()


async def test_what_a_script_raises_comes_first() -> None:
    """It is why the client failed, whatever that says; without it, the block's error comes out."""

    async def behave(server: RawServer) -> None:
        await server.open()
        await server.stream.aclose()
        raise ValueError("of the script")

    with pytest.raises(ValueError, match="of the script"):  # noqa: PT012
        async with serve_raw(behave) as url:
            async with open_websocket(url, draft="rfc6455") as client:
                with trio.CancelScope(shield=True), pytest.raises(ConnectionLost):
                    await client.receive()
                raise KeyError("of the block")
    with pytest.raises(KeyError, match="of the block"):
        async with serve_raw(behave):
            raise KeyError("of the block")


# Fixtures


async def test_the_pair_of_the_fixture(websocket_pair: tuple[Connection, Connection]) -> None:
    client, server = websocket_pair
    assert client.draft.name == "rfc6455"
    await client.send("hello")
    assert await server.receive() == "hello"


@pytest.mark.parametrize("websocket_pair", ["old", "hybi-05"], indirect=True)
async def test_the_pair_speaks_other_drafts(
    request: pytest.FixtureRequest, websocket_pair: tuple[Connection, Connection]
) -> None:
    client, server = websocket_pair
    named = request.node.callspec.params["websocket_pair"]
    assert named in (client.draft.name, *client.draft.aliases)
    await server.send("hello")
    assert await client.receive() == "hello"


async def test_the_server_of_the_fixture(echo_server: str) -> None:
    async with open_websocket(echo_server) as client:
        await client.send("hello")
        assert await client.receive() == "hello"


def test_nothing_but_the_fixtures_needs_pytest_trio() -> None:
    program = "import sys, trio_draftws.testing; sys.exit('pytest_trio' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("missing", ["pytest", "pytest_trio"])
def test_without_what_the_fixtures_need(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import trio_draftws.testing.fixtures"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: trio_draftws.testing.fixtures needs {missing}, which is not installed: "
        "pip install pytest-trio"
    )


def test_fixtures_of_a_project(tmp_path: Any) -> None:
    """A project that names the module in `pytest_plugins`, without trio mode."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["trio_draftws.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.trio\n"
        "async def test_it(websocket_pair):\n"
        "    client, server = websocket_pair\n"
        "    await client.send('hello')\n"
        "    assert await server.receive() == 'hello'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(
        [*command, "--rootdir", str(tmp_path), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(__file__).rpartition("/tests/")[0]},
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_times_may_be_infinite() -> None:
    assert RawClient(trio.testing.memory_stream_pair()[0], timeout=math.inf).timeout == math.inf


def test_the_old_name_of_the_settings_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="use trio_draftws.ConnectionSettings"):
        assert trio_draftws.testing.Settings is ConnectionSettings
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        trio_draftws.testing.Other()  # type: ignore[attr-defined]
