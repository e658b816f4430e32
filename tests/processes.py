"""The command line as a user would run it: in processes of their own, or in this one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import outcome
import pytest
import trio

from trio_draftws.cli import main

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
# Far above what any of them takes
DEADLINE = 60


def command(*arguments: str, module: str = "trio_draftws") -> list[str]:
    return [sys.executable, "-W", "error", "-m", module, *arguments]


def start(
    *arguments: str, module: str = "trio_draftws", **kwargs: Any
) -> AbstractAsyncContextManager[trio.Process]:
    """Starts a command; whatever it is doing at the block's end is cut off."""
    return start_program(command(*arguments, module=module), **kwargs)


@asynccontextmanager
async def start_program(program: list[str], **kwargs: Any) -> AsyncGenerator[trio.Process, None]:
    """The same for any program."""
    process = await trio.lowlevel.open_process(
        program,
        **{
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": ROOT,
            **kwargs,
        },
    )
    try:
        with trio.fail_after(DEADLINE):
            yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()


async def run_here(*arguments: str) -> int:
    """Runs a command as `main` does, but in this process and in the loop that runs already.

    Starting Python takes half a second. Returns the exit status; what is printed is the process's.
    """
    commands: list[Any] = []
    with pytest.MonkeyPatch.context() as loop:
        loop.setattr(trio, "run", commands.append)
        main(arguments)
        [command] = commands
        result = await outcome.acapture(command)
        loop.setattr(trio, "run", lambda command: result.unwrap())
        return main(arguments)


async def read_line(stream: trio.abc.ReceiveStream | None) -> str:
    assert stream is not None
    line = bytearray()
    while not line.endswith(b"\n"):
        data = await stream.receive_some(1)
        assert data, f"ended within a line: {line!r}"
        line += data
    return line.decode()


async def read_all(stream: trio.abc.ReceiveStream | None) -> str:
    assert stream is not None
    return b"".join([bytes(chunk) async for chunk in stream]).decode()


@asynccontextmanager
async def echo_server(*arguments: str) -> AsyncGenerator[tuple[trio.Process, str], None]:
    """The `echo` command on a free port, and the URL that it printed."""
    async with start("echo", "--port", "0", *arguments) as process:
        words = (await read_line(process.stdout)).split(" ")
        assert words[:2] == ["listening", "on"]
        yield process, words[2].removesuffix("\n")
