"""websockets, on asyncio."""

from __future__ import annotations

from functools import partial

from websockets.asyncio import client

from .common import Options, check, run_asyncio

# A proxy of the surroundings would otherwise be asked.
connect = partial(client.connect, compression=None, proxy=None)


async def echo(chosen: Options) -> None:
    async with connect(chosen.url) as connection:
        while True:
            await connection.send(chosen.message)
            check(await connection.recv(), chosen.message)


async def visit(chosen: Options) -> None:
    async with connect(chosen.url):
        pass


if __name__ == "__main__":
    run_asyncio(echo, visit)
