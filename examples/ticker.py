"""A ticker that waits for nobody: a slow client loses ticks, or is disconnected.

    python examples/ticker.py [--port PORT] [--every SECONDS] [--prices N]
                              [--slow drop|close]

Each tick is sent to all at the same time. For a client that does not keep up, at most
a megabyte waits.
"""

import argparse
import itertools
import json
import random
import signal
from functools import partial
from typing import Literal

import trio

from trio_draftws import Connection, Server, broadcast, serve_websocket

BEHIND = 2**20


async def stay(connection: Connection, state: None) -> None:
    # `tick` does the sending; reading here notices when the client leaves.
    async for _ in connection:
        pass


async def tick(
    server: Server, every: float, prices: int, slow: Literal["drop", "close"]
) -> None:
    behind: set[Connection] = set()
    start = trio.current_time()
    for number in itertools.count():
        table = {
            f"P{place}": round(random.uniform(1, 100), 2) for place in range(prices)
        }
        message = json.dumps({"tick": number, "prices": table})
        result = await broadcast(server.connections, message, limit=BEHIND, slow=slow)
        # Printed once per client, not for every tick that is lost.
        for connection in set(result.dropped) - behind:
            print(f"{connection!r} is behind: it loses tick {number}", flush=True)
        for connection in result.cut:
            print(
                f"{connection!r} is behind: it was let go at tick {number}", flush=True
            )
        behind = set(result.dropped)
        await trio.sleep_until(start + (number + 1) * every)


async def main(
    port: int, every: float, prices: int, slow: Literal["drop", "close"]
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(serve_websocket, stay, port, host="127.0.0.1")
            )
            print(f"listening on ws://127.0.0.1:{server.port}", flush=True)
            nursery.start_soon(tick, server, every, prices, slow)
            await anext(signals)
            await server.aclose()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--every", type=float, default=1)
    parser.add_argument("--prices", type=int, default=5)
    parser.add_argument("--slow", choices=("drop", "close"), default="drop")
    arguments = parser.parse_args()
    trio.run(main, arguments.port, arguments.every, arguments.prices, arguments.slow)
