"""Sends two messages to an echo server and prints what comes back."""

import sys

import trio

from trio_draftws import open_websocket


async def main(url: str) -> None:
    async with open_websocket(url, draft="rfc6455") as connection:
        for message in ["hello", "wörld"]:
            await connection.send(message)
            print(await connection.receive())


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
