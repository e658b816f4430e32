"""The command line, run as a user would: real processes, real sockets.

What comes to no socket is run here, since the start of a process is most of what that takes.
"""

from __future__ import annotations

import os
import re
import signal
import ssl
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme

from trio_draftws import (
    DRAFTS,
    Connection,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    Server,
    framing_mode,
    open_websocket,
    serve_websocket,
)
from trio_draftws.cli import COMMANDS, main
from trio_draftws.testing import RawServer, frame, serve_raw

from .processes import (
    DEADLINE,
    HOST,
    ROOT,
    command,
    echo_server,
    read_all,
    read_line,
    run_here,
    start,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

# Each way to close: none, a frame of its own, a frame without a code, and one with it. A process
# for each draft would show no more, since a connection in each is tested elsewhere.
SUBCOMMANDS = [subcommand.name for subcommand in COMMANDS]
SOME = ["hixie-75", "hixie-76", "hybi-05", "rfc6455"]
EACH_CLOSE = pytest.mark.parametrize("draft", SOME)
WITH_CLOSING_FRAME = pytest.mark.parametrize("draft", SOME[1:])


async def run(
    *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Runs a command to its end: exit status, standard output, standard error."""
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            command(*arguments),
            stdin=stdin,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@asynccontextmanager
async def server_of(handler: Any, draft: str = "old", **kwargs: Any) -> AsyncGenerator[str, None]:
    """A server in this process, and its URL."""
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as nursery:
            token = framing_mode.set(draft)
            server: Server = await nursery.start(
                partial(serve_websocket, handler, 0, host=HOST, **kwargs)
            )
            framing_mode.reset(token)
            yield f"ws://{HOST}:{server.port}/"
            await server.aclose()


async def hear_out(connection: Connection, state: object) -> None:
    async for _ in connection:
        pass


def one_line(text: str) -> str:
    """What follows the program's name in the one line that it printed."""
    assert text.startswith("trio-draftws: ")
    assert text.count("\n") == 1
    assert text.endswith("\n")
    return text.removeprefix("trio-draftws: ").removesuffix("\n")


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> tuple[str, str]:
    """The files of a certificate for 127.0.0.1 and of its key."""
    issued = authority.issue_cert(HOST)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(chain), append=True)
    issued.private_key_pem.write_to_path(str(key))
    return str(chain), str(key)


# echo and connect, together


@EACH_CLOSE
async def test_lines_come_back(draft: str) -> None:
    """All of the input is sent and comes back, a last line without an end too."""
    lines = "hello\nwörld\n\n  spaces  \nlast"
    async with echo_server("--framing-mode", draft) as (_, url):
        assert url.startswith(f"ws://{HOST}:")
        ran = await run("connect", url, "--draft", draft, stdin=lines.encode())
        assert ran == (0, lines + "\n", "")


async def test_drafts_by_default() -> None:
    """`connect` speaks the newest that the server knows; `echo` takes them all."""

    async def tell(connection: Connection, state: object) -> None:
        await connection.send(connection.draft.name)
        await hear_out(connection, state)

    async with server_of(tell) as url:
        assert await run("connect", url) == (0, f"{DRAFTS[-1].name}\n", "")
    async with server_of(tell, drafts=[DRAFTS[0]]) as url:
        assert await run("connect", url) == (0, f"{DRAFTS[0].name}\n", "")
    async with echo_server() as (_, url):
        assert await run("connect", url, stdin=b"hello\n") == (0, "hello\n", "")
        async with open_websocket(url, draft="old") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"


async def test_output_is_flushed_line_by_line() -> None:
    """An answer can be read before the next line is written."""
    async with echo_server() as (_, url), start("connect", url) as process:
        assert process.stdin is not None
        for line in ["one\n", "two\n"]:
            await process.stdin.send_all(line.encode())
            assert await read_line(process.stdout) == line
        await process.stdin.aclose()
        assert await process.wait() == 0
        assert await read_all(process.stderr) == ""


async def test_much_more_than_pipes_hold(tmp_path: Path) -> None:
    """From a file to a file, with a server that sends back as fast as it can."""
    lines = "".join(f"{number} {'x' * (number % 300)}\n" for number in range(20_000))
    async with echo_server() as (_, url):
        assert await run("connect", url, stdin=lines.encode()) == (0, lines, "")


@WITH_CLOSING_FRAME
async def test_tls(draft: str, authority: trustme.CA, certificate: tuple[str, str]) -> None:
    """wss, where the client's system trusts the certificate."""
    async with echo_server("--framing-mode", draft, "--tls", *certificate) as (_, url):
        assert url.startswith(f"wss://{HOST}:")
        with authority.cert_pem.tempfile() as trusted:
            ran = await run(
                "connect",
                url,
                "--draft",
                draft,
                stdin="hello\nwörld\n".encode(),
                env={"SSL_CERT_FILE": trusted},
            )
        assert ran == (0, "hello\nwörld\n", "")


async def test_certificate_that_is_not_trusted(certificate: tuple[str, str]) -> None:
    async with echo_server("--tls", *certificate) as (_, url):
        status, out, err = await run("connect", url, stdin=b"hello\n")
    assert (status, out) == (1, "")
    assert "certificate verify failed" in one_line(err)


# echo


@EACH_CLOSE
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signal_closes_every_connection(draft: str, signum: signal.Signals) -> None:
    """Clients see a proper end, and the exit status is 0."""
    async with echo_server("--framing-mode", draft) as (process, url):
        async with (
            open_websocket(url, draft=draft) as first,
            open_websocket(url, draft=draft) as second,
        ):
            for connection in (first, second):
                await connection.send("hello")
                assert await connection.receive() == "hello"
            process.send_signal(signum)
            for connection in (first, second):
                with pytest.raises(PeerClosed):
                    await connection.receive()
        assert await process.wait() == 0
        assert await read_all(process.stdout) == ""
        assert await read_all(process.stderr) == ""


async def test_clients_that_vanish_are_no_news() -> None:
    """A connection that breaks off leaves no trace, and the server goes on."""
    streams: list[trio.abc.Stream] = []

    async def keep(stream: trio.abc.Stream) -> trio.abc.Stream:
        streams.append(stream)
        return stream

    async with echo_server() as (process, url):
        async with open_websocket(url, stream_factory=keep) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
            await trio.aclose_forcefully(streams[0])
        assert await run("connect", url, stdin=b"hello\n") == (0, "hello\n", "")
        process.terminate()
        assert await process.wait() == 0
        assert await read_all(process.stderr) == ""


async def test_first_subprotocol_is_agreed_to() -> None:
    async with echo_server("--framing-mode", "new") as (_, url):
        asked = ["chat", "superchat"]
        async with open_websocket(url, draft="new", subprotocols=asked) as connection:
            assert connection.subprotocol == "chat"
        async with open_websocket(url, draft="new") as connection:
            assert connection.subprotocol is None


async def test_answer_for_browsers() -> None:
    """Origin and location are in the answer, as browsers of the time demand."""
    async with echo_server() as (_, url):
        async with open_websocket(f"{url}/path", origin="http://example.com") as connection:
            assert connection.headers["Sec-WebSocket-Origin"] == "http://example.com"
            assert connection.headers["Sec-WebSocket-Location"] == f"{url}/path"


async def test_only_some_drafts() -> None:
    async with echo_server("--drafts", "hixie-75,new") as (_, url):
        assert await run("connect", url, "--draft", "hixie-75", stdin=b"75") == (0, "75\n", "")
        assert await run("connect", url, "--draft", "new", stdin=b"new") == (0, "new\n", "")
    async with echo_server("--drafts", "hixie-75") as (_, url):
        with pytest.raises(Rejected) as caught:
            async with open_websocket(url, draft="old"):
                pass
        assert caught.value.status == 426


@pytest.mark.parametrize("draft", [DRAFTS[0].name, DRAFTS[-1].name])
async def test_a_draft_that_the_server_speaks_is_found(draft: str) -> None:
    async with echo_server("--drafts", draft) as (_, url):
        assert await run("connect", url, "--draft", "auto", stdin=b"found") == (0, "found\n", "")


async def test_port_is_taken() -> None:
    async with server_of(hear_out) as url:
        port = url.removesuffix("/").rpartition(":")[2]
        status, out, err = await run("echo", "--port", port)
    assert (status, out) == (1, "")
    assert one_line(err) == f"cannot listen on {HOST} port {port}: Address already in use"


async def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    missing, other = str(tmp_path / "missing.pem"), str(tmp_path / "other.pem")
    await trio.Path(other).write_text("no certificate")
    status, out, err = await run("echo", "--port", "0", "--tls", other, missing)
    assert (status, out) == (1, "")
    assert one_line(err) == f"cannot read {missing}: No such file or directory"
    status, out, err = await run("echo", "--port", "0", "--tls", other, other)
    assert (status, out) == (1, "")
    assert one_line(err).startswith(f"{other} and {other} are no PEM files of a certificate")


# connect


@EACH_CLOSE
async def test_server_closes_first(draft: str) -> None:
    """The end of the connection is the end of the program, though its input is still open."""

    async def greet(connection: Connection, state: object) -> None:
        await connection.send("goodbye")

    async with server_of(greet, draft) as url:
        async with start("connect", url, "--draft", draft) as process:
            assert await process.wait() == 0
            assert await read_all(process.stdout) == "goodbye\n"
            assert await read_all(process.stderr) == ""


@EACH_CLOSE
async def test_what_still_comes_is_printed(draft: str) -> None:
    """The server answers when the client has ended already."""

    async def count(connection: Connection, state: object) -> None:
        messages = [message async for message in connection]
        ended.append(len(messages))

    async def answer_each(connection: Connection, state: object) -> None:
        # The first answer is held back until the input has ended.
        first = await connection.receive()
        await input_ended.wait()
        await connection.send(f"re: {first!r}")
        async for message in connection:
            await connection.send(f"re: {message!r}")

    ended: list[int] = []
    input_ended = trio.Event()
    async with server_of(count, draft) as url:
        assert await run("connect", url, "--draft", draft, stdin=b"a\nb\n") == (0, "", "")
        assert ended == [2]
    async with server_of(answer_each, draft) as url:
        async with start("connect", url, "--draft", draft) as process:
            assert process.stdin is not None
            await process.stdin.send_all(b"a\nb\n")
            await process.stdin.aclose()
            input_ended.set()
            assert await read_all(process.stdout) == "re: 'a'\nre: 'b'\n"
            assert await process.wait() == 0


async def test_handshake_is_refused() -> None:
    async def refuse(request: Request) -> tuple[tuple[()], None]:
        raise Reject(403, body="not \x1b[1myou\n")

    async with server_of(hear_out, conn_headers=refuse) as url:
        status, out, err = await run("connect", url, stdin=b"hello\n")
    assert (status, out) == (1, "")
    assert one_line(err) == r"the server refused with status 403: 'not \x1b[1myou'"


async def test_header_fields_are_sent() -> None:
    requests: list[Request] = []

    async def keep(request: Request) -> tuple[tuple[()], None]:
        requests.append(request)
        return (), None

    async with server_of(hear_out, conn_headers=keep) as url:
        fields = ["--header", "X-First: ä: b", "--header", "Cookie:c=d"]
        assert await run("connect", url, *fields) == (0, "", "")
    assert (b"X-First", "ä: b".encode()) in requests[0].headers.raw
    assert requests[0].headers["Cookie"] == "c=d"


async def test_all_that_can_be_asked_for(
    server_ssl: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """Origin, subprotocols and certificates; with the wire on standard error."""
    requests: list[Request] = []

    async def keep(request: Request) -> tuple[tuple[()], None]:
        requests.append(request)
        return (), None

    async def answer(connection: Connection, state: object) -> None:
        message = await connection.receive()
        assert isinstance(message, str)
        await connection.send(message.encode())
        await hear_out(connection, state)

    trusted = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(trusted)
    async with server_of(
        answer, conn_headers=keep, subprotocols=["chat"], ssl_context=server_ssl
    ) as url:
        url = url.replace("ws:", "wss:")
        asked = ["--origin", "http://o", "--subprotocol", "super", "--subprotocol", "chat"]
        for trust in (["--cafile", trusted], ["--insecure"]):
            status, out, err = await run(
                "connect", url, *asked, *trust, "--binary", "hex", "--verbose", stdin=b"/hi"
            )
            assert (status, out) == (0, "2f 68 69\n")
            wire = err.splitlines()
            assert wire[0] == "-> GET / HTTP/1.1"
            assert "<- Sec-WebSocket-Protocol: chat" in wire
            assert "<- 82 03 2f 68 69  binary, FIN, 3 bytes: 2f 68 69" in wire
            assert [line[:2] for line in wire if ", code 1000" in line] == ["->", "<-"]
    for request in requests:
        assert request.headers["Origin"] == "http://o"
        assert request.headers["Sec-WebSocket-Protocol"] == "super, chat"


async def test_wire_of_each_attempt() -> None:
    """Also of those that failed; and the end of TCP, which is all that hixie-75 has."""
    async with server_of(hear_out, drafts=["hixie-75"]) as url:
        status, out, err = await run("connect", url, "--verbose")
    assert (status, out) == (0, "")
    wire = err.splitlines()
    assert wire.count("<- HTTP/1.1 426 Upgrade Required") > 1
    assert wire.count("<- HTTP/1.1 101 Web Socket Protocol Handshake") == 1
    assert wire[-2:] == ["-> end", "<- end"]


@WITH_CLOSING_FRAME
async def test_connection_breaks(draft: str) -> None:
    """An end without the draft's goodbye is a failure, though the input is still open."""
    streams: list[trio.abc.Stream] = []

    async def keep(stream: trio.abc.Stream) -> trio.abc.Stream:
        streams.append(stream)
        return stream

    async def vanish(connection: Connection, state: object) -> None:
        await connection.send("one")
        await trio.aclose_forcefully(streams[0])

    async with server_of(vanish, draft, stream_factory=keep) as url:
        async with start("connect", url, "--draft", draft) as process:
            assert await process.wait() == 1
            assert await read_all(process.stdout) == "one\n"
            assert "without closing" in one_line(await read_all(process.stderr))


async def test_server_that_has_no_closing_frame() -> None:
    """Servers of the time that answered a closing frame by ending TCP are taken at their word."""

    class Curt(trio.abc.Stream):
        def __init__(self, stream: trio.abc.Stream) -> None:
            self.stream = stream

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await self.stream.send_all(bytes(data).removesuffix(b"\xff\x00"))

        async def wait_send_all_might_not_block(self) -> None:
            await self.stream.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
            return await self.stream.receive_some(max_bytes)

        async def aclose(self) -> None:
            await self.stream.aclose()

    async def make_curt(stream: trio.abc.Stream) -> trio.abc.Stream:
        return Curt(stream)

    async with server_of(hear_out, stream_factory=make_curt) as url:
        assert await run("connect", url, stdin=b"hello\n") == (0, "", "")


async def test_nobody_there() -> None:
    listener = (await trio.open_tcp_listeners(0, host=HOST))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    status, out, err = await run("connect", f"ws://{HOST}:{port}/")
    assert (status, out) == (1, "")
    assert f"no TCP connection to {HOST} port {port}" in one_line(err)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signal_closes_the_connection(signum: signal.Signals) -> None:
    ends: list[type[BaseException] | None] = []

    async def greet(connection: Connection, state: object) -> None:
        await connection.send("hello")
        try:
            await connection.receive()
        except (trio.EndOfChannel, trio.BrokenResourceError) as error:
            ends.append(type(error))

    async with server_of(greet) as url, start("connect", url) as process:
        assert await read_line(process.stdout) == "hello\n"
        process.send_signal(signum)
        assert await process.wait() == 128 + signum
        assert await read_all(process.stderr) == ""
    assert ends == [PeerClosed]


CONTROLS = "\x1b[31mred\x07 tab\tback\x08 \x7f\x9b0m two\nlines ö"


async def test_control_characters_on_a_terminal() -> None:
    """What a server sends cannot move the cursor or worse."""

    async def send_controls(connection: Connection, state: object) -> None:
        await connection.send(CONTROLS)

    master, slave = os.openpty()
    async with trio.lowlevel.FdStream(master) as terminal, server_of(send_controls) as url:
        async with start("connect", url, stdout=slave) as process:
            os.close(slave)
            shown = await read_line(terminal)
            assert await process.wait() == 0
    assert shown == r"\x1b[31mred\x07 tab\tback\x08 \x7f\x9b0m two\nlines ö" + "\r\n"


async def test_control_characters_elsewhere() -> None:
    """A program that reads the output gets what was sent."""

    async def send_controls(connection: Connection, state: object) -> None:
        await connection.send(CONTROLS)

    async with server_of(send_controls) as url:
        assert await run("connect", url) == (0, CONTROLS + "\n", "")


async def test_lines_typed_on_a_terminal() -> None:
    master, slave = os.openpty()
    async with trio.lowlevel.FdStream(master) as keyboard, echo_server() as (_, url):
        async with start("connect", url, stdin=slave) as process:
            os.close(slave)
            await keyboard.send_all(b"hello\n")
            assert await read_line(process.stdout) == "hello\n"
            await keyboard.send_all(b"\x04")  # Ctrl-D at the beginning of a line
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("redirection", "status", "why"),
    [
        ("<&-", 0, None),
        (">&-", 1, "standard output is closed"),
        (">/dev/full", 1, "cannot write to standard output: No space left on device"),
    ],
)
async def test_odd_files(redirection: str, status: int, why: str | None) -> None:
    async def greet(connection: Connection, state: object) -> None:
        await connection.send("hello")
        await hear_out(connection, state)

    async with server_of(greet) as url:
        done = await trio.run_process(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *command("connect", url)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=ROOT,
        )
    assert done.returncode == status
    if why is None:
        assert (done.stdout, done.stderr) == (b"hello\n", b"")
    else:
        assert one_line(done.stderr.decode()) == why


# What cannot be done


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["echo", "--framing-mode", "nope"], "no draft is named 'nope'; there are: hixie-75; "),
        (["echo", "--drafts", "old,nope"], "no draft is named 'nope'; there are: hixie-75; "),
        (["echo", "--drafts", ""], "no draft is named ''; there are: hixie-75; "),
        (["connect", "ws://h/", "--draft", "nope"], "no draft is named 'nope'; there are: "),
        (["connect", "http://h/"], "not a WebSocket URL: 'http://h/': the scheme is 'http'"),
        (["connect", "ws://h/", "--header", "Host: x"], "the header field Host is written by"),
        (["connect", "ws://h/", "--header", "a b: x"], "a header field's name must be a token"),
        (["connect", "ws://h/", "--header", "A: x\r\nB: y"], "the header field A has a control"),
    ],
)
async def test_failures(
    arguments: list[str],
    why: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line says what is wrong; the exit status is 1."""
    with open(os.devnull) as nothing:  # noqa: ASYNC230, PTH123
        monkeypatch.setattr("sys.stdin", nothing)
        status = await run_here(*arguments)
    out, err = capfd.readouterr()
    assert (status, out) == (1, "")
    assert one_line(err).startswith(why)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["echo", "--port", "-1"],
        ["echo", "--port", "65536"],
        ["echo", "--port", "http"],
        ["echo", "--tls", "one-file-only"],
        ["echo", "--por", "0"],
        ["connect"],
        ["connect", "ws://h/", "--header", "no colon"],
    ],
)
def test_usage(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that makes no sense: the usage, and exit status 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: trio-draftws ")


async def test_the_version() -> None:
    assert await run("--version") == (0, f"trio-draftws {version('trio_draftws')}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in SUBCOMMANDS)])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: trio-draftws ")


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_option_is_documented(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And none that there is not."""
    with pytest.raises(SystemExit):
        main([name, "--help"])
    out, _ = capsys.readouterr()
    page = Path(ROOT, "docs", "command-line.rst").read_text(encoding="utf-8")
    section = page.split(f"\n``{name}``\n---")[1].split("\n---")[0]
    options = set(re.findall(r"--[a-z-]+", out)) - {"--help"}
    assert options == set(re.findall(r"``(--[a-z-]+)", section))


# How the server closed


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (1000, "bye", None),
        (1001, "", None),
        (1011, "", "the server closed with code 1011"),
        (4000, "a\u202eb", r"the server closed with code 4000: 'a\u202eb'"),
    ],
)
@pytest.mark.parametrize("draft", ["hybi-08", "rfc6455"])
async def test_the_code_that_the_server_closed_with(
    draft: str, code: int, reason: str, said: str | None
) -> None:
    async def close(connection: Connection, state: object) -> None:
        await connection.send("hello")
        await connection.aclose(code, reason)

    async with server_of(close) as url, start("connect", url, "--draft", draft) as process:
        assert await read_all(process.stdout) == "hello\n"
        status = await process.wait()
        err = await read_all(process.stderr)
    assert status == (0 if said is None else 3)
    assert (err if said is None else one_line(err)) == (said or "")


async def test_a_code_in_answer_to_ours() -> None:
    """One that only repeats ours says nothing; another does."""
    for code, status in ((b"\x03\xe8", 0), (b"\x03\xea", 3)):

        async def behave(server: RawServer, code: bytes = code) -> None:
            await server.open()
            await server.expect_close()
            await server.send(frame(8, code))

        async with serve_raw(behave) as url:
            ran = await run("connect", url, "--draft", "rfc6455")
        assert ran[0] == status
        assert ("closed with code 1002" in ran[2]) is bool(status)


# What `auto` takes for hixie-76


@pytest.mark.parametrize(("draft", "named"), [("auto", True), ("old", False)])
@pytest.mark.parametrize("stdin", [b"", b"hello\n"])
async def test_one_that_answers_as_hixie_76_and_goes(draft: str, named: bool, stdin: bytes) -> None:
    """The draft of August 2010 answers alike; `auto` cannot find it, but can be told."""

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        if b"Sec-WebSocket-Key1" not in server.head:
            await server.refuse(400)
            return
        await server.send(await server.answer("new"))
        await server.stream.receive_some()

    async with serve_raw(behave) as url:
        _, out, err = await run("connect", url, "--draft", draft, stdin=stdin)
    assert out == ""
    hint = "it opened as hixie-76, as servers of others do: try --draft new or --draft hybi-01\n"
    assert err.endswith(hint) is named


async def test_one_that_says_something_is_hixie_76() -> None:
    async def behave(server: RawServer) -> None:
        await server.expect_request()
        if b"Sec-WebSocket-Key1" not in server.head:
            await server.refuse(400)
            return
        await server.send(await server.answer("old"))
        await server.send_frame("hello")

    async with serve_raw(behave) as url:
        _, out, err = await run("connect", url)
    assert out == "hello\n"
    assert "--draft" not in err
