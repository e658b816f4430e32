"""Connections in programs that are written for anyio, on its trio backend."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import anyio
import anyio.abc
import pytest
import trio
import trio.testing

from trio_draftws import Draft, LocalProtocolError, PeerClosed, PeerViolation
from trio_draftws.anyio import ConnectionAttribute, ConnectionObjectStream
from trio_draftws.drafts import draft_named

from .pairs import breakable, connected
from .rows import each_row
from .turns import each_draft

NEWEST = draft_named("rfc6455")


@each_draft
async def test_messages_both_ways(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        here, there = ConnectionObjectStream(client), ConnectionObjectStream(server)
        assert isinstance(here, anyio.abc.ObjectStream)
        messages: list[str | bytes] = ["", "é", *([b"", b"\xff"] if draft.binary else [])]
        async with anyio.create_task_group() as tasks:

            async def echo() -> None:
                async for message in there:
                    await there.send(message)
                await there.aclose()

            tasks.start_soon(echo)
            for message in messages:
                await here.send(message)
                assert await here.receive() == message
            await here.aclose()


@each_draft
async def test_each_end(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        here, there = ConnectionObjectStream(client), ConnectionObjectStream(server)
        await here.send("last")
        await here.send_eof()
        await here.send_eof()  # anyio's is idempotent
        with pytest.raises(anyio.ClosedResourceError):
            await here.send("more")
        assert await there.receive() == "last"
        with pytest.raises(anyio.EndOfStream) as end:
            await there.receive()
        assert isinstance(end.value.__cause__, PeerClosed)
        with pytest.raises(anyio.BrokenResourceError):
            await there.send("answer")
        await there.aclose()
        await here.aclose()
        for closed in (here.receive, here.send_eof, lambda: here.send("more")):
            with pytest.raises(anyio.ClosedResourceError, match="closed"):
                await closed()


async def test_what_breaks() -> None:
    async with breakable(NEWEST) as (_, server, stream):
        stream.breaks_receiving = True
        with pytest.raises(anyio.BrokenResourceError):
            await ConnectionObjectStream(server).receive()
    async with connected("memory", NEWEST, max_message_size=10) as (client, server):
        await client.send("x" * 11)
        with pytest.raises(anyio.BrokenResourceError, match="longer than 10") as broken:
            await ConnectionObjectStream(server).receive()
        assert isinstance(broken.value.__cause__, PeerViolation)


async def test_misuse(autojump_clock: trio.testing.MockClock) -> None:
    async with connected("memory", draft_named("old")) as (client, server):
        here = ConnectionObjectStream(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(anyio.BusyResourceError, match="already receiving from"):
                await here.receive()
            with pytest.raises(LocalProtocolError):
                await here.send(b"binary")
            await server.send("still open")
        with anyio.move_on_after(1) as scope:
            await here.receive()
        assert scope.cancelled_caught
        not_one: Any = "ws://localhost"
        with pytest.raises(TypeError, match=r"takes a trio_draftws\.Connection, not 'ws:"):
            ConnectionObjectStream(not_one)


async def test_the_connection_is_an_attribute() -> None:
    async with connected("memory", NEWEST) as (client, _):
        wrapped = ConnectionObjectStream(client)
        assert wrapped.extra(ConnectionAttribute.connection) is client
        assert wrapped.extra(anyio.abc.SocketAttribute.family, None) is None


@each_row(
    "program, said",
    [
        ("import sys, trio_draftws; print('anyio' in sys.modules)", "False\n"),
        (
            """
import sys
sys.modules['anyio'] = None
try:
    import trio_draftws.anyio
except ImportError as error:
    print(error.name, error)
""",
            "anyio trio_draftws.anyio needs anyio, which is not installed: pip install anyio\n",
        ),
    ],
)
def test_nothing_else_needs_it(program: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (said, "")
