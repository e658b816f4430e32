"""What needs Trio says so where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing

from tests.rows import each_row
from trio_draftws import (
    accept,
    accept_websocket,
    bridge,
    broadcast,
    connect_websocket,
    open_gateway,
    open_reuse_port_listeners,
    open_unix_listener,
    open_websocket,
    reconnecting,
    serve_websocket,
    wait_any,
)
from trio_draftws.testing import connected_pair, serve_raw, served, served_on_port

from .cases import enter, one, two
from .test_client import NOBODY

OUTSIDE: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "open_websocket": lambda: enter(open_websocket(NOBODY)),
    "connect_websocket": lambda: connect_websocket(None, NOBODY),  # type: ignore[arg-type]
    "reconnecting": lambda: enter(reconnecting(NOBODY)),
    "serve_websocket": lambda: serve_websocket(two, 0),
    "accept": lambda: enter(accept(trio.testing.memory_stream_pair()[0])),
    "accept_websocket": lambda: accept_websocket(None, trio.testing.memory_stream_pair()[0]),  # type: ignore[arg-type]
    "open_gateway": lambda: enter(open_gateway(NOBODY)),
    "broadcast": lambda: broadcast([], "x"),
    "wait_any": lambda: wait_any(),
    "bridge": lambda: bridge(None, None),  # type: ignore[arg-type]
    "open_unix_listener": lambda: open_unix_listener("nowhere"),
    "open_reuse_port_listeners": lambda: open_reuse_port_listeners(0),
    "served": lambda: enter(served(two)),
    "served_on_port": lambda: enter(served_on_port(two)),
    "connected_pair": lambda: enter(connected_pair()),
    "serve_raw": lambda: enter(serve_raw(one)),
}


@each_row("name", OUTSIDE)
def test_outside_of_trio(name: str) -> None:
    """In asyncio, and where nothing runs at all."""
    why = f"^{name}: this needs trio.run"
    with pytest.raises(RuntimeError, match=why):
        asyncio.run(OUTSIDE[name]())
    with pytest.raises(RuntimeError, match=why):
        OUTSIDE[name]().send(None)


async def test_in_another_thread_than_trio() -> None:
    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match=r"this needs trio\.run"):
            broadcast([], "x").send(None)

    await trio.to_thread.run_sync(elsewhere)
