"""A conversation with a person: commands among the lines that are typed, and what is said of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeAlias

import attrs
import trio

from trio_draftws import Connection

from ._stdio import LineWriter, escape

Binary: TypeAlias = Literal["hex", "raw"]
Print: TypeAlias = Callable[[str], Awaitable[None]]

# More of a message helps nobody on a screen.
MAX_HEX = 1024
HELP = (
    "a line is sent as a text message; one that begins with a slash is a command:",
    "/ping                  pings the server and says how long it took",
    "/binary HEX            sends a binary message, as /binary 00 ff 7f",
    "/close [CODE [REASON]] closes the connection, as Ctrl-D does",
    "/help                  says this",
    "//...                  sends a line that begins with one slash",
)


class Lines(Protocol):
    """Where lines come from."""

    async def read_line(self) -> str | None:
        """The next line, or None at their end."""
        ...


class Assembler(Protocol):
    """Where messages go."""

    async def write_line(self, line: str | bytes, /) -> None:
        """Writes one."""
        ...


def in_hex(message: bytes) -> str:
    """A binary message for people."""
    more = " …" if len(message) > MAX_HEX else ""
    size = f"{len(message)} byte{'' if len(message) == 1 else 's'}"
    return f"binary {size}: {message[:MAX_HEX].hex(' ')}{more}"


@attrs.frozen
class InHex:
    """Messages for a program, one a line, the binary ones in hex."""

    output: LineWriter

    async def write_line(self, line: str | bytes) -> None:
        await self.output.write_line(line.hex(" ") if isinstance(line, bytes) else line)


@attrs.frozen
class Screen:
    """Messages for a person: text behind `<`, binary ones behind `<<`."""

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


@attrs.frozen
class Typed:
    """Does what a typed line says."""

    connection: Connection
    note: Print
    """Prints what is said about the connection."""
    nursery: trio.Nursery
    """For what takes a while."""

    async def act(self, line: str) -> bool:
        """Sends the line, or follows the command; says whether more can be sent.

        Raises:
            trio.BrokenResourceError: the connection has ended.
        """
        try:
            if line.startswith("//") or not line.startswith("/"):
                await self.connection.send(line.removeprefix("/"))
                return True
            command, _, rest = line.partition(" ")
            return await self._follow(command, rest.strip())
        except ValueError as error:
            # Also what the draft cannot say
            await self._tell(str(error))
            return True

    async def _follow(self, command: str, rest: str) -> bool:
        if command == "/close":
            return await self._close(rest)
        if command == "/binary":
            await self.connection.send(_bytes_in(rest))
        elif command == "/ping":
            self.nursery.start_soon(self._ping)
        elif command == "/help":
            for line in HELP:
                await self._tell(line)
        else:
            await self._tell(f"there is no command {command}; /help says which there are")
        return True

    async def _close(self, rest: str) -> bool:
        digits, _, reason = rest.partition(" ")
        if not digits:
            await self.connection.send_close()
            return False
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"a close code is a number, not {digits!r}")
        if not self.connection.draft.close_status:
            await self._tell(f"{self.connection.draft.name} has no close codes: closing without")
        await self.connection.send_close(int(digits), reason.strip())
        return False

    async def _ping(self) -> None:
        try:
            seconds = await self.connection.ping()
        except ValueError as error:
            await self._tell(str(error))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever receives will say why
        else:
            await self._tell(f"pong after {seconds * 1000:.1f} ms")

    async def _tell(self, text: str) -> None:
        await self.note(f"* {escape(text)}")


def _bytes_in(digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise ValueError(f"{digits!r} are no bytes in hex, as 00 ff 7f") from None


def opening_note(connection: Connection) -> str:
    """What was agreed to, for one line."""
    facts = [connection.draft.name]
    if connection.subprotocol is not None:
        facts.append(f"subprotocol {connection.subprotocol}")
    if connection.compression is not None:
        # Its parameters are for --verbose.
        facts.append(connection.compression.partition(";")[0])
    return escape(f"* connected: {', '.join(facts)}")


def closing_note(connection: Connection) -> str | None:
    """Who closed and how, for one line; None where nobody did in order."""
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
