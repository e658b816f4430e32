"""With which code a connection closes, by how its block or its handler was left."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    Draft,
    PeerClosed,
    accept,
    open_websocket,
    reconnecting,
)
from trio_draftws.testing import connected_pair

from .pairs import SOME_DRAFTS
from .rows import in_turn
from .wire import serving

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup


class Stop(BaseException):
    """Neither an Exception nor Cancelled."""


def raises(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def leave() -> None:
        raise error

    return leave


async def as_it_is(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A stream factory that changes nothing."""
    return stream


async def fails_in_a_nursery() -> None:
    """What is left is a group; with it others were cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises(ValueError("mine")))
        nursery.start_soon(trio.sleep_forever)


async def fails_and_is_cancelled() -> None:
    """A group of the two, as a nursery makes it where one task fails while all are cancelled."""
    try:
        await is_cancelled()
    except trio.Cancelled as cancelled:
        raise BaseExceptionGroup("both", [cancelled, ValueError("mine")]) from None


async def is_cancelled() -> None:
    trio.lowlevel.current_task().parent_nursery.cancel_scope.cancel()  # type: ignore[union-attr]
    await trio.sleep_forever()


async def is_cancelled_in_a_nursery() -> None:
    """A group of nothing else."""
    try:
        await is_cancelled()
    except trio.Cancelled as cancelled:
        inner = BaseExceptionGroup("too", [cancelled])
        raise BaseExceptionGroup("cancelled", [cancelled, inner]) from None


async def returns() -> None:
    await trio.lowlevel.checkpoint()


WAYS: dict[str, tuple[Callable[[], Awaitable[None]], int]] = {
    "returns": (returns, 1000),
    "raises": (raises(ValueError("mine")), 1011),
    "raises what ends the program": (raises(KeyboardInterrupt()), 1011),
    "raises something else": (raises(Stop()), 1011),
    "raises news of another": (raises(trio.EndOfChannel()), 1011),
    "raises a group": (raises(BaseExceptionGroup("group", [ValueError(), Stop()])), 1011),
    "fails in a nursery": (fails_in_a_nursery, 1011),
    "fails and is cancelled": (fails_and_is_cancelled, 1011),
    "is cancelled": (is_cancelled, 1001),
    "is cancelled in a nursery": (is_cancelled_in_a_nursery, 1001),
}
each_way = pytest.mark.parametrize(("leave", "code"), WAYS.values(), ids=WAYS)


async def run_and_leave(
    run: Callable[[], Awaitable[None]],
) -> None:
    """In a task and a nursery of its own; what it raises was raised in the block."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
    except BaseExceptionGroup:
        pass


@asynccontextmanager
async def closing_with(
    code: int | None, peer: Callable[[], Awaitable[Close | None]]
) -> AsyncIterator[None]:
    """The peer, in a task beside the block, hears that code."""
    heard: list[Close | None] = []

    async def hear() -> None:
        heard.append(await peer())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        yield
    assert [close and close.code for close in heard] == [code]


async def close_heard(connection: Connection) -> Close | None:
    with pytest.raises(PeerClosed):
        await connection.receive()
    return connection.close_received


@each_way
async def test_open_websocket(leave: Callable[[], Awaitable[None]], code: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> Close | None:
        async with accept(theirs) as connection:
            return await close_heard(connection)

    async def run() -> None:
        async with open_websocket("ws://a/", stream=ours, draft="rfc6455"):
            await leave()

    async with closing_with(code, peer):
        await run_and_leave(run)


@each_way
async def test_accept(leave: Callable[[], Awaitable[None]], code: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> Close | None:
        async with open_websocket("ws://a/", stream=theirs, draft="rfc6455") as connection:
            return await close_heard(connection)

    async def run() -> None:
        async with accept(ours):
            await leave()

    async with closing_with(code, peer):
        await run_and_leave(run)


@each_way
async def test_reconnecting(leave: Callable[[], Awaitable[None]], code: int) -> None:
    heard: list[Close | None] = []

    async def handler(connection: Connection, state: object) -> None:
        heard.append(await close_heard(connection))

    async with serving(handler) as server:

        async def run() -> None:
            url = f"ws://127.0.0.1:{server.port}/"
            async with reconnecting(url, draft="rfc6455") as connections:
                async for _ in connections:
                    await leave()
                    break

        await run_and_leave(run)
    assert [close and close.code for close in heard] == [code]


@pytest.mark.parametrize("way", [way for way in WAYS if "cancelled" not in way])
async def test_a_handler(way: str, caplog: pytest.LogCaptureFixture) -> None:
    leave, code = WAYS[way]
    heard: list[Close | None] = []

    async def handler(connection: Connection, state: object) -> None:
        await leave()

    async def run() -> None:
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft="rfc6455") as connection:
                with trio.CancelScope(shield=True):
                    heard.append(await close_heard(connection))

    await run_and_leave(run)
    assert [close and close.code for close in heard] == [code]


@pytest.mark.parametrize("way", ["return", "break", "continue"])
async def test_leaving_without_an_error(way: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> Close | None:
        async with accept(theirs) as connection:
            return await close_heard(connection)

    async def run() -> None:
        for _ in range(1):
            async with open_websocket("ws://a/", stream=ours, draft="rfc6455"):
                if way == "return":
                    return
                if way == "break":
                    break
                continue

    async with closing_with(1000, peer):
        await run()


async def test_leaving_a_generator_that_has_the_block() -> None:
    """Whoever breaks off a loop over it has made no mistake."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> Close | None:
        async with accept(theirs) as connection:
            await connection.send("one")
            return await close_heard(connection)

    async def messages() -> AsyncIterator[str | bytes]:
        async with open_websocket("ws://a/", stream=ours, draft="rfc6455") as connection:
            async for message in connection:
                yield message

    async with closing_with(1000, peer):
        async with aclosing(messages()) as source:  # type: ignore[type-var]
            async for message in source:
                assert message == "one"
                break


@pytest.mark.parametrize("draft", SOME_DRAFTS, ids=lambda draft: draft.name)
async def test_where_the_draft_has_no_codes(draft: Draft) -> None:
    """It closes as it can."""
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> Close | None:
        async with accept(theirs, drafts=[draft]) as connection:
            return await close_heard(connection)

    async def run() -> None:
        async with open_websocket("ws://a/", stream=ours, draft=draft, stream_factory=as_it_is):
            raise ValueError("mine")

    async with closing_with(1011 if draft.close_status else None, peer):
        await run_and_leave(run)


# In the middle of a message


WITH_FRAGMENTS = [draft for draft in DRAFTS if draft.fragments]


@in_turn(
    WITH_FRAGMENTS, role=("client", "server"), codes=((1000, 1011), (1001, 1001), (4000, 4000))
)
async def test_aclose_in_the_middle_of_a_message(
    draft: Draft, role: str, codes: tuple[int, int]
) -> None:
    """The peer, which has half of it, does not hear that all is well."""
    code, said = codes

    async def parts() -> AsyncIterator[str]:
        yield "begun"
        await trio.sleep_forever()

    async with connected_pair(draft) as (client, server):
        ours, theirs = (client, server) if role == "client" else (server, client)

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.send_stream(parts())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            async with theirs.receive_stream() as stream:
                assert await anext(stream) == "begun"
                nursery.start_soon(ours.aclose, code)
                with pytest.raises(PeerClosed) as caught:
                    await anext(stream)
        if draft.close_status:
            assert caught.value.code == said
            if code == 1000:
                assert caught.value.reason == "a message was left unfinished"


@pytest.mark.parametrize("draft", WITH_FRAGMENTS, ids=lambda draft: draft.name)
async def test_aclose_behind_a_message(draft: Draft) -> None:
    """One that has ended was not left unfinished."""

    async def parts() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async with connected_pair(draft) as (client, server), trio.open_nursery() as nursery:
        await client.send_stream(parts())
        nursery.start_soon(client.aclose)
        assert await server.receive() == "ab"
        with pytest.raises(PeerClosed) as caught:
            await server.receive()
        if draft.close_status:
            assert (caught.value.code, caught.value.reason) == (1000, "")
