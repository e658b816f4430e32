"""Answers that a client does not take: a clear error that says what was wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Draft,
    HandshakeError,
    InvalidAnswer,
    Rejected,
    open_websocket,
)

from .turns import dealt, each_draft, in_turn
from .wire import (
    prove,
    raw_server,
    read_request,
    read_to_end,
    reset_when_closed,
    take_up,
)


def proven(head: bytes, key3: bytes, *fields: str, status: str = "101 WebSocket") -> bytes:
    """The answer of a hixie-76 server, with `fields` beside Upgrade and Connection."""
    lines = [f"HTTP/1.1 {status}", "Upgrade: WebSocket", "Connection: Upgrade", *fields, "", ""]
    return "\r\n".join(lines).encode() + prove(head, key3)


async def open_against(answer: Callable[[bytes, bytes], bytes], **settings: Any) -> None:
    """Opens hixie-76 on a server that gives this answer and ends."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream)
        try:
            await stream.send_all(answer(head, key3))
            await stream.send_eof()
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass  # a client that has seen enough leaves

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/path?q", draft="old", **settings):
            raise AssertionError("there is no connection")


def only(*answer: bytes) -> Callable[[bytes, bytes], bytes]:
    return lambda head, key3: b"".join(answer)


async def test_sixteen_wrong_bytes() -> None:
    keys: list[tuple[bytes, bytes]] = []

    def wrong(head: bytes, key3: bytes) -> bytes:
        keys.append((head, key3))
        return proven(head, key3)[:-16] + b"0123456789abcdef"

    with pytest.raises(InvalidAnswer, match="the 16 bytes that prove the server") as caught:
        await open_against(wrong)
    assert caught.value.received == b"0123456789abcdef"
    assert caught.value.expected == prove(*keys[0])
    assert repr(caught.value.expected) in str(caught.value)
    assert repr(caught.value.received) in str(caught.value)


async def test_fewer_than_sixteen_bytes() -> None:
    def short(head: bytes, key3: bytes) -> bytes:
        return proven(head, key3)[:-1]

    with pytest.raises(HandshakeError, match="ended the stream within the opening handshake"):
        await open_against(short)


INVALID = {
    "another location": (
        ["Sec-WebSocket-Location: ws://127.0.0.1/path?q"],
        {},
        "the Sec-WebSocket-Location field",
        "ws://127.0.0.1/path?q",
    ),
    "two locations": (
        ["Sec-WebSocket-Location: {location}"] * 2,
        {},
        "the Sec-WebSocket-Location field",
        "{location}, {location}",
    ),
    "another origin": (
        ["Sec-WebSocket-Origin: http://evil"],
        {"origin": "http://good"},
        "the Sec-WebSocket-Origin field",
        "http://evil",
    ),
    "two origins": (
        ["Sec-WebSocket-Origin: http://good"] * 2,
        {"origin": "http://good"},
        "the Sec-WebSocket-Origin field",
        "http://good, http://good",
    ),
    "another subprotocol": (
        ["Sec-WebSocket-Protocol: news"],
        {"subprotocols": ["chat"]},
        "the subprotocol",
        "news",
    ),
    "two subprotocols": (
        ["Sec-WebSocket-Protocol: chat"] * 2,
        {"subprotocols": ["chat"]},
        "the subprotocol",
        "chat, chat",
    ),
    "no subprotocol": ([], {"subprotocols": ["chat"]}, "the subprotocol", None),
}


@pytest.mark.parametrize(("fields", "settings", "what", "received"), INVALID.values(), ids=INVALID)
async def test_fields_that_contradict_the_request(
    fields: list[str], settings: dict[str, Any], what: str, received: str | None
) -> None:
    """And the same answer without the contradiction would do."""
    location = ""

    def contradict(head: bytes, key3: bytes) -> bytes:
        nonlocal location
        host = head.partition(b"Host: ")[2].partition(b"\r\n")[0].decode()
        location = f"ws://{host}/path?q"
        return proven(head, key3, *(field.format(location=location) for field in fields))

    with pytest.raises(InvalidAnswer) as caught:
        await open_against(contradict, **settings)
    assert caught.value.what == what
    assert caught.value.received == (received and received.format(location=location))
    expected = {
        "the Sec-WebSocket-Location field": location,
        "the Sec-WebSocket-Origin field": "http://good",
        "the subprotocol": "chat",
    }
    assert caught.value.expected == expected[what]
    with pytest.raises(AssertionError, match="there is no connection"):
        await open_against(
            partial(
                proven_again,
                [
                    "Sec-WebSocket-Location: {location}",
                    "Sec-WebSocket-Origin: http://good",
                    "Sec-WebSocket-Protocol: chat",
                ],
            ),
            **settings,
        )


def proven_again(fields: list[str], head: bytes, key3: bytes) -> bytes:
    """An answer that names the location that was asked for."""
    host = head.partition(b"Host: ")[2].partition(b"\r\n")[0].decode()
    return proven(head, key3, *(field.format(location=f"ws://{host}/path?q") for field in fields))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 101 a\r\nConnection: Upgrade\r\n\r\n", "Upgrade"),
        (b"HTTP/1.1 101 a\r\nUpgrade: WebSocket\r\n\r\n", "Connection"),
        (b"HTTP/1.1 101 a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "Upgrade"),
    ],
)
async def test_a_101_for_something_else(answer: bytes, what: str) -> None:
    with pytest.raises(InvalidAnswer, match=what):
        await open_against(only(answer, bytes(16)))


# So many bytes of what a server that refuses has to say are kept.
MAX_REFUSAL_BODY = 64 * 1024
REFUSALS = {
    "with a length": (b"Content-Length: 4\r\n\r\nGone and more", b"Gone"),
    "without a length": (b"\r\nGone", b"Gone"),
    "shorter than its length": (b"Content-Length: 10\r\n\r\nGone", b"Gone"),
    "with a strange length": (b"Content-Length: many\r\n\r\nGone", b"Gone"),
    "empty": (b"Content-Length: 0\r\n\r\n", b""),
    "huge, with a length": (
        b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000,
        b"x" * MAX_REFUSAL_BODY,
    ),
    "huge, without a length": (b"\r\n" + b"x" * 900_000, b"x" * MAX_REFUSAL_BODY),
}


@dealt("refusal", list(REFUSALS))
async def test_an_answer_that_is_not_101(refusal: str, draft: Draft) -> None:
    rest, body = REFUSALS[refusal]

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream, draft.opening.request_body)
        try:
            await stream.send_all(b"HTTP/1.1 410 Gone\r\nX-Since: 2011\r\n" + rest)
            await stream.send_eof()
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass  # a client that has seen enough leaves

    async with raw_server(refuse) as port:
        with pytest.raises(Rejected, match="the server refused with status 410") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                raise AssertionError("there is no connection")
    assert caught.value.status == 410
    assert caught.value.headers["x-since"] == "2011"
    assert caught.value.body == body


async def test_a_refusal_whose_body_does_not_end(mock_clock: trio.testing.MockClock) -> None:
    """As from a server that keeps the connection for a next request: the status is known."""

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\n\r\nno such")
        await read_to_end(stream)

    async with raw_server(refuse) as port, trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(6)

        nursery.start_soon(later)
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                raise AssertionError("there is no connection")
    assert (caught.value.status, caught.value.body) == (404, b"no such")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", r"no HTTP: expected a status line .* `SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 abc\r\n\r\n", "no HTTP: expected a status line"),
        (b"HTTP/1.1 999 a\r\n\r\n", "no HTTP: expected a status line .* `HTTP/1.1 999 a`"),
        (b"HTTP/1.1 101 a\r\nno field\r\n\r\n", "no HTTP: expected a field"),
        (b"x" * 20_000, "the first line is longer than 8192 bytes"),
        (b"HTTP/1.1 101 a\r\nA: " + b"x" * 20_000, "longer than 16384 bytes"),
        (b"HTTP/1.1 101 a\r\n" + b"A: b\r\n" * 101 + b"\r\n", "101 fields, more than 100"),
        (b"", r"the peer ended the stream within the opening handshake \(it was asked"),
        (b"HTTP/1.1 101 Web", "within the opening handshake, after 16 bytes"),
    ],
    ids=["ssh", "status", "no status", "field", "long line", "long", "many", "nothing", "half"],
)
async def test_an_answer_that_is_no_answer(answer: bytes, why: str) -> None:
    with pytest.raises(HandshakeError, match=why):
        await open_against(only(answer))


@in_turn("version", [b"HTTP/1.0", b"HTTP/2.0"])
@each_draft
async def test_a_101_of_another_http(version: bytes, draft: Draft) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        answer = take_up(draft, head, key3)[0]
        await stream.send_all(answer.replace(b"HTTP/1.1", version, 1))
        await read_to_end(stream)

    async with raw_server(behave) as port:
        with pytest.raises(HandshakeError, match="no HTTP: expected a status line") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                raise AssertionError("there is no connection")
    assert type(caught.value) is HandshakeError
    assert f"got `{version.decode()} 101 " in str(caught.value)


@each_draft
async def test_a_folded_field(draft: Draft) -> None:
    """What makes an answer one may stand there too."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        answer = take_up(draft, head, key3)[0]
        answer = answer.replace(b"Connection: ", b"X-Note: one\r\n two\r\nConnection:\r\n\t", 1)
        await stream.send_all(answer)
        await read_to_end(stream)

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket(url, draft=draft, close_timeout=0.01) as connection:
            assert connection.headers["X-Note"] == "one two"
            assert connection.response.headers["Connection"] == "Upgrade"


async def test_a_server_that_resets() -> None:
    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        reset_when_closed(stream)

    async with raw_server(reset) as port:
        with pytest.raises(HandshakeError, match="broke within the opening handshake") as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                raise AssertionError("there is no connection")
    assert isinstance(caught.value.__cause__, trio.BrokenResourceError)
