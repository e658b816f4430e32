"""An echo server. Ctrl-C stops it, with a goodbye to everyone."""

import signal
import sys
from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(serve_websocket, echo, port, host="127.0.0.1")
            )
            print(f"listening on ws://127.0.0.1:{server.port}", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
