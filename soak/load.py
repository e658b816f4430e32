"""The load, in a process of its own: its clients, and how the server's memory grows.

    python -m soak.load '{"port": …}'    prints one JSON object: a `Result`

Both exercises end with SIGTERM to the server while all talk.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

import attrs

from benchmarks.cpu import resident_bytes

from .crowd import MODES, Client, Crowd, Script, Wrong
from .guests import WAYS, Tally, ask, stall, stay, talk, visit

# Openings in progress at once while the connections are made
AT_THE_DOOR = 200
# Connections that stay, for each visitor
THERE_FOR_EACH_VISITOR = 20
# Seconds between two looks at the server's memory, at most; there are ten at least.
BETWEEN_LOOKS = 1.0
# Parts of the time under load: before it, until everybody has what talking takes; and behind it,
# since the end is to come under load
WARM_UP = 0.05
BEFORE_THE_END = 0.02
# All faults are counted; this many are printed.
MOST_TOLD = 20
MIB = 1 << 20


@attrs.frozen
class Task:
    """What to do to which server."""

    exercise: str
    port: int
    pid: int
    """The server's process."""
    connections: int
    seconds: float
    patience: float


@attrs.frozen
class Look:
    """The state of the server at one moment."""

    seconds: float
    """Under load until then."""
    mib: float
    """Its memory."""
    messages: int
    """Echoed until then."""


@attrs.frozen
class Alive:
    """What lives in the server while nobody sends anything."""

    connections: int
    tasks: int
    objects: int
    """Of the library's types."""


@attrs.define
class Result:
    """The result of an exercise."""

    exercise: str
    connections: int
    """Those that stay."""
    visitors: int = 0
    """Clients that come and go, one visit after the other."""
    empty: float = 0
    """MiB of the server's memory before they came."""
    full: float = 0
    """MiB when they were all there, and silent."""
    before: Alive | None = None
    after: Alive | None = None
    looks: list[Look] = attrs.field(factory=list)
    echoed: dict[str, int] = attrs.field(factory=dict)
    """Messages by draft."""
    fewest: int = 0
    """Messages of the talker that got the fewest back."""
    most: int = 0
    slowest: float = 0
    """Seconds that the longest wait for a message took."""
    openings: int = 0
    visits: dict[str, int] = attrs.field(factory=dict)
    pings: int = 0
    """Of the server's."""
    unsettled: int = 0
    """Clients that waited in vain."""
    rates: dict[str, float] = attrs.field(factory=dict)
    """Messages in a second, without, beside and after the client that does not read."""
    stalled: float = 0
    """MiB that the server's memory grew beside that one."""
    taken: float = 0
    """MiB that were taken from that one."""
    goodbyes: int = 0
    cut_off: int = 0
    """Messages in flight when the server ended."""
    seconds_to_end: float = 0
    """From SIGTERM until the last one had its close and the end of its stream."""
    faults: int = 0
    told: list[str] = attrs.field(factory=list)
    """The first of the faults."""


@attrs.define
class House:
    """The crowd, and what the load knows about it and its server."""

    task: Task
    result: Result
    crowd: Crowd
    tally: Tally = attrs.field(factory=Tally)
    talking: int = 0
    """Clients that a hush makes quiet."""
    tasks_of_none: int = 0
    """The server's, without any connection."""
    _invited: int = 0

    def memory(self) -> float:
        return resident_bytes(self.task.pid) / MIB

    def let_in(self, script: Callable[[Client, Tally], Script]) -> None:
        """Starts the next client."""
        mode = MODES[self._invited % len(MODES)]
        client = Client(self.crowd, self._invited, mode)
        self._invited += 1
        self.crowd.start(client, script(client, self.tally))

    def fill(self, count: int, script: Callable[[Client, Tally], Script]) -> None:
        """So many come to stay, some at a time."""
        before = self.tally.there
        for begun in range(1, count + 1):
            self.let_in(script)
            fewest = before + (count if begun == count else begun - AT_THE_DOOR)
            self.run_until(partial(self.are_there, fewest))

    def run_until(self, so: Callable[[], bool]) -> None:
        """Lets everybody go on until it is so.

        Raises:
            Wrong: it never was.
        """
        faults = len(self.crowd.faults)
        if not self.crowd.run(self.task.patience, lambda: so() or len(self.crowd.faults) > faults):
            raise Wrong(
                f"only {self.tally.there} came in, and then nobody for {self.task.patience} s"
            )

    def are_there(self, count: int) -> bool:
        return self.tally.there >= count

    def come_and_go(self, count: int) -> None:
        for _ in range(count):
            self.let_in(visit)
        self.result.visitors += count
        self.talking += count

    def stay(self, count: int) -> None:
        """So many are there, of whom half talk as soon as the hush ends."""
        self.fill(count - count // 2, stay)
        self.talk(count // 2)

    def talk(self, count: int) -> None:
        self.fill(count, talk)
        self.talking += count

    def be_under_load(self, seconds: float) -> list[Look]:
        """Lets everybody go on; what was seen of the server, the first at once."""
        before = self.tally.echoed.total()
        self.crowd.go_on_all()
        began = time.monotonic()
        looks = [Look(0, self.memory(), 0)]
        while (left := began + seconds - time.monotonic()) > 0:
            self.crowd.run(min(BETWEEN_LOOKS, seconds / 10, left))
            messages = self.tally.echoed.total() - before
            looks.append(Look(time.monotonic() - began, self.memory(), messages))
        return looks

    def rate(self, seconds: float) -> float:
        """So many messages in a second."""
        last = self.be_under_load(seconds)[-1]
        return last.messages / last.seconds

    def settle(self) -> Alive:
        """Makes all quiet, until each has its echo and the server has noticed who left."""
        self.crowd.hushed = True
        self.crowd.run(self.task.patience, self.is_settled)
        owed = self.talking - len(self.crowd.quiet) - len(self.crowd.faults)
        self.result.unsettled = max(owed, self.result.unsettled)
        deadline = time.monotonic() + self.task.patience
        while True:
            alive = self.ask()
            others = (alive.connections - self.tally.there, alive.tasks - self.tally.there)
            # One more looks after those who were left alone, from the first of them on; and one
            # waits for many who are busy at once.
            more = others[1] - self.tasks_of_none
            settled = others[0] == 0 and more in (0, 1, 2)
            if settled or time.monotonic() > deadline:
                return alive

    def is_settled(self) -> bool:
        return len(self.crowd.quiet) + len(self.crowd.faults) >= self.talking

    def ask(self) -> Alive:
        answers: list[dict[str, int]] = []
        client = Client(self.crowd, self._invited, "rfc6455")
        self.crowd.start(client, ask(client, answers))
        self.run_until(lambda: bool(answers))
        if not answers:
            raise Wrong("the server does not say how it is")
        # Without the connection that asks
        answer = Alive(**answers[0])
        return attrs.evolve(answer, connections=answer.connections - 1, tasks=answer.tasks - 1)

    def end(self) -> None:
        """Ends the server with SIGTERM under load, and waits until everybody has seen it."""
        self.be_under_load(self.task.seconds * BEFORE_THE_END)
        self.crowd.ending = True
        os.kill(self.task.pid, signal.SIGTERM)
        began = time.monotonic()
        self.crowd.run(self.task.patience, lambda: not self.crowd.alive)
        self.result.seconds_to_end = time.monotonic() - began


def crowd(house: House) -> None:
    """Everybody at once."""
    task, result = house.task, house.result
    # What the first ones cause to be loaded belongs to none.
    house.come_and_go(max(len(MODES), task.connections // THERE_FOR_EACH_VISITOR))
    house.run_until(lambda: len(house.tally.visits) == len(WAYS))
    house.settle()
    result.empty = house.memory()
    house.stay(task.connections)
    house.settle()
    result.full = house.memory()
    house.be_under_load(task.seconds * WARM_UP)
    result.before = house.settle()
    result.looks = house.be_under_load(task.seconds)
    result.after = house.settle()
    house.end()


def stalled(house: House) -> None:
    """Talkers, without and next to a client that sends and does not read."""
    task, result = house.task, house.result
    part = task.seconds / 3
    house.crowd.hushed = True
    house.talk(task.connections)
    house.be_under_load(task.seconds * WARM_UP)
    result.before = house.settle()
    result.rates["without"] = house.rate(part)
    before = house.memory()
    lame = Client(house.crowd, task.connections, "rfc6455")
    house.crowd.start(lame, stall(lame, house.tally))
    result.rates["beside"] = house.rate(part)
    result.stalled = house.memory() - before
    if lame.sock is None:
        raise Wrong("the one who does not read was not kept")
    lame.reset()
    house.crowd.end(lame)
    result.rates["after"] = house.rate(part)
    result.after = house.settle()
    house.end()


EXERCISES = {exercise.__name__: exercise for exercise in (crowd, stalled)}


def do(task: Task) -> Result:
    """Does the exercise and returns its result, faults included."""
    result = Result(task.exercise, task.connections)
    house = House(task, result, Crowd(task.port, task.patience))
    try:
        house.tasks_of_none = house.ask().tasks
        EXERCISES[task.exercise](house)
    except (Wrong, OSError) as error:
        house.crowd.faults.append(f"{type(error).__name__}: {error}")
        os.kill(task.pid, signal.SIGTERM)
    tally = house.tally
    for number, count in tally.echoed.items():
        mode = MODES[number % len(MODES)]
        result.echoed[mode] = result.echoed.get(mode, 0) + count
    result.fewest = min(tally.echoed.values(), default=0)
    result.most = max(tally.echoed.values(), default=0)
    result.slowest, result.taken = tally.slowest, tally.taken / MIB
    result.openings, result.pings = house.crowd.openings, house.crowd.pings
    result.visits = dict(tally.visits)
    result.goodbyes, result.cut_off = tally.goodbyes, tally.cut_off
    result.faults, result.told = len(house.crowd.faults), house.crowd.faults[:MOST_TOLD]
    return result


def main() -> None:
    result = do(Task(**json.loads(sys.argv[1])))
    print(json.dumps(attrs.asdict(result)))


if __name__ == "__main__":
    main()
