"""Parts of the command line: lines in and out, what a typed line does, what `probe` makes of it,
and the trace of the wire.

They are imported from where they are, since a process for each case would take half a second, and
since a pipe of a process cannot be made to give its bytes in those pieces, nor to take them then.
"""

from __future__ import annotations

import io
import os
import select
import socket
import ssl
import sys
import types
import unicodedata
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Connection,
    Draft,
    Rejected,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.cli import _connect
from trio_draftws.cli._interactive import InputHandler, closing_note, in_hex
from trio_draftws.cli._probe import Finding, format_finding, remarks, with_verdicts
from trio_draftws.cli._prompt import _printable
from trio_draftws.cli._stdio import CommandError, LineReader, LineWriter, escape
from trio_draftws.cli._target import Target
from trio_draftws.cli._trace import Trace
from trio_draftws.drafts import draft_named

from .rows import drafts_that_differ_most, in_turn
from .wire import raw_server, read_request, read_to_end, serving, take_up

draft = drafts_that_differ_most()

# Standard input and output


async def read_lines_of(*chunks: bytes) -> list[str]:
    """The lines of an input that gives `chunks` one at a time."""
    # A socket of this kind keeps what was written apart.
    begin, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with begin, end:
        for chunk in chunks:
            begin.send(chunk)
        begin.shutdown(socket.SHUT_WR)
        reader = LineReader(fd=end.fileno())
        lines: list[str] = []
        while (line := await reader.read_line()) is not None:
            lines.append(line)
    return lines


async def test_lines_that_come_in_pieces() -> None:
    assert await read_lines_of(b"on", b"e\ntw", b"o\n\n", b"thr\xc3", b"\xb6\r\nfour") == [
        "one",
        "two",
        "",
        "thrö\r",
        "four",
    ]


async def test_input_that_is_no_utf8() -> None:
    assert await read_lines_of(b"a\xff\xc3\nb\n") == ["a\ufffd\ufffd", "b"]


async def test_no_input() -> None:
    assert await read_lines_of() == []


class _WindowsConsoleIO(io.RawIOBase):
    """What Python has for a console of Windows, which goes by this name."""

    def __init__(self, *typed: bytes) -> None:
        self.typed = list(typed)
        self.shown = b""

    def read(self, size: int = -1) -> bytes | None:
        return self.typed.pop(0) if self.typed else b""

    def write(self, data: Any, /) -> int:
        piece = bytes(data[:4])
        self.shown += piece
        return len(piece)


class ConsoleFile:
    """`sys.stdin` or `sys.stdout` there."""

    def __init__(self, console: io.RawIOBase) -> None:
        self.buffer = types.SimpleNamespace(raw=console)

    def fileno(self) -> int:
        return -1

    def isatty(self) -> bool:
        return True


async def test_at_a_console_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its descriptor would give and take the bytes of an old encoding."""
    console = _WindowsConsoleIO("gr\u00fc".encode()[:-1], b"\xbc\xc3\x9fe\r\nend\r\n")
    monkeypatch.setattr(sys, "stdin", ConsoleFile(console))
    monkeypatch.setattr(sys, "stdout", ConsoleFile(console))
    reader = LineReader.of_stdin()
    reader._line_end = "\r\n"
    assert await reader.read_line() == "gr\u00fc\u00dfe"
    assert await reader.read_line() == "end"
    assert await reader.read_line() is None
    await LineWriter.of_stdout().write_line("\u00fcber\x1b und\u2026")
    assert console.shown == "\u00fcber\\x1b und\u2026\n".encode()


async def test_output_where_nothing_says_whether_it_blocks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for missing in ("PIPE_BUF", "poll"):
        monkeypatch.delattr(select, missing, raising=False)
        path = tmp_path / missing
        with path.open("wb") as file:
            await LineWriter(fd=file.fileno(), escapes=False).write_line("x" * 9999)
        assert path.read_text() == "x" * 9999 + "\n"


def test_what_a_terminal_cannot_show() -> None:
    assert _printable("na\u00efve \u2713", "latin-1") == "na\u00efve \\u2713"
    assert _printable("na\u00efve \u2713", "utf-8") == "na\u00efve \u2713"


async def test_input_that_cannot_be_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(CommandError, match="cannot read standard input: Is a directory"):
            await LineReader(fd=fd).read_line()
    finally:
        os.close(fd)


async def test_output_that_nobody_reads_blocks_only_itself() -> None:
    """A line that the pipe does not take waits, can be cancelled, and stops nothing else."""
    end, begin = os.pipe()
    os.set_blocking(begin, False)
    try:
        while True:
            os.write(begin, bytes(65536))
    except BlockingIOError:
        os.set_blocking(begin, True)
    other_task_ran = False

    async def other_task() -> None:
        nonlocal other_task_ran
        await trio.testing.wait_all_tasks_blocked()
        other_task_ran = True
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other_task)
        await LineWriter(fd=begin, escapes=False).write_line("hello")
    assert nursery.cancel_scope.cancelled_caught
    assert other_task_ran
    # Lets go the thread that was left behind
    os.close(end)
    await trio.to_thread.run_sync(os.close, begin)


async def test_bytes_are_written_as_they_are() -> None:
    end, begin = os.pipe()
    await LineWriter(fd=begin, escapes=False).write_line(b"\x00\xff")
    await LineWriter(fd=begin, escapes=True).write_line(b"\x00\xff")
    os.close(begin)
    assert os.read(end, 100) == b"\x00\xff\n" + rb"\x00\xff" + b"\n"
    os.close(end)


def test_escape() -> None:
    assert escape("\r\n\t\x00\x1b\x85 \\ ü\u2028") == r"\r\n\t\x00\x1b\x85 \ ü\u2028"
    assert escape("abc\u202efdp.exe \ufeff\udc80") == r"abc\u202efdp.exe \ufeff\udc80"
    # What words, emoji, and other scripts are written with
    for text in ("日本\u3000語\xa0", "می\u200cخواهم", "👩\u200d🚀", "شلام", "\u0600"):
        assert escape(text) == text


def test_all_that_is_not_seen_is_escaped() -> None:
    """As Unicode has it, but for the two joiners, and marks that stand round a number or a sign."""
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    left = [
        f"{number:04X}"
        for number in range(0x10000)
        if unicodedata.category(chr(number)) in unseen and escape(chr(number)) == chr(number)
    ]
    visible = ["0600", "0601", "0602", "0603", "0604", "0605", "06DD", "070F"]
    assert sorted(set(left) - {"0890", "0891", "08E2"}) == [*visible, "200C", "200D"]


async def test_tls_that_cannot_end_one_side(
    client_ssl: ssl.SSLContext, server_ssl: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hixie-75 over TLS has no way to say that it is done: what comes in a while is printed."""
    monkeypatch.setattr(_connect, "SECONDS_OF_QUIET", 0.5)
    input_end, input_start = os.pipe()
    output_end, output_start = os.pipe()
    os.write(input_start, b"one\ntwo\n")
    os.close(input_start)
    async with serving(ssl_context=server_ssl) as server:
        async with open_websocket(
            f"wss://127.0.0.1:{server.port}/", draft="hixie-75", ssl_context=client_ssl
        ) as connection:
            await _connect._exchange(
                connection,
                LineReader(fd=input_end),
                LineWriter(fd=output_start, escapes=False),
                can_end_sending=False,
            )
    os.close(input_end)
    os.close(output_start)
    assert os.read(output_end, 100) == b"one\ntwo\n"
    os.close(output_end)


# What a typed line does


async def typed(draft: Draft, *lines: str) -> tuple[list[str], list[bool], str | None]:
    """What is said of lines, whether more can be sent after each, and what is said at the end."""
    notes: list[str] = []

    async def note(line: str) -> None:
        notes.append(line)

    with use_framing_mode(draft.name):
        async with serving() as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as connection:
                async with trio.open_nursery() as nursery:
                    act = InputHandler(connection=connection, note=note, nursery=nursery).handle
                    went_on = [await act(line) for line in lines]
            return notes, went_on, closing_note(connection)


async def test_what_a_draft_cannot_say(draft: Draft) -> None:
    notes, went_on, ending = await typed(draft, "/binary 00", "/ping", "text")
    assert went_on == [True, True, True]
    no_binary = [note for note in notes if "has no binary messages" in note]
    assert len(no_binary) == (not draft.binary)
    no_pings = f'* {draft.name} has no pings; draft="rfc6455" has them'
    assert (no_pings in notes) is (not draft.ping)
    assert ending == ("* closed by us with code 1000" if draft.close_status else "* closed by us")


@in_turn(line=("/close", "/close 1000 so", "/close 4999"))
async def test_closes(draft: Draft, line: str) -> None:
    notes, went_on, ending = await typed(draft, line)
    assert went_on == [False]
    without = f"* {draft.name} has no close codes: closing without"
    assert notes == ([] if draft.close_status or line == "/close" else [without])
    code, _, reason = line.removeprefix("/close").strip().partition(" ")
    said = f" with code {code or 1000}{f' {reason!r}' if reason else ''}"
    assert ending == f"* closed by us{said if draft.close_status else ''}"


async def test_closes_that_cannot_be_sent() -> None:
    newest = DRAFTS[-1]
    lines = ["/close x", "/close -1", "/close 1005", f"/close 1000 {'x' * 124}"]
    notes, went_on, _ = await typed(newest, *lines)
    assert went_on == [True] * 4
    assert notes[:2] == [
        "* a close code is a number, not 'x'",
        "* a close code is a number, not '-1'",
    ]
    assert notes[2] == "* a closing frame cannot carry the code 1005"
    assert notes[3].startswith("* the reason of a close has 124 bytes")


def test_long_binary_messages_are_cut() -> None:
    assert in_hex(bytes(1)) == "binary 1 byte: 00"
    assert in_hex(bytes(2000)) == f"binary 2000 bytes: {bytes(1024).hex(' ')} …"


# What all findings of `probe` say together


def finding(draft: Draft, *, opened: bool = True, echo: bool | None = None) -> Finding:
    return Finding(draft=draft, opened=opened, detail="said", echo=echo, seconds=0.001)


def test_what_all_findings_say_of_each() -> None:
    """A message that came back proves it; where one did, one that did not is a no."""
    old, newest = draft_named("old"), DRAFTS[-1]

    def speaks(*findings: Finding) -> list[bool | None]:
        return [finding.speaks for finding in with_verdicts(findings)]

    assert speaks(finding(old), finding(newest)) == [None, True]
    assert speaks(finding(old, opened=False), finding(newest, opened=False)) == [False, False]
    assert speaks(finding(old, echo=True), finding(newest, echo=False)) == [True, False]
    assert speaks(finding(old, echo=False), finding(newest, echo=True)) == [False, True]
    assert speaks(finding(old, echo=False), finding(newest, echo=False)) == [None, True]


def test_control_characters_in_the_table() -> None:
    rude = attrs.evolve(finding(DRAFTS[0]), detail="\x1b[2J\n", subprotocol="\x9b")
    assert format_finding(rude).endswith(r"\x1b[2J\n, subprotocol \x9b")


def test_perhaps_one() -> None:
    """A list of one is no list."""
    one = with_verdicts([finding(draft_named("hybi-01")), finding(DRAFTS[-1])])
    assert remarks(one, one) == [
        "perhaps: servers of other drafts answer hybi-01 too; only a message can tell (--echo)"
    ]


def test_what_shows_only_at_the_end() -> None:
    """A row that was printed is corrected below the table."""
    findings = [finding(draft_named("hybi-06"), echo=False), finding(DRAFTS[-1], echo=True)]
    told = [*with_verdicts(findings[:1]), *with_verdicts(findings)[1:]]
    assert remarks(told, with_verdicts(findings)) == [
        "no after all: hybi-06; what was sent came back in others alone"
    ]


# What `connect --verbose` shows of the wire


def target(port: int) -> Target:
    return Target(
        url=f"ws://127.0.0.1:{port}/",
        headers=[],
        origin=None,
        subprotocols=[],
        cafile=None,
        insecure=False,
    )


def trace_to(lines: list[str]) -> Trace:
    async def write(line: str) -> None:
        lines.append(line)

    return Trace(write=write)


@in_turn()
async def test_the_wire_of_a_whole_connection(draft: Draft) -> None:
    """Both heads and all frames in both directions, in the order of the wire."""
    lines: list[str] = []
    trace = trace_to(lines)
    with use_framing_mode(draft.name):
        async with serving() as server:
            assert server.port is not None
            to = target(server.port)
            async with to.open(draft, trace.watch) as connection:
                trace.opened(connection, to.url)
                await connection.send("hello")
                assert await connection.receive() == "hello"
            await trace.flush()
    assert lines[0] == "-> GET / HTTP/1.1"
    answer = lines.index(next(line for line in lines if line.startswith("<- HTTP/1.1 101")))
    assert 0 < answer < len(lines)
    assert [line[:2] for line in lines if "the handshake's" in line] == (
        ["->", "<-"] if draft.opening.request_body else []
    )
    said = [line for line in lines[answer:] if line.endswith("5 bytes: 'hello'")]
    assert [line[:2] for line in said] == ["->", "<-"]
    closes = [line for line in lines if "  close" in line]
    assert [line[:2] for line in closes] == (["->", "<-"] if draft.closing_handshake else [])
    if not draft.closing_handshake:
        assert lines[-2:] == ["-> end", "<- end"]


async def test_the_wire_of_a_refusal() -> None:
    lines: list[str] = []

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream, body=0)
        await stream.send_all(b"HTTP/1.1 403 N\xf6\r\nContent-Length: 40\r\n\r\n" + b"n" * 40)

    trace = trace_to(lines)
    async with raw_server(refuse) as port:
        with pytest.raises(Rejected):
            async with target(port).open("rfc6455", trace.watch):
                raise AssertionError("it was refused")
    trace.end()
    await trace.flush()
    assert lines[lines.index("-> GET / HTTP/1.1") + 1] == f"-> Host: 127.0.0.1:{port}"
    assert [line for line in lines if line.startswith("<-")] == [
        r"<- HTTP/1.1 403 N\xf6",
        "<- Content-Length: 40",
        f"<- {'6e ' * 31}6e …  40 bytes",
    ]


async def test_a_trace_that_cannot_be_written_disturbs_nothing() -> None:
    async def write(line: str) -> None:
        raise CommandError("no room")

    trace = Trace(write=write)
    async with serving() as server:
        assert server.port is not None
        to = target(server.port)
        async with to.open("rfc6455", trace.watch) as connection:
            trace.opened(connection, to.url)
            await connection.send("hello")
            assert await connection.receive() == "hello"


async def test_a_trace_that_nobody_reads_holds_the_connection_up() -> None:
    """And not the memory: no more is read before it is written."""
    blocked, go_on = trio.Event(), trio.Event()
    lines: list[str] = []

    async def write(line: str) -> None:
        if "'0'" in line and line.startswith("<-"):
            blocked.set()
            await go_on.wait()
        lines.append(line)

    async def count(connection: Connection, state: object) -> None:
        for number in range(3):
            await connection.send(str(number))
            await connection.receive()

    received: list[str | bytes] = []

    async def receive(connection: Connection) -> None:
        received.append(await connection.receive())

    trace = Trace(write=write)
    async with serving(count) as server:
        assert server.port is not None
        to = target(server.port)
        async with to.open("rfc6455", trace.watch) as connection:
            trace.opened(connection, to.url)
            await receive(connection)
            async with trio.open_nursery() as nursery:
                await connection.send("next")
                nursery.start_soon(receive, connection)
                await blocked.wait()
                await trio.testing.wait_all_tasks_blocked()
                assert received == ["0"]
                go_on.set()
    assert received == ["0", "1"]


TWO_HINTS = b"HTTP/1.1 102 Processing\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@in_turn()
async def test_the_wire_of_interim_answers(draft: Draft) -> None:
    """They are shown, and nothing of them is taken for a frame."""
    lines: list[str] = []
    trace = trace_to(lines)

    async def tap(stream: trio.abc.Stream) -> trio.abc.Stream:
        return trace.watch(stream)

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        await stream.send_all(TWO_HINTS + take_up(draft, head, key3)[0])
        await read_to_end(stream)

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        # That server never closes.
        async with open_websocket(
            url, draft=draft, stream_factory=tap, close_timeout=0.01
        ) as connection:
            trace.opened(connection, url)
            await connection.send("hello")
    await trace.flush()
    came = [line for line in lines if line.startswith("<- ")]
    assert came[:3] == [
        "<- HTTP/1.1 102 Processing",
        "<- HTTP/1.1 103 Early Hints",
        "<- Link: </a>",
    ]
    assert came[3].startswith("<- HTTP/1.1 101")
    assert sum("hello" in line for line in lines) == 1
