"""A terminal: a real pseudo-terminal, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pyte
import trio

from .processes import start

LINES, COLUMNS = 24, 100
LEFT, UP = b"\x1b[D", b"\x1b[A"
CTRL_C, CTRL_D = b"\x03", b"\x04"
END = "[end]"


@attrs.define(eq=False)
class Terminal:
    """What a person has before them."""

    stream: trio.lowlevel.FdStream
    slave: int
    screen: pyte.Screen = attrs.field(factory=lambda: pyte.Screen(COLUMNS, LINES))
    process: trio.Process = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._feed = pyte.ByteStream(self.screen).feed

    _feed: Callable[[bytes], None] = attrs.field(init=False)

    async def type(self, keys: str | bytes) -> None:
        await self.stream.send_all(keys if isinstance(keys, bytes) else keys.encode())

    @property
    def lines(self) -> list[str]:
        """The lines on the screen, the last one with something on it last."""
        lines = [line.rstrip() for line in self.screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def mode(self) -> list[Any]:
        """How the terminal is set: whether it echoes, makes signals, and so on."""
        return termios.tcgetattr(self.slave)

    async def until(self, *last: str | re.Pattern[str]) -> None:
        """Reads until these are the last lines on the screen."""
        while not self._ends_with(last):
            self._feed(await self.stream.receive_some())

    def _ends_with(self, last: Sequence[str | re.Pattern[str]]) -> bool:
        lines = self.lines[-len(last) :]
        return len(lines) == len(last) and all(
            line == wanted if isinstance(wanted, str) else wanted.fullmatch(line)
            for line, wanted in zip(lines, last, strict=True)
        )

    async def wait(self) -> int:
        """Reads until the program has ended, its last word on the screen; gives its status."""

        async def read_on() -> None:
            while True:
                self._feed(await self.stream.receive_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_on)
            status = await self.process.wait()
            nursery.cancel_scope.cancel()
        # What it wrote stands before this.
        os.write(self.slave, END.encode())
        while not self.lines or not self.lines[-1].endswith(END):
            self._feed(await self.stream.receive_some())
        for _ in END:
            self.screen.backspace()
        self.screen.erase_in_line()
        return status


@asynccontextmanager
async def at_terminal(*arguments: str, **kwargs: Any) -> AsyncGenerator[Terminal, None]:
    """Runs a command that has a terminal for input, output and errors, unless `kwargs` say else."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **kwargs.pop("env", {})}

    def take_terminal() -> None:
        # So that Ctrl-C makes a signal
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    try:
        async with trio.lowlevel.FdStream(master) as stream:
            terminal = Terminal(stream, slave)
            files = {"stdin": slave, "stdout": slave, "stderr": slave, **kwargs}
            async with start(
                *arguments,
                env=environment,
                start_new_session=True,
                preexec_fn=take_terminal,
                **files,
            ) as terminal.process:
                try:
                    yield terminal
                finally:
                    # Shown if the test fails
                    print("\n".join(terminal.lines), file=sys.stderr)
    finally:
        os.close(slave)
