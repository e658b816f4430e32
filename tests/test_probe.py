"""`probe`: which drafts a server speaks, asked of servers of ours and of others."""

from __future__ import annotations

import json
import signal
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import attrs
import pytest
import trio
import trio.testing
import trustme

from trio_draftws import DRAFTS, Connection, Draft, use_framing_mode
from trio_draftws.cli import main
from trio_draftws.testing import RawServer, serve_raw

from .peers.catalogue import SERVERS, Peer, PeerServers, require
from .processes import DEADLINE, read_all, read_line, run_here, start
from .wire import echo, raw_server, read_request, read_to_end, serving

NAMES = [draft.name for draft in DRAFTS]
ROWS = {name: draft for draft in DRAFTS for name in (draft.name, *draft.aliases)}
ECHO_WARNING = (
    "trio-draftws: --echo can harm servers of 2010: one that answers in one draft is sent the "
    "frames of another\n"
)
# Those of which an answer proves little
WITH_KEYS = [draft.name for draft in DRAFTS if draft.opening.request_body]


@attrs.frozen
class Printed:
    """What a probe printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def report(self) -> dict[str, Any]:
        report = json.loads(self.out)
        assert isinstance(report, dict)
        return report

    def column(self, name: str) -> dict[str, Any]:
        return {row["draft"]: row[name] for row in self.report["drafts"]}


async def run(
    url: str,
    capfd: pytest.CaptureFixture[str],
    *,
    drafts: Sequence[Draft | str] | None = None,
    echo: bool = False,
    timeout: float = 0.3,
    as_json: bool = True,
    options: Sequence[str] = (),
) -> Printed:
    """Runs the command in this process."""
    arguments = ["probe", url, "--timeout", str(timeout), *options]
    if drafts is not None:
        arguments += [
            "--drafts",
            ",".join(each if isinstance(each, str) else each.name for each in drafts),
        ]
    arguments += ["--echo"] * echo + ["--json"] * as_json
    with trio.fail_after(DEADLINE):
        status = await run_here(*arguments)
    return Printed(status, *capfd.readouterr())


async def failure(url: str, capfd: pytest.CaptureFixture[str], **settings: Any) -> str:
    """What it says on standard error where it can find out nothing at all."""
    printed = await run(url, capfd, **settings)
    assert (printed.status, printed.out) == (1, "")
    return printed.err


# Servers of ours


async def test_a_server_of_one_draft(draft: Draft, capfd: pytest.CaptureFixture[str]) -> None:
    """A message finds it out, where its answer alone does not."""
    with use_framing_mode(draft.name):
        async with serving(drafts=[draft]) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            by_answer = await run(url, capfd)
            by_echo = await run(url, capfd, echo=True, timeout=0.15)
    assert (by_answer.status, by_echo.status) == (0, 0)
    spoken = [name for name, speaks in by_echo.column("speaks").items() if speaks]
    # Two drafts have one number, and the same frames.
    same_number = {row.name for row in DRAFTS if row.version == draft.version is not None}
    assert set(spoken) == same_number | {draft.name}
    assert by_echo.column("echo")[draft.name] is True
    assert by_answer.column("speaks")[draft.name] is (None if draft.name in WITH_KEYS else True)
    for name, status in by_answer.column("status").items():
        assert (status == 101) is (by_answer.column("speaks")[name] is not False)
    if draft.auto_order is not None:
        assert by_echo.report["auto"] == draft.name


async def test_every_draft_but_those_that_are_taken_for_another(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One attempt is open at a time, and each was closed before the next."""
    open_now: set[Connection] = set()
    seen: list[int] = []

    async def watch(connection: Connection, state: object) -> None:
        open_now.add(connection)
        seen.append(len(open_now))
        try:
            await echo(connection)
        except trio.BrokenResourceError:
            pass
        open_now.remove(connection)

    async with serving(watch) as server:
        url = f"ws://127.0.0.1:{server.port}/chat"
        printed = await run(url, capfd, echo=True)
        assert printed.status == 0
        assert printed.report["url"] == url
        assert printed.report["auto"] == NAMES[-1]
        # The server takes these two for hixie-76.
        mistaken = [row.name for row in DRAFTS if row.auto_order is None and row.version is None]
        wanted = {name: name not in mistaken for name in NAMES}
        assert printed.column("speaks") == printed.column("echo") == wanted
        assert all(0 < seconds < 5 for seconds in printed.column("seconds").values())
        # One more for `auto`
        assert seen == [1] * (len(DRAFTS) + 1)


async def test_the_table(capfd: pytest.CaptureFixture[str]) -> None:
    old, newest = ROWS["old"], DRAFTS[-1]
    async with serving(drafts=[old, newest], subprotocols=["chat"]) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        printed = await run(url, capfd, as_json=False, options=["--subprotocol", "chat"])
    assert printed.status == 0
    head, *rows = printed.lines
    assert head.split() == ["DRAFT", "SPEAKS", "ECHO", "TIME", "DETAIL"]
    rows, (perhaps, auto) = rows[: len(DRAFTS)], rows[len(DRAFTS) :]
    assert [row.split()[0] for row in rows] == NAMES
    for column in ("SPEAKS", "ECHO", "TIME", "DETAIL"):
        at = head.index(column)
        assert {row[at - 1] for row in rows} == {" "}
        assert " " not in {row[at] for row in rows}
    said = {row.split()[0]: row.split()[1] for row in rows}
    assert said[newest.name] == "yes"
    assert said["hixie-76"] == "perhaps"
    assert said["hybi-06"] == "no"
    assert "opened, subprotocol chat, permessage-deflate" in rows[-1]
    refused = rows[NAMES.index("hybi-06")]
    assert "the server refused with status 426" in refused
    assert refused.endswith("…")
    assert perhaps.startswith(
        "perhaps: a server of one of these drafts answers all of them: hixie-76, "
    )
    assert perhaps.endswith("; only a message can tell (--echo)")
    assert auto == f"auto: {newest.name}"


async def test_some_drafts(capfd: pytest.CaptureFixture[str]) -> None:
    """Only those are asked for, so what `auto` would find is not told."""
    seen: list[str] = []

    async def note(connection: Connection, state: object) -> None:
        seen.append(connection.draft.name)
        await echo(connection)

    async with serving(note) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        printed = await run(url, capfd, drafts=[DRAFTS[0], DRAFTS[-1]])
        in_words = await run(url, capfd, drafts=[DRAFTS[0]], as_json=False)
    assert list(printed.column("speaks").items()) == [(NAMES[0], True), (NAMES[-1], True)]
    assert printed.report["auto"] is None
    assert len(in_words.lines) == 2
    assert seen == [NAMES[0], NAMES[-1], NAMES[0]]


async def test_a_server_that_sends_nothing_back(capfd: pytest.CaptureFixture[str]) -> None:
    """It may speak all of them; but no message came back, which was what was asked."""

    async def listen(connection: Connection, state: object) -> None:
        async for _ in connection:
            pass

    rows = [ROWS["old"], ROWS["hybi-02"], DRAFTS[-1]]
    async with serving(listen) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        printed = await run(url, capfd, drafts=rows, echo=True, timeout=0.1)
        in_words = await run(url, capfd, drafts=rows, echo=True, timeout=0.1, as_json=False)
    assert (printed.status, in_words.status) == (1, 1)
    assert printed.column("speaks") == {"hixie-76": None, "hybi-02": None, NAMES[-1]: True}
    assert set(printed.column("echo").values()) == {False}
    assert set(printed.column("detail").values()) == {"opened, but nothing came back within 0.1 s"}
    assert in_words.lines[-1].endswith(
        "answers all of them: hixie-76, hybi-02; no message came back that would tell"
    )


async def test_servers_that_say_something_else(capfd: pytest.CaptureFixture[str]) -> None:
    """What comes before the echo does not matter; and what comes in its place is told."""

    async def greet(connection: Connection, state: object) -> None:
        await connection.send("welcome")
        await echo(connection)

    async def talk(connection: Connection, state: object) -> None:
        await connection.send("welcome")
        await connection.wait_readable()
        await trio.sleep_forever()

    async def leave(connection: Connection, state: object) -> None:
        await connection.receive()

    newest = DRAFTS[-1:]
    details = {}
    for handler in (greet, talk, leave):
        async with serving(handler, close_timeout=0.1) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            printed = await run(url, capfd, drafts=newest, echo=True, timeout=0.2)
            details[handler] = (printed.status, printed.column("detail")[NAMES[-1]])
    assert details == {
        greet: (0, "opened"),
        talk: (1, "opened, but something else came back"),
        leave: (1, "opened, but the server closed"),
    }


async def test_no_websocket_server(capfd: pytest.CaptureFixture[str]) -> None:
    """All that it says is escaped."""

    async def refuse(stream: trio.SocketStream) -> None:
        await read_request(stream, body=0)
        body = b"\x1b[2J\x9b no"
        await stream.send_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    async with raw_server(refuse) as port:
        printed = await run(f"ws://127.0.0.1:{port}/", capfd, as_json=False)
        as_json = await run(f"ws://127.0.0.1:{port}/", capfd)
    assert printed.status == as_json.status == 1
    assert printed.out.count("the server refused with status 404") == len(DRAFTS)
    assert all(line.isprintable() for line in printed.lines)
    assert printed.lines[-1] == "auto: finds none"
    assert set(as_json.column("speaks").values()) == {False}
    assert set(as_json.column("status").values()) == {404}
    assert as_json.out.strip().isprintable()


async def test_what_a_draft_cannot_ask_for(capfd: pytest.CaptureFixture[str]) -> None:
    """Is said of that draft; and where none can, once."""
    async with serving() as server:
        url = f"ws://127.0.0.1:{server.port}/"
        printed = await run(url, capfd, options=["--header", "Sec-WebSocket-Key1: x"])
        assert printed.column("detail")["hixie-76"].startswith(
            "the header field Sec-WebSocket-Key1"
        )
        assert printed.column("speaks")[NAMES[-1]] is True
        assert "must be a token" in await failure(url, capfd, options=["--header", "a b: x"])
    assert "not a WebSocket URL" in await failure("http://127.0.0.1/", capfd)


async def test_no_server(capfd: pytest.CaptureFixture[str]) -> None:
    """One line, not twelve; also where the server is there and does not answer."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    said = await failure(f"ws://127.0.0.1:{port}/", capfd)
    assert f"no TCP connection to 127.0.0.1 port {port}" in said

    async with raw_server(read_to_end) as port:
        said = await failure(f"wss://127.0.0.1:{port}/", capfd, timeout=0.1)
        assert "not done within 0.1 s" in said


def test_no_server_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert main(["probe", f"ws://127.0.0.1:{port}/", "--json"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"trio-draftws: no TCP connection to 127.0.0.1 port {port}: ")
    assert err.count("\n") == 1


async def test_certificates(
    server_ssl: ssl.SSLContext,
    authority: trustme.CA,
    tmp_path: Any,
    capfd: pytest.CaptureFixture[str],
) -> None:
    trusted = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(trusted)
    newest = DRAFTS[-1:]
    async with serving(ssl_context=server_ssl) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        for options in (["--cafile", trusted], ["--insecure"]):
            printed = await run(url, capfd, drafts=newest, echo=True, options=options)
            assert printed.column("echo") == {NAMES[-1]: True}
        assert "certificate verify failed" in await failure(url, capfd, drafts=newest)
        missing = str(tmp_path / "missing.pem")
        said = await failure(url, capfd, drafts=newest, options=["--cafile", missing])
        assert f"cannot read certificates from {missing}: No such" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["probe"],
        ["probe", "ws://h/", "--drafts", "nope"],
        ["probe", "ws://h/", "--drafts", ""],
        ["probe", "ws://h/", "--timeout", "0"],
        ["probe", "ws://h/", "--timeout", "soon"],
        ["probe", "ws://h/", "--timeout", "nan"],
        ["probe", "ws://h/", "--header", "no colon"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: trio-draftws probe ")


def test_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    """All that can be said is told."""
    with pytest.raises(SystemExit) as caught:
        main(["probe", "--help"])
    assert caught.value.code == 0
    shown = capfd.readouterr().out
    for option in ("--drafts", "--echo", "--timeout", "--json", "--header", "--origin", "--cafile"):
        assert option in shown


async def test_as_a_user_runs_it() -> None:
    """In a process of its own, which a signal ends."""

    async def say_nothing(stream: trio.SocketStream) -> None:
        asked.set()
        await read_to_end(stream)

    asked = trio.Event()
    async with serving() as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with start("probe", url, "--echo", "--drafts", "old,rfc6455") as process:
            out = await read_all(process.stdout)
            assert await process.wait() == 0
            assert await read_all(process.stderr) == ECHO_WARNING
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["DRAFT", "SPEAKS", "ECHO"],
        ["hixie-76", "yes", "yes"],
        ["rfc6455", "yes", "yes"],
    ]
    async with raw_server(say_nothing) as port:
        async with start("probe", f"ws://127.0.0.1:{port}/", "--timeout", "60") as process:
            await asked.wait()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 128 + signal.SIGINT
            assert await read_all(process.stderr) == ""


async def test_each_row_is_printed_as_it_is_known() -> None:
    """Also with a server that hangs over the second draft."""
    hangs = trio.Event()

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        if b"Sec-WebSocket-Key1" in server.head:
            hangs.set()
            await read_to_end(server.stream)
            return
        await server.refuse(400)

    with trio.fail_after(DEADLINE):
        async with serve_raw(behave) as url:
            async with start("probe", url, "--timeout", "60") as process:
                assert (await read_line(process.stdout)).startswith("DRAFT ")
                assert (await read_line(process.stdout)).startswith("hixie-75 ")
                await hangs.wait()
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 128 + signal.SIGINT


async def test_a_server_that_dies(capfd: pytest.CaptureFixture[str]) -> None:
    """What it was not asked is not known; the others stand."""
    for as_json in (False, True):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]

        async def serve(listener: trio.SocketListener = listener) -> None:
            for last in (False, True):
                async with RawServer(await listener.accept()) as server:
                    await server.expect_request()
                    if last:
                        await listener.aclose()
                    await server.refuse(400)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            printed = await run(f"ws://127.0.0.1:{port}/", capfd, as_json=as_json)
        assert printed.status == 1
        if as_json:
            assert printed.column("asked") == {name: name in NAMES[:2] for name in NAMES}
            assert set(printed.column("speaks").values()) == {False, None}
            continue
        rows = printed.lines[1 : len(NAMES) + 1]
        for line, name in zip(rows, NAMES, strict=True):
            asked = name in NAMES[:2]
            assert line.startswith(f"{name:14}  {'no       ' if asked else 'not known'}  -")
            assert ("no TCP connection" in line) is not asked
        assert printed.lines[-1] == "auto: not known"


async def test_a_close_that_is_not_answered(
    capfd: pytest.CaptureFixture[str], autojump_clock: trio.testing.MockClock
) -> None:
    """It is not waited for as long as an answer is."""
    autojump_clock.autojump_threshold = 0.05

    async def behave(server: RawServer) -> None:
        await server.open()
        await read_to_end(server.stream)

    async with serve_raw(behave) as url:
        started = trio.current_time()
        await run(url, capfd, drafts=DRAFTS[-1:], timeout=5)
        assert trio.current_time() - started < 1


# Servers of others


# It serves versions 7 and 8 as it serves 13. The catalogue has it for the last alone.
TAKES_OLD_VERSIONS = ("aiohttp",)


@pytest.fixture(scope="module")
def servers() -> Generator[PeerServers]:
    with closing(PeerServers()) as servers:
        yield servers


@pytest.mark.parametrize("peer", SERVERS, ids=lambda peer: peer.name)
async def test_peers(servers: PeerServers, peer: Peer, capfd: pytest.CaptureFixture[str]) -> None:
    """What is found agrees with the catalogue's list of what that server speaks."""
    require(peer)
    wanted = {ROWS[name].name for name in peer.drafts if name in ROWS}
    # They tell it from hixie-76 by a field that it does not have,
    wanted.discard("hybi-01")
    # and this one by a number that only clients of hybi-03 sent.
    insists = "hybi-03" in peer.drafts and "hybi-02" not in peer.drafts
    if insists:
        wanted.remove("hybi-02")
    if peer.name in TAKES_OLD_VERSIONS:
        wanted |= {row.name for row in DRAFTS if row.compression}
    with servers.running(peer) as server:

        async def ask(drafts: Sequence[str] | None, wanted: set[str]) -> Printed:
            # Not answering is how many of them refuse, so the times are short at first.
            for timeout in [0.2, *[1.0] * peer.attempts]:
                printed = await run(
                    server.url,
                    capfd,
                    drafts=drafts,
                    echo=True,
                    timeout=timeout,
                    options=["--origin", "http://localhost"],
                )
                if {name for name, speaks in printed.column("speaks").items() if speaks} == wanted:
                    return printed
            pytest.fail(f"expected {sorted(wanted)}, got {printed.out}")

        printed = await ask(None, wanted)
        assert printed.status == 0
        assert printed.report["auto"] == max(wanted, key=NAMES.index)
        if insists:
            await ask(["hybi-03"], {"hybi-02"})
