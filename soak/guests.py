"""The clients of the crowd: talkers, silent ones, and visitors.

Each is a script. What comes back has to be what was sent, each message once and in its order.
"""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

import attrs

from benchmarks.wire import text

from .crowd import READ, WRITE, Client, Gone, Script, Wrong
from .server import RAISE, STATUS

# A visitor says so many things before it leaves, or fewer.
MOST_SAID = 8
STALLED_MESSAGE = 1 << 16


@attrs.define
class Tally:
    """What the guests did."""

    echoed: Counter[int] = attrs.field(factory=Counter)
    """Messages that came back, by the number of the client."""
    slowest: float = 0
    """Seconds that the longest wait for one took."""
    there: int = 0
    """Clients that came to stay, and stayed."""
    goodbyes: int = 0
    """Those of them that the server closed properly at its end."""
    cut_off: int = 0
    """Messages in flight at that time, whose echo the close replaced."""
    taken: int = 0
    """Bytes that the server accepted from the client that does not read."""
    visits: Counter[str] = attrs.field(factory=Counter)
    """Ended visits, by how they ended."""


def arrive(client: Client, tally: Tally) -> Script:
    """Opens a connection that is to last, and says one thing."""
    yield from client.opening()
    if not (yield from client.say(b"%d is here" % client.number)):
        raise Gone("the server said goodbye at once")
    tally.there += 1


def talk(client: Client, tally: Tally) -> Script:
    """Always has a message on its way, until the server ends."""
    yield from arrive(client, tally)
    tally.echoed[client.number] = 0
    for number in itertools.count():
        yield from client.hushing()
        sent = time.perf_counter()
        if not (yield from client.say(b"%d from %d" % (number, client.number))):
            tally.cut_off += 1
            break
        tally.slowest = max(tally.slowest, time.perf_counter() - sent)
        tally.echoed[client.number] += 1
    yield from see_it_end(client, tally)


def stay(client: Client, tally: Tally) -> Script:
    """Says nothing more until the server ends."""
    yield from arrive(client, tally)
    if (yield from client.hears()):
        raise AssertionError("only a goodbye can come")
    yield from see_it_end(client, tally)


def see_it_end(client: Client, tally: Tally) -> Script:
    if not client.crowd.ending:
        raise Wrong("the server said goodbye before its end")
    yield from client.closing(1001)
    tally.goodbyes += 1


# Visitors


def visit(client: Client, tally: Tally) -> Script:
    """Comes, talks, leaves, in one way after the other, until the server ends."""
    for number, (name, leave) in enumerate(ways(client.number)):
        yield from client.hushing()
        try:
            if leave is None:
                knock(client)
            else:
                yield from client.opening()
                for said in range((client.number + number) % MOST_SAID):
                    if not (yield from client.say(b"%d of visit %d" % (said, number))):
                        raise Gone("the server said goodbye")
                yield from leave(client)
        except (Gone, Wrong, OSError):
            # It may end at any moment of a visit.
            if not client.crowd.ending:
                raise
            return
        client.leave()
        tally.visits[name] += 1


def close(client: Client) -> Script:
    client.send(client.dialect.close)
    if (yield from client.hears()):
        raise AssertionError("only a goodbye can come")
    yield from client.until_end()


def reset(client: Client) -> Script:
    client.send(client.dialect.frame(b"this may be read, or not"))
    client.reset()
    yield from ()


def end_within_a_frame(client: Client) -> Script:
    frame = client.dialect.frame(b"this will not be read")
    client.send(frame[: len(frame) // 2])
    client.leave()
    yield from ()


def end_one_side(client: Client) -> Script:
    """Ends its side without a close, and sees what the server does."""
    assert client.sock is not None
    client.sock.shutdown(socket.SHUT_WR)
    while not client.ended:
        yield READ


def break_the_draft(client: Client) -> Script:
    """A frame that no draft has: its length never ends, or its first bits mean nothing."""
    client.send(b"\xff" * 32)
    while not client.ended:
        yield READ


def make_it_raise(client: Client) -> Script:
    client.send(client.dialect.frame(RAISE.encode()))
    if (yield from client.hears()):
        raise AssertionError("only a goodbye can come")
    yield from client.closing(1011)


def knock(client: Client) -> None:
    """Leaves before the opening is done."""
    client.connect()
    client.send(client.request[:40])
    client.leave()


WAYS: dict[str, Callable[[Client], Script] | None] = {
    "closed in order": close,
    "reset the connection": reset,
    "left within a frame": end_within_a_frame,
    "ended one side": end_one_side,
    "broke the draft": break_the_draft,
    "made the handler raise": make_it_raise,
    "left within the opening": None,
}


def ways(first: int) -> Iterator[tuple[str, Callable[[Client], Script] | None]]:
    """All ways to leave, again and again, not all visitors at the same place."""
    names = itertools.cycle(WAYS.items())
    return itertools.islice(names, first % len(WAYS), None)


# The client that does not read


def stall(client: Client, tally: Tally) -> Script:
    """Sends as much as it can and reads nothing."""
    yield from client.opening()
    frame = memoryview(client.dialect.frame(text(STALLED_MESSAGE)))
    while not client.crowd.ending:
        rest = frame
        while rest:
            yield WRITE
            taken = sent(client, rest)
            tally.taken += taken
            rest = rest[taken:]


def sent(client: Client, data: memoryview) -> int:
    assert client.sock is not None
    try:
        return client.sock.send(data)
    except BlockingIOError:
        return 0
    except OSError as error:
        raise Gone(f"{error}, on sending") from error


def ask(client: Client, answers: list[dict[str, int]]) -> Script:
    """Asks the server how much is alive in it."""
    yield from client.opening()
    client.send(client.dialect.frame(STATUS.encode()))
    while len(client.received) < 2 or len(client.received) < 2 + client.received[1]:
        yield from client.wait()
    size = client.received[1]
    answers.append(json.loads(client.received[2 : 2 + size]))
    del client.received[: 2 + size]
    yield from close(client)
