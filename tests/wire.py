"""Peers that speak in plain bytes, for what no well-behaved peer would say."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from trio_draftws import Connection, Draft, Handler, Server, serve_websocket
from trio_draftws.drafts import Agreement, Headers, Request, Response
from trio_draftws.drafts._opening_hixie76 import KEY_FIELDS, answer_to, number_in

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

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
    """The head that a client opens with, and the bytes behind it."""

    def enough(received: bytes) -> bool:
        end = received.find(b"\r\n\r\n")
        return end >= 0 and len(received) >= end + 4 + body

    head, blank, rest = (await read_until(stream, enough)).partition(b"\r\n\r\n")
    return head + blank, rest


async def dial(server: Server) -> trio.SocketStream:
    """A plain TCP connection to a server of ours."""
    assert server.port is not None
    return await trio.open_tcp_stream("127.0.0.1", server.port)


def prove(head: bytes, key3: bytes) -> bytes:
    """The 16 bytes that answer a request of hixie-76."""
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
    key1, key2 = (fields[name.encode()] for name in KEY_FIELDS)
    return answer_to(number_in(key1), number_in(key2), key3)


def take_up(draft: Draft, head: bytes, key3: bytes) -> tuple[bytes, Agreement]:
    """How a server of that draft answers a client of ours, and what the two agreed to."""
    server = draft.opening.answer(Request.parse(head))
    answer, agreement = server.accept(Headers([]), None)
    return answer + server.prove(key3), agreement


def masked(first: int, payload: bytes) -> bytes:
    """A short frame of RFC 6455 as a client sends it."""
    return bytes((first, 0x80 | len(payload))) + MASK + apply_mask_plainly(payload, MASK)


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


async def echo(connection: Connection, state: object = None) -> None:
    async for message in connection:
        await connection.send(message)


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
    handler: Handler | Mapping[str, Handler] = echo, **settings: Any
) -> AsyncIterator[Server]:
    """A server of ours on a port of its own, until the block ends."""
    settings.setdefault("host", "127.0.0.1")
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(partial(serve_websocket, handler, 0, **settings))
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True):
                await server.aclose()


@asynccontextmanager
async def raw_server(
    behave: Callable[[trio.SocketStream], Awaitable[object]], host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A TCP server that treats each client as `behave` says, and then closes; gives its port.

    The block ends when every client was seen off.
    """

    async def visit(stream: trio.SocketStream) -> None:
        async with stream:
            await behave(stream)

    async with plain_nursery() as visits, trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, visit, 0, host=host, handler_nursery=visits)
        listeners = await nursery.start(serve)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()
