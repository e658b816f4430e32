"""What makes, prints and shrinks programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from .__main__ import main
from .breaks import BREAKS
from .generate import program as program_of
from .programs import STEPS, TRANSPORTS, Library, Link, Program, Raw, parse
from .shrink import shrink
from .steps import Close, Repeat, Send, Sleep, Within
from .world import run


def test_a_seed_stands_for_one_program() -> None:
    assert program_of(5) == program_of(5)
    assert program_of(5) != program_of(6)


def test_programs_can_be_read_again() -> None:
    for seed in range(300):
        program = program_of(seed)
        assert parse(repr(program)) == program


def test_every_stream_and_step_occurs() -> None:
    programs = [program_of(seed) for seed in range(1000)]
    assert {program.transport for program in programs} == set(TRANSPORTS)
    drawn = {
        type(step)
        for program in programs
        for link in program.links
        for side in (link.client, link.server)
        for step in side.all_steps()
    }
    assert drawn == set(STEPS.values())


def test_a_run_can_be_repeated() -> None:
    """The same program sees the same things at the same moments."""
    program = next(p for p in map(program_of, range(100)) if p.transport == "unix")
    assert journal(program) == journal(program)


def journal(program: Program) -> list[str]:
    world = run(program)
    sides = [side for joined in world.joined for side, _ in joined.directions]
    return [f"{side} {side.done} {side.sent} {side.got}" for side in sides]


def test_shrinking_keeps_what_matters() -> None:
    """All that does not make a program fail is taken away."""
    idle = Link("hixie-76", Library(Sleep(3), Send(20, 500)), Raw(Sleep(20)))
    wanted = Link("hybi-05", Raw(Send(7), Sleep(1.234), Close()), Library(Repeat(9, Sleep(1))))
    program = Program("tls", idle, wanted, until=500, scope="serve")

    def fails(candidate: Program) -> bool:
        return any(
            isinstance(step, Close) for link in candidate.links for step in link.client.steps
        )

    smallest = shrink(program, fails)
    assert smallest.transport == "unix"
    assert smallest.links == (Link("rfc6455", Raw(Close()), Library()),)
    assert smallest.until < 10


def test_shrinking_opens_what_holds_steps() -> None:
    program = Program(
        "unix", Link("rfc6455", Library(Repeat(5, Within(3, Send()))), Library()), until=5
    )

    def fails(candidate: Program) -> bool:
        return any(isinstance(step, Send) for step in candidate.links[0].client.all_steps())

    assert shrink(program, fails).links[0].client == Library(Send())


HOLDS = """Program('unix',
  Link('rfc6455',
    client=Raw(Send(), Sleep(30), Close()),
    server=Library(Answer(after=0.5), ReceiveAll())),
  until=60, scope='serve')
"""


def test_replaying(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program is run from the text that was printed."""
    file = tmp_path / "program"
    file.write_text(HOLDS, "utf-8")
    assert main(["--replay", str(file)]) == 0
    assert capsys.readouterr().out == f"\nthis program: holds\n{HOLDS}\n"


def test_what_is_found_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With its seed, and as a program that is smaller and can be run again."""
    left_open = next(broken for broken in BREAKS if broken.name == "a stream is left open")
    seed = next(seed for seed in range(100) if program_of(seed).transport == "lockstep")
    assert main(["--seed", str(seed)], left_open.seams) == 1
    told, smaller = capsys.readouterr().out.split(f"seed {seed}, made smaller: fails\n")
    assert f"seed {seed}: fails\n{program_of(seed)}\n" in told
    assert "held: the stream of" in told
    text, _, finding = smaller.partition("\n  held: ")
    assert len(text) < len(repr(program_of(seed)))
    assert run(parse(text), left_open.seams).findings[0].text == finding.partition("\n")[0]
