"""Whoever closes with a `CloseCode`: both sides see a plain number."""

from __future__ import annotations

import pytest

from trio_draftws import CloseCode, PeerClosed
from trio_draftws.testing import connected_pair


async def test_closing_with_a_name() -> None:
    async with connected_pair() as (client, server):
        await server.send_close(CloseCode.SERVICE_RESTART, "soon")
        with pytest.raises(PeerClosed, match="the connection: 1012 soon") as info:
            await client.receive()
        with pytest.raises(PeerClosed):
            await server.receive()
    assert type(info.value.code) is int
    for close in (server.close_sent, server.close_received, client.close_received):
        assert close is not None
        assert close.code == CloseCode.SERVICE_RESTART
        assert type(close.code) is int
