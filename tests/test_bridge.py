"""`bridge`: two connections joined, in every two drafts."""

from __future__ import annotations

import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Compression,
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
    PeerViolation,
    bridge,
)
from trio_draftws.drafts import Fragment, draft_named

from .pairs import by_raw_client, by_raw_server, connected, mute
from .rows import each_row, in_turn
from .wire import masked

HIXIE_75, HIXIE_76, RFC_6455 = (draft_named(name) for name in ("hixie-75", "hixie-76", "rfc6455"))
WITH_CODES = [draft for draft in DRAFTS if draft.close_status]
WITHOUT_BINARY = [draft for draft in DRAFTS if not draft.binary]
# Those that differ most
BACKS = [HIXIE_75, HIXIE_76, draft_named("hybi-07"), RFC_6455]
# Each of them with every draft, in both directions
PAIRS = [(front, back) for front in DRAFTS for back in DRAFTS if front in BACKS or back in BACKS]
BOTH_WAYS = pytest.mark.parametrize(
    ("front", "back"), [(HIXIE_76, RFC_6455), (RFC_6455, HIXIE_76)], ids=["old-new", "new-old"]
)


@attrs.define
class Bridged:
    """A client, a bridge, and the server behind it."""

    client: Connection
    front: Connection
    back: Connection
    server: Connection
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    error: BaseException | None = None

    async def run(self, options: dict[str, Any]) -> None:
        with self.scope:
            try:
                await bridge(self.front, self.back, **options)
            except BaseException as error:
                self.error = error
                raise
            finally:
                self.ended.set()

    async def result(self) -> BaseException | None:
        """What the bridge raised, when it has ended."""
        await self.ended.wait()
        return self.error


@asynccontextmanager
async def bridged(
    front: Draft,
    back: Draft,
    transport: str = "memory",
    options: dict[str, Any] | None = None,
    **limits: Any,
) -> AsyncIterator[Bridged]:
    async with (
        connected(transport, front, **limits) as (client, front_end),
        connected(transport, back, **limits) as (back_end, server),
    ):
        joint = Bridged(client, front_end, back_end, server)

        async def run() -> None:
            try:
                await joint.run(options or {})
            except Exception:  # noqa: BLE001
                pass  # for the test to look at

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            with trio.fail_after(30):
                yield joint
            nursery.cancel_scope.cancel()


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("draft", "back"), PAIRS, ids=[f"{front.name}-to-{back.name}" for front, back in PAIRS]
)
async def test_every_draft_to_every_other(
    draft: Draft, back: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Text both ways, of all three forms of a length and in order; then the client closes."""
    async with bridged(draft, back) as joint:
        messages = ["", "häß€漢😀", "x" * 300, "y" * 70_000, *map(str, range(50))]
        for sender, receiver in ((joint.client, joint.server), (joint.server, joint.client)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(sender.send_many, messages)
                assert [await receiver.receive() for _ in messages] == messages
        if draft.binary and back.binary:
            await joint.client.send(b"\xff\x00" * 1000)
            assert await joint.server.receive() == b"\xff\x00" * 1000
        await joint.client.send_close(4001, "bye")
        with pytest.raises(PeerClosed) as caught:
            await joint.server.receive()
        # What it has to say still arrives, since the client has not been answered yet.
        both = draft.close_status and back.close_status
        assert caught.value.reason == ("bye" if both else "")
        assert caught.value.code == (4001 if both else 1000 if back.close_status else None)
        with pytest.raises(PeerClosed):
            await joint.client.receive()
        assert await joint.result() is None
        assert joint.front.closed
        assert joint.back.closed
        # The client is answered with its own code, whatever the other draft could say.
        if draft.close_status:
            assert joint.client.close_received == Close(4001)


@in_turn(back=BACKS)
async def test_the_server_behind_closes(draft: Draft, back: Draft) -> None:
    async with bridged(draft, back) as joint:
        await joint.server.send("last")
        await joint.server.send_close(1001, "restarting")
        assert await joint.client.receive() == "last"
        with pytest.raises(PeerClosed) as caught:
            await joint.client.receive()
        both = draft.close_status and back.close_status
        assert caught.value.reason == ("restarting" if both else "")
        assert caught.value.code == (1001 if both else 1000 if draft.close_status else None)
        assert await joint.result() is None


@pytest.mark.parametrize("front", [HIXIE_75, HIXIE_76, RFC_6455], ids=lambda draft: draft.name)
async def test_answers_that_come_after_the_client_has_ended(front: Draft) -> None:
    """One that says what it wants and that this is all, as hixie-75's by half of TCP's end."""
    async with bridged(front, RFC_6455) as joint:
        await joint.client.send("question")
        await joint.client.send_close()
        assert await joint.server.receive() == "question"
        await trio.testing.wait_all_tasks_blocked()
        assert joint.back.close_sent == Close(1000)
        # The server has been told, but takes its time.
        await joint.server.send("answer")
        await joint.server.send("another")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joint.server.aclose)
            assert [message async for message in joint.client] == ["answer", "another"]
        assert await joint.result() is None


async def test_a_peer_that_does_not_answer_a_close(autojump_clock: trio.testing.MockClock) -> None:
    """The one that closed is answered within `close_timeout` all the same."""
    async with bridged(RFC_6455, HIXIE_76, close_timeout=4) as joint:
        mute(joint.server)
        began = trio.current_time()
        await joint.client.send_close(4001)
        with pytest.raises(PeerClosed):
            await joint.client.receive()
        assert trio.current_time() - began == pytest.approx(2)
        assert await joint.result() is None


# Codes


# A draft of which a client may say any code, but for three that are never sent
SAYS_ANY = draft_named("hybi-08")
# Those that some draft defines, and others beside them
CODES = [*range(1000, 1005), *range(1007, 1015), 1016, 1100, 2500, 2999, 3000, 3999, 4000, 4999]


async def passed_on(close: Close, back: Draft) -> Close:
    """How a server behind a bridge is closed, where the client says that."""
    said = b"" if close.code is None else close.code.to_bytes(2, "big") + close.reason.encode()
    async with (
        by_raw_client(SAYS_ANY, "memory") as (raw, front),
        connected("memory", back) as (back_end, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(bridge, front, back_end)
        await raw.send(masked(0x88, said))
        with pytest.raises(PeerClosed) as caught:
            await server.receive()
        await raw.expect_close()
        await raw.aclose()
    return Close(caught.value.code, caught.value.reason)


@each_row(
    "draft, code, said",
    [
        ("hixie-76", 1002, 1000),
        ("hybi-05", 4000, 1000),
        ("hybi-06", 1002, 1002),
        ("hybi-06", 1007, 1002),
        ("hybi-07", 4999, 4999),
        ("hybi-08", 1007, 1007),
        ("hybi-08", 1009, 1004),
        ("hybi-08", 1008, 1002),
        ("hybi-11", 1011, 1001),
        ("hybi-11", 1012, 1001),
        ("rfc6455", None, 1000),
        ("rfc6455", 1004, 1009),
        ("rfc6455", 2500, 1011),
        ("rfc6455", 3000, 3000),
        ("rfc6455", 1013, 1013),
    ],
)
async def test_nearest_code(draft: str, code: int | None, said: int) -> None:
    back = draft_named(draft)
    expected = said if back.close_status else None
    assert await passed_on(Close(code), back) == Close(expected)


@pytest.mark.parametrize("draft", WITH_CODES, ids=lambda draft: draft.name)
async def test_every_code_becomes_one_that_can_be_sent(draft: Draft) -> None:
    """And what a row says it means can be sent, as can the longest reason that both can say."""
    codec = draft.codec("server", 1024)
    for code in [None, *CODES]:
        reason = "" if code is None else "€" * 41
        said = await passed_on(Close(code, reason), draft)
        assert said.reason == reason
        assert said.code == code or code not in draft.close_codes
    for sent in draft.close_codes:
        codec.encode(Close(sent))
    assert not {1005, 1006, 1015} & draft.close_codes


@each_row("back", WITH_CODES)
@pytest.mark.parametrize("front", WITH_CODES, ids=lambda draft: draft.name)
async def test_too_big_is_said_in_each_drafts_own_code(front: Draft, back: Draft) -> None:
    """1004 before version 13, 1009 since."""
    [code] = {1004, 1009} & front.close_codes
    [said] = {1004, 1009} & back.close_codes
    async with bridged(front, back) as joint:
        await joint.client.send_close(code, "too big")
        with pytest.raises(PeerClosed) as caught:
            await joint.server.receive()
        assert (caught.value.code, caught.value.reason) == (said, "too big")


# Binary


@pytest.mark.parametrize("front", WITHOUT_BINARY, ids=lambda draft: draft.name)
async def test_binary_is_refused(front: Draft, autojump_clock: trio.testing.MockClock) -> None:
    """In a batch as well: what stands before it is passed on."""
    batches: list[list[str | bytes]] = [["text", b"\xff"], [b"\xff"]]
    for batch in batches:
        async with bridged(front, RFC_6455) as joint:
            await joint.server.send_many(batch)
            with pytest.raises(PeerClosed) as caught:
                await joint.server.receive()
            assert caught.value.code == 1003
            assert caught.value.reason == "no binary messages on the other side"
            assert [message async for message in joint.client] == batch[:-1]
            error = await joint.result()
            assert isinstance(error, PeerViolation)
            assert error.close_code == 1003
            assert "binary" in str(error)


async def test_long_binary_is_refused_before_it_has_come(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with bridged(RFC_6455, HIXIE_76) as joint:

        async def parts() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            await trio.sleep_forever()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await joint.client.send_stream(parts())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with pytest.raises(PeerClosed) as caught:
                await joint.client.receive()
            nursery.cancel_scope.cancel()
        assert caught.value.code == 1003


@BOTH_WAYS
async def test_binary_as_base64(front: Draft, back: Draft) -> None:
    """One way only: text of the side that has no binary messages stays text."""
    async with bridged(front, back, options={"binary": "base64"}) as joint:
        ends = (joint.client, joint.server)
        new, old = ends if front.binary else ends[::-1]
        blobs = [b"", b"\xff\x00", bytes(range(256)) * 400]
        messages: list[str | bytes] = [*blobs, "text"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(new.send_many, messages)
            for blob in blobs:
                text = await old.receive()
                assert isinstance(text, str)
                assert b64decode(text, validate=True) == blob
            assert await old.receive() == "text"
        await old.send("aGVsbG8=")
        assert await new.receive() == "aGVsbG8="


SMALL = 20_000


@pytest.mark.no_cover
@pytest.mark.parametrize("part", [b"\xff\0", b"ab"], ids=["base64", "text"])
async def test_many_small_parts_take_no_more_memory_than_one(part: bytes) -> None:
    """For a draft without fragments they are gathered, and no list of them is held."""
    kind = 0x01 if part.isalpha() else 0x02
    wire = masked(kind, part) + masked(0x00, part) * (SMALL - 2) + masked(0x80, part)
    async with (
        by_raw_client(RFC_6455, "memory") as (raw, front),
        connected("memory", HIXIE_76) as (back, server),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(bridge, front, back, binary="base64"))
        tracemalloc.start()
        try:
            nursery.start_soon(raw.send, wire)
            heard = await server.receive()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
    assert heard == (part * SMALL).decode() if kind == 1 else b64encode(part * SMALL).decode()
    # A list of the parts takes eight bytes for each, and each part some 40.
    assert peak < SMALL * 30


# Long messages


async def test_a_long_message_passes_before_it_has_ended() -> None:
    """It takes no memory of its length, and may be longer than a message that is received whole."""
    async with bridged(RFC_6455, RFC_6455, max_message_size=10**9) as joint:
        part, count = "häß€漢😀" * 10_000, 200
        passed = trio.Event()

        async def parts() -> AsyncIterator[str]:
            for number in range(count):
                if number == count // 2:
                    await passed.wait()
                yield part

        async with trio.open_nursery() as nursery:
            nursery.start_soon(joint.client.send_stream, parts())
            received = 0
            async with joint.server.receive_stream() as stream:
                async for some in stream:
                    received += len(some)
                    if received > len(part):
                        passed.set()
                    assert joint.back._sender.size < 4 * 2**20
            assert received == len(part) * count


@pytest.mark.parametrize(("size", "cut"), [(200, False), (60_000, False), (150_000, True)])
async def test_only_what_is_long_is_sent_in_fragments(
    size: int, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simple peers may know none, and TCP cuts whatever it likes."""
    streamed: list[Connection] = []
    send_stream = Connection.send_stream

    async def note(self: Connection, parts: Any, **options: Any) -> None:
        streamed.append(self)
        await send_stream(self, parts, **options)

    monkeypatch.setattr(Connection, "send_stream", note)
    async with bridged(HIXIE_76, RFC_6455, "foreign") as joint:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joint.client.send, "x" * size)
            assert await joint.server.receive() == "x" * size
        assert streamed == [joint.back] * cut


@pytest.mark.parametrize("sizes", [(30_000, 30_000), (10, 100_000)])
async def test_short_messages_that_came_compressed(sizes: tuple[int, int]) -> None:
    """What one read brought may be much, so it does not wait all at once for a slow peer."""
    both: dict[str, Any] = {"offer": Compression(), "compression": Compression()}
    async with bridged(RFC_6455, RFC_6455, "tcp", **both) as joint:
        messages: list[str | bytes] = [
            str(number).ljust(size, "x") for number in range(50) for size in sizes
        ]
        await joint.client.send_many(messages)
        assert [await joint.server.receive() for _ in messages] == messages


# Backpressure


@pytest.mark.parametrize("size", [1000, 300_000])
@BOTH_WAYS
async def test_a_peer_that_does_not_read_stops_the_one_that_writes(
    front: Draft, back: Draft, size: int
) -> None:
    """Over TCP: what is held between the two stays bounded; all comes when it reads again."""
    async with bridged(front, back, "tcp") as joint:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number in range(100_000_000 // size):
                await joint.server.send(f"{number:08}".ljust(size, "x"))
                sent += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            seen = -1
            while seen != sent:
                seen = sent
                await trio.testing.wait_all_tasks_blocked(0.02)
            assert 0 < sent * size < 50_000_000
            assert joint.front._sender.size <= 2**16 + 2**17 + size
            assert sum(map(len, unread_messages(joint.back))) <= 2**17 + size
            for number in range(sent):
                message = await joint.client.receive()
                assert isinstance(message, str)
                assert int(message[:8]) == number
            nursery.cancel_scope.cancel()


def unread_messages(connection: Connection) -> list[str | bytes]:
    return [
        unread.data if isinstance(unread, Fragment) else unread
        for unread in connection._protocol.unread
    ]


# Ends that are none


@pytest.mark.parametrize("lost", ["client", "server"])
@BOTH_WAYS
async def test_one_side_is_lost(
    front: Draft, back: Draft, lost: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with bridged(front, back) as joint:
        gone, other = joint.client, joint.server
        if lost == "server":
            gone, other = other, gone
        await trio.aclose_forcefully(gone._endpoint.stream)
        with pytest.raises(PeerClosed) as caught:
            await other.receive()
        if other.draft.close_status:
            assert caught.value.code == (1001 if lost == "client" else 1011)
            assert caught.value.reason == "the other side was lost"
        assert isinstance(await joint.result(), ConnectionLost)


@pytest.mark.parametrize("rude", ["client", "server"])
@BOTH_WAYS
async def test_one_side_breaks_its_draft(
    front: Draft, back: Draft, rude: str, autojump_clock: trio.testing.MockClock
) -> None:
    """A message over the limit is one way to."""
    async with bridged(front, back, max_message_size=1000) as joint:
        bad, other = joint.client, joint.server
        if rude == "server":
            bad, other = other, bad
        await bad.send("x" * 1001)
        with pytest.raises(PeerClosed) as caught:
            await other.receive()
        if other.draft.close_status:
            assert caught.value.code == 1011
        error = await joint.result()
        assert isinstance(error, PeerViolation)
        with pytest.raises(PeerClosed):
            await bad.receive()


@pytest.mark.parametrize("action", ["sends", "closes"])
async def test_one_side_is_lost_while_the_other_reads_nothing(
    action: str, autojump_clock: trio.testing.MockClock
) -> None:
    """What had come of it is read first, and then how it ended."""
    async with bridged(HIXIE_76, RFC_6455, "lockstep", write_timeout=1000) as joint:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joint.server.send_many, ["x" * 70_000, "y" * 70_000, "z"])
            await joint.client.wait_readable()
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(joint.server._endpoint.stream)
        # The first that is written tells that nobody is there.
        await joint.client.send("lost")
        await trio.testing.wait_all_tasks_blocked()
        assert joint.back.closed
        if action == "sends":
            await joint.client.send("not passed on")
        else:
            await joint.client.send_close()
        await trio.testing.wait_all_tasks_blocked()
        received = [message async for message in joint.client]
        assert received[:2] == ["x" * 70_000, "y" * 70_000][: len(received)]
        assert isinstance(await joint.result(), ConnectionLost)


async def test_a_message_that_is_never_ended_is_not_passed_off_as_whole() -> None:
    async with bridged(RFC_6455, RFC_6455) as joint:

        async def parts() -> AsyncIterator[str]:
            yield "x" * 100_000
            await trio.testing.wait_all_tasks_blocked()
            await trio.aclose_forcefully(joint.client._endpoint.stream)
            await trio.sleep_forever()

        async def send() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await joint.client.send_stream(parts())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with pytest.raises(PeerClosed) as caught:
                await joint.server.receive()
        assert (caught.value.code, caught.value.reason) == (1011, "a message was left unfinished")
        assert isinstance(await joint.result(), ConnectionLost)


async def test_a_server_of_the_time_that_answers_a_close_with_the_end_of_tcp() -> None:
    """Not an error: it was told, and has gone."""
    async with (
        connected("tcp", RFC_6455) as (client, front),
        by_raw_server(HIXIE_76) as (back, raw),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(bridge, front, back)
        await client.send_close()
        await raw.expect_close()
        await raw.aclose()
        with pytest.raises(PeerClosed) as caught:
            await client.receive()
    assert caught.value.code == 1000


async def test_a_frame_that_no_draft_has() -> None:
    async with (
        by_raw_client(RFC_6455) as (raw, front),
        connected("tcp", RFC_6455) as (back, server),
        trio.open_nursery() as nursery,
    ):

        async def join() -> None:
            with pytest.raises(PeerViolation):
                await bridge(front, back)

        nursery.start_soon(join)
        await raw.send(b"\x83\x80" + bytes(4))  # an opcode that means nothing
        await raw.expect_close(1002)
        with pytest.raises(PeerClosed) as caught:
            await server.receive()
    assert (caught.value.code, caught.value.reason) == (1011, "the other side broke the protocol")


@in_turn(back=BACKS)
async def test_both_sides_close_at_once(draft: Draft, back: Draft) -> None:
    async with bridged(draft, back) as joint:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(joint.client.aclose)
            nursery.start_soon(joint.server.aclose)
        assert await joint.result() is None


@pytest.mark.parametrize("end", ["front", "back"])
async def test_an_owner_closes_one(end: str, autojump_clock: trio.testing.MockClock) -> None:
    async with bridged(RFC_6455, RFC_6455) as joint:
        owned = joint.front if end == "front" else joint.back
        other = joint.server if end == "front" else joint.client
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(owned.aclose)
            with pytest.raises(PeerClosed) as caught:
                await other.receive()
        assert caught.value.code == 1001
        assert await joint.result() is None


async def test_pings_are_answered_by_the_bridge() -> None:
    """Each side's are its own, also where the other draft has none."""
    async with bridged(RFC_6455, HIXIE_75) as joint:
        assert await joint.client.ping() >= 0


# Cancelling, and mistakes


@BOTH_WAYS
async def test_cancelling_leaves_both_to_their_owners(front: Draft, back: Draft) -> None:
    """What it raises is one `Cancelled`, in no group."""
    async with bridged(front, back) as joint:
        await joint.client.send("hello")
        assert await joint.server.receive() == "hello"
        joint.scope.cancel()
        error = await joint.result()
        assert type(error) is trio.Cancelled
        assert not joint.front.closed
        assert not joint.back.closed
        await joint.front.send("still open")
        assert await joint.client.receive() == "still open"


async def test_cancelled_while_a_close_is_not_answered_yet() -> None:
    """Its peer is answered then, and nothing more can be sent to it."""
    async with bridged(RFC_6455, HIXIE_76) as joint:
        mute(joint.server)
        await joint.client.send_close(4001)
        await trio.testing.wait_all_tasks_blocked()
        assert joint.back.close_sent is not None
        await joint.front.send("not answered yet")
        joint.scope.cancel()
        await joint.ended.wait()
        assert joint.front.closed
        assert await joint.client.receive() == "not answered yet"
        with pytest.raises(PeerClosed):
            await joint.client.receive()
        assert joint.client.close_received == Close(4001)


async def test_cancelled_while_it_closes() -> None:
    """It closes both all the same."""
    async with bridged(RFC_6455, RFC_6455, close_timeout=0.05) as joint:
        mute(joint.server)
        await trio.aclose_forcefully(joint.client._endpoint.stream)
        await trio.testing.wait_all_tasks_blocked()
        joint.scope.cancel()
        assert type(await joint.result()) is trio.Cancelled
        assert joint.front.closed
        assert joint.back.closed


async def test_somebody_else_receives() -> None:
    async with bridged(RFC_6455, RFC_6455) as joint:
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await bridge(joint.front, joint.back)
        await joint.client.send("still good")
        assert await joint.server.receive() == "still good"


async def test_arguments_that_make_no_sense() -> None:
    async with connected("memory", RFC_6455) as (client, server):
        with pytest.raises(ValueError, match="not 'drop'"):
            await bridge(client, server, binary="drop")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="not one connection twice"):
            await bridge(client, client)
