"""Sends what is typed, and prints what comes, on trio_draftws.

    python typed_after.py URL [--heartbeat] [--authority FILE]

What can be typed is `send TEXT`, `ping TEXT` and `close [REASON]`. `--authority` is who
has to have signed the server's certificate. `typed_before.py` is the same program.
"""

import argparse
import math
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio

from trio_draftws import Connection, HandshakeError, open_websocket


async def talk(connection: Connection) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, connection)
        await show(connection)
        nursery.cancel_scope.cancel()
    print(f"closed: {connection.close_code} {connection.close_reason}")


async def show(connection: Connection) -> None:
    try:
        async for message in connection:
            print("message:", message, flush=True)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def obey(connection: Connection) -> None:
    async with aclosing(typed()) as lines:
        async for line in lines:
            command, _, text = line.partition(" ")
            try:
                if command == "send":
                    await connection.send(text)
                elif command == "ping":
                    await connection.ping(text.encode())
                    print("pong:", text, flush=True)
                elif command == "close":
                    await connection.aclose(1000, text)
                else:
                    print("send TEXT | ping TEXT | close [REASON]", flush=True)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break


async def typed() -> AsyncGenerator[str, None]:
    """The lines that are typed; at the end of the input, `close`."""
    rest = ""
    while data := await trio.to_thread.run_sync(
        os.read, sys.stdin.fileno(), 4096, abandon_on_cancel=True
    ):
        *lines, rest = (rest + data.decode()).split("\n")
        for line in lines:
            yield line
    yield "close"


async def main(url: str, heartbeat: bool, authority: str | None) -> None:
    context = None
    if authority is not None:
        context = ssl.create_default_context(cafile=authority)
    try:
        async with open_websocket(
            url,
            draft="rfc6455",
            ssl_context=context,
            ping_interval=15 if heartbeat else math.inf,
            ping_timeout=5,
        ) as connection:
            await talk(connection)
    except HandshakeError as error:
        sys.exit(f"not connected: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--heartbeat", action="store_true")
    parser.add_argument("--authority")
    arguments = parser.parse_args()
    trio.run(main, arguments.url, arguments.heartbeat, arguments.authority)
