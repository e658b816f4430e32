"""Sends a message to a URL and prints the answer: client.py URL MESSAGE."""

import sys

import trio

from trio_draftws import open_websocket


async def main(url: str, message: str) -> None:
    # Finds a draft that the server speaks. The default would be to try hixie-76
    # first, as Racket's clients do.
    async with open_websocket(url, draft="auto") as connection:
        await connection.send(message)
        print(await connection.receive())


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
