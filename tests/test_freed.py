"""What a connection held is free when it is over, and not only when Python looks for circles."""

from __future__ import annotations

import gc
import logging
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import Connection, Draft, open_websocket
from trio_draftws.testing import RawClient, ServerUnderTest, echo, served_on_port

from .pairs import tls_contexts
from .turns import dealt, each_draft, in_turn


def connections() -> list[Connection]:
    """Returns those that are alive."""
    return [found for found in gc.get_objects() if type(found) is Connection]


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Nobody looks for circles, and pytest keeps no record that names a connection."""
    logging.disable()
    gc.collect()
    # What other tests left behind is not among the objects any more.
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        logging.disable(logging.NOTSET)


async def catch(connection: Connection, state: object) -> None:
    try:
        while True:
            await connection.receive()
    except (trio.EndOfChannel, trio.BrokenResourceError):
        pass


async def send(connection: Connection, state: object) -> None:
    while True:
        await connection.send("x" * 1000)


async def leave(connection: Connection, state: object) -> None:
    """Returns at once."""


async def fail(connection: Connection, state: object) -> None:
    raise RuntimeError("on purpose")


HANDLERS = [echo, catch, send, leave, fail]


async def settle() -> None:
    for _ in range(3):
        await trio.testing.wait_all_tasks_blocked(0.01)


@dealt("end", ["close", "end", "reset", "break"])
async def test_on_a_server(draft: Draft, end: str) -> None:
    """The client goes in the middle of a message, in each way."""
    for handler in HANDLERS:
        async with served_on_port(handler, draft=draft) as server:
            await go(server, draft, end)
            assert not server.connections
            server.errors.clear()  # they know what the handler knew
            assert not connections(), handler


async def go(server: ServerUnderTest, draft: Draft, end: str) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    raw = RawClient(stream)
    await raw.open(draft, server.url)
    if end == "close":
        await raw.send_frame("whole")
    elif end == "break":
        await raw.send(b"\xff" * 100)
    else:
        await raw.send(b"\x81\xff" + bytes(5) + b"\x0f" + bytes(30) + b"a" * 1000)
    await trio.testing.wait_all_tasks_blocked(0.01)
    if end == "reset":
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await trio.aclose_forcefully(raw)
    await settle()


@in_turn("secure", [False, True])
@each_draft
async def test_both_sides_of_an_orderly_close(draft: Draft, secure: bool) -> None:
    client_context, server_context = tls_contexts()
    settings: dict[str, Any] = {"ssl_context": server_context} if secure else {}
    context = client_context if secure else None
    async with served_on_port(echo, draft=draft, **settings) as server:
        url = f"wss://localhost:{server.port}/" if secure else server.url
        for _ in range(2):
            async with open_websocket(url, draft=draft, ssl_context=context) as client:
                await client.send("x")
                assert await client.receive() == "x"
            del client
            await settle()
        server.errors.clear()
        assert not connections()


@each_draft
async def test_a_client_whose_server_is_gone(draft: Draft) -> None:
    async with served_on_port(leave, draft=draft) as server:
        async with open_websocket(server.url, draft=draft) as client:
            try:
                await client.receive()
            except (trio.EndOfChannel, trio.BrokenResourceError):
                pass
        del client
        await settle()
        server.errors.clear()
        assert not connections()
