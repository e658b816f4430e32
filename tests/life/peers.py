"""One connection of ours, a peer by hand, and how long each thing may take."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import wraps
from typing import Any

import pytest
import trio

from tests.pairs import open_client, served_stream, stream_pair, url_over
from tests.turns import Test, rows_in_turn
from tests.wire import plain_nursery
from trio_draftws import DRAFTS, Connection, Draft
from trio_draftws.drafts import draft_named
from trio_draftws.testing import Ping, Pong, RawClient, RawPeer, RawServer

# How long an answer waits for a handler that may still have something to say
GRACE = 2.0
# At once, or in the next round of those that nobody receives on: 0.25 s, and some slack
AT_ONCE = 0.75
# A grace that begins with such a round
AFTER_GRACE = GRACE + AT_ONCE
# A peer that has gone without a word: `ping_interval`, `ping_timeout`, and some slack
DEAD_AFTER = 20 + 20 + 3.0

PINGING = [draft for draft in DRAFTS if draft.ping]
RFC6455 = draft_named("rfc6455")
SOME_PINGING = [draft_named("hybi-01"), RFC6455]
ROLES = ("client", "server")
# Those that end in other ways than all others, the first with pings, and that of today
ON_TCP = ("hixie-75", "hixie-76", "whatwg-2010-08", "hybi-01", "rfc6455")
ON_BOTH = ("hixie-75", "rfc6455")


def everywhere(
    drafts: Iterable[Draft] = DRAFTS, *, without: Iterable[str] = ()
) -> Callable[[Test], Test]:
    """Each draft over TCP or in memory, in one role; two of them in both, and that of today in both
    roles and over TLS. What runs over one kind of stream is one case.
    """
    rows: dict[str, list[tuple[str, Draft]]] = {"tcp": [], "memory": [], "tls": []}
    for number, draft in enumerate(drafts):
        role, other = ROLES[number % 2], ROLES[1 - number % 2]
        if draft.name in ON_TCP:
            rows["tcp"].append((role, draft))
        if draft.name not in ON_TCP or draft.name in ON_BOTH:
            rows["memory"].append((other, draft))
        if draft is RFC6455:
            rows["tcp"].append((other, draft))
            rows["tls"].append((role, draft))
    transports = [name for name in rows if rows[name] and name not in without]

    def decorate(test: Test) -> Test:
        @wraps(test)
        async def at_its_moment(*args: Any, **kwargs: Any) -> None:
            await test(*args, **kwargs)
            # The next begins later, so that what runs at one moment is of one connection.
            await trio.sleep(1)

        in_both = rows_in_turn(("role", "draft"), lambda given: rows[given["transport"]])
        return pytest.mark.parametrize("transport", transports)(in_both(at_its_moment))

    return decorate


@asynccontextmanager
async def facing(
    role: str,
    transport: str,
    draft: Draft,
    *,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Connection, RawPeer]]:
    """A connection of ours in that role, and its peer, which by itself does nothing.

    The peer has gone at the block's end, so that leaving waits for nobody.
    """
    client_end, server_end = streams or await stream_pair(transport)
    url = url_over(client_end)
    opened = trio.Event()
    peer: RawClient | RawServer
    opening: AbstractAsyncContextManager[Connection]
    if role == "client":
        peer = RawServer(server_end, timeout=30)
        opening = open_client(client_end, draft, **settings)
    else:
        peer = RawClient(client_end, timeout=30)
        opening = served_stream(server_end, draft, **settings)

    async def open_peer() -> None:
        if isinstance(peer, RawClient):
            await peer.open(draft, url)
        else:
            await peer.open(draft)
        opened.set()

    async with plain_nursery() as nursery:
        nursery.start_soon(open_peer)
        async with opening as connection:
            await opened.wait()
            try:
                yield connection, peer
            finally:
                await trio.aclose_forcefully(peer.stream)


async def time_of(action: Awaitable[object]) -> float:
    """How many seconds of the mocked clock it takes."""
    started = trio.current_time()
    await action
    return trio.current_time() - started


# What a peer by hand says and hears


async def hear_end(peer: RawPeer) -> None:
    """Waits until the stream has ended or is broken, whatever comes before that."""
    try:
        while await peer.stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass


async def hear_message(peer: RawPeer) -> str | bytes:
    """The next message, whatever is said about the connection before it."""
    while True:
        event = await peer.receive_frame()
        if isinstance(event, (str, bytes)):
            return event


async def answer_pings(peer: RawPeer) -> None:
    """Is as alive as a peer that has nothing to say."""
    while True:
        event = await peer.receive_frame()
        if isinstance(event, Ping):
            await peer.send_frame(Pong(event.payload))


async def hear_pong(peer: RawPeer, payload: bytes) -> None:
    """Pings, and waits for the answer, whatever comes before it."""
    await peer.send_frame(Ping(payload))
    while await peer.receive_frame() != Pong(payload):
        pass


# What a program does


async def ping_again_and_again(connection: Connection, every: float) -> None:
    """As a program does that measures how far away its peers are; ends when there is none."""
    with suppress(trio.BrokenResourceError):
        while True:
            with trio.move_on_after(every):
                await connection.ping()
                await trio.sleep_forever()
