"""How long a flood from ten peers keeps the other tasks of a program waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from . import raw
from .floods import FLOODS, Crowd, Flood
from .results import Columns, Setup
from .subject import Subject, started

FLOODERS = 10
# Seconds between the last opening handshake and the flood
CALM = 0.3
# Seconds that a flood lasts, and so the longest gap that can be seen
SECONDS = 5

BEHAVIOURS = {"sleep": "asleep", "receive": "receiving", "ping": "awaiting ping()"}


def cases(setup: Setup) -> Iterator[tuple[Flood, str]]:
    """Every flood with every behaviour of the handlers, or of the clients' blocks."""
    for flood in FLOODS:
        for behaviour in BEHAVIOURS:
            # hixie-75 has no pings.
            if not (flood.hixie_75 and behaviour == "ping"):
                yield flood, behaviour
                if setup.quick:
                    break


def measured(setup: Setup, subject: Subject, crowd: Crowd, flooding: bool) -> Columns:
    """The gaps between two heartbeats of a program during the flood."""
    crowd.open(setup.pick(FLOODERS, 2))
    crowd.run(0 if setup.quick else CALM)
    crowd.ended = 0
    subject.restart_heartbeat()
    if flooding:
        crowd.begin()
    crowd.run(0.2 if setup.quick else SECONDS)
    summary = subject.end()
    return {
        "longest gap, ms": [summary["longest"] * 1000],
        "longest in CPU time, ms": [summary["longest_cpu"] * 1000],
        "median gap, ms": [summary["median"] * 1000],
        "connections ended": [crowd.ended],
    }


def of_server(setup: Setup, flood: Flood, behaviour: str, flooding: bool = True) -> Columns:
    with started(setup.surroundings, "subjects.server", behaviour, "--heartbeat") as server:
        with closing(Crowd(flood, port=server.read_port())) as crowd:
            return measured(setup, server, crowd, flooding)


def of_client(setup: Setup, flood: Flood, behaviour: str, flooding: bool = True) -> Columns:
    with raw.listen() as listener, closing(Crowd(flood, listener=listener)) as crowd:
        with started(
            *(setup.surroundings, "subjects.client", listener.getsockname()[1], behaviour),
            *("--draft", flood.draft, "--connections", setup.pick(FLOODERS, 2)),
        ) as client:
            return measured(setup, client, crowd, flooding)


def gaps_of_server(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """A server with hostile clients."""
    yield "no flood: asleep", of_server(setup, FLOODS[0], "sleep", flooding=False)
    for flood, behaviour in cases(setup):
        yield f"{flood.name}: {BEHAVIOURS[behaviour]}", of_server(setup, flood, behaviour)


def gaps_of_clients(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """Clients of a hostile server, all in one program."""
    yield "no flood: asleep", of_client(setup, FLOODS[0], "sleep", flooding=False)
    for flood, behaviour in cases(setup):
        yield f"{flood.name}: {BEHAVIOURS[behaviour]}", of_client(setup, flood, behaviour)
