"""However a peer floods us, every other task of the process keeps getting its turn.

Only the CPU time of this thread is measured, so other load on the machine matters little.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.rows import in_turn
from trio_draftws import DRAFTS, Connection, Draft, PeerViolation
from trio_draftws.drafts import Role, draft_named
from trio_draftws.testing import Faults, FaultyStream, Ping, Pong, RawPeer

from .floods import (
    CONTROL,
    FRAGMENTS,
    FRAMES,
    LENGTH64,
    MESSAGES,
    NOTHING_AT_ONCE,
    NOTHING_IN_PIECES,
    SENTINEL,
    Flood,
    compressed,
    many,
)
from .standstill import (
    Behave,
    Heartbeat,
    Target,
    flooded,
    pings,
    receives,
    receives_many,
    sleeps,
    streams,
)
from .tls_empty_records import Records

# Seconds for each connection. A turn is 1 ms, and there may be two between two steps of another
# task. Twice that is allowed, since the last read of a turn may overrun it, and for noise.
TURN = 0.004
# Seconds that are allowed however few connections there are
LEAST = 0.02
# The share of all the work that is allowed in any case: on a slow machine, the 256 frames that are
# decoded at once may take longer than a turn.
SHARE = 1 / 5
# Bytes of one connection. In a turn 2 KiB are read while nobody receives; the factors are the same.
READ_AHEAD = 4 * 2048
# Noise only makes a wait longer, so the shortest of several counts.
TRIES = 3
RFC6455 = draft_named("rfc6455")
PINGING = [draft for draft in DRAFTS if draft.ping]


def each_draft(drafts: Iterable[Draft]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("draft", list(drafts), ids=lambda draft: draft.name)


def each_flood(floods: Mapping[str, Flood]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("flood", list(floods.values()), ids=list(floods))


def with_either_role(floods: Mapping[str, Flood], *behaves: Behave) -> pytest.MarkDecorator:
    """Each flood under each behaviour, of a server and of a client in turn.

    Pings and pongs come in both roles each; what gives way to other tasks is the same for both.
    """
    rows = [(name, behave) for name in floods for behave in behaves]
    return pytest.mark.parametrize(
        ("flood", "behave", "role"),
        [
            pytest.param(floods[name], behave, role, id=f"{name}-{behave.__name__}-{role}")
            for (name, behave), role in zip(rows, cycle(["server", "client"]), strict=False)
        ],
    )


def each_behave(*behaves: Behave) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("behave", behaves, ids=lambda behave: behave.__name__)


each_role = pytest.mark.parametrize("role", ["server", "client"])


async def check(
    clock: trio.testing.MockClock,
    flood: Flood,
    behave: Behave,
    role: Role,
    draft: Draft = RFC6455,
    *,
    count: int = 5,
    **over: Any,
) -> Heartbeat:
    """Checks that other tasks get their turn while so many peers flood."""
    target = Target(draft=draft, role=role, behave=behave, count=count, **over)
    for _ in range(TRIES):
        heart = await flooded(clock, target, flood)
        allowed = max(LEAST, TURN * count, SHARE * heart.total)
        if heart.longest <= allowed:
            break
    assert heart.longest <= allowed
    assert all(one.bytes_received for one in heart.statistics), "this shows nothing"
    return heart


@each_role
@each_behave(sleeps, receives, receives_many, pings, streams)
@each_flood(CONTROL)
async def test_pings_and_pongs(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """From ten clients of one server, or from ten servers to clients in one process."""
    heart = await check(mock_clock, flood, behave, role, count=10, begun=behave is streams)
    assert heart.read_all
    if behave is sleeps:
        assert heart.most_read <= READ_AHEAD


@in_turn(PINGING, role=("client", "server"), behave=(sleeps, receives))
async def test_pings_in_each_draft(
    draft: Draft, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """Nearly none is answered: only the latest 16 that one read brings."""
    heart = await check(mock_clock, many(Ping()), behave, role, draft, count=3)
    for one in heart.statistics:
        assert one.pings_received == FRAMES
        # A pong has at least two bytes.
        assert 2 * 16 <= one.bytes_sent <= FRAMES


@with_either_role(FRAGMENTS, sleeps, receives, receives_many, pings, streams)
async def test_fragments(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """They belong to a message that never ends."""
    assert (await check(mock_clock, flood, behave, role, begun=True)).read_all


@with_either_role(SENTINEL, sleeps, receives, receives_many)
@each_draft(map(draft_named, ["hixie-75", "hixie-76"]))
async def test_reserved_frames(
    draft: Draft, flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    assert (await check(mock_clock, flood, behave, role, draft)).read_all


@with_either_role(LENGTH64, sleeps, receives, receives_many)
async def test_reserved_frames_of_the_length_framing(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    assert (await check(mock_clock, flood, behave, role, draft_named("whatwg-2010-08"))).read_all


@with_either_role(MESSAGES, sleeps, receives, receives_many, pings)
async def test_tiny_messages(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    heart = await check(mock_clock, flood, behave, role)
    if behave in (receives, receives_many):
        assert heart.read_all


@in_turn(role=("client", "server"))
async def test_tiny_messages_in_each_draft(
    draft: Draft, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    assert (await check(mock_clock, many("x"), receives, role, draft)).read_all


@with_either_role(NOTHING_AT_ONCE, sleeps, receives, receives_many, pings)
async def test_one_message_that_inflates_to_nothing(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    await check(mock_clock, flood, behave, role)


@with_either_role(NOTHING_IN_PIECES, sleeps, receives, streams)
async def test_frames_that_inflate_to_nothing(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    await check(mock_clock, flood, behave, role)


@each_role
@each_flood(
    {
        "final blocks": compressed(b"\x03\x00" * 50_000, 1),
        "final blocks that are stored": compressed(b"\x01\x00\x00\xff\xff" * 30_000, 1),
    }
)
async def test_a_message_that_inflates_to_nothing_is_refused_in_the_end(
    flood: Flood, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """It would never reach `max_message_size`, and costs far more than its bytes."""
    refused: list[PeerViolation] = []

    async def is_refused(connection: Connection) -> None:
        with pytest.raises(PeerViolation) as caught:
            await connection.receive()
        refused.append(caught.value)

    settings = {"max_message_size": 1000}
    target = Target(draft=RFC6455, role=role, behave=is_refused, count=1, settings=settings)
    await flooded(mock_clock, target, flood)
    assert len(refused) == 1


async def test_the_measure_sees_a_task_that_does_not_yield(
    mock_clock: trio.testing.MockClock,
) -> None:
    async def computes(connection: Connection) -> None:
        async for _ in connection:
            until = time.thread_time() + 2 * LEAST
            while time.thread_time() < until:
                pass

    target = Target(draft=RFC6455, role="server", behave=computes, count=1)
    heart = await flooded(mock_clock, target, many("x", 3))
    assert heart.read_all
    assert LEAST < heart.longest < heart.total


@each_role
@each_behave(sleeps, receives, pings)
@each_flood({"pings": many(Ping(), 500), "messages": many("x", 500)})
async def test_tls_records_of_one_byte(
    flood: Flood,
    behave: Behave,
    role: Role,
    client_ssl: ssl.SSLContext,
    server_ssl: ssl.SSLContext,
    mock_clock: trio.testing.MockClock,
) -> None:
    tls = (client_ssl, server_ssl)
    assert (await check(mock_clock, flood, behave, role, count=2, tls=tls)).read_all


@each_role
@each_behave(sleeps, receives, pings)
async def test_tls_records_of_nothing(
    behave: Behave,
    role: Role,
    client_ssl: ssl.SSLContext,
    server_ssl: ssl.SSLContext,
    tmp_path: Path,
    mock_clock: trio.testing.MockClock,
) -> None:
    """As many in a row as OpenSSL accepts, then one with a byte, and so on."""
    log = tmp_path / "keys"
    client_ssl.keylog_filename = str(log)
    # Session tickets would count as records that the server has written.
    server_ssl.num_tickets = 0

    async def empty_records(peer: RawPeer, frames: bytes) -> bytes:
        # The opening handshake was one record.
        records = Records(log, "client" if role == "server" else "server", 1)
        return b"".join(
            records.write(data) for byte in frames for data in [b""] * 31 + [bytes([byte])]
        )

    await check(
        mock_clock,
        many(Ping(), 30),
        behave,
        role,
        count=1,
        tls=(client_ssl, server_ssl),
        records=empty_records,
    )


async def foreign(stream: trio.abc.Stream) -> trio.abc.Stream:
    return FaultyStream(stream)


async def byte_by_byte(stream: trio.abc.Stream) -> trio.abc.Stream:
    return FaultyStream(stream, incoming=Faults(split=1))


@with_either_role(CONTROL, sleeps, receives, pings, streams)
async def test_streams_that_are_not_ours(
    flood: Flood, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    begun = behave is streams
    await check(mock_clock, flood, behave, role, count=3, begun=begun, stream_factory=foreign)


@each_role
@each_behave(receives, pings, streams)
async def test_one_byte_at_a_time(
    behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """Each read brings one byte, though more has come."""
    begun = behave is streams
    await check(
        mock_clock,
        many(Pong(), 500),
        behave,
        role,
        count=3,
        begun=begun,
        stream_factory=byte_by_byte,
    )
