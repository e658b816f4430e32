"""`connect` as a person has it: at a real pseudo-terminal, with and without line editing."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_draftws import DRAFTS, Close, Connection, use_framing_mode

from .processes import DEADLINE, read_all, read_line
from .terminal import CTRL_C, CTRL_D, LEFT, UP, Terminal, at_terminal
from .wire import echo, serving

NEWEST = DRAFTS[-1].name
# Beyond so many lines at once, the prompt is not drawn anew for each.
MANY_LINES = 200
HINT = (
    "trio-draftws: the extra `cli` brings line editing and history: pip install 'trio_draftws[cli]'"
)
HELP = (
    "a line is sent as a text message; one that begins with a slash is a command:",
    "/ping                  pings the server and says how long it took",
    "/binary HEX            sends a binary message, as /binary 00 ff 7f",
    "/close [CODE [REASON]] closes the connection, as Ctrl-D does",
    "/help                  says this",
    "//...                  sends a line that begins with one slash",
)


@asynccontextmanager
async def talking(
    *arguments: str, handler: object = echo, plain: Path | None = None, **kwargs: object
) -> AsyncGenerator[Terminal, None]:
    """`connect` at a terminal, with a server of ours; with `plain`, a folder, without the extra."""
    if plain is not None:
        (plain / "prompt_toolkit.py").write_text("raise ImportError\n")
        kwargs["env"] = {"PYTHONPATH": str(plain)}
    with trio.fail_after(DEADLINE):
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with at_terminal("connect", url, *arguments, **kwargs) as terminal:
                yield terminal


# With line editing


async def test_editing_history_and_commands() -> None:
    before: list[object] = []
    received: list[str | bytes] = []
    closes: list[Close | None] = []

    async def keep(connection: Connection, state: object) -> None:
        async for message in connection:
            received.append(message)
            await connection.send(message)
        closes.append(connection.close_received)

    async with talking(handler=keep) as terminal:
        before.append(terminal.mode)
        await terminal.until(
            f"* connected: {NEWEST}, permessage-deflate; /help lists commands", ">"
        )
        await terminal.type("helo" + LEFT.decode() + "l\r")
        await terminal.until("> hello", "< hello", ">")
        await terminal.type(UP + b"\r")
        await terminal.until("> hello", "< hello", "> hello", "< hello", ">")
        await terminal.type("//slash\r")
        await terminal.until("> //slash", "< /slash", ">")
        await terminal.type("/binary 00 ff\r")
        await terminal.until("> /binary 00 ff", "<< binary 2 bytes: 00 ff", ">")
        await terminal.type("/binary 0\r")
        await terminal.until("> /binary 0", "* '0' are no bytes in hex, as 00 ff 7f", ">")
        await terminal.type("/nope\r")
        await terminal.until("* there is no command /nope; /help says which there are", ">")
        await terminal.type("/help\r")
        await terminal.until(*(f"* {line}" for line in HELP), ">")
        await terminal.type("/ping\r")
        await terminal.until("> /ping", re.compile(r"\* pong after [0-9.]+ ms"), ">")
        await terminal.type("/close 99\r")
        await terminal.until("* a closing frame cannot carry the code 99", ">")
        await terminal.type("/close 4001 good bye\r")
        assert await terminal.wait() == 0
        assert terminal.lines[-2:] == [
            "> /close 4001 good bye",
            "* closed by us with code 4001 'good bye'",
        ]
        assert [terminal.mode] == before
    assert received == ["hello", "hello", "/slash", b"\x00\xff"]
    assert closes == [Close(4001, "good bye")]


async def test_a_message_that_comes_while_typing() -> None:
    """Appears above the line, which stays as it is, with control characters as escapes."""
    send = trio.Event()

    async def interrupt(connection: Connection, state: object) -> None:
        await send.wait()
        await connection.send("news \x1b[2J")
        await echo(connection)

    async with talking(handler=interrupt) as terminal:
        await terminal.until(">")
        await terminal.type("wrd" + LEFT.decode() * 2)
        await terminal.until("> wrd")
        send.set()
        await terminal.until(r"< news \x1b[2J", "> wrd")
        await terminal.type("o\r")
        await terminal.until("> word", "< word", ">")


async def test_a_flood_while_typing() -> None:
    """All of it is printed, in order, and the line is still there."""

    async def pour(connection: Connection, state: object) -> None:
        for number in range(MANY_LINES * 3):
            await connection.send(f"message {number}")
        await echo(connection)

    async with talking(handler=pour) as terminal:
        await terminal.until(">")
        await terminal.type("typed")
        last = MANY_LINES * 3 - 1
        await terminal.until(*(f"< message {last - back}" for back in (2, 1, 0)), "> typed")
        await terminal.type("\r")
        await terminal.until(f"< message {last}", "> typed", "< typed", ">")


@pytest.mark.parametrize(
    ("keys", "status", "code"), [(CTRL_C, 128 + signal.SIGINT, 1001), (CTRL_D, 0, 1000)]
)
async def test_keys_that_end_it(keys: bytes, status: int, code: int) -> None:
    """Ctrl-C is the signal that it always is, Ctrl-D the end of the input."""
    closes: list[Close | None] = []

    async def note(connection: Connection, state: object) -> None:
        await echo(connection)
        closes.append(connection.close_received)

    async with talking(handler=note) as terminal:
        before = terminal.mode
        await terminal.until(">")
        await terminal.type(keys)
        assert await terminal.wait() == status
        assert terminal.lines[-1] == f"* closed by us with code {code}"
        assert terminal.mode == before
    assert closes == [Close(code)]


async def test_the_server_goes_away_while_typing() -> None:
    async def leave(connection: Connection, state: object) -> None:
        await connection.receive()
        await connection.aclose(4002, "enough \x07")

    async with talking(handler=leave) as terminal:
        before = terminal.mode
        await terminal.until(">")
        await terminal.type("hello\rhalf a li")
        assert await terminal.wait() == 3
        assert terminal.lines[-3:] == [
            "> half a li",
            r"* closed by the server with code 4002 'enough \x07'",
            r"trio-draftws: the server closed with code 4002: 'enough \x07'",
        ]
        assert terminal.mode == before


async def test_the_connection_breaks_at_the_prompt() -> None:
    streams: list[trio.abc.Stream] = []

    async def keep(stream: trio.abc.Stream) -> trio.abc.Stream:
        streams.append(stream)
        return stream

    async def vanish(connection: Connection, state: object) -> None:
        await connection.receive()
        await trio.aclose_forcefully(streams[0])

    with trio.fail_after(DEADLINE):
        async with serving(vanish, stream_factory=keep) as server:
            async with at_terminal("connect", f"ws://127.0.0.1:{server.port}/") as terminal:
                await terminal.until(">")
                await terminal.type("hello\r")
                assert await terminal.wait() == 1
                assert terminal.lines[-1] == (
                    "trio-draftws: the peer ended the stream without closing the connection"
                )


async def test_the_wire_above_the_prompt() -> None:
    with use_framing_mode("new"):
        async with talking("--verbose", "--draft", "new") as terminal:
            await terminal.until(">")
            await terminal.type("hi\r")
            await terminal.until(
                "-> ff 00 00 00 00 00 00 00 02 68 69  text, 2 bytes: 'hi'",
                "<- ff 00 00 00 00 00 00 00 02 68 69  text, 2 bytes: 'hi'",
                "< hi",
                ">",
            )
            await terminal.type(CTRL_D)
            assert await terminal.wait() == 0
            assert "-> 00 00 00 00 00 00 00 00 00  close" in terminal.lines
            assert terminal.lines[-1] == "* closed by us"


# Without


async def test_without_the_extra(tmp_path: Path) -> None:
    """The terminal's own line editing, a hint, and the same commands."""
    async with talking("--draft", "hybi-05", plain=tmp_path) as terminal:
        await terminal.until(
            HINT,
            "* connected: hybi-05; /help lists commands",
        )
        await terminal.type("hello\n")
        await terminal.until("hello", "< hello")
        await terminal.type("/binary ff\n")
        await terminal.until("/binary ff", "<< binary 1 byte: ff")
        await terminal.type("/ping\n")
        await terminal.until("/ping", re.compile(r"\* pong after [0-9.]+ ms"))
        await terminal.type("/close 4000\n")
        assert await terminal.wait() == 0
        assert terminal.lines[-2:] == [
            "* hybi-05 has no close codes: closing without",
            "* closed by us",
        ]


async def test_ctrl_c_without_the_extra(tmp_path: Path) -> None:
    async with talking(plain=tmp_path) as terminal:
        await terminal.until(re.compile(r"\* connected: .*"))
        await terminal.type(CTRL_C)
        assert await terminal.wait() == 128 + signal.SIGINT
        assert terminal.lines[-1].endswith("* closed by us with code 1001")


async def test_messages_that_are_kept_from_the_terminal() -> None:
    """A file gets the messages alone; what else there is to say is said on standard error."""
    async with talking(stdout=subprocess.PIPE) as terminal:
        await terminal.until(re.compile(r"\* connected: .*"))
        await terminal.type("hello\n")
        assert await read_line(terminal.process.stdout) == "hello\n"
        await terminal.type("/binary 68 69\n")
        assert await read_line(terminal.process.stdout) == "hi\n"
        await terminal.type("/close\n")
        assert await terminal.wait() == 0
        assert await read_all(terminal.process.stdout) == ""
        assert terminal.lines[-1] == "* closed by us with code 1000"
