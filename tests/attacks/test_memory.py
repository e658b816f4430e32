"""Whatever a peer sends, it takes no more memory than one message and a constant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.pairs import connected
from tests.rows import in_turn
from tests.turns import FRAMINGS
from tests.wire import echo
from trio_draftws import DRAFTS, Compression, Connection, Draft, PeerViolation
from trio_draftws.drafts import Fragment, Ping, Role, draft_named

from .memory import LIMIT, SLACK, Attack, Suffer, encoded, taken_by

each_role = pytest.mark.parametrize("role", ["client", "server"])
SENTINEL = [draft_named(name) for name in ("hixie-75", "hixie-76")]


def each(drafts: list[Draft]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("draft", drafts, ids=lambda draft: draft.name)


FRAGMENTING = [draft for draft in FRAMINGS if draft.fragments]
PINGING = [draft for draft in FRAMINGS if draft.ping]
COMPRESSING = [draft for draft in DRAFTS if draft.compression]


# A server chooses how far back it looks: that much is kept by zlib, which forgets it behind a final
# block, and by us, for what comes then.
WINDOWS = 2 * 2**15


def fragments(attacker: Connection, text: str, count: int) -> bytes:
    """So many fragments of one message, which never ends."""
    first, other = (encoded(attacker, Fragment(text)) for _ in range(2))
    return first + other * (count - 1)


async def is_refused(victim: Connection) -> None:
    with pytest.raises(PeerViolation, match=r"longer than 1048576 bytes|more than"):
        await victim.receive()


def stays(held: int) -> Suffer:
    """A victim that waits for the end of what does not end, until it holds so much of it."""

    async def suffer(victim: Connection) -> None:
        messages = victim._protocol.codec._messages  # type: ignore[attr-defined]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(victim.receive)
            while LIMIT - messages.room < held:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    return suffer


async def check(draft: Draft, role: Role, attack: Attack, suffer: Suffer, **settings: Any) -> None:
    assert await taken_by(draft, role, attack, suffer, **settings) <= LIMIT + SLACK


@in_turn(FRAMINGS, role=("client", "server"))
async def test_a_message_over_the_limit(draft: Draft, role: Role) -> None:
    """It is refused by its length where that comes first, else when the limit is passed."""
    await check(draft, role, lambda attacker: [encoded(attacker, "x" * 2 * LIMIT)], is_refused)


@in_turn(FRAMINGS, role=("client", "server"), text=("x", "\xe9", "日", "🙂"))
async def test_a_message_that_never_ends(draft: Draft, role: Role, text: str) -> None:
    """It is within the limit, but its last bytes never come; whatever Python makes of its text."""
    message = text * (LIMIT // len(text.encode()))

    def attack(attacker: Connection) -> list[bytes]:
        return [encoded(attacker, message)[:-10]]

    # One at a time moves what has come to a larger place, and needs it twice meanwhile.
    await check(draft, role, attack, stays(LIMIT - 100), count=8)


@in_turn(FRAMINGS, role=("client", "server"))
async def test_a_length_that_takes_nothing(draft: Draft, role: Role) -> None:
    """A header that announces a message of the limit, and little behind it."""

    def attack(attacker: Connection) -> list[bytes]:
        return [encoded(attacker, "x" * LIMIT)[:1024]]

    assert await taken_by(draft, role, attack, stays(900)) <= SLACK


@in_turn(FRAGMENTING, role=("client", "server"))
async def test_fragments_that_never_end(draft: Draft, role: Role) -> None:
    """Of 64 bytes each; no object for each is kept."""

    def attack(attacker: Connection) -> list[bytes]:
        return [fragments(attacker, "x" * 64, LIMIT // 64)]

    await check(draft, role, attack, stays(LIMIT), count=2)


@in_turn(FRAGMENTING, role=("client", "server"))
async def test_fragments_over_the_limit(draft: Draft, role: Role) -> None:
    def attack(attacker: Connection) -> list[bytes]:
        return [fragments(attacker, "x" * 64, LIMIT // 64 + 1)]

    await check(draft, role, attack, is_refused, count=2)


@in_turn(FRAGMENTING, role=("client", "server"))
async def test_empty_fragments(draft: Draft, role: Role) -> None:
    def attack(attacker: Connection) -> list[bytes]:
        return [fragments(attacker, "", 10_000)]

    assert await taken_by(draft, role, attack, is_refused) <= SLACK


@each_role
@each(COMPRESSING)
async def test_a_bomb(draft: Draft, role: Role) -> None:
    """Thirty times the limit, in a thirtieth of it; whole, and in fragments."""
    settings = {"offer": Compression(), "compression": Compression()}
    for parts in (["x" * 30 * LIMIT], [Fragment("x" * LIMIT)] * 30):

        def attack(attacker: Connection, parts: list[str | Fragment] = parts) -> list[bytes]:  # type: ignore[assignment]
            return [encoded(attacker, *parts)]

        await check(draft, role, attack, is_refused, **settings)


@in_turn(COMPRESSING, role=("client", "server"), received=(True, False))
async def test_many_messages_in_few_bytes(draft: Draft, role: Role, received: bool) -> None:
    """Each is within the limit; what one read brings would inflate to five times that."""
    sizes = [60_000, LIMIT - 1] * 5

    async def receive_all(victim: Connection) -> None:
        for size in sizes:
            assert len(await victim.receive()) == size

    def attack(attacker: Connection) -> list[bytes]:
        wire = encoded(attacker, *["x" * size for size in sizes])
        assert len(wire) < 16_384
        return [wire]

    suffer = receive_all if received else until_no_more_is_read
    thorough = Compression(level=9)
    settings: dict[str, Any] = {"offer": thorough, "compression": thorough}
    # To inflate one takes it two or three times for a moment, which comes to one at a time.
    taken = await taken_by(draft, role, attack, suffer, count=8, **settings)
    assert taken <= LIMIT + SLACK + (WINDOWS if role == "client" else 0)


async def until_no_more_is_read(victim: Connection) -> None:
    """A handler that sleeps."""
    while not victim._receiver.full:
        await trio.testing.wait_all_tasks_blocked()


@in_turn(FRAMINGS, role=("client", "server"))
async def test_small_messages_that_nobody_receives(draft: Draft, role: Role) -> None:
    """They are read ahead while a handler sleeps, up to 64 KiB of memory."""

    def attack(attacker: Connection) -> list[bytes]:
        return [encoded(attacker, "xy") * 100_000]

    await check(draft, role, attack, until_no_more_is_read)


def in_pieces(wire: bytes) -> list[bytes]:
    return [wire[start : start + 65536] for start in range(0, len(wire), 65536)]


def until_full(action: Callable[[Connection], Awaitable[object]]) -> Suffer:
    """A victim whose answers nobody takes, until no more of them may wait."""

    async def suffer(victim: Connection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(action, victim)
            while victim._sender.size < 2**16:
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    return suffer


@in_turn(FRAMINGS, role=("client", "server"))
async def test_echoes_that_nobody_reads(draft: Draft, role: Role) -> None:
    """Of two letters each: what waits is bounded in bytes, and so are the objects for it."""

    def attack(attacker: Connection) -> list[bytes]:
        return in_pieces(encoded(attacker, "xy") * 40_000)

    await check(draft, role, attack, until_full(echo), transport="lockstep", count=2)


@in_turn(PINGING, role=("client", "server"))
async def test_pings_whose_answers_nobody_reads(draft: Draft, role: Role) -> None:
    """As long as they may be, since of what one read brings only the latest are answered."""

    def attack(attacker: Connection) -> list[bytes]:
        return in_pieces(encoded(attacker, Ping(b"x" * 125)) * 10_000)

    suffer = until_full(Connection.receive)
    await check(draft, role, attack, suffer, transport="lockstep", count=1)


@each_role
@each(SENTINEL)
@pytest.mark.parametrize(
    "said",
    [b"\x80" + b"\x80" * LIMIT, b"\x01" + b"x" * 4 * LIMIT, b"\x81" + b"\xff" * 8 + b"\x7f"],
    ids=["a length without end", "a frame without its ff", "a frame of 2**63 bytes"],
)
async def test_reserved_frames(draft: Draft, role: Role, said: bytes) -> None:
    """They are read and not stored."""

    async def suffer(victim: Connection) -> None:
        with trio.move_on_after(0.3), pytest.raises((PeerViolation, trio.Cancelled)):
            await victim.receive()

    def attack(attacker: Connection) -> list[bytes]:
        return [said, *[b"x" * LIMIT] * 4]

    assert await taken_by(draft, role, attack, suffer) <= SLACK


@in_turn(FRAGMENTING, role=("client", "server"))
async def test_an_honest_message_in_many_fragments(draft: Draft, role: Role) -> None:
    """4 MiB in fragments of 64 bytes pass, where messages may be so long."""
    size = 2**22
    async with connected("tcp", draft, max_message_size=size) as (client, server):
        victim, sender = (client, server) if role == "client" else (server, client)
        wire = fragments(sender, "x" * 64, size // 64 - 1)
        wire += encoded(sender, Fragment("x" * 64, final=True))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender._endpoint.stream.send_all, wire)
            assert await victim.receive() == "x" * size
