"""A handler that has to clean up, tested against connections that break anywhere."""

import itertools
from functools import partial

import trio

from trio_draftws import Connection, HandshakeError, Server, open_websocket, serve_websocket
from trio_draftws.testing import Faults, FaultyStream

members: set[Connection] = set()


async def member(connection: Connection, state: object) -> None:
    members.add(connection)
    try:
        async for _ in connection:
            await connection.send(f"members: {len(members)}")
    finally:
        members.remove(connection)


async def cut_at(place: int) -> str:
    """What a client sees of a server whose stream breaks when so many bytes have come."""

    async def break_it(stream: trio.abc.Stream) -> trio.abc.Stream:
        return FaultyStream(stream, incoming=Faults(reset_at=place))

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, member, 0, host="127.0.0.1", stream_factory=break_it)
        )
        try:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft="rfc6455") as connection:
                await connection.send("how many?")
                return str(await connection.receive())
        except (HandshakeError, trio.BrokenResourceError) as error:
            return type(error).__name__
        finally:
            await server.aclose()


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
