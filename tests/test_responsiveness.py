"""`benchmarks/responsiveness` runs, and its peers send what they should; no figure is judged."""

from __future__ import annotations

import json
import math
import select
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import raw
from benchmarks.floods import FLOODS, Crowd, Flood
from benchmarks.gaps import cases
from benchmarks.idle import IdleClients
from benchmarks.package import Surroundings, has_c
from benchmarks.responsiveness import SECTIONS
from benchmarks.results import Results, Setup, as_text
from trio_draftws import Ping, Pong
from trio_draftws.drafts import Event, Role, draft_named

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = Surroundings("", {})
UNDER_FLOODS = [f"{flood.name}: asleep" for flood in FLOODS]

PROMISED = {
    "pings": [
        "a handler sleeps: first ping",
        "a handler sleeps: later pings",
        "a client sleeps in its block: first ping",
        "a client sleeps in its block: later pings",
    ],
    "leaving": [
        "the handler only sleeps: left at once",
        "the handler only sleeps: left after 0.5 s",
        "the handler only sends: left at once",
        "the handler only sends: left after 0.5 s",
    ],
    "answered": ["first ping", "later pings", "left at once", "left after 1 s"],
    "idle": ["100 connections, handlers receiving", "100 connections, handlers asleep"],
    "gaps-server": ["no flood: asleep", *UNDER_FLOODS],
    "gaps-client": ["no flood: asleep", *UNDER_FLOODS],
    "memory": ["bare Trio", "receiving, after one echo", "asleep"],
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_quick_run(name: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.responsiveness", "--quick"),
            *("--only", name, "--json", str(file)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = Results(**json.loads(file.read_text("utf-8")))
    title, _ = SECTIONS[name]
    assert list(results.sections) == [title]
    rows = results.sections[title]
    assert list(rows) == PROMISED[name]
    for columns in rows.values():
        for samples in columns.values():
            assert samples
            assert all(math.isfinite(sample) for sample in samples)
    assert as_text(results) == done.stdout.rstrip("\n")


def test_every_section_is_promised() -> None:
    assert list(PROMISED) == list(SECTIONS)


def test_every_flood_meets_every_behaviour() -> None:
    found = [(flood.name, behaviour) for flood, behaviour in cases(Setup(NOWHERE))]
    for flood in FLOODS:
        for behaviour in ("sleep", "receive", "ping"):
            assert ((flood.name, behaviour) in found) != (flood.hixie_75 and behaviour == "ping")


# What the raw peers say


def said(flood: Flood, role: Role) -> list[Event]:
    """What a codec makes of the flood, as `role` hears it."""
    codec = draft_named(flood.draft).codec(role, math.inf)
    masked = role == "server"
    wire = flood.begins(masked) + flood.block(masked)
    events: list[Event] = []
    for begin in range(0, len(wire), 100):
        events += codec.decode(wire[begin : begin + 100])
    return events


@pytest.mark.parametrize("role", ["server", "client"])
@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("pings", Ping(b"")),
        ("pongs", Pong(b"")),
        ("tiny messages", "a"),
        ("one byte at a time", "a"),
        ("reserved frames, hixie-75", None),
    ],
)
def test_floods_are_no_violations(name: str, event: Event | None, role: Role) -> None:
    (flood,) = (flood for flood in FLOODS if flood.name == name)
    events = said(flood, role)
    if event is None:
        assert events == []
    else:
        assert events == [event] * (
            len(flood.block(role == "server")) // len(flood.unit(role == "server"))
        )


@pytest.fixture
def listener() -> socket.socket:
    return raw.listen()


def test_a_client_opens_again(listener: socket.socket) -> None:
    """It is ended by its server, and is due to dial once more."""
    with listener, closing(Crowd(FLOODS[0], listener.getsockname()[1])) as crowd:
        crowd.dial()
        server, _ = listener.accept()
        with server:
            request = raw.read_head(server)
            assert request == FLOODS[0].request()
            server.sendall(raw.answer_to(request))
            (flooder,) = crowd.flooders.values()
            while not flooder.opened:
                crowd.turn()
            crowd.begin()
            crowd.turn()
            assert server.recv(6) == raw.frame(raw.PING, masked=True)
        while crowd.flooders:
            crowd.turn()
        assert crowd.ended == 1
        assert len(crowd.dial_at) == 1


def test_servers_answer_whoever_comes(listener: socket.socket) -> None:
    flood = next(flood for flood in FLOODS if flood.hixie_75)
    with listener, closing(Crowd(flood, listener=listener)) as crowd:
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(flood.request())
            crowd.open(1)
            assert b"WebSocket-Location: ws://127.0.0.1/" in raw.read_head(client)
            assert not select.select([client], [], [], 0)[0]
            crowd.begin()
            crowd.turn()
            assert client.recv(4) == b"\x80\x00" * 2


def test_idle_clients_answer_pings(listener: socket.socket) -> None:
    words = (b"one", b"two")
    port = listener.getsockname()[1]
    with listener, socket.create_connection(("127.0.0.1", port)) as client:
        server, _ = listener.accept()
        with server, closing(IdleClients()) as clients:
            server.sendall(b"".join(raw.frame(raw.PING, word, masked=False) for word in words))
            clients.answer(client)
            pongs = b"".join(raw.frame(raw.PONG, word, masked=True) for word in words)
            assert raw.read(server, len(pongs)) == pongs
            assert clients.pings == {port: 2}


def test_frames_of_every_length() -> None:
    server = draft_named("rfc6455").codec("server", math.inf)
    for size in (0, 125, 126, 65_535):
        payload = b"a" * size
        assert server.decode(raw.frame(raw.TEXT, payload, masked=True)) == ["a" * size]


# What is printed


def test_samples_of_rounds_are_joined() -> None:
    results = Results({"Python": "3"})
    for sample in (3, 1, 2):
        results.add("Gaps", "calm", {"ms": [sample]})
    results.add("Gaps", "flooded", {"ms": [200], "ended": [1]})
    assert as_text(results).splitlines() == [
        "Python: 3",
        "Medians, with the smallest and the largest sample in parentheses.",
        "",
        "Gaps     ms                   ended",
        "calm     2.00 (1.00 to 3.00)  –",
        "flooded  200 (200 to 200)     1.00 (1.00 to 1.00)",
    ]


def test_whether_the_c_part_was_built(tmp_path: Path) -> None:
    package = tmp_path / "trio_draftws" / "drafts"
    package.mkdir(parents=True)
    assert not has_c(tmp_path)
    (package / "part.so").touch()
    assert has_c(tmp_path)
