"""Two processes on one port: the kernel chooses which of them gets a client."""

import multiprocessing
import os
import signal
import socket
from functools import partial
from multiprocessing.synchronize import Event

import trio

from trio_draftws import (
    Connection,
    Server,
    open_reuse_port_listeners,
    open_websocket,
    serve_websocket,
)


async def who(connection: Connection, state: object) -> None:
    await connection.send(f"process {os.getpid()}")


async def serve(port: int, ready: Event) -> None:
    listeners = await open_reuse_port_listeners(port, host="127.0.0.1")
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(serve_websocket, who, listeners=listeners)
            )
            ready.set()
            await anext(signals)
            await server.aclose()


async def ask_until_all_have_answered(port: int, processes: int) -> None:
    answers: set[object] = set()
    while len(answers) < processes:
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            answers.add(await connection.receive())
    print(f"{len(answers)} processes have answered")


def main() -> None:
    # Bound but not listening: keeps the port for the others and gets no clients.
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]

        new = multiprocessing.get_context("spawn")
        ready = [new.Event() for _ in range(2)]
        workers = [
            new.Process(target=trio.run, args=(serve, port, event)) for event in ready
        ]
        for worker in workers:
            worker.start()
        for event in ready:
            event.wait()
        trio.run(ask_until_all_have_answered, port, len(workers))
        for worker in workers:
            worker.terminate()  # SIGTERM
            worker.join()
        print("ended with", [worker.exitcode for worker in workers])


if __name__ == "__main__":
    main()
