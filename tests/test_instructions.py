"""What `benchmarks/instructions` counts can be done; the counts are no concern of the tests."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest
import trio

from benchmarks import codec_works, instructions
from benchmarks.echoes import ECHOES, Echo, echo
from benchmarks.package import ROOT, importing
from benchmarks.servers import bare_trio, draftws
from benchmarks.servers.common import Options
from benchmarks.task import Failed
from benchmarks.wire import DIALECTS
from trio_draftws import DRAFTS, Draft

from .rows import each_row

SMALL = Echo(connections=3, in_flight=2, repeats=1)


@each_row("name", codec_works.WORKS)
@pytest.mark.parametrize("draft", DRAFTS, ids=lambda draft: draft.name)
def test_codecs_can_do_what_is_counted(draft: Draft, name: str) -> None:
    do = codec_works.prepare(draft.name, name)
    # How many messages were decoded, or what one was encoded to
    assert do()


@pytest.mark.parametrize("mode", DIALECTS)
async def test_every_client_has_its_messages_echoed(mode: str) -> None:
    server = draftws if mode != "bare" else bare_trio
    serve = partial(server.serve, Options(mode=mode))
    assert await echo(serve, DIALECTS[mode], SMALL, 5) == 5 * SMALL.messages


async def test_none_is_none() -> None:
    assert await echo(partial(bare_trio.serve, Options()), DIALECTS["bare"], SMALL, 0) == 0


async def test_a_server_that_changes_what_it_echoes() -> None:
    async def shout(stream: trio.SocketStream) -> None:
        async for chunk in stream:
            await stream.send_all(chunk.upper())

    async def serve(*, task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, shout, 0, host="127.0.0.1"))
            task_status.started(listeners[0].socket.getsockname()[1])

    with pytest.RaisesGroup(pytest.RaisesExc(Failed, match="not the echo")):
        await echo(serve, DIALECTS["bare"], SMALL, 1)


@pytest.mark.parametrize("work", [*codec_works.WORKS, *ECHOES])
def test_the_program_that_is_counted(work: str) -> None:
    with importing(ROOT) as there:
        subprocess.run(
            [sys.executable, "-m", "benchmarks.counted", "old", work, "1"],
            cwd=there.cwd,
            env=there.env,
            check=True,
        )


# What is reckoned


def test_a_figure_is_the_difference_that_a_message_makes() -> None:
    def count(draft: str, work: str, repeats: int) -> Future[int]:
        future: Future[int] = Future()
        work_done = codec_works.WORKS.get(work) or ECHOES[work]
        future.set_result(1_000_000 + 7 * repeats * work_done.messages)
        return future

    works = ["encode 32 bytes", "echo 64 connections"]
    assert list(instructions.figures(count, ["bare", "old", "hybi-04"], works)) == [
        # A bare socket has no codec, and there is no raw client for hybi-04.
        ("bare", "echo 64 connections", 7),
        ("old", "encode 32 bytes", 7),
        ("old", "echo 64 connections", 7),
        ("hybi-04", "encode 32 bytes", 7),
    ]


def test_names_of_drafts_are_checked() -> None:
    assert instructions.draft_names("bare,old") == ["bare", "old"]
    with pytest.raises(Exception, match="no draft is called 'oldest'"):
        instructions.draft_names("bare,oldest")


# Whose library is measured


def test_another_checkout_is_imported(tmp_path: Path) -> None:
    (tmp_path / "trio_draftws").mkdir()
    (tmp_path / "trio_draftws" / "__init__.py").write_text("NAME = 'another'", "utf-8")
    program = "import benchmarks.wire, trio_draftws; print(trio_draftws.NAME)"
    with importing(tmp_path) as there:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=there.cwd,
            env=there.env,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout == "another\n"
