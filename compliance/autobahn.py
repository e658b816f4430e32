"""Autobahn|Testsuite at work: a process of its own against one of ours, in either role."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from .verdicts import Outcome, Role, read_report

HERE = Path(__file__).resolve().parent
PYTHON27 = HERE / ".installed/autobahn/bin/python"
WSTEST = PYTHON27.with_name("wstest")
AGENT = "trio_draftws"
LOG = "log.txt"

LIST_CASES = """
from autobahntestsuite.case import Cases
print(" ".join(case.__name__[len("Case"):].replace("_", ".") for case in Cases))
"""
# Ours test the library that they lie beside, whatever is installed.
OUR_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parent)}
# Some of Autobahn's libraries warn, at every start, that Python 2.7 is old.
ITS_ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "ignore"}

# No round takes this long when all is well.
DEADLINE = 3600


class Failed(Exception):
    """A round of cases did not come to its end."""


async def all_cases() -> list[str]:
    """The numbers of the cases that Autobahn has."""
    listing = await trio.run_process(
        [PYTHON27, "-c", LIST_CASES], capture_stdout=True, env=ITS_ENVIRONMENT
    )
    return listing.stdout.decode().split()


async def run_round(role: Role, cases: list[str], reports: Path) -> Outcome:
    """Runs the cases on our program in that role; the verdict on each that was run.

    Autobahn's reports and its log are left in the folder `reports`, which is emptied first.

    Raises:
        Failed: it did not come to its end.
    """
    _make_empty(reports)
    try:
        with trio.fail_after(DEADLINE):
            await (_test_server if role == "server" else _test_client)(cases, reports)
    except trio.TooSlowError:
        raise Failed(f"not done within {DEADLINE} s") from None
    return read_report(reports / "index.json", AGENT)


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


async def _test_server(cases: list[str], reports: Path) -> None:
    """Our server, and Autobahn's client, which ends when it has run every case."""
    async with _ours("server.py", stdout=subprocess.PIPE) as server:
        url = f"ws://127.0.0.1:{await _first_line(server)}"
        servers = [{"agent": AGENT, "url": url}]
        async with _wstest("fuzzingclient", cases, reports, servers=servers) as autobahn:
            if await autobahn.wait() != 0:
                raise Failed(f"Autobahn's client failed:\n{_end_of_log(reports)}")


async def _test_client(cases: list[str], reports: Path) -> None:
    """Autobahn's server, which never ends, and our client."""
    # Autobahn cannot pick a port, since it would not tell which. Ours is kept for it: two may bind
    # it that both say SO_REUSEADDR, and one of them listen.
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        async with _wstest("fuzzingserver", cases, reports, url=url) as autobahn:
            if not await _is_listening(port, autobahn):
                raise Failed(f"Autobahn's server failed:\n{_end_of_log(reports)}")
            async with _ours("client.py", url) as client:
                if await client.wait() != 0:
                    raise Failed(f"our client ended with status {client.returncode}")


def _ours(name: str, *arguments: str, **options: Any) -> AbstractAsyncContextManager[trio.Process]:
    return _running(sys.executable, HERE / name, *arguments, env=OUR_ENVIRONMENT, **options)


@asynccontextmanager
async def _wstest(
    mode: str, cases: list[str], reports: Path, **options: object
) -> AsyncGenerator[trio.Process, None]:
    spec = reports / "spec.json"
    spec.write_text(json.dumps({"outdir": str(reports), "cases": cases, **options}))
    # Its web server would take a port that may not be free.
    command = (PYTHON27, WSTEST, "--mode", mode, "--spec", spec, "--webport", "0")
    with (reports / LOG).open("w") as log:
        async with _running(*command, stdout=log, stderr=log, env=ITS_ENVIRONMENT) as process:
            yield process


def _end_of_log(reports: Path) -> str:
    return "\n".join((reports / LOG).read_text().splitlines()[-20:])


@asynccontextmanager
async def _running(*command: str | Path, **options: Any) -> AsyncGenerator[trio.Process, None]:
    """A process that is gone when the block ends, however that ends."""
    # In a session of its own, since Ctrl-C is for us, who then end it.
    process = await trio.lowlevel.open_process(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def _first_line(process: trio.Process) -> str:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        data = await process.stdout.receive_some()
        if not data:
            raise Failed("our server ended before it listened")
        line += data
    return line.decode().strip()


async def _is_listening(port: int, process: trio.Process) -> bool:
    """Waits until it is; false when the process ends first."""
    # Autobahn does not say when it listens, so it is tried.
    while process.poll() is None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.05)
        else:
            await stream.aclose()
            return True
    return False
