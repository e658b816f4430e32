"""Each operation of an open connection, cancelled at every checkpoint; and what the peer sees."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest
import trio
import trio.testing

from trio_draftws import DRAFTS, Connection, Draft, PeerClosed

from .cancelling import Cancel, at_every_point
from .pairs import connected, frames, send_bytes
from .turns import over_streams

Scenario: TypeAlias = Callable[[Connection, Connection, Cancel], Awaitable[bool]]
"""What one side does, cancelled, and what the other must see of it; whether it was cancelled."""


async def receive_until_end(connection: Connection) -> list[str | bytes]:
    received: list[str | bytes] = []
    while "end" not in received:
        received.append(await connection.receive())
    return received


async def send(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """What `send` returned for arrives, whole and in order; what was cancelled does not."""
    sent: list[str | bytes] = []
    received: list[str | bytes] = []

    async def send_all() -> None:
        for number in range(6):
            text = f"{number}" + "x" * 40_000
            await ours.send(text)
            sent.append(text)

    async def receive_all() -> None:
        received.extend(await receive_until_end(theirs))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all)
        was_cancelled = await cancel(send_all)
        await ours.send("end")
    assert received == [*sent, "end"]
    return was_cancelled


async def send_many(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """All of them, or none."""
    sent: list[str | bytes] = []
    received: list[str | bytes] = []

    async def send_all() -> None:
        for batch in ("abc", "def", "ghi"):
            texts = [letter * 30_000 for letter in batch]
            await ours.send_many(texts)
            sent.extend(texts)

    async def receive_all() -> None:
        received.extend(await receive_until_end(theirs))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all)
        was_cancelled = await cancel(send_all)
        await ours.send("end")
    assert received == [*sent, "end"]
    return was_cancelled


async def send_stream(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """Sent whole, or not at all; where it was begun, the connection closes."""
    parts = ["first", "x" * 70_000, "last"]
    received: list[str | bytes] = []

    async def source() -> AsyncIterator[str]:
        for part in parts:
            await trio.lowlevel.checkpoint()
            yield part

    async def receive_all() -> None:
        received.extend([message async for message in theirs])
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all)
        was_cancelled = await cancel(lambda: ours.send_stream(source()))
        was_closed = ours.closed
        if not was_closed:
            await ours.send("end")
        await ours.aclose()
    if was_closed:
        assert ours.draft.fragments
        assert was_cancelled
        assert received == []
    else:
        whole = ["".join(parts), "end"]
        assert received in ([whole, ["end"]] if was_cancelled else [whole])
    return was_cancelled


async def receive(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """Nothing is lost, also with half a message read."""
    texts = [f"{number}" + "x" * (number * 20_000) for number in range(5)]
    received: list[str | bytes] = []

    async def send_in_halves() -> None:
        for text in texts:
            frame = frames(theirs, text)
            half = len(frame) // 2
            for part in (frame[:half], frame[half:]):
                await send_bytes(theirs, part)
                await trio.lowlevel.checkpoint()

    async def receive_all() -> None:
        while len(received) < len(texts):
            received.append(await ours.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_in_halves)
        was_cancelled = await cancel(receive_all)
        await receive_all()
    assert received == texts
    return was_cancelled


async def receive_many(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """Nothing is lost."""
    texts = [f"{number}" + "x" * (number % 3 * 20_000) for number in range(9)]
    received: list[str | bytes] = []

    async def send_all() -> None:
        for start in range(0, len(texts), 3):
            await theirs.send_many(texts[start : start + 3])
            await trio.lowlevel.checkpoint()

    async def receive_all() -> None:
        while len(received) < len(texts):
            received.extend(await ours.receive_many())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        was_cancelled = await cancel(receive_all)
        await receive_all()
    assert received == texts
    return was_cancelled


async def receive_stream(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """What was given of a message is its beginning, and what comes behind it is whole."""
    texts = [f"{number}" + "x" * (number * 40_000) for number in range(4)]
    given: list[list[str]] = []
    received: list[str | bytes] = []

    async def send_all() -> None:
        for text in [*texts, "end"]:
            await theirs.send(text)

    async def receive_parts() -> None:
        for _ in texts:
            async with ours.receive_stream() as stream:
                given.append([])
                async for part in stream:
                    given[-1].append(str(part))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        was_cancelled = await cancel(receive_parts)
        received.extend(await receive_until_end(ours))
    begun = ["".join(parts) for parts in given]
    for text, told in zip(texts, begun, strict=False):
        assert text.startswith(told)
    assert begun[:-1] == texts[: len(begun)][:-1]
    assert [*texts[: len(begun)], *received] == [*texts, "end"]
    return was_cancelled


async def wait_readable(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """Nothing is consumed."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send, "kept")
        was_cancelled = await cancel(ours.wait_readable)
        assert await ours.receive() == "kept"
    return was_cancelled


async def ping(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """What came meanwhile is kept, and the next ping is answered."""
    received: list[str | bytes] = []

    async def receive_all() -> None:
        received.extend(await receive_until_end(theirs))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.send, "kept")
        nursery.start_soon(receive_all)
        was_cancelled = await cancel(ours.ping)
        await ours.send("between")
        await ours.ping()
        await ours.send("end")
        assert await ours.receive() == "kept"
    assert received == ["between", "end"]
    return was_cancelled


async def send_close(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """Cancelled, nothing was said, and it can be said again."""

    async def answer() -> None:
        with pytest.raises(PeerClosed):
            await theirs.receive()
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        was_cancelled = await cancel(ours.send_close)
        if not ours.closed:
            await ours.send_close()
        with pytest.raises(PeerClosed):
            await ours.receive()
    return was_cancelled


async def aclose(ours: Connection, theirs: Connection, cancel: Cancel) -> bool:
    """It closes all the same: what was sent arrives, and the peer is told."""
    received: list[str | bytes] = []

    async def receive_all() -> None:
        received.extend([message async for message in theirs])
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive_all)
        await ours.send("last words")
        was_cancelled = await cancel(ours.aclose)
        assert ours.closed
        with pytest.raises(trio.ClosedResourceError):
            await ours.send("too late")
    assert received == ["last words"]
    if ours.draft.closing_handshake:
        assert None not in (ours.close_sent, ours.close_received, theirs.close_received)
    return was_cancelled


SCENARIOS: dict[Scenario, int] = {
    send: 6,
    send_many: 3,
    send_stream: 4,
    receive: 5,
    receive_many: 3,
    receive_stream: 6,
    wait_readable: 1,
    ping: 2,
    send_close: 1,
    aclose: 1,
}
"""And how many points each has at least."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@over_streams(transports=["memory", "tcp", "lockstep", "foreign", "tls"])
async def test_what_the_peer_sees(scenario: Scenario, transport: str, draft: Draft) -> None:
    if scenario is ping and not draft.ping:
        return
    # Neighbours in the list, which have mostly the same framing, are in different roles: in memory
    # in one, and over the other streams in the other.
    number = DRAFTS.index(draft) + (transport == "memory")
    role = ("client", "server")[number % 2]

    async def run(cancel: Cancel) -> bool:
        async with connected(transport, draft) as (client, server):
            ours, theirs = (client, server) if role == "client" else (server, client)
            return await scenario(ours, theirs, cancel)

    await at_every_point(run, at_least=SCENARIOS[scenario])
