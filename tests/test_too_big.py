"""A message over our own `max_message_size`: it breaks no draft, and the error says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import trio

from trio_draftws import (
    DRAFTS,
    Compression,
    Connection,
    Draft,
    MessageTooBig,
    PeerClosed,
    PeerViolation,
    bridge,
)
from trio_draftws.testing import connected_pair

from .pairs import send_bytes
from .turns import in_turn

Send = Callable[[Connection, int], Awaitable[None]]
LIMIT = 1000
each_role = in_turn("role", ["client", "server"])


async def receive_many(connection: Connection) -> None:
    await connection.receive_many()


async def receive_stream(connection: Connection) -> None:
    async with connection.receive_stream() as parts:
        async for _ in parts:
            pass


async def iterate(connection: Connection) -> None:
    async for _ in connection:
        pass


RECEIVES: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "receive": Connection.receive,
    "receive_many": receive_many,
    "receive_stream": receive_stream,
    "async for": iterate,
}


async def pieces(size: int) -> AsyncIterator[str]:
    for begin in range(0, size, 100):
        yield "x" * min(100, size - begin)


async def send_whole(connection: Connection, size: int) -> None:
    await connection.send("x" * size, compress=False)


async def send_in_fragments(connection: Connection, size: int) -> None:
    await connection.send_stream(pieces(size), compress=False)


async def send_compressed(connection: Connection, size: int) -> None:
    await connection.send("x" * size, compress=True)


async def send_compressed_fragments(connection: Connection, size: int) -> None:
    await connection.send_stream(pieces(size), compress=True)


WAYS: dict[str, tuple[Send, Callable[[Draft], bool]]] = {
    "whole": (send_whole, lambda draft: True),
    "fragments": (send_in_fragments, lambda draft: draft.fragments),
    "compressed": (send_compressed, lambda draft: draft.compression),
    "both": (send_compressed_fragments, lambda draft: draft.compression),
}
CASES = [(draft, send) for draft in DRAFTS for send, may in WAYS.values() if may(draft)]


@each_role
@pytest.mark.parametrize("receive", RECEIVES.values(), ids=RECEIVES)
@in_turn(("draft", "send"), CASES)
async def test_what_the_error_says(
    draft: Draft,
    send: Send,
    role: str,
    receive: Callable[[Connection], Awaitable[object]],
) -> None:
    compression = Compression() if draft.compression else None
    async with connected_pair(draft, compression=compression, max_message_size=LIMIT) as (
        client,
        server,
    ):
        ours, theirs = (client, server) if role == "client" else (server, client)
        await send(theirs, LIMIT)
        assert await ours.receive() == "x" * LIMIT
        await send(theirs, LIMIT + 1)
        with pytest.raises(MessageTooBig) as caught:
            await receive(ours)
        with pytest.raises(MessageTooBig):
            await ours.send("no more")
        error = caught.value
        assert isinstance(error, PeerViolation)
        assert isinstance(error, trio.BrokenResourceError)
        assert str(error).endswith(f"longer than {LIMIT} bytes, the max_message_size of this side")
        assert "broke its draft" not in str(error)
        if draft.close_status:
            assert error.close_code == (1009 if 1009 in draft.close_codes else 1004)
        # Nor is the peer told of our settings.
        assert "max_message_size" not in error.reason


async def test_what_is_a_violation_still() -> None:
    async with connected_pair("rfc6455", max_message_size=LIMIT) as (client, server):
        await send_bytes(client, b"\x83\x80\0\0\0\0")
        with pytest.raises(PeerViolation, match="the peer broke its draft: the opcode") as caught:
            await server.receive()
        assert type(caught.value) is PeerViolation


@each_role
async def test_through_a_bridge(role: str) -> None:
    """The other side is told that it was the message, and not that anybody broke anything."""
    async with AsyncExitStack() as stack:
        client, front = await stack.enter_async_context(
            connected_pair("rfc6455", max_message_size=LIMIT)
        )
        back, server = await stack.enter_async_context(
            connected_pair("rfc6455", max_message_size=LIMIT)
        )
        ends = (client, server) if role == "client" else (server, client)
        async with trio.open_nursery() as nursery:

            async def hear() -> None:
                with pytest.raises(PeerClosed) as caught:
                    await ends[1].receive()
                told = (caught.value.code, caught.value.reason)
                assert told == (1011, "the other side sent too long a message")

            async def speak() -> None:
                await ends[0].send("x" * (LIMIT + 1))
                with pytest.raises(PeerClosed, match="1009"):
                    await ends[0].receive()

            nursery.start_soon(hear)
            nursery.start_soon(speak)
            with pytest.raises(MessageTooBig):
                await bridge(front, back)
