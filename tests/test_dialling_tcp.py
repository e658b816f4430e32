"""Dialling over TCP: an address has nothing to be looked up, and nothing to be tried beside it."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import DialFailed, HandshakeTimeout, open_websocket

from .wire import dial, echo, serving


def unused_port(host: str) -> int:
    """One that nobody listens on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        return int(taken.getsockname()[1])


class CountsTasks(trio.abc.Instrument):
    """Counts the tasks that are spawned for this one."""

    def __init__(self) -> None:
        self.parent = trio.lowlevel.current_task()
        self.spawned = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        nursery = task.parent_nursery
        self.spawned += nursery is not None and nursery.parent_task is self.parent


async def test_an_address_takes_no_task() -> None:
    """There are as many as on a stream that was dialled before."""
    spawned: list[int] = []
    dialled: list[Any] = []

    async def note(stream: trio.abc.Stream) -> trio.abc.Stream:
        dialled.append(stream)
        return stream

    async with serving(echo) as server:
        for stream in (await dial(server), None):
            counter = CountsTasks()
            trio.lowlevel.add_instrument(counter)
            async with open_websocket(
                f"ws://127.0.0.1:{server.port}/",
                draft="rfc6455",
                stream=stream,
                stream_factory=note,
            ) as client:
                trio.lowlevel.remove_instrument(counter)
                spawned.append(counter.spawned)
                await client.send("hello")
                assert await client.receive() == "hello"
                assert dialled.pop().socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert spawned[0] == spawned[1]


async def test_a_name_is_dialled_by_trio(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    async def dial(host: str, port: int) -> trio.SocketStream:
        await trio.lowlevel.checkpoint()
        asked.append((host, port))
        raise OSError("not today")

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    with pytest.raises(DialFailed, match="not today"):
        async with open_websocket("ws://localhost/", draft="rfc6455"):
            raise AssertionError("there is no connection")
    assert asked == [("localhost", 80)]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_nobody_listens_there(host: str) -> None:
    """It is told as Trio's own dialling would have it told."""
    port = unused_port(host)
    at = f"[{host}]" if ":" in host else host
    with pytest.raises(DialFailed, match="Connection refused") as caught:
        async with open_websocket(f"ws://{at}:{port}/", draft="rfc6455"):
            raise AssertionError("there is no connection")
    assert str(caught.value).startswith(f"no TCP connection to {host} port {port}: [Errno ")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_cancelled_it_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[trio.socket.SocketType] = []
    make = trio.socket.socket

    def noted(*args: int) -> trio.socket.SocketType:
        opened.append(make(*args))
        return opened[-1]

    monkeypatch.setattr(trio.socket, "socket", noted)
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_websocket(f"ws://127.0.0.1:{unused_port('127.0.0.1')}/", draft="rfc6455"):
            raise AssertionError("there is no connection")
    assert scope.cancelled_caught
    assert [one.fileno() for one in opened] == [-1]


@pytest.mark.parametrize("timeout", [0.5, 7])
async def test_too_late(
    timeout: float, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(host: str, port: int) -> trio.abc.Stream:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", never)
    started = trio.current_time()
    text = f"no TCP connection to a.example port 9 within {timeout} s"
    with pytest.raises(HandshakeTimeout) as caught:
        async with open_websocket("ws://a.example:9/", draft="auto", handshake_timeout=timeout):
            raise AssertionError("there is no connection")
    assert str(caught.value) == text
    assert trio.current_time() - started == pytest.approx(timeout)


async def test_one_deadline_over_the_dial_and_the_answer(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the dial took is no longer there for the answer."""

    async def dial(host: str, port: int) -> trio.abc.Stream:
        await trio.sleep(2)
        return trio.testing.memory_stream_pair()[0]

    monkeypatch.setattr(trio, "open_tcp_stream", dial)
    started = trio.current_time()
    with pytest.raises(HandshakeTimeout, match="was not done within 3 s"):
        async with open_websocket("ws://a.example:9/", draft="rfc6455", handshake_timeout=3):
            raise AssertionError("there is no connection")
    assert trio.current_time() - started == pytest.approx(3)
