"""How much memory an attack takes, over real sockets.

Several connections are attacked at once: what one of them needs for a moment, as a copy of a
message that has just become whole, is needed by one at a time. Both ends are in this process, and
what the attackers send was made before anything is measured.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import trio

from tests.pairs import connected, mute
from trio_draftws import Connection, Draft
from trio_draftws.drafts import Event, Role

LIMIT = 2**20
"""`max_message_size` by default."""
SLACK = 2**18
"""What one connection may take beside a message of that size."""
ATTACKED_AT_ONCE = 4

Attack: TypeAlias = Callable[[Connection], Sequence[bytes]]
"""What an attacker says, made with the codec of its connection."""
Suffer: TypeAlias = Callable[[Connection], Awaitable[object]]
"""What its victim does meanwhile."""


def encoded(attacker: Connection, *events: Event) -> bytes:
    """What the attacker's draft makes of these, whatever limits there are."""
    return b"".join(
        bytes(part) for event in events for part in attacker._protocol.codec.encode(event)
    )


async def _say(attacker: Connection, said: Sequence[bytes]) -> None:
    """Says it all, unless it is cut off; and never reads."""
    try:
        for part in said:
            await attacker._endpoint.stream.send_all(part)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def taken_by(
    draft: Draft,
    attacked: Role,
    attack: Attack,
    suffer: Suffer,
    *,
    transport: str = "tcp",
    count: int = ATTACKED_AT_ONCE,
    **settings: Any,
) -> float:
    """The most bytes that the process had more than before, for each connection attacked.

    Over "lockstep" nobody takes what a victim says, from its first byte on.
    """
    async with AsyncExitStack() as stack:
        pairs: list[tuple[Connection, Connection]] = []
        for _ in range(count):
            both = connected(transport, draft, close_timeout=0.05, **settings)
            client, server = await stack.enter_async_context(both)
            victim, attacker = (client, server) if attacked == "client" else (server, client)
            mute(attacker)
            pairs.append((victim, attacker))
        said = [attack(attacker) for _, attacker in pairs]
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            async with trio.open_nursery() as attackers:
                async with trio.open_nursery() as victims:
                    for (victim, attacker), words in zip(pairs, said, strict=True):
                        attackers.start_soon(_say, attacker, words)
                        victims.start_soon(suffer, victim)
                most = tracemalloc.get_traced_memory()[1] - before
                for _, attacker in pairs:
                    await trio.aclose_forcefully(attacker._endpoint.stream)
            return most / count
        finally:
            tracemalloc.stop()
