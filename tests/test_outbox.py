"""What waits to be written: order, room, and what becomes of it when nobody can write it."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_draftws._connection.sender import MANY, Outbox
from trio_draftws._transport.sockets import MAX_GATHERED, DirectStream, TCPStream, take_over

from .pairs import stream_pair


async def direct_pair() -> tuple[TCPStream, trio.abc.Stream]:
    ours, theirs = await stream_pair("tcp")
    taken = take_over(ours)
    assert isinstance(taken, TCPStream)
    return taken, theirs


async def test_more_buffers_than_one_call_takes() -> None:
    ours, theirs = await direct_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        pieces = [b"%d," % number for number in range(3 * MAX_GATHERED)]
        outbox.put(list(pieces))
        outbox.flush()
        await outbox.wait_written()
        await ours.send_eof()
        assert b"".join([data async for data in theirs]) == b"".join(pieces)
        assert outbox.size == 0


async def test_a_write_that_stops_between_and_within_buffers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel takes 5, 0, 3, 1 bytes, and then all."""
    ours, theirs = await direct_pair()
    takes = [5, 0, 3, 1]
    send_nowait = DirectStream.send_nowait

    def stingy(stream: DirectStream, buffers: list[bytes]) -> int:
        if not takes:
            return send_nowait(stream, buffers)
        joined = b"".join(buffers)[: takes.pop(0)]
        return send_nowait(stream, [joined]) if joined else 0

    monkeypatch.setattr(DirectStream, "send_nowait", stingy)
    async with ours, theirs, trio.open_nursery() as nursery:
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        outbox.put([b"ab", b"cde", b"fgh", b"ij"])
        outbox.flush()
        assert outbox.size == 5
        outbox.put([b"kl"])
        outbox.flush()
        await outbox.wait_written()
        assert takes == []
        await ours.send_eof()
        assert b"".join([data async for data in theirs]) == b"abcdefghijkl"


async def test_a_drain_task_that_is_cancelled_says_so() -> None:
    """As when the whole program is torn down: whoever waits must not wait for ever."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        outbox.put([b"never read"])
        outbox.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert outbox.size == 10
        nursery.cancel_scope.cancel()
    assert isinstance(outbox.failure, trio.BrokenResourceError)
    assert outbox.size == 0
    outbox.put([b"goes nowhere"])
    assert outbox.size == 0
    await outbox.wait_written()


async def test_of_what_finds_no_room_only_the_latest_waits() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        outbox.put_latest([b"room. "])
        outbox.flush()
        await trio.testing.wait_all_tasks_blocked()
        outbox.put([b"x" * 65_536])
        for number in range(100):
            outbox.put_latest([b"latest %d" % number])
        outbox.flush()
        got = bytearray()
        while not got.endswith(b"latest 99"):
            got += await theirs.receive_some()
        assert got == b"room. " + b"x" * 65_536 + b"latest 99"


@pytest.mark.parametrize("transport", ["memory", "tcp", "tls"])
async def test_after_finish_our_side_ends_once_all_is_written(transport: str) -> None:
    ours, theirs = await stream_pair(transport)
    stream = take_over(ours)
    async with stream, theirs, trio.open_nursery() as nursery:
        outbox = Outbox(stream, nursery.start_soon, Outbox.flush)
        outbox.put([b"x" * 200_000])
        outbox.finish()
        outbox.flush()
        got = bytearray()
        while len(got) < 200_000:
            got += await theirs.receive_some()
        await outbox.wait_written()
        outbox.flush()
        if transport != "tls":
            # TLS has no way to end one side alone.
            assert await theirs.receive_some() == b""
        assert outbox.failure is None


async def test_ending_a_side_that_the_peer_has_reset() -> None:
    ours, theirs = await direct_pair()
    async with trio.open_nursery() as nursery:
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        ours.close()
        outbox.put([b"x"])
        outbox.flush()
        assert isinstance(outbox.failure, trio.ClosedResourceError)
    await theirs.aclose()


async def test_many_small_buffers_become_one() -> None:
    """Each is an object, which takes far more than the few bytes in it."""
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        outbox = Outbox(ours, nursery.start_soon, Outbox.flush)
        for number in range(5000):
            outbox.put([b"%04d" % number])
            outbox.flush()
        assert len(outbox._buffers) <= MANY + 1
        assert outbox.size == 20_000
        nursery.start_soon(outbox.wait_written)
        received = b""
        while len(received) < 20_000:
            received += await theirs.receive_some()
        assert received == b"".join(b"%04d" % number for number in range(5000))
