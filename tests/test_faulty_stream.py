"""The faulty stream: nothing goes wrong on it but what was said, and that at its place."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws.testing import Faults, FaultyStream

from .pairs import stream_pair

Pair = tuple[FaultyStream, FaultyStream]


def wrapped(pair: tuple[trio.abc.Stream, trio.abc.Stream], **faults: Faults) -> Pair:
    """Both ends, the faults on the first."""
    return FaultyStream(pair[0], **faults), FaultyStream(pair[1])


def memory_pair(**faults: Faults) -> Pair:
    return wrapped(trio.testing.memory_stream_pair(), **faults)


class TestWithoutFaults:
    @pytest.mark.parametrize("split", [(), 997, (1, 2, 5)], ids=["whole", "pieces", "places"])
    @pytest.mark.parametrize("streams", ["memory", "lockstep"])
    @pytest.mark.parametrize(
        "check", [trio.testing.check_two_way_stream, trio.testing.check_half_closeable_stream]
    )
    async def test_trio_is_content(
        self,
        check: Callable[..., Coroutine[Any, Any, None]],
        streams: str,
        split: int | tuple[int, ...],
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        """Trio's own checks; pieces are no fault to them."""

        async def make() -> Pair:
            return wrapped(
                await stream_pair(streams),
                incoming=Faults(split=split),
                outgoing=Faults(split=split),
            )

        # Where a stream waits in place of raising, the clock jumps here.
        autojump_clock.autojump_threshold = 0.1
        with trio.fail_after(20):
            # A lockstep stream is clogged from the first byte on.
            await check(make, make if streams == "lockstep" else None)

    async def test_one_side_can_be_ended_where_it_can_be_beneath(self) -> None:
        async with memory_pair()[0] as stream:
            assert isinstance(stream, trio.abc.HalfCloseableStream)
        tls, _ = await stream_pair("tls")
        async with _, FaultyStream(tls) as stream:
            assert not isinstance(stream, trio.abc.HalfCloseableStream)

    async def test_what_passed_is_counted(self) -> None:
        a, b = memory_pair()
        async with a, b:
            await a.send_all(b"12345")
            assert await b.receive_some(3) == b"123"
            assert (a.bytes_sent, a.bytes_received) == (5, 0)
            assert (b.bytes_sent, b.bytes_received) == (0, 3)

    async def test_one_task_at_a_time(self) -> None:
        a, b = memory_pair(incoming=Faults(stall_at=0), outgoing=Faults(stall_at=0))
        async with a, b, trio.open_nursery() as nursery:
            nursery.start_soon(a.receive_some)
            nursery.start_soon(a.send_all, b"x")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="another task is receiving"):
                await a.receive_some()
            for send in (a.send_all, lambda data: a.wait_send_all_might_not_block()):
                with pytest.raises(trio.BusyResourceError, match="another task is sending"):
                    await send(b"y")
            nursery.cancel_scope.cancel()

    @pytest.mark.parametrize("place", ["stall_at", "reset_at", "end_at"])
    def test_no_place(self, place: str) -> None:
        with pytest.raises(ValueError, match=f"{place} is a number of bytes, not -1"):
            Faults(**{place: -1})

    @pytest.mark.parametrize("split", [0, -1])
    def test_no_pieces(self, split: int) -> None:
        with pytest.raises(ValueError, match=f"one byte at least, not {split}"):
            Faults(split=split)


class TestSplit:
    @pytest.mark.parametrize(
        ("split", "expected"),
        [
            (3, [b"123", b"456", b"789", b"0"]),
            ((1, 6, 7, 40), [b"1", b"23456", b"7", b"890"]),
            ((6, 1), [b"1", b"23456", b"7890"]),
        ],
    )
    async def test_received_in_pieces(
        self, split: int | tuple[int, ...], expected: list[bytes]
    ) -> None:
        a, b = memory_pair(incoming=Faults(split=split))
        async with a:
            async with b:
                await b.send_all(b"1234567890")
            assert [data async for data in a] == expected

    async def test_less_is_received_where_less_is_asked_for(self) -> None:
        a, b = memory_pair(incoming=Faults(split=3))
        async with a, b:
            await b.send_all(b"12345")
            assert await a.receive_some(2) == b"12"
            assert await a.receive_some(9) == b"345"

    async def test_sent_in_pieces_with_checkpoints_between(self) -> None:
        a, b = memory_pair(outgoing=Faults(split=(2, 3, 9)))
        received: list[bytes | bytearray] = []
        async with a, b, trio.open_nursery() as nursery:

            async def receive() -> None:
                while sum(map(len, received)) < 6:
                    received.append(await b.receive_some())

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await a.send_all(memoryview(b"123456"))
        assert received == [b"12", b"3", b"456"]

    async def test_cancelled_between_two_pieces(self) -> None:
        a, b = memory_pair(outgoing=Faults(split=2))
        async with a, b:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def receive() -> None:
                        await b.receive_some()
                        scope.cancel()

                    nursery.start_soon(receive)
                    await trio.testing.wait_all_tasks_blocked()
                    await a.send_all(b"x" * 100)
            assert scope.cancelled_caught
            assert 2 <= a.bytes_sent < 100
            assert a.bytes_sent % 2 == 0


class TestStall:
    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_receiving_until_told(self, place: int) -> None:
        a, b = memory_pair(incoming=Faults(stall_at=place))
        async with a, b, trio.open_nursery() as nursery:
            received = bytearray()

            async def receive() -> None:
                while len(received) < 5:
                    received.extend(await a.receive_some())

            nursery.start_soon(receive)
            await b.send_all(b"12345")
            await a.incoming.stalled.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert received == b"12345"[:place]
            a.incoming.resume.set()
        assert received == b"12345"

    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_sending_until_told(self, place: int) -> None:
        a, b = memory_pair(outgoing=Faults(stall_at=place))
        async with a, b, trio.open_nursery() as nursery:
            nursery.start_soon(a.send_all, b"12345")
            await a.outgoing.stalled.wait()
            await trio.testing.wait_all_tasks_blocked()
            assert a.bytes_sent == place
            a.outgoing.resume.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await b.receive_some() == b"12345"
            await a.wait_send_all_might_not_block()

    async def test_not_reached(self) -> None:
        a, b = memory_pair(incoming=Faults(stall_at=3))
        async with a, b:
            await b.send_all(b"123")
            assert await a.receive_some() == b"123"
            assert not a.incoming.stalled.is_set()

    async def test_cancelled_it_has_lost_nothing(self) -> None:
        a, b = memory_pair(incoming=Faults(stall_at=1))
        async with a, b:
            await b.send_all(b"12")
            assert await a.receive_some() == b"1"
            with trio.move_on_after(0) as scope:
                await a.receive_some()
            assert scope.cancelled_caught
            a.incoming.resume.set()
            assert await a.receive_some() == b"2"

    async def test_closing_ends_it(self) -> None:
        a, b = memory_pair(incoming=Faults(stall_at=0), outgoing=Faults(stall_at=0))
        async with b, trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await a.receive_some()

            async def send() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await a.send_all(b"x")

            nursery.start_soon(receive)
            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await a.aclose()
        assert b.bytes_received == 0
        # Nor does a stream that is closed stall.
        with pytest.raises(trio.ClosedResourceError):
            await a.receive_some()


class TestReset:
    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_receiving(self, place: int) -> None:
        a, b = memory_pair(incoming=Faults(reset_at=place))
        async with a, b:
            await b.send_all(b"12345")
            received = b""
            while len(received) < place:
                received += await a.receive_some()
            assert received == b"12345"[:place]
            await assert_was_reset(a)
            with pytest.raises(trio.BrokenResourceError):
                await b.send_all(b"6")

    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_sending(self, place: int) -> None:
        a, b = memory_pair(outgoing=Faults(reset_at=place))
        async with a, b:
            with pytest.raises(trio.BrokenResourceError, match="was reset"):
                await a.send_all(b"12345")
            assert b"".join([data async for data in b]) == b"12345"[:place]
            await assert_was_reset(a)

    async def test_what_all_fits_is_sent(self) -> None:
        a, b = memory_pair(outgoing=Faults(reset_at=5))
        async with a, b:
            await a.send_all(b"12345")
            assert await b.receive_some() == b"12345"
            with pytest.raises(trio.BrokenResourceError):
                await a.wait_send_all_might_not_block()
            await assert_was_reset(a)

    @pytest.mark.parametrize("waiting", ["beneath", "in a stall"])
    async def test_whoever_waits_is_told(self, waiting: str) -> None:
        stall_at = 0 if waiting == "in a stall" else None
        a, b = memory_pair(incoming=Faults(stall_at=stall_at), outgoing=Faults(reset_at=0))
        async with a, b, trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.BrokenResourceError, match="was reset"):
                    await a.receive_some()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BrokenResourceError, match="was reset"):
                await a.send_all(b"x")

    async def test_set_while_the_stream_is_in_use(self) -> None:
        a, b = memory_pair()
        async with a, b:
            await b.send_all(b"123")
            assert await a.receive_some(2) == b"12"
            a.incoming.reset_at = a.bytes_received
            await assert_was_reset(a)

    async def test_closed_afterwards(self) -> None:
        a, b = memory_pair(incoming=Faults(reset_at=0))
        async with b:
            with pytest.raises(trio.BrokenResourceError):
                await a.receive_some()
            await a.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await a.receive_some()


async def assert_was_reset(stream: FaultyStream) -> None:
    """In both directions, and again each time."""
    assert isinstance(stream, trio.abc.HalfCloseableStream)
    for _ in range(2):
        for attempt in (
            stream.receive_some,
            lambda: stream.send_all(b"x"),
            stream.wait_send_all_might_not_block,
            stream.send_eof,
        ):
            with pytest.raises(trio.BrokenResourceError, match="was reset"):
                await attempt()


class TestEnd:
    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_receiving(self, place: int) -> None:
        """It says so again each time, and the other direction is as good as before."""
        a, b = memory_pair(incoming=Faults(end_at=place))
        async with b:
            async with a:
                await b.send_all(b"12345")
                assert b"".join([data async for data in a]) == b"12345"[:place]
                assert await a.receive_some() == b""
                await a.send_all(b"still here")
                assert await b.receive_some() == b"still here"
            with pytest.raises(trio.ClosedResourceError):
                await a.receive_some()

    @pytest.mark.parametrize("place", [0, 1, 4])
    async def test_sending(self, place: int) -> None:
        """Who sends is not told, and can receive."""
        a, b = memory_pair(outgoing=Faults(end_at=place))
        async with a, b:
            await a.send_all(b"12345")
            await a.send_all(b"678")
            await a.wait_send_all_might_not_block()
            assert b"".join([data async for data in b]) == b"12345"[:place]
            await b.send_all(b"still here")
            assert await a.receive_some() == b"still here"
            assert a.bytes_sent == place

    async def test_where_one_side_cannot_be_ended(self) -> None:
        tls, other = await stream_pair("tls")
        async with FaultyStream(tls, outgoing=Faults(end_at=2)) as a, other:
            with pytest.raises(trio.BrokenResourceError, match="was reset"):
                await a.send_all(b"12345")
            assert b"".join([data async for data in other]) == b"12"

    async def test_ended_by_us_before(self) -> None:
        """Then it is no fault that nothing can be sent."""
        a, b = memory_pair()
        async with a, b:
            assert isinstance(a, trio.abc.HalfCloseableStream)
            await a.send_eof()
            with pytest.raises(trio.ClosedResourceError):
                await a.send_all(b"x")
            assert await b.receive_some() == b""


async def test_all_at_one_place() -> None:
    """The stall first, then the reset; where there is none, the end."""
    a, b = memory_pair(incoming=Faults(stall_at=1, reset_at=1, end_at=1))
    async with a, b, trio.open_nursery() as nursery:
        await b.send_all(b"123")
        assert await a.receive_some() == b"1"

        async def receive() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await a.receive_some()

        nursery.start_soon(receive)
        await a.incoming.stalled.wait()
        a.incoming.resume.set()
