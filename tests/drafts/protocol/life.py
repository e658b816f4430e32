"""What may happen in the life of two sides, step by step: by users, networks, scopes, the clock.

A step is a name and its arguments; what cannot be done at the moment does nothing. After each one
all promises are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from tests.drafts.helpers import ROLES, encoded
from trio_draftws.drafts import Close, Draft, Fragment, Ping, Role

from .endpoint import Endpoint
from .promises import Promises
from .sides import Times
from .world import world_of

#: More than so many deadlines for each of the shortest times are a spin.
DEADLINES = 8
Step: TypeAlias = "tuple[str | float, ...]"
#: Steps that most lives are spared, since little happens behind them
ROUGH = ("aclose", "give_up", "part", "reset", "fail", "stop", "violate", "stand_still")


class Life:
    """Two sides, from their opening to their end."""

    def __init__(self, draft: Draft, times: Times, rough: frozenset[str], **wire: Any) -> None:
        self.world = world = world_of(draft, times, **wire)
        self.draft = draft
        self.times = times
        self.rough = rough
        self.promises = {role: Promises(each) for role, each in world.sides.items()}
        self.count = 0
        self.in_order = True

    def do(self, step: Step) -> None:
        """Does one step, if it is none of the rough ones that this life is spared."""
        name, *arguments = step
        if name in ROUGH:
            if name not in self.rough:
                return
            self.in_order = False
        getattr(self, str(name))(*arguments)
        self.check()

    def one(self, role: Role, fits: Callable[[Endpoint], bool]) -> list[Endpoint]:
        """The side of that role, or the other one if only that fits, or none."""
        sides = (self.world.sides[role], self.world.sides[role].peer)
        return [each for each in sides if not each.gone and fits(each)][:1]

    # Users

    def send(self, role: Role, size: int, binary: bool) -> None:
        for each in self.one(role, can_send):
            self.count += 1
            text = f"{self.count}:".ljust(size, "é")
            each.send(text.encode() if binary and self.draft.binary else text)

    def send_many(self, role: Role) -> None:
        """More than a codec decodes at once"""
        for each in self.one(role, can_send):
            each.send(*"0123456789" * 30)

    def send_part(self, role: Role, size: int, final: bool) -> None:
        for each in self.one(role, lambda each: each.may_send and self.draft.fragments):
            self.count += 1
            each.send_part(f"{self.count}:".ljust(size, "é"), final=final)

    def receive(self, role: Role) -> None:
        for each in self.one(role, lambda each: not each.closed and each.parts is None):
            each.receive()

    def receive_part(self, role: Role) -> None:
        for each in self.one(role, lambda each: not each.closed and not each.receiving):
            each.receive_part()

    def skip(self, role: Role) -> None:
        for each in self.one(role, lambda each: each.parts is not None and not each.receiving):
            each.skip()

    def receive_many(self, role: Role) -> None:
        for each in self.one(role, lambda each: each.has_unread and each.parts is None):
            each.receive_many()

    def send_close(self, role: Role) -> None:
        for each in self.one(role, can_send):
            each.send_close(Close(1000, "bye"))

    def aclose(self, role: Role) -> None:
        for each in self.one(role, is_open):
            each.aclose(Close(1001))

    def ping(self, role: Role, waits: bool) -> None:
        for each in self.one(role, lambda each: each.may_ping):
            each.ping(waits=waits)

    def forget_ping(self, role: Role) -> None:
        for each in self.one(role, lambda each: bool(each.waiters)):
            each.forget_ping()

    def send_pings(self, role: Role, count: int) -> None:
        """A peer that is not ours pings in masses."""
        for each in self.one(role, lambda each: each.may_send and self.draft.ping):
            self.count += count
            each.put(
                *(Ping(b"strange %d" % number) for number in range(self.count, self.count + count))
            )

    def hold(self, role: Role) -> None:
        for each in self.one(role, is_open):
            each.hold()

    def release(self, role: Role) -> None:
        for each in self.one(role, lambda each: each.holds):
            each.release()

    def give_up(self, role: Role) -> None:
        """As a broadcast gives up who is too slow"""
        for each in self.one(role, is_open):
            each.give_up()

    # The network

    def deliver(self, role: Role, most: int) -> None:
        self.world.deliver(role, most)

    def deliver_all(self) -> None:
        for role in ROLES:
            self.world.deliver(role, 10**6)

    def acknowledge(self, role: Role) -> None:
        self.world.transmit(role)
        self.world.acknowledge(role)

    def transmit(self, role: Role) -> None:
        self.world.transmit(role)

    def part(self) -> None:
        """Nothing gets through any more, or again."""
        self.world.parted = not self.world.parted

    def reset(self) -> None:
        self.world.reset()

    def fail(self, role: Role) -> None:
        """What is written goes nowhere any more."""
        self.world.sides[role].side.output.fail()

    def stop(self, role: Role, how: Literal["silence", "end"]) -> None:
        if not self.world.sides[role].gone:
            self.world.stop(role, how)

    def violate(self, role: Role) -> None:
        for each in self.one(role, lambda each: not each.side.output.finishing):
            each.side.output.inject(violation(each))

    # Scopes and the clock

    def found_alone(self, role: Role) -> None:
        for each in self.one(role, lambda each: not (each.closed or each.receiving)):
            each.found_alone()

    def hang_up(self, role: Role) -> None:
        for each in self.one(role, lambda each: each.full and each.ending != ""):
            each.hang_up()

    def ask(self, role: Role) -> None:
        """Nobody has to wait for `due`."""
        for each in self.one(role, lambda each: True):
            self.promises[each.side.role].ask()

    def wait(self, seconds: float) -> None:
        self.advance(self.world.clock.now + seconds)

    def wait_until_due(self, role: Role, towards: float) -> None:
        """Until a moment before, that moment, or one behind it"""
        for each in self.one(role, lambda each: each.side.protocol.due < math.inf):
            due = each.side.protocol.due
            self.advance(math.nextafter(due, towards) if towards else due)

    def stand_still(self, seconds: float, most: int) -> None:
        """Nobody is asked for a while, but what is on its way arrives."""
        self.world.set_time(self.world.clock.now + seconds / 2)
        for role in ROLES:
            self.world.deliver(role, most)
        self.world.set_time(self.world.clock.now + seconds / 2)
        self.ask_due()

    # How it goes on

    def ask_due(self) -> None:
        for each in self.world.present:
            if each.side.protocol.due <= self.world.clock.now:
                self.promises[each.side.role].ask()
        self.check()

    def advance(self, until: float) -> None:
        """Lets time go by, and asks each side when it is due."""
        began = self.world.clock.now
        until = max(until, began)
        deadlines = 0
        while (due := self.next_due) <= until:
            self.world.set_time(due)
            self.ask_due()
            deadlines += 1
            # What was noticed may have been due before.
            assert deadlines <= DEADLINES + DEADLINES * max(0, due - began) / self.shortest
        self.world.set_time(until)

    @property
    def shortest(self) -> float:
        """The shortest time after which something can be due."""
        times = self.times
        looks = min(times.write_timeout / 20, times.ping_timeout / 4, 1)
        return min(times.shortest(self.draft), times.grace, looks)

    @property
    def next_due(self) -> float:
        return min((each.side.protocol.due for each in self.world.present), default=math.inf)

    def check(self) -> None:
        for each in self.world.present:
            each.settle()
        for each in self.world.present:
            self.promises[each.side.role].check()

    def finish(self) -> None:
        """Both close, and both end."""
        if self.in_order and not self.world.parted:
            self.end_in_order()
        for each in self.world.present:
            if not each.closed:
                each.aclose(Close())
        self.check()
        self.advance(self.world.clock.now + 2 * self.times.close_timeout)
        self.check()
        for each in self.world.present:
            assert each.side.protocol.end_applied

    def end_in_order(self) -> None:
        """One side closes, and both receive to the end: nothing is lost."""
        for each in self.world.present:
            each.release()
            if each.sending is not None and each.may_send:
                each.send_part("", final=True)
        for each in self.one("client", can_send):
            each.send_close(Close(1000))
        left = self.world.present
        for each in left:
            each.side.output.room = math.inf
            each.side.output.flush()
        for _ in range(100_000):
            for each in left:
                self.world.deliver(each.peer.side.role, 10**6)
                each.receive()
            left = [each for each in left if each.has_unread or not each.excused]
            if not left:
                break
        assert not left
        ends = [each.side.protocol.end for each in self.world.present]
        if all(end is not None and end.kind.name == "CLOSE" for end in ends):
            for each in self.world.present:
                # One that was never sent to its end may have been skipped.
                unfinished = each.skipped and each.peer.sending is not None
                assert each.received - len(each.peer.sent) in (0, unfinished)


def can_send(endpoint: Endpoint) -> bool:
    """Whether a whole message can be sent."""
    return endpoint.may_send and endpoint.sending is None


def is_open(endpoint: Endpoint) -> bool:
    """Whether its user has not closed it."""
    return not endpoint.closed


def violation(endpoint: Endpoint) -> bytes:
    """Bytes that break the draft where a frame of this side could begin."""
    draft, role = endpoint.side.draft, endpoint.side.role
    if endpoint.sending is not None:
        # A message begins before another has ended.
        return encoded(draft.codec(role, math.inf), "whole")
    if draft.fragments:
        # The end of a message that has not begun
        codec = draft.codec(role, math.inf)
        encoded(codec, Fragment("a"))
        return encoded(codec, Fragment("b", final=True))
    # A sentinel's length of ten digits, or eight bytes of length with the top bit set
    return b"\x90" + b"\xff" * 10
