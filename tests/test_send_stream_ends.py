"""A message that is sent part by part, when its connection ends while its source is waited for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

import pytest
import trio
import trio.testing

from trio_draftws import DRAFTS, Draft

from .pairs import by_raw_client, connected, mute, unmute
from .turns import each_draft, in_turn, over_streams


async def endless(begun: trio.Event) -> AsyncGenerator[str, None]:
    yield "a part"
    begun.set()
    await trio.sleep_forever()


async def after(begun: trio.Event, end: Callable[[], object]) -> None:
    await begun.wait()
    end()


@over_streams()
async def test_we_close_it(draft: Draft, transport: str) -> None:
    async with connected(transport, draft) as (client, _), trio.open_nursery() as nursery:
        begun = trio.Event()

        async def send() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await client.send_stream(endless(begun))

        nursery.start_soon(send)
        await begun.wait()
        await client.aclose()


@each_draft
async def test_the_peer_closes_it(draft: Draft, autojump_clock: trio.testing.MockClock) -> None:
    """A handler that sends and never receives ends with its client."""
    async with connected("tcp", draft) as (client, server), trio.open_nursery() as nursery:
        begun = trio.Event()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.send_stream(endless(begun))

        nursery.start_soon(send)
        await begun.wait()
        await client.aclose()


@each_draft
async def test_the_peer_has_gone(draft: Draft, autojump_clock: trio.testing.MockClock) -> None:
    async with by_raw_client(draft) as (raw, server), trio.open_nursery() as nursery:
        begun = trio.Event()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.send_stream(endless(begun))

        nursery.start_soon(send)
        await begun.wait()
        await trio.aclose_forcefully(raw)


@each_draft
async def test_it_has_ended_before(draft: Draft) -> None:
    """Nothing is asked of the source."""
    async with connected("memory", draft) as (client, _):
        await client.aclose()
        begun = trio.Event()
        with pytest.raises(trio.ClosedResourceError):
            await client.send_stream(endless(begun))
        assert not begun.is_set()


@each_draft
async def test_a_cancellation_of_the_callers_is_the_callers(draft: Draft) -> None:
    """Also where the connection ends of it."""
    async with connected("memory", draft) as (client, _), trio.open_nursery() as nursery:
        begun = trio.Event()
        with trio.CancelScope() as scope:
            nursery.start_soon(after, begun, scope.cancel)
            await client.send_stream(endless(begun))
        assert scope.cancelled_caught


@in_turn("parts", [["a"], "a", b"a", iter("a"), endless, None])
@each_draft
async def test_what_is_no_source(draft: Draft, parts: object) -> None:
    async with connected("memory", draft) as (client, server):
        with pytest.raises(TypeError, match="async iterable"):
            await client.send_stream(parts)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="several messages"):
            await client.send_many("abc")
        await client.send("hello")
        assert await server.receive() == "hello"


FRAGMENTING = [draft for draft in DRAFTS if draft.fragments]


@over_streams(FRAGMENTING, ["tcp", "lockstep", "foreign"])
async def test_the_write_that_makes_room_is_the_one_that_fails(
    draft: Draft, transport: str
) -> None:
    """The peer goes while `send_stream` waits for room, and a write is the first to notice."""

    async def parts() -> AsyncGenerator[str, None]:
        for _ in range(200):
            yield "x" * 65_536

    async with by_raw_client(draft, transport) as (raw, server):
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await server.send_stream(parts())

            mute(server)
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(raw)
        unmute(server)
