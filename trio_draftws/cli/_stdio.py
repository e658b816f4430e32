"""Standard input and output, for a terminal, a file or a pipe.

Calls that may block run in threads. Making the files non-blocking instead would affect every other
process that has them open. A thread that waits for input that never comes can be abandoned.
"""

from __future__ import annotations

import os
import re
import select
import sys
from io import RawIOBase
from typing import TextIO

import attrs
import trio

READ_SIZE = 65536
# The characters that move the cursor, end a line, change the direction of text, or are invisible:
# controls, soft hyphens, direction marks and overrides, separators, characters without width (but
# not the joiners U+200C and U+200D, which words and emoji need), surrogates, annotations, and tags.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class CommandError(Exception):
    """A command failed. The text is printed as one line; `status` is the exit status."""

    def __init__(self, why: str, status: int = 1) -> None:
        super().__init__(why)
        self.status = status


def escape(text: str) -> str:
    r"""Returns `text` with control and invisible characters escaped: `\n`, `\x1b`, `\u202e`."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _console_of(file: TextIO) -> RawIOBase | None:
    """Returns the console of Windows that a file is, if it is one.

    Read and written like that it is in UTF-8; by its descriptor in an encoding of the 1980s.
    """
    raw = getattr(getattr(file, "buffer", None), "raw", None)
    return raw if type(raw).__name__ == "_WindowsConsoleIO" else None


@attrs.define(eq=False, kw_only=True)
class LineReader:
    """Reads the lines of a file, without their line ends; the last line may lack one."""

    fd: int
    _console: RawIOBase | None = None
    _line_end: str = os.linesep
    _buffer: bytearray = attrs.field(factory=bytearray)
    _ended: bool = False

    @classmethod
    def of_stdin(cls) -> LineReader:
        """Returns one for standard input; if that is closed, it has no lines."""
        if sys.stdin is None:
            return cls(fd=-1, ended=True)
        return cls(fd=sys.stdin.fileno(), console=_console_of(sys.stdin))

    async def read_line(self) -> str | None:
        """Returns the next line, or None at the end of the file.

        Bytes that are not UTF-8 become U+FFFD. Cancelling it may lose input.

        Raises:
            CommandError: the file cannot be read.
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
        # The line feed is not among them; on Windows a carriage return comes before it.
        return line.removesuffix(self._line_end[:-1])

    async def _read(self) -> bytes:
        try:
            return await trio.to_thread.run_sync(self._read_now, abandon_on_cancel=True)
        except OSError as error:
            raise CommandError(f"cannot read standard input: {error.strerror}") from error

    def _read_now(self) -> bytes:
        if self._console is not None:
            return self._console.read(READ_SIZE) or b""
        return os.read(self.fd, READ_SIZE)


@attrs.frozen(eq=False, kw_only=True)
class LineWriter:
    """Writes lines in UTF-8, without buffering; on a terminal they are escaped."""

    fd: int
    escapes: bool
    name: str = "standard output"
    _console: RawIOBase | None = None

    @classmethod
    def of_stdout(cls) -> LineWriter:
        """Returns one for standard output.

        Raises:
            CommandError: it is closed.
        """
        return cls._of(sys.stdout, "standard output")

    @classmethod
    def of_stderr(cls) -> LineWriter:
        """Returns one for standard error.

        Raises:
            CommandError: it is closed.
        """
        return cls._of(sys.stderr, "standard error")

    @classmethod
    def _of(cls, file: TextIO | None, name: str) -> LineWriter:
        # A None means that it was closed at the start; its descriptor may now be another file's.
        if file is None:
            raise CommandError(f"{name} is closed")
        return cls(fd=file.fileno(), escapes=file.isatty(), name=name, console=_console_of(file))

    async def write_line(self, line: str | bytes) -> None:
        """Writes one line; bytes are written unchanged, except on a terminal.

        Raises:
            CommandError: the file cannot be written.
        """
        if self.escapes:
            text = line if isinstance(line, str) else line.decode("utf-8", "backslashreplace")
            line = escape(text)
        raw = (line if isinstance(line, bytes) else line.encode()) + b"\n"
        try:
            if not self.escapes and _can_write_now(self.fd, len(raw)):
                self._write_now(raw)
            else:
                await trio.to_thread.run_sync(self._write_now, raw, abandon_on_cancel=True)
        except OSError as error:
            raise CommandError(f"cannot write to {self.name}: {error.strerror}") from error

    def _write_now(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._console is not None:
                rest = rest[self._console.write(rest) or 0 :]
            else:
                try:
                    rest = rest[os.write(self.fd, rest) :]
                except BlockingIOError:
                    # Whoever started us made the pipe one that does not block.
                    select.select((), (self.fd,), ())


def _can_write_now(fd: int, size: int) -> bool:
    """Returns whether a write to a pipe or file will not block, as far as that can be known.

    It saves a thread for each line, which would take ten times as long. Windows cannot say.
    """
    try:
        poll = select.poll()
        if size > select.PIPE_BUF:
            return False
    except AttributeError:
        return False
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))
