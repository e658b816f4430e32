"""Sends its second argument to the URL that is its first, and prints what comes back."""

import sys

import trio

from trio_draftws import open_websocket


async def main(url: str, message: str) -> None:
    async with open_websocket(url) as connection:
        await connection.send(message)
        print(await connection.receive())


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
