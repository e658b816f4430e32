"""Clients that time how long they take to leave `async with open_websocket`.

    python -m benchmarks.subjects.leaving PORT COUNT STAY [--say]

Prints the seconds that each took, as one JSON list.
"""

from __future__ import annotations

import argparse
import json
import time

import trio

from trio_draftws import open_websocket

# Seconds between two clients, so that those that leave at once don't get in each other's way
APART = 0.05


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("stay", type=float, help="seconds in the block")
    parser.add_argument("--say", action="store_true", help="send a message and receive the answer")
    options = parser.parse_args()
    took: list[float] = []

    async def visit() -> None:
        url = f"ws://127.0.0.1:{options.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            if options.say:
                await connection.send("hello")
                await connection.receive()
            await trio.sleep(options.stay)
            left = time.perf_counter()
        took.append(time.perf_counter() - left)

    async with trio.open_nursery() as nursery:
        for _ in range(options.count):
            nursery.start_soon(visit)
            await trio.sleep(APART)
    print(json.dumps(took), flush=True)


if __name__ == "__main__":
    trio.run(main)
