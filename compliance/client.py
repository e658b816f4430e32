"""An echo client for Autobahn's fuzzing server.

    python compliance/client.py ws://127.0.0.1:9001

Goes through the server's cases, one after the other, and then has it write its reports.
"""

import sys
from functools import partial

import trio

from trio_draftws import open_websocket

AGENT = "trio_draftws"
# The longest message of section 9
MAX_MESSAGE_SIZE = 16 * 2**20

connect = partial(open_websocket, draft="rfc6455", max_message_size=MAX_MESSAGE_SIZE)


async def main(url: str) -> None:
    async with connect(f"{url}/getCaseCount") as connection:
        count = int(await connection.receive())
    for case in range(1, count + 1):
        async with connect(f"{url}/runCase?case={case}&agent={AGENT}") as connection:
            try:
                async for message in connection:
                    await connection.send(message)
            except trio.BrokenResourceError:
                pass  # In many cases the server breaks the draft, or ends without a word.
    async with connect(f"{url}/updateReports?agent={AGENT}") as connection:
        # It closes when they are written.
        async for _ in connection:
            pass


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
