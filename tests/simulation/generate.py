"""Programs drawn from a seed.

Chance alone rarely says anything of interest, so most sides follow a habit (to chat, to sleep, to
flood, to go away without a word), with some steps of pure chance between.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

from trio_draftws import DRAFTS, Draft

from . import steps
from .programs import TRANSPORTS, Library, Link, Program, Raw, Side
from .steps import Step

Draw: TypeAlias = Callable[["Dice"], list[Step]]

# Where the default settings have their turns: the look and the grace, pings, the time to write,
# two pings' worth, silence
TURNS = (0.25, 2, 5, 20, 40, 60, 80, 3600)
# A frame's length is said in one, three or nine bytes; a read is 16 KiB, room is 64 KiB.
SIZES = (20, 125, 126, 5000, 16_384, 17_000, 65_535, 65_536, 70_000)


class Dice(random.Random):
    """What is drawn for one side of one connection."""

    draft: Draft
    transport: str
    alone: bool
    """Whether every peer of the world is made by hand."""

    def seconds(self, most: float = 5000) -> float:
        if self.random() < 0.4:
            drawn = self.choice(TURNS) * self.choice((0.9, 0.99, 1, 1.01, 1.1, 2))
        else:
            drawn = 10 ** self.uniform(-3, 3.7)
        return round(min(drawn, most), 4)

    def size(self) -> int:
        if self.random() < 0.4:
            return self.choice(SIZES)
        return round(10 ** self.uniform(1.3, 4))

    def count(self, most: int = 200) -> int:
        return min(most, int(10 ** self.expovariate(1.2)))

    def one_of(self, *draws: tuple[int, Draw]) -> list[Step]:
        [(_, draw)] = self.choices(draws, [weight for weight, _ in draws])
        return draw(self)


# Single steps


def _sleep(dice: Dice) -> list[Step]:
    return [steps.Sleep(dice.seconds())]


def _nap(dice: Dice) -> list[Step]:
    return [steps.Sleep(dice.seconds(most=3))]


def _send(dice: Dice) -> list[Step]:
    size = dice.size()
    return [steps.Send(min(500, dice.count(max(1, 300_000 // size))), size)]


def _say(dice: Dice) -> list[Step]:
    return [steps.Send(dice.count(20), min(dice.size(), 20_000))]


def _send_many(dice: Dice) -> list[Step]:
    size = dice.size()
    return [steps.SendMany(dice.count(max(1, 200_000 // size)), size)]


def _send_stream(dice: Dice) -> list[Step]:
    pause = dice.choice((0, 0, 0.1, dice.seconds(most=50)))
    return [steps.SendStream(1 + dice.count(8), dice.size(), pause)]


def _receive(dice: Dice) -> list[Step]:
    return [steps.Receive(dice.count(20))]


def _receive_stream(dice: Dice) -> list[Step]:
    parts = dice.choice((None, 0, 1, 2))
    return [steps.ReceiveStream(parts, dice.choice((0, 0, 1, dice.seconds(most=50))))]


def _answer(dice: Dice) -> list[Step]:
    return [steps.Answer(dice.count(10), dice.choice((0, 0, 0.5, dice.seconds(most=10))))]


def _within(dice: Dice) -> list[Step]:
    return [steps.Within(dice.seconds(most=100), *_short_step(dice))]


def _pings_under_timeout(dice: Dice) -> list[Step]:
    pinging = steps.Within(dice.seconds(most=30), steps.Ping())
    return [steps.Repeat(1 + dice.count(60), pinging, *_nap(dice))]


def _push(dice: Dice) -> list[Step]:
    """More than a stream takes, perhaps, but not for ever."""
    size = dice.choice((20_000, 70_000))
    return [steps.Within(dice.seconds(most=100), steps.Send(600_000 // size, size))]


def _meanwhile(dice: Dice) -> list[Step]:
    return [steps.Meanwhile(tuple(_short_step(dice)), tuple(_short_step(dice)))]


def _just(step: Step) -> Draw:
    return lambda dice: [step]


def _short_step(dice: Dice) -> list[Step]:
    return dice.one_of(
        (3, _send),
        (1, _send_many),
        (1, _send_stream),
        (3, _receive),
        (1, _just(steps.ReceiveMany())),
        (2, _receive_stream),
        (1, _answer),
        (1, _just(steps.WaitReadable())),
        (1, _just(steps.Ping())),
        (1, _just(steps.Compute())),
        (2, _nap),
    )


def _any_step(dice: Dice) -> list[Step]:
    return dice.one_of(
        (12, _short_step),
        (4, _sleep),
        (3, _within),
        (2, _push),
        (1, _pings_under_timeout),
        (1, _meanwhile),
        (1, _just(steps.SendClose())),
        (1, lambda dice: [steps.Broadcast(dice.count(30), dice.size())]),
        (1, _just(steps.Aclose())),
    )


# Habits of programs


def _some_steps(dice: Dice) -> list[Step]:
    return [step for _ in range(dice.randint(1, 5)) for step in _any_step(dice)]


def _chat(dice: Dice) -> list[Step]:
    turn = dice.choice((_answer, _receive, _say))(dice)
    return [steps.Repeat(1 + dice.count(30), *turn, *dice.choice((_nap, _sleep))(dice))]


def _news(dice: Dice) -> list[Step]:
    return [steps.Repeat(1 + dice.count(100), steps.Send(), steps.Sleep(dice.seconds(most=60)))]


def _listen(dice: Dice) -> list[Step]:
    return [steps.ReceiveAll()]


_LISTEN_LATER: Draw = lambda dice: [*_sleep(dice), *_listen(dice)]  # noqa: E731
_ONE_ANSWER_THEN_SLEEP: Draw = lambda dice: [steps.Answer(), *_sleep(dice)]  # noqa: E731
_RECEIVE_AND_ANSWER: Draw = lambda dice: [steps.Receive(), *_nap(dice), steps.Send()]  # noqa: E731


def _library(dice: Dice) -> Library:
    drawn: list[Step] = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        drawn += dice.one_of(
            (4, _some_steps),
            (2, _chat),
            (1, _news),
            (2, _listen),
            (1, _LISTEN_LATER),
            (2, _sleep),
            (1, _ONE_ANSWER_THEN_SLEEP),
            (1, _RECEIVE_AND_ANSWER),
        )
    drawn += dice.one_of(
        (6, lambda dice: []),
        (1, _just(steps.Aclose())),
        (1, _just(steps.Raise())),
        (1, lambda dice: [steps.SendClose(), steps.ReceiveAll()]),
    )
    return Library(*drawn)


# Habits of peers by hand


def _raw_chat(dice: Dice) -> list[Step]:
    turn = dice.choice((_say, _pings))(dice)
    return [steps.Repeat(1 + dice.count(20), *turn, *dice.choice((_nap, _sleep))(dice))]


def _pings(dice: Dice) -> list[Step]:
    return [steps.Pings(dice.count(500))] if dice.draft.ping else [steps.Send()]


def _raw_step(dice: Dice) -> list[Step]:
    draws: list[tuple[int, Draw]] = [
        (6, _send),
        (2, _send_stream),
        (4, _nap),
        (4, _sleep),
        (1, lambda dice: [steps.Drip(dice.choice((20, 300)))]),
        (1, lambda dice: [steps.Read(dice.choice((0, 0, 100, 5000)))]),
        (1, _just(steps.Read())),
        (3, _raw_chat),
    ]
    if dice.draft.ping:
        draws += [
            (3, _pings),
            (1, lambda dice: [steps.Pongs(dice.count())]),
        ]
    if dice.alone:
        draws.append((1, lambda dice: [steps.Stall(dice.seconds())]))
    return dice.one_of(*draws)


def _raw(dice: Dice) -> Raw:
    drawn = [step for _ in range(dice.randint(0, 4)) for step in _raw_step(dice)]
    drawn += dice.one_of(
        (4, lambda dice: []),
        (4, _just(steps.Close())),
        (3, _just(steps.Vanish())),
        (1, lambda dice: [steps.Half(dice.size()), steps.Vanish()]),
        (2, _just(steps.Eof())),
        (1, _just(steps.Reset())),
        (1, _just(steps.Violate())),
        (1, lambda dice: [steps.Answering(on=False)]),
    )
    return Raw(*drawn)


# What two sides do that have to do with each other


def _late_reader(dice: Dice) -> tuple[Side, Library]:
    """One that reads nothing for a while, and one that sends more than a stream takes."""
    late = steps.Sleep(dice.seconds(most=50))
    pushes = [step for _ in range(dice.randint(1, 3)) for step in (*_push(dice), *_nap(dice))]
    pushing = Library(*pushes, steps.Send(), steps.SendClose(), steps.ReceiveAll())
    if dice.alone or dice.random() < 0.5:
        return Raw(steps.Read(0), late, steps.Read()), pushing
    return Library(late, steps.ReceiveAll()), pushing


def _gone_for_good(dice: Dice) -> tuple[Side, Library]:
    """One that vanishes, and one that does nothing that would show it."""
    waiting = dice.one_of(
        (1, lambda dice: [steps.Sleep(5000)]), (1, _pings_under_timeout), (1, _listen)
    )
    return Raw(*_raw_step(dice), *_nap(dice), steps.Vanish()), Library(*waiting, steps.Sleep(5000))


def _asleep(dice: Dice) -> tuple[Side, Library]:
    """One that says something, and one that sleeps."""
    said = [step for _ in range(dice.randint(1, 3)) for step in _raw_step(dice)]
    return Raw(*_nap(dice), *said, *_sleep(dice), steps.Close()), Library(
        *_nap(dice), steps.Sleep(5000)
    )


def _unanswered(dice: Dice) -> tuple[Side, Library]:
    """One that does not answer a goodbye."""
    return Raw(steps.Answering(on=False)), Library(*_nap(dice), steps.Aclose())


def _flood(dice: Dice) -> tuple[Side, Library]:
    """One that sends more than anybody reads ahead, and one that receives none of it, or later."""
    size = dice.choice((500, 20_000, 60_000))
    flood = steps.Send(600_000 // size, size)
    return Raw(*_nap(dice), flood, steps.Sleep(1), flood), Library(
        *_nap(dice), *_sleep(dice), *dice.choice((_listen, _receive, _sleep))(dice)
    )


_THEMES = (_flood, _late_reader, _late_reader, _gone_for_good, _asleep, _unanswered)


def _link(dice: Dice) -> Link:
    draft = dice.draft.name
    if dice.random() < 0.4:
        theirs, ours = dice.choice(_THEMES)(dice)
    elif dice.alone or dice.random() < 0.3:
        theirs, ours = _raw(dice), _library(dice)
    else:
        theirs, ours = _library(dice), _library(dice)
    return Link(draft, theirs, ours) if dice.random() < 0.6 else Link(draft, ours, theirs)


def program(seed: int) -> Program:
    """The program of that seed."""
    dice = Dice(seed)
    dice.transport = dice.choices(TRANSPORTS, (3, 1, 3, 6, 2, 2))[0]
    # The clock of TCP waits in earnest each time that it jumps.
    until = 10 ** dice.uniform(1, 2 if dice.transport == "tcp" else 3.7)
    dice.alone = dice.random() < 0.3
    links: list[Link] = []
    for _ in range(dice.choices((1, 2, 3, 4), (10, 4, 2, 1))[0]):
        dice.draft = dice.choice(DRAFTS)
        links.append(_link(dice))
    return Program(
        dice.transport, *links, until=round(until, 4), scope=dice.choice(("serve", "accept"))
    )
