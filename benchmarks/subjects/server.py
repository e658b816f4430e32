"""A server to be measured. Prints its port, and its heartbeat's summary when it is ended.

python -m benchmarks.subjects.server BEHAVIOUR [--ping-interval SECONDS] [--heartbeat]
"""

from __future__ import annotations

import argparse
from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket

from .behaviours import BEHAVIOURS
from .heartbeat import Heartbeat


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("behaviour", choices=BEHAVIOURS)
    parser.add_argument("--ping-interval", type=float, default=20)
    # It would cost more than a thousand idle connections.
    parser.add_argument("--heartbeat", action="store_true", help="run it")
    options = parser.parse_args()
    behave = BEHAVIOURS[options.behaviour]
    heartbeat = Heartbeat()

    async def handler(connection: Connection, state: object) -> None:
        await behave(connection)

    serve = partial(
        serve_websocket, handler, 0, host="127.0.0.1", ping_interval=options.ping_interval
    )
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(serve)
        print(server.port, flush=True)
        if options.heartbeat:
            nursery.start_soon(heartbeat.run)


if __name__ == "__main__":
    trio.run(main)
