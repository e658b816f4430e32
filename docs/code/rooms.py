"""Rooms: each path is one, and what is said in a room stays there."""

from collections import defaultdict
from functools import partial

import trio

from trio_draftws import Connection, Server, broadcast, open_websocket, serve_websocket

rooms: defaultdict[str, set[Connection]] = defaultdict(set)


async def talk(connection: Connection, state: object) -> None:
    name = connection.request.path
    rooms[name].add(connection)
    try:
        await broadcast(rooms[name], f"{len(rooms[name])} in {name}")
        async for message in connection:
            others = rooms[name] - {connection}
            await broadcast(others, message, limit=2**16, slow="close")
    finally:
        rooms[name].remove(connection)
        if not rooms[name]:
            del rooms[name]


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, talk, 0, host="127.0.0.1")
        )
        base = f"ws://127.0.0.1:{server.port}"
        connect = partial(open_websocket, draft="rfc6455")
        async with connect(f"{base}/kitchen") as ada, connect(f"{base}/garden") as bob:
            print("Ada:", await ada.receive())
            print("Bob:", await bob.receive())
            async with connect(f"{base}/kitchen") as eve:
                print("Eve:", await eve.receive())
                print("Ada:", await ada.receive())
                await ada.send("coffee?")
                print("Eve:", await eve.receive())
        await server.aclose()
    print("rooms left:", len(rooms))


trio.run(main)
