"""A program with a server whose handlers take their time to end, for test_shutdown.py.

    python -m tests.slow_server CLOSE_TIMEOUT FRAMING_MODE

It prints the port, then a line for what happens. At SIGTERM it closes its server; each handler that
is told to end says so, waits for a line on standard input that is for all of them, tells its client
how many messages it echoed, and returns.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from functools import partial

import attrs
import trio

from trio_draftws import Connection, Request, Server, serve_websocket

UNDECIDED = "/undecided"
"""The path of those who are never told whether they may connect."""
COUNT = "/count"
"""The path of those who are sent numbers as fast as they can be."""


def tell(line: str) -> None:
    print(line, flush=True)


async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
    if request.path == UNDECIDED:
        tell("undecided")
        await trio.sleep_forever()
    return {}, None


@attrs.define
class Handlers:
    may_return: trio.Event = attrs.field(factory=trio.Event)

    async def handle(self, connection: Connection, state: object) -> None:
        sent = 0
        try:
            if connection.request.path == COUNT:
                for sent in itertools.count():
                    await connection.send(str(sent))
            async for message in connection:
                await connection.send(message)
                sent += 1
        finally:
            with trio.CancelScope(shield=True):
                tell("told to end")
                await self.may_return.wait()
                await connection.send(f"{sent} sent")
            tell(f"returned {time.monotonic()}")

    async def read_stdin(self) -> None:
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            await stdin.receive_some(1)
        self.may_return.set()


async def main(close_timeout: float, mode: str) -> None:
    handlers = Handlers()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handlers.read_stdin)
            serve = partial(
                serve_websocket,
                handlers.handle,
                0,
                host="127.0.0.1",
                conn_headers=conn_headers,
                framing_mode=lambda request: mode,
                handshake_timeout=1000,
                close_timeout=close_timeout,
            )
            server: Server = await nursery.start(serve)
            tell(str(server.port))
            await anext(signals)
            await server.aclose()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]), sys.argv[2])
