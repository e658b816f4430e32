"""One request for each TCP connection, whatever it claims: nothing behind it is another."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rows import each_row
from tests.wire import (
    KEY3,
    PROOF,
    Answer,
    dial,
    masked,
    read_to_end,
    read_until,
    request,
    request_13,
    serving,
)
from trio_draftws import Connection, HTTPResponse, Request

SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: example.com\r\n\r\n"

FRAMED = {
    "chunked": {"Transfer_Encoding": "chunked"},
    "identity": {"Transfer_Encoding": "identity"},
    "chunked and a length": {"Transfer_Encoding": "chunked", "Content_Length": "0"},
    "a length": {"Content_Length": str(len(SMUGGLED))},
    "a length with a sign": {"Content_Length": "+0"},
    "a length in hex": {"Content_Length": "0x0"},
    "a length with zeros": {"Content_Length": "00"},
    "two lengths": {"Content_Length": f"0\r\nContent-Length: {len(SMUGGLED)}"},
    "a list of lengths": {"Content_Length": "0, 0"},
    "no number": {"Content_Length": "none"},
    "nothing": {"Content_Length": ""},
}


@each_row("fields", FRAMED.values())
@pytest.mark.parametrize("old", [True, False], ids=["hixie-76", "rfc6455"])
async def test_a_body_is_refused(fields: dict[str, Any], old: bool) -> None:
    """With one answer, and the connection ends, so that nobody takes the rest for anything."""
    asked: list[str] = []

    async def page(request: Request) -> HTTPResponse:
        asked.append(request.target)
        return HTTPResponse()

    head = (request if old else request_13)(**fields)
    async with serving(http_handler=page) as server, await dial(server) as stream:
        await stream.send_all(head + SMUGGLED)
        said = await read_to_end(stream)
    answer = Answer.parse(said)
    assert answer.line == b"HTTP/1.1 400 Bad Request"
    assert answer.headers["Connection"] == "close"
    assert said.count(b"HTTP/1.1 ") == 1
    assert asked == []


@pytest.mark.parametrize("length", ["8", "0"])
async def test_the_lengths_that_old_clients_announce(length: str) -> None:
    async with serving() as server, await dial(server) as stream:
        await stream.send_all(request(Content_Length=length) + KEY3)
        said = await read_until(stream, lambda said: said.endswith(PROOF))
        assert said.startswith(b"HTTP/1.1 101 ")


async def test_eight_bytes_are_no_body_of_today() -> None:
    async with serving() as server, await dial(server) as stream:
        await stream.send_all(request_13(Content_Length="8") + KEY3)
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 400 ")


async def test_what_follows_an_upgrade_is_frames() -> None:
    """A second request is a broken frame, and no request."""
    asked: list[str] = []

    async def page(request: Request) -> HTTPResponse:
        asked.append(request.target)
        return HTTPResponse()

    async with serving(http_handler=page) as server, await dial(server) as stream:
        await stream.send_all(request_13() + masked(0x81, b"frame") + SMUGGLED)
        head, _, frames = (await read_to_end(stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames.startswith(b"\x81\x05frame\x88")
    assert frames[9:11] == (1002).to_bytes(2, "big")
    assert asked == []


async def test_what_follows_the_eight_bytes_is_frames() -> None:
    """As hixie-76 has it: reserved frames, of which nothing is delivered."""
    received: list[str | bytes] = []

    async def handler(connection: Connection, state: object) -> None:
        received.extend([message async for message in connection])

    async with serving(handler) as server, await dial(server) as stream:
        await stream.send_all(request() + KEY3 + SMUGGLED + b"\xff\x00message\xff\xff\x00")
        said = await read_to_end(stream)
    assert said.count(b"HTTP/1.1 ") == 1
    assert received == ["message"]


async def test_a_page_is_answered_once() -> None:
    """The connection closes behind it, so a pipelined request goes nowhere."""
    asked: list[str] = []

    async def page(request: Request) -> HTTPResponse:
        asked.append(request.target)
        return HTTPResponse(body="once")

    async with serving(http_handler=page) as server, await dial(server) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
        answer = Answer.parse(await read_to_end(stream))
    assert answer.text == "once"
    assert asked == ["/"]
