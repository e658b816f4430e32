"""Is the other side there, and how far away? One peer answers, one has vanished."""

from functools import partial

import trio

from trio_draftws import (
    Connection,
    ConnectionLost,
    Server,
    open_websocket,
    serve_websocket,
)
from trio_draftws.testing import FaultyStream


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    cables: list[FaultyStream] = []

    async def over_a_cable(stream: trio.abc.Stream) -> trio.abc.Stream:
        cables.append(FaultyStream(stream))
        return cables[-1]

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, echo, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect() as connection:
            print("not measured yet:", connection.latency)
            seconds = await connection.ping()
            print("measured, and kept:", connection.latency == seconds)
        async with connect(
            stream_factory=over_a_cable,
            ping_interval=0.2,
            ping_timeout=0.2,
            close_timeout=0.2,
        ) as connection:
            # From here on nothing gets through, and nothing reports that.
            cables[0].incoming.stall_at = cables[0].bytes_received
            try:
                await connection.receive()
            except ConnectionLost as lost:
                print("given up:", lost.reason)
        await server.aclose()


trio.run(main)
