"""Long payloads, which are read to where they stay, over real sockets."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_draftws import ConnectionLost, PeerViolation
from trio_draftws.drafts import draft_named

from .pairs import connected, cut, frames, send_bytes

RFC6455 = draft_named("rfc6455")


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_an_end_within_one(transport: str) -> None:
    async with connected(transport, RFC6455, close_timeout=0.1) as (client, server):
        wire = frames(client, "x" * 100_000)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send_some() -> None:
                await send_bytes(client, wire[:16_000])
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert server.statistics().bytes_received >= 16_000
                await cut(client)

            with pytest.raises(ConnectionLost, match="ended the stream"):
                await server.receive()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_bad_utf8_within_one(transport: str) -> None:
    """It is told before the rest has come."""
    async with connected(transport, RFC6455, close_timeout=0.1) as (client, server):
        text = bytearray(b"x" * 100_000)
        text[50_000] = 0xFF
        wire = bytearray(frames(client, bytes(text)))
        wire[0] = 0x81  # RFC 6455 section 5.2: a text after all
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def send() -> None:
                await send_bytes(client, wire[:16_000])
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert server.statistics().bytes_received >= 16_000
                await send_bytes(client, wire[16_000:60_000])

            with pytest.raises(PeerViolation, match="not UTF-8"):
                await server.receive()
