"""Listeners on a Unix socket, and on a port that is shared."""

# What is asked of a test's own folder does not block.
# ruff: noqa: ASYNC240

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.pairs import open_client
from tests.wire import echo, serving
from trio_draftws import (
    Connection,
    Server,
    UnixListener,
    open_reuse_port_listeners,
    open_unix_listener,
    open_websocket,
    serve_websocket,
)
from trio_draftws.drafts import draft_named

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

RFC6455 = draft_named("rfc6455")
HOST = "127.0.0.1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


async def is_alive(path: Path) -> bool:
    try:
        stream = await trio.open_unix_socket(path)
    except OSError:
        return False
    await stream.aclose()
    return True


def leave_stale(path: Path) -> None:
    """What a server leaves that was killed."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()


@asynccontextmanager
async def serving_on(
    listeners: list[Any], handler: Any = echo, **settings: Any
) -> AsyncIterator[Server]:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, handler, listeners=listeners, **settings)
        server: Server = await nursery.start(serve)
        yield server
        await server.aclose()


async def test_a_server_on_a_unix_socket(path: Path) -> None:
    """It serves, says who may connect, and leaves nothing behind."""
    listener = await open_unix_listener(path, mode=0o660)
    assert listener.path == path
    assert mode_of(path) == 0o660
    async with serving_on([listener]) as server:
        assert server.port is None
        async with open_client(await trio.open_unix_socket(path), RFC6455) as client:
            await client.send("over a file")
            assert await client.receive() == "over a file"
        assert server.statistics().accepted == 1
    assert not path.exists()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


async def test_it_is_for_this_user_alone_by_default(path: Path) -> None:
    old = os.umask(0)
    try:
        async with await open_unix_listener(str(path)):
            assert mode_of(path) == 0o600
    finally:
        os.umask(old)


async def test_what_a_killed_server_left_is_replaced(path: Path) -> None:
    leave_stale(path)
    assert not await is_alive(path)
    async with await open_unix_listener(path):
        assert await is_alive(path)
    assert not path.exists()


async def test_one_that_is_alive_is_not(path: Path) -> None:
    async with await open_unix_listener(path):
        with pytest.raises(OSError, match="another process listens here") as caught:
            await open_unix_listener(path)
        assert caught.value.errno == errno.EADDRINUSE
        assert await is_alive(path)


async def test_nor_one_that_is_full(path: Path) -> None:
    """It answers nobody at the moment, and lives."""
    async with await open_unix_listener(path, backlog=0), AsyncExitStack() as stack:
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(path))
            except (BlockingIOError, ConnectionRefusedError):
                break  # as Linux says, and as the BSDs do
        with pytest.raises(OSError, match="another process listens here"):
            await open_unix_listener(path)


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
async def test_nor_what_is_no_socket(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        leave_stale(path.with_name("elsewhere"))
        path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(FileExistsError):
        await open_unix_listener(path)
    assert path.exists()


async def test_what_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await open_unix_listener(tmp_path / "nowhere" / "socket")
    with pytest.raises(OSError, match="too long"):
        await open_unix_listener(tmp_path / ("x" * 200))
    with pytest.raises(TypeError):
        await open_unix_listener(tmp_path / "socket", mode="rw")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


async def test_many_want_the_same_place(path: Path) -> None:
    """One of them gets it, and nobody's is taken away."""
    leave_stale(path)
    got: list[UnixListener] = []
    refused: list[int | None] = []

    async def try_it() -> None:
        try:
            got.append(await open_unix_listener(path))
        except OSError as error:
            refused.append(error.errno)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(try_it)
    [listener] = got
    assert refused == [errno.EADDRINUSE] * 29
    assert await is_alive(path)
    await listener.aclose()
    assert not path.exists()


async def test_another_file_in_its_place_is_left_alone(path: Path) -> None:
    listener = await open_unix_listener(path)
    path.unlink()
    path.write_text("precious")
    await listener.aclose()
    await listener.aclose()
    assert path.read_text() == "precious"


async def test_its_file_was_removed(path: Path) -> None:
    async with await open_unix_listener(path):
        path.unlink()
    assert not path.exists()


async def test_closed_twice_while_another_has_taken_over(path: Path) -> None:
    first = await open_unix_listener(path)
    await first.aclose()
    async with await open_unix_listener(path):
        await first.aclose()
        assert await is_alive(path)


async def test_closing_it_while_cancelled(path: Path) -> None:
    listener = await open_unix_listener(path)
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.aclose()
    assert not path.exists()
    assert listener.socket.fileno() == -1


async def test_opening_it_while_cancelled(path: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await open_unix_listener(path)
    assert scope.cancelled_caught
    assert not path.exists()


# A port that is shared


async def test_several_servers_on_one_port() -> None:
    """Each client is served by one of them, and none is left out for long."""
    served: set[int] = set()

    async def handler(number: int, connection: Connection, state: object) -> None:
        served.add(number)
        await connection.send(f"{number}")

    async with AsyncExitStack() as stack:
        port = 0
        for number in range(3):
            listeners = await open_reuse_port_listeners(port, host=HOST)
            port = listeners[0].socket.getsockname()[1]
            await stack.enter_async_context(serving_on(listeners, partial(handler, number)))
        for _ in range(200):
            async with open_websocket(f"ws://{HOST}:{port}/") as client:
                assert await client.receive() in {"0", "1", "2"}
            if len(served) == 3:
                break
    assert served == {0, 1, 2}


async def test_all_interfaces() -> None:
    listeners = await open_reuse_port_listeners(0, backlog=1)
    families = {listener.socket.family for listener in listeners}
    assert socket.AF_INET in families
    for listener in listeners:
        options = listener.socket
        assert options.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        await listener.aclose()


async def test_a_port_that_somebody_does_not_share() -> None:
    async with serving() as server:
        assert server.port is not None
        with pytest.raises(OSError, match="in use"):
            await open_reuse_port_listeners(server.port, host=HOST)


async def test_nothing_stays_open_where_one_cannot_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of two addresses is free, the second is no address of this machine."""
    made: list[Any] = []
    plain = trio.socket.socket

    async def two(*arguments: Any, **settings: Any) -> list[Any]:
        stream = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*stream, (HOST, 0)), (*stream, ("192.0.2.1", 0))]

    def noted(*arguments: Any) -> Any:
        made.append(plain(*arguments))
        return made[-1]

    monkeypatch.setattr(trio.socket, "getaddrinfo", two)
    monkeypatch.setattr(trio.socket, "socket", noted)
    with pytest.raises(OSError, match="assign"):
        await open_reuse_port_listeners(0)
    assert [one.fileno() for one in made] == [-1, -1]
