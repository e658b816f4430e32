"""Standard input and output for a program that may stand in a pipe.

What may block is done in threads. To make the files non-blocking in place of that would show in
every other process that has them; and a thread that reads what never comes can be left behind.
"""

from __future__ import annotations

import os
import re
import select
import sys
from typing import TextIO

import attrs
import trio

READ_SIZE = 65536
# What moves the cursor, ends a line, turns the writing round, or is not seen at all: controls, soft
# hyphens, marks and overrides of direction, separators, what has no width (but the joiners U+200C
# and U+200D, which words and emoji are made with), half characters, annotations, and tags.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class CommandError(Exception):
    """Why a command failed, for one line on standard error; `status` is its exit status."""

    def __init__(self, why: str, status: int = 1) -> None:
        super().__init__(why)
        self.status = status


def escape(text: str) -> str:
    r"""`text` with what a terminal obeys or hides as Python writes it: `\n`, `\x1b`, `\u202e`."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


@attrs.define(eq=False)
class LineReader:
    """The lines of a file, without their ends; its last may lack one."""

    fd: int
    _buffer: bytearray = attrs.field(factory=bytearray)
    _ended: bool = False

    @classmethod
    def of_stdin(cls) -> LineReader:
        """Standard input; where it is closed, it is as if empty."""
        if sys.stdin is None:
            return cls(-1, ended=True)
        return cls(sys.stdin.fileno())

    async def read_line(self) -> str | None:
        """The next line, or None at the end of the file.

        Bytes that are no UTF-8 come as U+FFFD. Cancelling it may lose what was typed.

        Raises:
            CommandError: it cannot be read.
        """
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if self._ended:
                return self._take(searched) if searched else None
            data = await self._read()
            self._buffer += data
            self._ended = not data
        line = self._take(end)
        del self._buffer[:1]
        return line

    def _take(self, size: int) -> str:
        line = self._buffer[:size].decode("utf-8", "replace")
        del self._buffer[:size]
        return line

    async def _read(self) -> bytes:
        try:
            return await trio.to_thread.run_sync(
                os.read, self.fd, READ_SIZE, abandon_on_cancel=True
            )
        except OSError as error:
            raise CommandError(f"cannot read standard input: {error.strerror}") from error


@attrs.frozen(eq=False)
class LineWriter:
    """Writes lines of UTF-8, each at once; on a terminal as `escape` has them."""

    fd: int
    escapes: bool
    name: str = "standard output"

    @classmethod
    def of_stdout(cls) -> LineWriter:
        """Standard output.

        Raises:
            CommandError: it is closed.
        """
        return cls._of(sys.stdout, "standard output")

    @classmethod
    def of_stderr(cls) -> LineWriter:
        """Standard error.

        Raises:
            CommandError: it is closed.
        """
        return cls._of(sys.stderr, "standard error")

    @classmethod
    def _of(cls, file: TextIO | None, name: str) -> LineWriter:
        # The number of a closed file may be another file's by now.
        if file is None:
            raise CommandError(f"{name} is closed")
        return cls(file.fileno(), file.isatty(), name)

    async def write_line(self, line: str | bytes) -> None:
        """Writes one line; bytes are written as they are, unless it is a terminal.

        Raises:
            CommandError: it cannot be written.
        """
        if self.escapes:
            text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
            line = escape(text)
        raw = (line if isinstance(line, bytes) else line.encode()) + b"\n"
        try:
            if not self.escapes and _takes_at_once(self.fd, len(raw)):
                _write(self.fd, raw)
            else:
                await trio.to_thread.run_sync(_write, self.fd, raw, abandon_on_cancel=True)
        except OSError as error:
            raise CommandError(f"cannot write to {self.name}: {error.strerror}") from error


def _takes_at_once(fd: int, size: int) -> bool:
    """Whether a write will not block, as far as that can be known of a pipe or a file.

    Going through a thread for each line would take ten times as long.
    """
    if size > select.PIPE_BUF:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
