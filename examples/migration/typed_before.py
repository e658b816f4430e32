"""Sends what is typed, and prints what comes, on trio-websocket.

    python typed_before.py URL [--heartbeat] [--authority FILE]

What can be typed is `send TEXT`, `ping TEXT` and `close [REASON]`. `--authority` is who
has to have signed the server's certificate. `typed_after.py` is the same program.
"""

import argparse
import os
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    open_websocket_url,
)


async def talk(connection: WebSocketConnection, heartbeat: bool) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(obey, connection)
        if heartbeat:
            nursery.start_soon(keep_alive, connection)
        await show(connection)
        nursery.cancel_scope.cancel()
    assert connection.closed is not None
    print(f"closed: {connection.closed.code} {connection.closed.reason or ''}")


async def show(connection: WebSocketConnection) -> None:
    try:
        while True:
            print("message:", await connection.get_message(), flush=True)
    except ConnectionClosed:
        pass


async def obey(connection: WebSocketConnection) -> None:
    async with aclosing(typed()) as lines:
        async for line in lines:
            command, _, text = line.partition(" ")
            try:
                if command == "send":
                    await connection.send_message(text)
                elif command == "ping":
                    await connection.ping(text.encode())
                    print("pong:", text, flush=True)
                elif command == "close":
                    await connection.aclose(1000, text)
                else:
                    print("send TEXT | ping TEXT | close [REASON]", flush=True)
            except ConnectionClosed:
                break


async def keep_alive(connection: WebSocketConnection) -> None:
    try:
        while True:
            await trio.sleep(15)
            with trio.fail_after(5):
                await connection.ping()
    except trio.TooSlowError:
        await connection.aclose()
    except ConnectionClosed:
        pass


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
        async with open_websocket_url(url, context) as connection:
            await talk(connection, heartbeat)
    except HandshakeError as error:
        sys.exit(f"not connected: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--heartbeat", action="store_true")
    parser.add_argument("--authority")
    arguments = parser.parse_args()
    trio.run(main, arguments.url, arguments.heartbeat, arguments.authority)
