"""Clients to be measured, all in one program. Prints its heartbeat's summary when it is ended.

python -m benchmarks.subjects.client PORT BEHAVIOUR [--connections 10] [--draft rfc6455]
"""

from __future__ import annotations

import argparse

import trio

from trio_draftws import HandshakeError, open_websocket

from .behaviours import BEHAVIOURS
from .heartbeat import Heartbeat

# Seconds before a client whose connection has ended opens another
PAUSE = 0.1


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("behaviour", choices=BEHAVIOURS)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--draft", default="rfc6455")
    options = parser.parse_args()
    behave = BEHAVIOURS[options.behaviour]
    heartbeat = Heartbeat()

    async def keep_open() -> None:
        while True:
            try:
                async with open_websocket(
                    f"ws://127.0.0.1:{options.port}/", draft=options.draft
                ) as connection:
                    await behave(connection)
            except (HandshakeError, trio.BrokenResourceError, trio.EndOfChannel):
                pass
            await trio.sleep(PAUSE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.run)
        for _ in range(options.connections):
            nursery.start_soon(keep_open)


if __name__ == "__main__":
    trio.run(main)
