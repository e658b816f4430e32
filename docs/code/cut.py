"""A handler that must clean up, tested with connections that break at any byte."""

import itertools

import trio

from trio_draftws import Connection, HandshakeError
from trio_draftws.testing import Faults, FaultyStream, served

members: set[Connection] = set()


async def member(connection: Connection, state: object) -> None:
    members.add(connection)
    try:
        async for _ in connection:
            await connection.send(f"members: {len(members)}")
    finally:
        members.remove(connection)


async def cut_at(place: int) -> str:
    """What a client sees when the server's stream breaks after `place` bytes."""

    async def break_it(stream: trio.abc.Stream) -> trio.abc.Stream:
        return FaultyStream(stream, incoming=Faults(reset_at=place))

    async with served(member, stream_factory=break_it) as server:
        try:
            async with server.open_websocket(draft="rfc6455") as connection:
                await connection.send("how many?")
                return str(await connection.receive())
        except (HandshakeError, trio.BrokenResourceError) as error:
            return type(error).__name__


async def main() -> None:
    seen: list[str] = []
    for place in itertools.count():
        outcome = await cut_at(place)
        assert not members, f"somebody is left behind when it breaks at byte {place}"
        if outcome not in seen:
            seen.append(outcome)
            print(outcome)
        if outcome == "members: 1":
            break


trio.run(main)
