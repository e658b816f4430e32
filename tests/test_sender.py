"""What waits to be written: order, room, and what becomes of it when nobody can write it."""

from __future__ import annotations

import math

import pytest
import trio
import trio.testing

from trio_draftws import Draft

# The sender is tested by itself: how many buffers one call takes, how many calls there are, and
# what is copied, shows nowhere else.
from trio_draftws._connection.sender import Sender
from trio_draftws._connection.writer import LARGE, MANY
from trio_draftws._transport.sockets import MAX_GATHERED, DirectStream, TCPStream, take_over
from trio_draftws.drafts import Buffer, encode_long_text
from trio_draftws.drafts._framing.payload import LONG

from .pairs import connected, frames, send_bytes, stream_pair
from .turns import each_draft


class Deaf:
    """Observes nothing."""

    def on_waiting(self) -> None: ...
    def on_cannot_write(self) -> None: ...


async def direct_pair() -> tuple[TCPStream, trio.abc.Stream]:
    ours, theirs = await stream_pair("tcp")
    taken = take_over(ours)
    assert isinstance(taken, TCPStream)
    return taken, theirs


async def test_more_buffers_than_one_call_takes() -> None:
    ours, theirs = await direct_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        pieces = [b"%d," % number for number in range(3 * MAX_GATHERED)]
        sender.put(list(pieces))
        sender.flush()
        await sender.wait_written()
        await ours.send_eof()
        assert b"".join([data async for data in theirs]) == b"".join(pieces)
        assert sender.size == 0


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
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        sender.put([b"ab", b"cde", b"fgh", b"ij"])
        sender.flush()
        assert sender.size == 5
        sender.put([b"kl"])
        sender.flush()
        await sender.wait_written()
        assert takes == []
        await ours.send_eof()
        assert b"".join([data async for data in theirs]) == b"abcdefghijkl"


async def test_a_drain_task_that_is_cancelled_says_so() -> None:
    """As when the whole program is torn down: whoever waits must not wait for ever."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        sender.put([b"never read"])
        sender.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert sender.size == 10
        nursery.cancel_scope.cancel()
    assert isinstance(sender.failure, trio.BrokenResourceError)
    assert sender.size == 0
    sender.put([b"goes nowhere"])
    assert sender.size == 0
    await sender.wait_written()


async def test_of_what_finds_no_room_only_the_latest_waits() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        sender.put_latest([b"room. "])
        sender.flush()
        await trio.testing.wait_all_tasks_blocked()
        sender.put([b"x" * 65_536])
        for number in range(100):
            sender.put_latest([b"latest %d" % number])
        sender.flush()
        got = bytearray()
        while not got.endswith(b"latest 99"):
            got += await theirs.receive_some()
        assert got == b"room. " + b"x" * 65_536 + b"latest 99"


@pytest.mark.parametrize("transport", ["memory", "tcp", "tls"])
async def test_after_finish_our_side_ends_once_all_is_written(transport: str) -> None:
    ours, theirs = await stream_pair(transport)
    stream = take_over(ours)
    async with stream, theirs, trio.open_nursery() as nursery:
        sender = Sender(stream, nursery.start_soon, Sender.flush, Deaf())
        sender.put([b"x" * 200_000])
        sender.finish()
        sender.flush()
        got = bytearray()
        while len(got) < 200_000:
            got += await theirs.receive_some()
        await sender.wait_written()
        sender.flush()
        if transport != "tls":
            # TLS has no way to end one side alone.
            assert await theirs.receive_some() == b""
        assert sender.failure is None


async def test_ending_a_side_that_the_peer_has_reset() -> None:
    ours, theirs = await direct_pair()
    async with trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        ours.close()
        sender.put([b"x"])
        sender.flush()
        assert isinstance(sender.failure, trio.ClosedResourceError)
    await theirs.aclose()


async def test_many_small_buffers_become_one() -> None:
    """Each is an object, which takes far more than the few bytes in it."""
    async with trio.open_nursery() as nursery:
        ours, theirs = trio.testing.lockstep_stream_pair()
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        for number in range(5000):
            sender.put([b"%04d" % number])
            sender.flush()
        assert len(sender._buffers) <= MANY + 1
        assert sender.size == 20_000
        nursery.start_soon(sender.wait_written)
        received = b""
        while len(received) < 20_000:
            received += await theirs.receive_some()
        assert received == b"".join(b"%04d" % number for number in range(5000))


async def test_the_first_reason_to_stop_is_the_one_that_is_told() -> None:
    ours, theirs = await direct_pair()
    async with ours, theirs, trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        sender.abort("too slow")
        sender.abort("it has gone")
        assert str(sender.failure) == "too slow"


async def test_more_is_taken_of_a_large_message() -> None:
    """Than of short ones that would fill the kernel as well."""
    written = []
    for sizes in ([2**22], [LARGE - 5] * 2**5):
        ours, theirs = await direct_pair()
        async with ours, theirs, trio.open_nursery() as nursery:
            sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
            for size in sizes:
                if not sender.size:
                    sender.write([b"head", b"x" * size])
            assert sender.size
            written.append(sender.written)
            nursery.cancel_scope.cancel()
    large, short = written
    assert large > short + 100_000


async def test_what_waits_and_cannot_change_is_not_copied() -> None:
    """Bytes, a long text's own memory, and parts of them; what can change is."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    changing = bytearray(b"changing")
    steady: list[Buffer] = [b"bytes", memoryview(b"part")[1:], encode_long_text("x" * LONG)]
    async with ours, theirs, trio.open_nursery() as nursery:
        sender = Sender(ours, nursery.start_soon, Sender.flush, Deaf())
        sender.put([*steady, changing, memoryview(changing)])
        sender.own()
        changing[:] = b"CHANGED!"
        waiting = sender._buffers
        assert all(kept is sent for kept, sent in zip(waiting, steady, strict=False))
        assert waiting[3:] == [b"changing"] * 2
        nursery.cancel_scope.cancel()


# On a connection


@each_draft
async def test_an_echo_loop_over_a_pipelined_stream_writes_once_per_read(
    draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    send_nowait = DirectStream.send_nowait

    def counting(stream: DirectStream, buffers: list[bytes]) -> int:
        writes.append(sum(map(len, buffers)))
        return send_nowait(stream, buffers)

    async with connected("tcp", draft) as (client, server):
        await send_bytes(client, frames(client, *["x"] * 30))
        await trio.testing.wait_all_tasks_blocked(0.01)
        monkeypatch.setattr(DirectStream, "send_nowait", counting)
        # No 1 ms passes on this clock, however slow the machine is.
        monkeypatch.setattr("trio_draftws._connection.checkpoints.SECONDS_PER_PASS", math.inf)
        for _ in range(30):
            await server.send(await server.receive())
        monkeypatch.undo()
        for _ in range(30):
            await client.receive()
    assert writes == [len(frames(server, *["x"] * 30))]
