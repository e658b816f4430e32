"""trio-websocket."""

from __future__ import annotations

import trio_websocket

from .common import Options, check, run_trio


async def echo(chosen: Options) -> None:
    async with trio_websocket.open_websocket_url(chosen.url) as connection:
        while True:
            await connection.send_message(chosen.message)
            check(await connection.get_message(), chosen.message)


async def visit(chosen: Options) -> None:
    async with trio_websocket.open_websocket_url(chosen.url):
        pass


if __name__ == "__main__":
    run_trio(echo, visit)
