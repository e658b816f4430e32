"""A chat with its page, on one port: a room for each path.

    python examples/chat.py [--port PORT]

Open the address that it prints in several browsers; /kitchen and /garden are
different rooms.
"""

import argparse
import json
import signal
from collections import defaultdict
from functools import partial
from pathlib import Path

import trio

from trio_draftws import (
    Connection,
    HTTPResponse,
    Request,
    Server,
    broadcast,
    same_host,
    serve_websocket,
)

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
# How many bytes may wait for one member. One who falls further behind is disconnected.
BEHIND = 64 * 1024

Room = dict[Connection, str]
rooms: defaultdict[str, Room] = defaultdict(dict)


async def page(request: Request) -> HTTPResponse:
    # The same for every room: the page connects to the path that it was loaded from.
    return HTTPResponse(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)


async def tell(room: Room, **news: object) -> None:
    """Sends to all in the room; waits for nobody."""
    await broadcast(room, json.dumps(news), limit=BEHIND, slow="close")


async def chat(connection: Connection, state: None) -> None:
    """The first message is the name, each further one a line."""
    lines = connection.text
    name = ""
    with trio.move_on_after(60):
        name = (await lines.receive()).strip()[:20]
    if not name:
        await connection.aclose(4000, "no name came")
        return
    path = connection.request.path
    room = rooms[path]
    if name in room.values():
        await connection.aclose(4001, f"the name {name} is taken")
        return

    room[connection] = name
    try:
        await tell(room, names=sorted(room.values()))
        async for line in lines:
            await tell(room, name=name, line=line)
    except trio.BrokenResourceError:
        pass  # lost, or too slow
    finally:
        del room[connection]
        if not room:
            rooms.pop(path, None)
    await tell(room, names=sorted(room.values()))


async def main(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    chat,
                    port,
                    host="127.0.0.1",
                    http_handler=page,
                    # Pages of other sites must not speak for a visitor.
                    origins=same_host,
                    max_message_size=4096,
                )
            )
            print(f"listening on http://127.0.0.1:{server.port}/", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    trio.run(main, parser.parse_args().port)
