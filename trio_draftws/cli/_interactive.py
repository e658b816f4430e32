"""`connect` at a terminal: commands among the typed lines, and how messages are shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeAlias

import attrs
import trio

from trio_draftws import Connection

from ._stdio import LineWriter, escape

Binary: TypeAlias = Literal["hex", "raw"]
Print: TypeAlias = Callable[[str], Awaitable[None]]

# How many bytes of a binary message are shown
MAX_HEX = 1024
HELP = (
    "a line is sent as a text message; one that begins with a slash is a command:",
    "/ping                  pings the server and says how long it took",
    "/binary HEX            sends a binary message, as /binary 00 ff 7f",
    "/close [CODE [REASON]] closes the connection, as Ctrl-D does",
    "/help                  says this",
    "//...                  sends a line that begins with one slash",
)


class LineSource(Protocol):
    """Where lines come from."""

    async def read_line(self) -> str | None:
        """Returns the next line, or None at the end."""
        ...


class MessageWriter(Protocol):
    """Where messages go."""

    async def write_line(self, line: str | bytes, /) -> None:
        """Writes one message."""
        ...


def in_hex(message: bytes) -> str:
    """Returns a binary message as one line for people: its length, and its bytes in hex."""
    more = " …" if len(message) > MAX_HEX else ""
    size = f"{len(message)} byte{'' if len(message) == 1 else 's'}"
    return f"binary {size}: {message[:MAX_HEX].hex(' ')}{more}"


@attrs.frozen(kw_only=True)
class HexWriter:
    """Writes messages for programs: one per line, binary ones in hex."""

    output: LineWriter

    async def write_line(self, line: str | bytes) -> None:
        await self.output.write_line(line.hex(" ") if isinstance(line, bytes) else line)


@attrs.frozen(kw_only=True)
class ScreenWriter:
    """Writes messages for people: text after `<`, binary ones after `<<`."""

    print: Print
    binary: Binary

    async def write_line(self, line: str | bytes) -> None:
        if isinstance(line, str):
            shown = f"< {line}"
        elif self.binary == "hex":
            shown = f"<< {in_hex(line)}"
        else:
            shown = f"<< {line.decode('utf-8', 'backslashreplace')}"
        await self.print(shown)


@attrs.frozen(kw_only=True)
class InputHandler:
    """Handles typed lines: sends them, or runs the commands among them."""

    connection: Connection
    note: Print
    """Prints a note about the connection."""
    nursery: trio.Nursery
    """Runs the commands that wait for an answer."""

    async def handle(self, line: str) -> bool:
        """Sends the line, or runs the command in it. Returns whether more can be sent.

        Raises:
            trio.BrokenResourceError: the connection has ended.
        """
        try:
            if line.startswith("//") or not line.startswith("/"):
                await self.connection.send(line.removeprefix("/"))
                return True
            command, _, rest = line.partition(" ")
            return await self._run_command(command, rest.strip())
        except ValueError as error:
            # This includes LocalProtocolError: the draft cannot express it.
            await self._print_note(str(error))
            return True

    async def _run_command(self, command: str, rest: str) -> bool:
        if command == "/close":
            return await self._close(rest)
        if command == "/binary":
            await self.connection.send(_bytes_in(rest))
        elif command == "/ping":
            self.nursery.start_soon(self._ping)
        elif command == "/help":
            for line in HELP:
                await self._print_note(line)
        else:
            await self._print_note(f"there is no command {command}; /help says which there are")
        return True

    async def _close(self, rest: str) -> bool:
        digits, _, reason = rest.partition(" ")
        if not digits:
            await self.connection.send_close()
            return False
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"a close code is a number, not {digits!r}")
        if not self.connection.draft.close_status:
            await self._print_note(
                f"{self.connection.draft.name} has no close codes: closing without"
            )
        await self.connection.send_close(int(digits), reason.strip())
        return False

    async def _ping(self) -> None:
        try:
            seconds = await self.connection.ping()
        except ValueError as error:
            await self._print_note(str(error))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the task that receives raises the reason
        else:
            await self._print_note(f"pong after {seconds * 1000:.1f} ms")

    async def _print_note(self, text: str) -> None:
        await self.note(f"* {escape(text)}")


def _bytes_in(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"{digits!r} are no bytes in hex, as 00 ff 7f") from None


def opening_note(connection: Connection) -> str:
    """Returns one line on what the opening handshake settled."""
    facts = [connection.draft.name]
    if connection.subprotocol is not None:
        facts.append(f"subprotocol {connection.subprotocol}")
    if connection.compression is not None:
        # Without its parameters, which --verbose shows
        facts.append(connection.compression.partition(";")[0])
    return escape(f"* connected: {', '.join(facts)}")


def closing_note(connection: Connection) -> str | None:
    """Returns one line on who closed, and how; None if there was no closing handshake."""
    ours = connection.closed_by == connection.role
    close = connection.close_sent if ours else connection.close_received
    if connection.closed_by is None:
        return None
    facts = [f"* closed by {'us' if ours else 'the server'}"]
    if close is not None and connection.draft.close_status:
        facts.append("without a code" if close.code is None else f"with code {close.code}")
        if close.reason:
            facts.append(repr(close.reason))
    return escape(" ".join(facts))
