"""What must be true at a certain moment while a world runs."""

from __future__ import annotations

import math
from functools import partial

import trio

from . import bounds, steps
from .bounds import SLACK
from .joined import Joined
from .journal import Surroundings
from .ours import OurSide
from .raw import RawSide


async def watch_link(world: Surroundings, joined: Joined) -> None:
    """Looks at both sides of a connection when it is time to."""
    async with trio.open_nursery() as nursery:
        for side, peer in joined.directions:
            if isinstance(side, OurSide):
                nursery.start_soon(_watch_leaving, world, side)
                nursery.start_soon(_watch_cut, world, joined, side)
                if isinstance(peer, RawSide):
                    nursery.start_soon(_watch_dead, world, joined, side, peer)


async def _watch_leaving(world: Surroundings, side: OurSide) -> None:
    """A connection of a server is closed soon after its handler has returned."""
    await side.left.wait()
    await _sleep_until(world, side.left_at, bounds.CLOSE_TIMEOUT + SLACK)
    if world.server is not None and side.connection in world.server.connections:
        world.found("closing", f"{side} left at {side.left_at:.3f} s, and is not closed yet")


async def _watch_cut(world: Surroundings, joined: Joined, side: OurSide) -> None:
    """Whom a broadcast found too slow is let go at once, with all that waits for them."""
    await side.cut.wait()
    begun = trio.current_time()
    await _sleep_until(world, begun, SLACK)
    if side.closing == math.inf:
        await _check_gone(world, joined, side, f"cut by a broadcast at {begun:.3f} s")


async def _watch_dead(world: Surroundings, joined: Joined, side: OurSide, peer: RawSide) -> None:
    """Nobody dead is kept, whatever the program does but receive and send."""
    await peer.gone.wait()
    gone = min(peer.vanished, peer.went)
    while True:
        active = max(gone, side.last_active)
        bound = _time_to_notice(side, peer)
        await _sleep_until(world, active, bound)
        if peer.slow and peer.vanished == math.inf:
            return
        if (
            side.connection is None
            or side.closing < math.inf
            or bounds.unread(side, peer) > bounds.SURELY_ROOM
        ):
            return
        if active == max(gone, side.last_active) and bound == _time_to_notice(side, peer):
            break
    how = "vanished" if peer.vanished < math.inf else "ended its side of the stream"
    what = f"{peer} {how} at {gone:.3f} s, {side} did nothing from {active:.3f} s on"
    if min(peer.said_close, side.said_close, *peer.closes, math.inf) < math.inf:
        # Both may have said goodbye, and then the stream is there until the block's end.
        if not _is_closed(side):
            world.found("dead", f"{what}, and is not closed at {trio.current_time():.3f} s")
    else:
        await _check_gone(world, joined, side, what)


def _time_to_notice(side: OurSide, peer: RawSide) -> float:
    """How long it may take until a peer that has gone is known to have."""
    stuck = bounds.WRITE_TIMEOUT if _may_be_stuck(side, peer) else 0
    if peer.went < math.inf or peer.said_close < peer.vanished:
        size = peer.wire.written - side.taken
        return bounds.time_to_read(side.transport, size) + bounds.GRACE + stuck + SLACK
    silence = bounds.IDLE_TIMEOUT
    if side.draft.ping and side.said_close == math.inf:
        silence = bounds.PING_INTERVAL + bounds.PING_TIMEOUT
    return silence + stuck + bounds.PATIENCE


def _may_be_stuck(side: OurSide, peer: RawSide) -> bool:
    """Whether something may be waiting to be written: then another time counts.

    On some streams even a ping is only taken when it is read.
    """
    if peer.vanished == math.inf and not peer.pauses:
        return False
    sent = sum(sent.size for sent in side.sent)
    return side.transport != "memory" and (
        side.transport in ("lockstep", "unix", "tls", "pieces") or sent > 10_000
    )


async def _check_gone(world: Surroundings, joined: Joined, side: OurSide, what: str) -> None:
    now = trio.current_time()
    if not _is_closed(side):
        world.found("dead", f"{what}, and is not closed at {now:.3f} s")
        return
    assert side.connection is not None
    waiting = side.connection.statistics().bytes_waiting
    if waiting:
        world.found("dead", f"{what}, and {waiting} bytes wait for it at {now:.3f} s")
    end = joined.end_of(side)
    if end.is_socket and await end.is_open():
        world.found("dead", f"{what}, and its descriptor is open at {now:.3f} s")


def _is_closed(side: OurSide) -> bool:
    return side.connection is None or side.connection.closed


async def _sleep_until(world: Surroundings, since: float, seconds: float) -> None:
    """Sleeps until so many seconds after `since`, not counting those of a stall."""
    until = since
    while (later := world.later(since, seconds)) > until:
        until = later
        await trio.sleep_until(until)


# How much is held


def check_room(world: Surroundings, joined: Joined) -> None:
    """Looks at how much is held, whenever it grows."""
    for side, peer in joined.directions:
        if isinstance(side, OurSide) and isinstance(peer, RawSide):
            peer.wire.on_written = partial(_check_read_ahead, world, side, peer)
            side.on_change = partial(_check_held, world, side, peer)


def _check_read_ahead(world: Surroundings, side: OurSide, peer: RawSide) -> None:
    """What a peer sends and nobody receives stays with it, but for 64 KiB and one message."""
    if side.transport in _BOUNDED:
        _check_unread(world, side, peer, peer.wire.messages, _BOUNDED[side.transport])


def _check_held(world: Surroundings, side: OurSide, peer: RawSide) -> None:
    if side.connection is not None:
        control = peer.wire.written - peer.wire.messages
        received = side.connection.statistics().bytes_received - control
        _check_unread(world, side, peer, received, 0)
        _check_waiting(world, side, peer)


def _check_unread(
    world: Surroundings, side: OurSide, peer: RawSide, received: int, system: int
) -> None:
    """Looks at what was received and not taken; its frames' headers are not held for long."""
    held = received - side.taken - 14 * len(side.got)
    room = bounds.ROOM + system + 20_000
    if held <= room or side.closing < math.inf or side.ended is not None:
        return
    left = sum(1 for got in side.got if not got.whole)
    if held > room + _largest_step(peer) * (1 + left):
        world.found("bounded", f"{held} bytes of {peer} are held for {side}, which took none")


def _check_waiting(world: Surroundings, side: OurSide, peer: RawSide) -> None:
    """A sender waits while 64 KiB wait to be written, so no more do than that and one message."""
    if side.transport not in _BOUNDED:
        return
    waiting = side.sent_size - peer.wire.read
    room = bounds.ROOM + _BOUNDED[side.transport] + 1000
    if waiting > room and waiting > room + _largest_step(side):
        world.found("bounded", f"{waiting} bytes wait for {peer}, and {side} need not")


# How much each stream takes that nobody has read; others take what they are given, or a system
# decides
_BOUNDED = {"lockstep": 0, "unix": bounds.KERNEL, "tls": bounds.KERNEL}


def _largest_step(side: OurSide | RawSide) -> int:
    """The most bytes that one call was given."""
    sizes = [20]
    for step in side.program.all_steps():
        if isinstance(step, (steps.Send, steps.Drip, steps.Half)):
            sizes.append(step.size)
        elif isinstance(step, steps.SendStream):
            # One message, in drafts that cannot send it in parts
            sizes.append(step.size * step.parts)
        elif isinstance(step, (steps.SendMany, steps.Broadcast)):
            sizes.append(step.size * step.count)
    return max(sizes)
