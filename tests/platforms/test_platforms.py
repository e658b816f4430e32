"""What is done without what not every system has."""

from __future__ import annotations

import errno
import math
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from termios import TIOCOUTQ
from typing import Any

import pytest
import trio
import trio.testing

from tests.pairs import connected, mute, unmute
from tests.turns import in_turn
from tests.wire import dial, read_until, request_13, serving
from trio_draftws import (
    Connection,
    ConnectionLost,
    DialFailed,
    open_reuse_port_listeners,
    open_unix_listener,
    open_websocket,
    ssl_stream_factory,
)
from trio_draftws.drafts import draft_named

from . import kqueue as imitation
from .masks import MASKS, looked_for

RFC6455 = draft_named("rfc6455")
ROOT = Path(__file__).parent.parent.parent
MISSING = {
    "windows": [
        "assert not there.HAS_UNIX_SOCKETS and not there.HAS_REUSE_PORT",
        "assert not there.SOCKETS_ARE_FILES and there.make_watcher() is None",
        "assert not there.TELLS_UNACKED and not there.TELLS_UNSENT",
        "assert there.send_gathered.__name__ == '_send_joined'",
        "assert there.RESET_ON_CLOSE == b'\\1\\0\\0\\0'",
    ],
    "macos": [
        "assert type(there.make_watcher()).__name__ == 'Kqueue'",
        "assert there.TELLS_UNACKED and not there.TELLS_UNSENT",
    ],
}


@pytest.mark.parametrize("mask", MASKS)
def test_nothing_is_missing_when_it_is_imported(mask: str) -> None:
    program = [
        "from tests.platforms.masks import apply, looked_for",
        f"apply({mask!r})",
        "from trio_draftws import *",
        "import trio_draftws.testing, trio_draftws.cli",
        "there = looked_for()",
        *MISSING.get(mask, ()),
    ]
    subprocess.run([sys.executable, "-c", "\n".join(program)], check=True, cwd=ROOT)


def test_all_tests_are_found_without_the_modules_of_posix() -> None:
    """Those that need one are left out."""
    program = [
        "import sys, trio, asyncio, subprocess, multiprocessing, pytest",
        "hidden = ('fcntl', 'termios', 'pty', 'tty', 'resource', 'pwd', 'grp')",
        "sys.modules.update(dict.fromkeys(hidden))",
        "sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "test_soak" not in done.stdout
    assert "test_server" in done.stdout


# A feature that the system does not have


async def test_no_unix_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_for(), "HAS_UNIX_SOCKETS", False)
    with pytest.raises(OSError, match="this system has no Unix sockets") as caught:
        await open_unix_listener(tmp_path / "socket")
    assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(DialFailed, match="this system has no Unix sockets"):
        async with open_websocket("ws://localhost/", unix_socket=tmp_path / "socket"):
            raise AssertionError("it opened")
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240


async def test_no_port_for_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_for(), "HAS_REUSE_PORT", False)
    with pytest.raises(OSError, match="this system has no SO_REUSEPORT") as caught:
        await open_reuse_port_listeners(0)
    assert caught.value.errno == errno.EOPNOTSUPP


async def test_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them another process could listen between the look and the removal."""
    monkeypatch.setattr(looked_for(), "HAS_FCNTL", False)
    with pytest.raises(OSError, match="this system has no locks on files"):
        await open_unix_listener(tmp_path / "socket")
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240


@in_turn("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
async def test_a_socket_that_somebody_has_bound_is_not_stale(tmp_path: Path, kind: Any) -> None:
    """Not even one that does not listen, or not yet."""
    path = tmp_path / f"of-{kind.name}"
    with socket.socket(socket.AF_UNIX, kind) as bound:
        bound.bind(str(path))
        with pytest.raises(OSError, match="another process listens here"):
            await open_unix_listener(path)
        assert path.exists()
    async with await open_unix_listener(path):
        pass


# A kernel that does not say what it holds


@pytest.fixture
def silent_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    there = looked_for()
    for what in ("unacked", "unsent"):
        monkeypatch.setattr(there, f"_ask_{what}", None)
        monkeypatch.setattr(there, f"TELLS_{what.upper()}", False)


async def take(stream: trio.abc.Stream, size: int) -> int:
    """Takes at least so many bytes; returns how many."""
    taken = 0
    while taken < size:
        data = await stream.receive_some(2**12)
        assert data, "it was given up"
        taken += len(data)
    return taken


UPGRADED = b"\r\n\r\n"


@in_turn("secure", [False, True])
async def test_a_slow_reader_is_waited_for(
    secure: bool,
    silent_kernel: None,
    mock_clock: trio.testing.MockClock,
    server_ssl: Any,
    client_ssl: Any,
) -> None:
    """It takes some of a large message now and then, of which nobody can be asked."""
    handled: list[str] = []

    async def handler(connection: Connection, _: object) -> None:
        try:
            await connection.send(bytes(2**22))
            await connection.send("end")
            handled.append("sent")
        except ConnectionLost as error:
            handled.append(str(error))

    settings: dict[str, Any] = {"write_timeout": 30, "ping_interval": math.inf, "close_timeout": 1}
    if secure:
        settings["ssl_context"] = server_ssl
    async with serving(handler, **settings) as server:
        stream: trio.abc.Stream = await dial(server)
        assert isinstance(stream, trio.SocketStream)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**15)
        if secure:
            stream = await ssl_stream_factory(client_ssl, server_hostname="127.0.0.1")(stream)
        await stream.send_all(request_13())
        received = await read_until(stream, lambda data: UPGRADED in data)
        taken = len(received)
        while taken < 2**22:
            taken += await take(stream, min(2**17, 2**22 - taken))
            await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(20)
            await trio.testing.wait_all_tasks_blocked()
            assert handled in ([], ["sent"])
        await read_until(stream, lambda data: data.endswith(b"end") or not data)
        assert handled == ["sent"]
        await stream.aclose()


async def test_one_that_takes_little_at_a_time_is_waited_for(
    silent_kernel: None, mock_clock: trio.testing.MockClock
) -> None:
    """The kernel takes more only when much of its buffer is free, unless it is asked to."""
    handled: list[str] = []
    held_by: list[Any] = []

    def held() -> int:
        return int.from_bytes(ioctl(held_by[0].socket.fileno(), TIOCOUTQ, bytes(4)), sys.byteorder)

    async def handler(connection: Connection, _: object) -> None:
        try:
            await connection.send(bytes(2**22))
            await connection.send("when there is room again")
        except ConnectionLost as error:
            handled.append(str(error))

    async def holds_much(stream: Any) -> trio.abc.Stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 0)
        held_by.append(stream)
        return stream  # type: ignore[no-any-return]

    settings: dict[str, Any] = {"write_timeout": 30, "ping_interval": math.inf}
    async with serving(handler, stream_factory=holds_much, **settings) as server:
        stream = await dial(server)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**14)
        await stream.send_all(request_13())
        await read_until(stream, lambda data: UPGRADED in data)
        for _ in range(6):
            await trio.testing.wait_all_tasks_blocked(0.01)
            before = held()
            await take(stream, 48_000)
            for _ in range(200):
                # What the kernels do between them takes real time.
                if held() < before - 24_000:
                    break
                await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(20)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert handled == []
        await stream.aclose()


async def test_one_that_takes_nothing_is_given_up(
    silent_kernel: None, mock_clock: trio.testing.MockClock
) -> None:
    handled: list[str] = []

    async def handler(connection: Connection, _: object) -> None:
        try:
            while True:
                await connection.send(bytes(2**20))
        except ConnectionLost as error:
            handled.append(str(error))

    async with serving(handler, write_timeout=30, ping_interval=math.inf) as server:
        stream = await dial(server)
        await stream.send_all(request_13())
        for _ in range(4):
            await trio.testing.wait_all_tasks_blocked(0.01)
            mock_clock.jump(20)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert handled
        assert "the peer took nothing of what waits for it for 30 s" in handled[0]
        await stream.aclose()


@in_turn("message", ["short", b"x" * 2**19])
async def test_what_follows_when_all_that_was_offered_is_taken(
    message: str | bytes, silent_kernel: None
) -> None:
    """The task that writes still waits then, and there is but one of them."""
    async with connected("tcp", RFC6455) as (client, server):
        mute(server)
        sent: list[str | bytes] = []

        async def fill() -> None:
            while True:
                await client.send("x" * 20_000)
                sent.append("x" * 20_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill)
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
        while client._sender.size:
            data = await server._endpoint.stream.receive_some()
            server._protocol.feed(data, trio.current_time())
            client._sender.stuck_since(trio.current_time())
        assert not client._sender.idle, "this shows nothing"
        async with trio.open_nursery() as nursery:
            for last in (message, "the last"):
                sent.append(last)
                nursery.start_soon(client.send, last)
                await trio.testing.wait_all_tasks_blocked()
            unmute(server)
            assert [await server.receive() for _ in sent] == sent


async def test_a_sender_for_which_there_is_room_goes_on(silent_kernel: None) -> None:
    """There is room when all was taken that was offered, though the task that writes waits."""
    async with connected("tcp", RFC6455) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        sent = 0

        async def fill() -> None:
            nonlocal sent
            while True:
                await client.send("x" * 20_000)
                sent += 1

        nursery.start_soon(fill)
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = sent
        while client._sender.must_wait and client._sender.size >= 2**16:
            await server._endpoint.stream.receive_some()
            client._sender.stuck_since(trio.current_time())
        await trio.testing.wait_all_tasks_blocked()
        assert sent > before
        nursery.cancel_scope.cancel()


async def test_one_that_is_gone_when_it_is_offered_more(silent_kernel: None) -> None:
    """The task that writes is told, as always."""
    async with connected("tcp", RFC6455) as (client, server), trio.open_nursery() as nursery:
        mute(server)
        assert client._sender.stuck_since(trio.current_time()) is None

        async def send() -> None:
            try:
                while True:
                    await client.send("x" * 2**20)
            except ConnectionLost:
                return

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.01)
        stream: Any = server._endpoint.stream
        stream.abort()
        assert client._sender.stuck_since(trio.current_time()) is not None


@in_turn("missing", [(), ("epoll",)])
async def test_pings_are_answered_where_nobody_receives(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the watch, or by a task for each."""
    for name in missing:
        monkeypatch.delattr(select, name)

    async def never_receives(connection: Connection, _: object) -> None:
        await connection.wait_closed()

    async with serving(never_receives) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with (
            open_websocket(url, draft="rfc6455") as client,
            open_websocket(url, draft="rfc6455"),
        ):
            for _ in range(3):
                await client.ping()


# Several buffers at once


@in_turn("sizes", [[], [1, 2, 3], [2**16], [2**17, 5], [1000] * 200, [2**16 - 1, 2], [0, 7]])
async def test_messages_sent_together(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    there = looked_for()
    monkeypatch.setattr(there, "send_gathered", there._send_joined)
    messages = [bytes([size % 251]) * size for size in sizes]
    async with connected("tcp", RFC6455) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send_many, messages)
        assert [await server.receive() for _ in messages] == messages


# A kqueue


@pytest.fixture(params=["epoll", "kqueue"])
def watcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One, and the imitation of the other."""
    if request.param == "kqueue":
        for name, value in imitation.NAMES.items():
            monkeypatch.setattr(select, name, value, raising=False)
    made = looked_for().make_watcher()
    yield made
    made.close()


READABLE, WRITABLE, RESET, HANG_UP = 0x1, 0x4, 0x18, 0x2000
ONCE = select.EPOLLONESHOT


def test_what_it_says_and_how_often(watcher: Any) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = ours.fileno()
        watcher.register(number, READABLE | HANG_UP | ONCE)
        assert watcher.poll(0, 9) == []
        theirs.send(b"x")
        assert watcher.poll(0, 9) == [(number, READABLE)]
        assert watcher.poll(0, 9) == []
        watcher.modify(number, READABLE | HANG_UP | ONCE)
        assert watcher.poll(0, 9) == [(number, READABLE)]
        watcher.modify(number, WRITABLE | ONCE)
        assert watcher.poll(0, 9) == [(number, WRITABLE)]
        watcher.modify(number, READABLE | ONCE)
        watcher.modify(number, WRITABLE | ONCE)
        assert watcher.poll(0, 9) == [(number, WRITABLE)]
        watcher.modify(number, HANG_UP | ONCE)
        assert watcher.poll(0, 9) == []
        theirs.shutdown(socket.SHUT_WR)
        ((_, flags),) = watcher.poll(0, 9)
        assert flags & HANG_UP
        assert not flags & RESET
        watcher.modify(number, READABLE | ONCE)
        watcher.unregister(number)
        assert watcher.poll(0, 9) == []
        watcher.register(number, READABLE | ONCE)
        assert [number for number, _ in watcher.poll(0, 9)] == [number]
        watcher.unregister(number)


def test_a_reset_and_what_is_closed(watcher: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    with ours:
        theirs.send(b"unread")
        watcher.register(ours.fileno(), HANG_UP | ONCE)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, looked_for().RESET_ON_CLOSE)
        theirs.close()
        ((number, flags),) = watcher.poll(1, 9)
        assert number == ours.fileno()
        assert flags & RESET
    with pytest.raises(OSError, match="Bad file descriptor"):
        watcher.register(number, READABLE | ONCE)


def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left() -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(select, "epoll", none_left)
    assert looked_for().make_watcher() is None
    monkeypatch.setattr(select, "kqueue", none_left, raising=False)
    assert looked_for().make_watcher() is None


def test_as_much_as_may_wait_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS tells whoever waits for more than fits when it is full."""
    for name, value in imitation.NAMES.items():
        monkeypatch.setattr(select, name, value, raising=False)
    monkeypatch.setattr(imitation, "MOST_THAT_WAITS", math.inf)
    watcher = looked_for().make_watcher()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        watcher.register(ours.fileno(), HANG_UP)
        theirs.send(b"full")
        assert watcher.poll(0, 9) == []
    watcher.close()


# How systems that are not here are asked


def asked_on(system: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    there = looked_for()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", system)
        return [ask is not None for ask in there._how_to_ask()]


def test_which_systems_say_what_they_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        system: asked_on(system, monkeypatch)
        for system in ("linux", "android", "darwin", "ios", "freebsd14", "openbsd7", "win32")
    }
    assert found == {
        "linux": [True, True],
        "android": [True, True],
        "darwin": [True, False],
        "ios": [True, False],
        "freebsd14": [True, False],
        "openbsd7": [False, False],
        "win32": [False, False],
    }
    monkeypatch.setattr(looked_for(), "HAS_FCNTL", False)
    assert asked_on("linux", monkeypatch) == [False, False]


def test_what_macos_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        def getsockopt(self, *what: int) -> int:
            assert what == (socket.SOL_SOCKET, 0x1024)
            return 77

    there = looked_for()
    monkeypatch.setattr(sys, "platform", "darwin")
    ask, _ = there._how_to_ask()
    monkeypatch.setattr(there, "_ask_unacked", ask)
    assert there.unacked(Held()) == 77
