"""Somebody who does what a page says: saves its files, types its commands, looks at the output."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

DOCS = Path(__file__).parent.parent / "docs"
# In reStructuredText, or in the README's Markdown
STEPS = re.compile(
    r"^\.\. literalinclude:: (?P<file>\S+)$"
    r"|^\.\. code-block:: console\n\n(?P<console>(?:   .+\n)+)"
    r"|^```console\n(?P<fenced>(?:.+\n)+?)```",
    re.MULTILINE,
)
SERVERS = re.compile(r"python (chat|echo_server)\.py|trio-draftws (echo|gateway)")
# The port of the pages; here it may be taken.
PORT = "8080"
DEADLINE = 60


@attrs.define
class Terminal:
    """Where the newcomer types; a server runs in another one until the next is started."""

    folder: Path
    typed: list[str] = attrs.field(factory=list)
    port: str = PORT
    _server: subprocess.Popen[str] | None = None
    _last_words: list[str] = attrs.field(factory=list)
    """What the page says that the server prints when it is stopped."""

    def __attrs_post_init__(self) -> None:
        python = f"{shlex.quote(sys.executable)} -X utf8 -W error"
        (self.folder / "bin").mkdir()
        for name, command in {
            "python": python,
            "trio-draftws": f"{python} -m trio_draftws",
        }.items():
            file = self.folder / "bin" / name
            file.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            file.chmod(0o755)

    def save(self, file: Path) -> None:
        """Puts a file of the page into the folder, in place of what was there."""
        self.stop()
        text = file.read_text(encoding="utf-8")
        (self.folder / file.name).write_text(text.replace(PORT, "0"), encoding="utf-8")

    def type(self, command: str, shown: list[str]) -> None:
        """Types a command; what it prints has to be what the page shows."""
        self.typed.append(command)
        if SERVERS.match(command):
            self._start_server(command, shown)
            return
        process = self._start(command.replace(PORT, self.port))
        try:
            out, _ = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()
        assert process.returncode == 0, out
        if "pytest" in command:
            assert f"{shown[0]} in " in out
        else:
            assert out.splitlines() == shown

    def _start_server(self, command: str, shown: list[str]) -> None:
        self.stop()
        self._server = self._start(f"exec {command}".replace(PORT, "0"))
        assert self._server.stdout is not None
        first = self._server.stdout.readline().strip()
        [self.port] = re.findall(r":(\d+)/?$", first)
        assert first.replace(self.port, PORT) == shown[0]
        self._last_words = shown[1:]

    def _start(self, command: str) -> subprocess.Popen[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            ["sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": str(DOCS.parent)},
        )

    def stop(self) -> int | None:
        """Ctrl-C: a program that says nothing of it ends as every program does; its status."""
        server, self._server = self._server, None
        if server is None:
            return None
        server.send_signal(signal.SIGINT)
        try:
            out, _ = server.communicate(timeout=DEADLINE)
        finally:
            server.kill()
        if server.returncode == 0:
            assert out.splitlines() == self._last_words
        else:
            assert "KeyboardInterrupt" in out
            assert not self._last_words
        return server.returncode

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()


@contextmanager
def at_terminal(folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(folder)
    try:
        yield terminal
        terminal.stop()
    finally:
        terminal.kill()


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, each with what the page shows behind it."""
    for said in ("\n" + block).split("\n$ ")[1:]:
        command, *shown = said.splitlines()
        yield command, shown


def console_blocks(page: str) -> Iterator[str]:
    for step in STEPS.finditer(page):
        if step["fenced"]:
            yield step["fenced"]
        elif step["console"]:
            yield "\n".join(line[3:] for line in step["console"].splitlines())


def follow(terminal: Terminal, page: str) -> None:
    """Does what the page says, in its order."""
    for step in STEPS.finditer(page):
        if step["file"]:
            terminal.save(DOCS / step["file"])
        for block in console_blocks(step[0]):
            for command, shown in commands(block):
                terminal.type(command, shown)
