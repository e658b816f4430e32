"""Servers that send their clients elsewhere, and what came there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from trio_draftws import Connection, Draft, HeaderFields, Request

from .wire import raw_server, read_request, serving

FOLLOWED = [301, 302, 303, 307, 308]


def redirect(location: str, status: int = 302) -> bytes:
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


@asynccontextmanager
async def sending_on(
    location: str | Callable[[int], str], draft: Draft | None = None, status: int = 302
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that sends everybody on; gives its port, and the heads that came."""
    heads: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        body = draft.opening.request_body if draft is not None else 0
        heads.append((await read_request(stream, body))[0])
        where = location if isinstance(location, str) else location(len(heads))
        await stream.send_all(redirect(where, status))

    async with raw_server(behave) as port:
        yield port, heads


@asynccontextmanager
async def noting(**settings: Any) -> AsyncIterator[tuple[int, list[Request]]]:
    """A server of ours; gives its port, and the requests that came."""
    asked: list[Request] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        asked.append(request)
        return (), None

    async with serving(conn_headers=conn_headers, **settings) as server:
        assert server.port is not None
        yield server.port, asked


async def echo_once(connection: Connection) -> None:
    await connection.send("hello")
    assert await connection.receive() == "hello"
