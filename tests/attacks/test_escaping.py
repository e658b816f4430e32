"""What a peer says goes into errors and logs, and cannot move a terminal or forge a line there."""

from __future__ import annotations

import logging
import re

import pytest
import trio
import trio.testing

from tests.pairs import connected
from tests.wire import dial, raw_server, read_request, read_to_end, request, request_13, serving
from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    Draft,
    HandshakeError,
    HTTPResponse,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    RequestRefused,
    open_websocket,
    same_host,
)
from trio_draftws.drafts import escaped

# Clear the screen; set the title, in 7 and in 8 bits; write from right to left; end a line
EVIL = "\x1b[2J\x1b]0;evil\x07\x9b2J\u202egnp\u2028\r\nroot: all is well"
MOVES = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069]")


def is_harmless(text: str) -> bool:
    return not MOVES.search(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain", "plain"),
        ("日本 é 🙂", "日本 é 🙂"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\x9b", r"\x9b"),
        ("\u202e", r"\u202e"),
    ],
)
def test_what_is_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("draft", [d for d in DRAFTS if d.close_status], ids=lambda d: d.name)
async def test_the_reason_of_a_close(draft: Draft) -> None:
    """It is told as it came, and shown escaped."""
    async with connected("tcp", draft) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose, 4000, EVIL)
            with pytest.raises(PeerClosed) as caught:
                await server.receive()
        assert caught.value.reason == EVIL
        assert is_harmless(str(caught.value))
        assert "root: all is well" in str(caught.value)
        assert server.close_received == Close(4000, EVIL)
        assert is_harmless(repr(server.close_received))


REQUESTS = {
    "no HTTP": b"GET \x1b[2J\x9b\r\n\r\n",
    "a method": b"\x1b]0;evil\x07 / HTTP/1.1\r\n\r\n",
    "a version": b"GET / HTTP/\x9b2J\r\n\r\n",
    "a field": b"GET / HTTP/1.1\r\n\x1b[2J\r\n\r\n",
    "a value": b"GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n",
    "a key": request(Sec_WebSocket_Key1="\x9bJ \x85"),
    "a key of today": request_13(Sec_WebSocket_Key="\x9b2J\x85"),
    "an origin": request_13(Origin="http://\x9b2J\x85"),
    "a page": b"GET /\x9b2J\x85 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no letter at all": b"\x1b[2J\x1b]0;evil\x07",
}


@pytest.mark.parametrize("said", REQUESTS.values(), ids=REQUESTS)
async def test_requests_in_the_log(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def page(request: Request) -> HTTPResponse:
        return HTTPResponse()

    async with serving(origins=same_host, http_handler=page) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(said)
                await read_to_end(stream)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert is_harmless(record.message)


async def test_a_reason_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(connection: Connection, state: object) -> None:
        await connection.receive()

    async with serving(handler) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft="rfc6455") as client:
                await client.aclose(4000, EVIL)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert "root: all is well" in record.message
    assert is_harmless(record.message)


ANSWERS = {
    "no HTTP": b"\x1b[2J\x9b\r\n\r\n",
    "a status line": b"HTTP/1.1 101 \x1b[2J\r\n\r\n",
    "a refusal": b"HTTP/1.1 403 \x9b2J\r\nContent-Length: 12\r\n\r\n\x1b[2J\r\nroot: ",
    "a field": b"HTTP/1.1 101 a\r\n\x1b[2J: a\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 a\r\nUpgrade: \x9b2J\x85\r\n\r\n",
    "an accept": b"HTTP/1.1 101 a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Accept: \x9b2J\x85\r\n\r\n",
}


@pytest.mark.parametrize("said", ANSWERS.values(), ids=ANSWERS)
async def test_answers_in_errors(said: bytes) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(said)

    async with raw_server(behave) as port:
        with pytest.raises(HandshakeError) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455"):
                raise AssertionError("there is no connection")
    error: BaseException | None = caught.value
    assert isinstance(caught.value, Rejected) is (b" 403 " in said)
    while error is not None:
        assert is_harmless(str(error))
        assert is_harmless(repr(error))
        error = error.__cause__


def test_refusals() -> None:
    reject = Reject(403, body=EVIL)
    assert reject.body.decode() == EVIL
    assert is_harmless(str(reject))
    refused = RequestRefused(403, EVIL)
    assert refused.reason == EVIL
    assert is_harmless(str(refused))
