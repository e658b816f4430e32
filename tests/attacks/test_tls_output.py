"""Peers that make TLS answer, again and again, and read none of the answers.

OpenSSL answers a change of keys with one (TLS 1.3), and a wish to renegotiate with a refusal or by
doing so (TLS 1.2). Nobody who sends or receives sees any of it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.test_streams import Passes
from tests.wire import read_to_end

from .tls_records import (
    ANSWER_SIZE,
    CLIENT_HELLO,
    FLOODS,
    HANDSHAKE,
    HELLO_REQUEST,
    KEY_UPDATE,
    MAX_OUTPUT,
    RECEIVE_SIZE,
    RECORDS_AT_ONCE,
    RECORDS_WITHOUT_DATA,
    TICKET,
    Flood,
    RawPeer,
    attacked,
    attacked_by,
    blocked,
    drain,
)


@pytest.fixture(params=FLOODS)
def flood(request: pytest.FixtureRequest) -> Flood:
    return FLOODS[request.param]


async def test_output_is_bounded_and_nothing_more_is_read(flood: Flood, tmp_path: Path) -> None:
    async with blocked(tmp_path, flood) as (victim, _):
        held = victim.unsent
        assert MAX_OUTPUT < held <= MAX_OUTPUT + ANSWER_SIZE
        assert not victim.may_have_more
        for _ in range(3):
            assert victim.receive_nowait() is None
            assert victim.receive_into_nowait(memoryview(bytearray(100))) is None
        assert victim.unsent == held
        # What the kernel has not been asked for is the peer's to keep.
        assert len(victim.socket.recv(RECEIVE_SIZE, socket.MSG_PEEK)) == RECEIVE_SIZE


async def test_once_the_peer_reads_all_is_read_and_answered(flood: Flood, tmp_path: Path) -> None:
    async with blocked(tmp_path, flood) as (victim, peer), trio.open_nursery() as nursery:
        nursery.start_soon(drain, peer)
        assert await victim.receive_some() == b"behind it"
        assert not victim.blocked_by_output
        # An answer is held back while another waits inside OpenSSL, and goes with what is sent.
        await victim.send_all(b"heard")
        await trio.testing.wait_all_tasks_blocked()
        assert peer.heard == b"heard"
        assert peer.said_by_tls == [flood.answer] * flood.count
        assert victim.unsent == 0
        nursery.cancel_scope.cancel()


async def test_a_reader_and_a_writer_wait_at_once(flood: Flood, tmp_path: Path) -> None:
    """Each of what both sides say comes once and in order, between all those answers."""
    said = [b"%d " % number for number in range(60)]
    ours = bytes(range(256)) * 800
    heard = b""
    async with attacked_by(flood, tmp_path) as (victim, peer):
        each = flood.count // len(said)
        theirs = b"".join(
            peer.handshake_records(flood.message, each) + peer.record(word) for word in said
        )

        async def receive() -> None:
            nonlocal heard
            while not heard.endswith(said[-1]):
                await victim.wait_readable()
                heard += victim.receive_nowait() or b""
                # Beside what the writer made, which waits in the same place
                assert victim.unsent <= MAX_OUTPUT + ANSWER_SIZE + RECORDS_AT_ONCE + 200

        async with trio.open_nursery() as draining:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(receive)
                nursery.start_soon(victim.send_all, ours)
                nursery.start_soon(peer.stream.send_all, theirs)
                await trio.testing.wait_all_tasks_blocked()
                assert victim.blocked_by_output
                draining.start_soon(drain, peer)
            await trio.testing.wait_all_tasks_blocked()
            draining.cancel_scope.cancel()
        assert heard == b"".join(said)
        assert peer.heard == ours
        # The last answer may wait inside OpenSSL for something to go with.
        assert 0 <= each * len(said) - len(peer.said_by_tls) <= 1


async def test_a_peer_that_vanishes_ends_the_block(tmp_path: Path) -> None:
    """The reader sees what the kernel says, and the writer that its bytes go nowhere."""
    async with blocked(tmp_path) as (victim, peer):
        peer.stream.close()
        await victim.wait_readable()
        assert not victim.blocked_by_output
        assert victim.unsent == 0
        with pytest.raises(trio.BrokenResourceError):
            victim.send_nowait([b"lost"])
        with pytest.raises(trio.BrokenResourceError):
            await read_to_end(victim)
        assert victim.unsent == 0


NOTHING: dict[str, Callable[[RawPeer], bytes]] = {
    "key updates": lambda peer: peer.handshake_records(KEY_UPDATE, 1),
    "tickets": lambda peer: peer.handshake_records(TICKET, 1),
    # OpenSSL breaks off at the 33rd in a row.
    "empty records": lambda peer: peer.record(b""),
}


@pytest.mark.parametrize("kind", NOTHING)
async def test_records_without_data_give_way(kind: str, tmp_path: Path) -> None:
    """However many come at once: a call passes over a few, and then others have their turn."""
    calls = 6
    async with attacked("client", "TLSv1_3", tmp_path / "secrets") as (victim, peer):
        victim.receive_nowait()
        said = b""
        for _ in range(2):
            for _ in range(calls - 1):
                said += b"".join(NOTHING[kind](peer) for _ in range(RECORDS_WITHOUT_DATA - 1))
                said += peer.handshake_records(KEY_UPDATE, 1)
            said += peer.record(b"data")
        await peer.stream.send_all(said)
        await victim.wait_readable()
        for _ in range(calls - 1):
            assert victim.receive_nowait() is None
            assert victim.may_have_more
            assert victim.has_buffered
        assert victim.receive_nowait() == b"data"
        passes = Passes()
        trio.lowlevel.add_instrument(passes)
        assert await victim.receive_some() == b"data"
        trio.lowlevel.remove_instrument(passes)
        assert passes.count >= calls - 2
        assert not victim.has_buffered


async def test_a_record_full_of_messages_is_answered_at_once(tmp_path: Path) -> None:
    """OpenSSL can be stopped only between two records; nothing is read behind this one."""
    flood = FLOODS["hello requests"]
    async with attacked_by(flood, tmp_path) as (victim, peer):
        messages = 4000
        record = peer.record(HELLO_REQUEST * messages, HANDSHAKE)
        await peer.stream.send_all(record + peer.record(b"behind it"))
        await victim.wait_readable()
        while victim.receive_nowait() is None and not victim.blocked_by_output:
            await victim.wait_readable()
        assert MAX_OUTPUT < victim.unsent <= messages * ANSWER_SIZE
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, peer)
            assert await victim.receive_some() == b"behind it"
            nursery.cancel_scope.cancel()


async def test_a_server_that_wants_to_renegotiate_makes_one_answer(tmp_path: Path) -> None:
    """Where a client's context permits it, as by default; then it only waits for the server."""
    async with attacked("client", "TLSv1_2", tmp_path / "secrets") as (victim, peer):
        sent = peer.handshake_records(HELLO_REQUEST, 1000) + peer.record(b"still here")
        await peer.stream.send_all(sent)
        assert await victim.receive_some() == b"still here"
        await peer.read()
        [hello] = peer.said_by_tls
        assert hello[:1] == CLIENT_HELLO[:1]
        with pytest.raises(trio.BrokenResourceError):
            victim.send_nowait([b"not before the server has answered"])
