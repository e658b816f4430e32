"""A chat room that several processes serve on one port, with Redis between them.

    python examples/cluster.py [--port PORT] [--workers N] [--redis URL]

It needs coredis and a Redis server. All processes listen on the same port, and the
kernel spreads the clients over them. What a client says goes to Redis, from there to
every process, and from each process to its own clients.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import coredis
import trio

from trio_draftws import (
    Connection,
    Server,
    broadcast,
    open_reuse_port_listeners,
    serve_websocket,
)

HOST = "127.0.0.1"
ROOM = "room"


# One process


async def chat(redis: coredis.Redis[str], connection: Connection, state: None) -> None:
    await connection.send(f"welcome to process {os.getpid()}")
    async for message in connection.text:
        await redis.publish(ROOM, message)


async def pass_on(heard: AsyncIterable[Any], server: Server) -> None:
    async for message in heard:
        # A client that is too slow is disconnected; nobody waits for it.
        await broadcast(server.connections, message["data"], slow="close")


async def work(port: int, url: str) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with (
            coredis.Redis.from_url(url, decode_responses=True) as redis,
            redis.pubsub(channels=[ROOM], ignore_subscribe_messages=True) as heard,
            trio.open_nursery() as nursery,
        ):
            listeners = await open_reuse_port_listeners(port, host=HOST)
            server: Server = await nursery.start(
                # Less than the five seconds after which a stopping process is killed
                partial(
                    serve_websocket,
                    partial(chat, redis),
                    listeners=listeners,
                    close_timeout=3,
                )
            )
            nursery.start_soon(pass_on, heard, server)
            print("ready", flush=True)
            await anext(signals)
            await server.aclose()
            nursery.cancel_scope.cancel()


# All of them


@contextmanager
def claimed(port: int) -> Iterator[int]:
    """Holds the port for the processes, with a socket that does not listen."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, port))
        yield holder.getsockname()[1]


async def keep_working(
    command: list[str], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Runs one process, and another when it dies. When cancelled, stops it cleanly."""
    died: int | None = None
    while True:
        async with trio.open_nursery() as nursery:
            run = partial(
                trio.run_process, command, stdout=subprocess.PIPE, check=False
            )
            process: trio.Process = await nursery.start(run)
            assert process.stdout is not None
            async with process.stdout as printed:
                await printed.receive_some()
                if died is None:
                    task_status.started()
                else:
                    print(
                        f"process {died} has died, {process.pid} takes its place",
                        flush=True,
                    )
                async for _ in printed:
                    pass  # until it ends
        died = process.pid
        await trio.sleep(1)


async def main(port: int, workers: int, url: str) -> None:
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        claimed(port) as port,
    ):
        command = [sys.executable, *sys.orig_argv[1:], "--work", str(port)]
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for _ in range(workers):
                    starting.start_soon(nursery.start, keep_working, command)
            print(f"listening on ws://{HOST}:{port}", flush=True)
            await anext(signals)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379")
    parser.add_argument("--work", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is None:
        trio.run(main, arguments.port, arguments.workers, arguments.redis)
    else:
        trio.run(work, arguments.work, arguments.redis)
