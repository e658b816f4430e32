"""trio_draftws."""

from __future__ import annotations

from functools import partial

from trio_draftws import open_websocket

from .common import Options, check, run_trio

connect = partial(open_websocket, draft="rfc6455", compression=None)


async def echo(chosen: Options) -> None:
    async with connect(chosen.url) as connection:
        while True:
            await connection.send(chosen.message)
            check(await connection.receive(), chosen.message)


async def visit(chosen: Options) -> None:
    async with connect(chosen.url):
        pass


if __name__ == "__main__":
    run_trio(echo, visit)
