"""Sends its second argument to the URL that is its first, and prints what comes back."""

import sys

import trio

from trio_draftws import open_websocket


async def main(url: str, message: str) -> None:
    # Whatever the server speaks. Without a word it would be hixie-76, as Racket's clients speak.
    async with open_websocket(url, draft="auto") as connection:
        await connection.send(message)
        print(await connection.receive())


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
