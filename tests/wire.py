"""Peers that speak in plain bytes, for what no well-behaved peer would say."""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from trio_draftws import Draft, Server, open_websocket, serve_websocket
from trio_draftws.drafts import Headers, NegotiatedParameters, Request, Response, WebSocketURL
from trio_draftws.testing import RawServer, frame, serve_raw
from trio_draftws.testing import echo as echo

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

KEY_FIELDS = ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")
# The example of hixie-76 section 1.2
KEY1 = b"4 @1  46546xW%0l 1 5"
KEY2 = b"12998 5 Y3 1  .P00"
KEY3 = b"^n:ds[4U"
PROOF = b"8jKS'y:G*Co,Wxa-"

UPGRADE = {"Upgrade": "WebSocket", "Connection": "Upgrade", "Host": "example.com"}
KEYS = {KEY_FIELDS[0]: KEY1.decode(), KEY_FIELDS[1]: KEY2.decode()}

# The example of RFC 6455 section 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
VERSION_13 = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
# The masking key in the examples of RFC 6455 section 5.7
MASK = b"\x37\xfa\x21\x3d"


def request(line: str = "GET / HTTP/1.1", **changes: str | None) -> bytes:
    """A head that asks for hixie-76; a change to None leaves a field out, `_` stands for `-`."""
    return _head(line, UPGRADE | KEYS, changes)


def request_13(line: str = "GET / HTTP/1.1", **changes: str | None) -> bytes:
    """A head that asks for RFC 6455, changed as `request` is."""
    return _head(line, UPGRADE | VERSION_13, changes)


def _head(line: str, fields: dict[str, str], changes: dict[str, str | None]) -> bytes:
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    changed: dict[str, str | None] = {**fields, **named}
    lines = [line, *(f"{name}: {value}" for name, value in changed.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@attrs.frozen
class Answer:
    """All that a server said before it ended the stream."""

    line: bytes
    headers: Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def fields(self) -> dict[str, str]:
        """What the head says, but for the time."""
        return {name: value for name, value in self.headers.items() if name != "date"}

    @classmethod
    def parse(cls, raw: bytes) -> Answer:
        head, blank, body = raw.partition(b"\r\n\r\n")
        response = Response.parse(head + blank)
        return cls(response.line, response.headers, body)


@asynccontextmanager
async def plain_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that wraps no lone exception in a group."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__


@asynccontextmanager
async def serving(
    handler: Any = echo, *, host: str = "127.0.0.1", **settings: Any
) -> AsyncIterator[Server]:
    """A server on a free port, with nothing around its handler."""
    async with plain_nursery() as nursery:
        serve = partial(serve_websocket, handler, 0, host=host, **settings)
        server: Server = await nursery.start(serve)
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.aclose()


async def read_to_end(stream: trio.abc.Stream) -> bytes:
    """What comes until the peer ends its side; that it does is part of the test."""
    received = bytearray()
    async for data in stream:
        received += data
    return bytes(received)


async def read_until(stream: trio.abc.Stream, enough: Callable[[bytes], bool]) -> bytes:
    """What comes until it is enough."""
    received = b""
    while not enough(received):
        data = await stream.receive_some()
        assert data, f"the peer ended after {received!r}"
        received += data
    return received


async def read_request(stream: trio.abc.Stream, body: int = 8) -> tuple[bytes, bytes]:
    """The head that a client opens with, and as many bytes behind it."""
    server = RawServer(stream)
    await server.expect_request()
    return server.head, await server.receive_exactly(body)


async def dial(server: Server) -> trio.SocketStream:
    """A plain TCP connection to a server of ours."""
    assert server.port is not None
    return await trio.open_tcp_stream("127.0.0.1", server.port)


def key_number(key: bytes) -> int:
    """What a key of hixie-76 stands for (section 1.3)."""
    return int(bytes(byte for byte in key if byte in b"0123456789")) // key.count(b" ")


def prove(head: bytes, key3: bytes) -> bytes:
    """The 16 bytes that answer a request of hixie-76."""
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
    numbers = (key_number(fields[name.encode()]).to_bytes(4, "big") for name in KEY_FIELDS)
    return hashlib.md5(b"".join(numbers) + key3).digest()


def take_up(draft: Draft, head: bytes, key3: bytes) -> tuple[bytes, NegotiatedParameters]:
    """How a server of that draft answers a client of ours, and what the two agreed to."""
    server = draft.opening.answer(Request.parse(head))
    answer, agreement = server.accept(Headers([]), None)
    return answer + server.prove(key3), agreement


def masked(first: int, payload: bytes) -> bytes:
    """A short frame of RFC 6455 as a client sends it."""
    return frame(first & 15, payload, final=first > 127, reserved=first >> 4 & 7, mask=MASK)


def apply_mask_plainly(payload: bytes, key: bytes) -> bytes:
    """RFC 6455 section 5.3, byte by byte."""
    return bytes(byte ^ key[position % 4] for position, byte in enumerate(payload))


def unmasked(frames: bytes) -> list[tuple[int, bytes]]:
    """The first byte and the payload of each short frame that a client sent."""
    found = []
    while frames:
        size = frames[1] - 0x80
        assert 0 <= size < 126, frames
        found.append((frames[0], apply_mask_plainly(frames[6 : 6 + size], frames[2:6])))
        frames = frames[6 + size :]
    return found


@asynccontextmanager
async def raw_server(
    behave: Callable[[trio.SocketStream], Awaitable[object]], host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """As `serve_raw`, for what speaks on the stream itself; gives the port."""

    async def visit(server: RawServer) -> None:
        assert isinstance(server.stream, trio.SocketStream)
        await behave(server.stream)

    async with serve_raw(visit, host=host) as url:
        yield WebSocketURL.parse(url).port


@asynccontextmanager
async def server_with_a_healthy_client(**settings: Any) -> AsyncIterator[Server]:
    """A server, and beside whatever the block does a client that must not notice."""
    async with serving(**settings) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as healthy:
            for text in ("before", "after"):
                await healthy.send(text)
                assert await healthy.receive() == text
                if text == "before":
                    yield server
            assert not healthy.closed


async def answer_to(server: Server, said: bytes) -> bytes:
    """All that the server says, until it ends the stream, to a client that says this."""
    async with await dial(server) as stream:
        await stream.send_all(said)
        return await read_to_end(stream)


def reset_when_closed(stream: trio.SocketStream) -> None:
    linger = struct.pack("ii", 1, 0)
    stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, linger)
