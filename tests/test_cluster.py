"""Several processes on one port, with a real Redis between them."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from tests.peers.redis import redis
from tests.processes import read_line
from tests.test_examples import environment, program
from trio_draftws import Connection, ConnectionLost, PeerClosed, open_websocket

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

WORKERS = 2
# Far above what it takes
LIMIT = 60


@attrs.frozen
class Cluster:
    """The example, as it runs."""

    process: trio.Process
    url: str
    clients: AsyncExitStack

    async def join(self) -> tuple[int, Connection]:
        """A client more, and the process that it came to."""
        entered = open_websocket(self.url, draft="rfc6455", ping_interval=math.inf)
        client = await self.clients.enter_async_context(entered)
        welcome = await client.receive()
        assert isinstance(welcome, str)
        return int(welcome.removeprefix("welcome to process ")), client

    async def join_all(self, *others: int) -> dict[int, Connection]:
        """A client of each process that there is, `others` left out."""
        joined: dict[int, Connection] = {}
        while len(joined) < WORKERS - len(others):
            number, client = await self.join()
            if number not in others:
                joined[number] = client
        return joined


@asynccontextmanager
async def cluster(folder: Path) -> AsyncGenerator[Cluster]:
    options = ["--port", "0", "--workers", f"{WORKERS}", "--redis"]
    with trio.fail_after(LIMIT):
        async with redis(folder) as url:
            process = await trio.lowlevel.open_process(
                program("cluster.py", *options, url),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=environment(),
                start_new_session=True,
            )
            try:
                line = await read_line(process.stdout)
                async with AsyncExitStack() as clients:
                    yield Cluster(process, line.removeprefix("listening on ").strip(), clients)
            finally:
                with suppress(ProcessLookupError):
                    # Also what it may have left behind
                    os.killpg(process.pid, signal.SIGKILL)
                with trio.CancelScope(shield=True):
                    await process.wait()
                    assert process.stdout is not None
                    await process.stdout.aclose()


async def speak(clients: dict[int, Connection]) -> None:
    """What each says, all hear."""
    for number, client in clients.items():
        await client.send(f"hello from {number}")
        for each in clients.values():
            assert await each.receive() == f"hello from {number}"


async def test_processes(tmp_path: Path) -> None:
    """They hear each other; one that dies is alone in that; and all end in order."""
    async with cluster(tmp_path) as running:
        clients = await running.join_all()
        assert len(clients) == WORKERS
        await speak(clients)

        [dies, *left] = clients
        os.kill(dies, signal.SIGKILL)
        with pytest.raises(ConnectionLost):
            await clients.pop(dies).receive()
        await speak(clients)
        line = await read_line(running.process.stdout)
        assert line.startswith(f"process {dies} has died, ")
        clients |= await running.join_all(*left)
        assert len(clients) == WORKERS
        [new] = clients.keys() - set(left)
        assert line.endswith(f", {new} takes its place\n")
        await speak(clients)

        running.process.terminate()
        for client in clients.values():
            with pytest.raises(PeerClosed) as caught:
                await client.receive()
            assert caught.value.code == 1001
        assert await running.process.wait() == 0
