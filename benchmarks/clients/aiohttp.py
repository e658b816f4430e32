"""aiohttp: a session for all connections, as its documentation advises."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientSession, TCPConnector

from .common import Options, check, run_asyncio

sessions: list[Any] = []


def session() -> Any:
    if not sessions:
        # By default there are no more than a hundred connections at a time.
        sessions.append(ClientSession(connector=TCPConnector(limit=0)))
    return sessions[0]


async def echo(chosen: Options) -> None:
    async with session().ws_connect(chosen.url) as connection:
        while True:
            await connection.send_str(chosen.message)
            check(await connection.receive_str(), chosen.message)


async def visit(chosen: Options) -> None:
    async with session().ws_connect(chosen.url):
        pass


if __name__ == "__main__":
    run_asyncio(echo, visit)
