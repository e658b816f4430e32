"""A client that receives nothing: `send` waits, and a broadcast leaves it out."""

import trio
import trio.testing

from trio_draftws import Connection, broadcast
from trio_draftws.testing import served

sent: list[float] = []


async def ticker(connection: Connection, state: object) -> None:
    while True:
        await connection.send("tick" * 250)
        sent.append(trio.current_time())


async def main() -> None:
    # Without `buffer` the stream would take everything, and `send` never wait.
    async with served(ticker, buffer=4096, compression=None) as server:
        async with server.open_websocket(compression=None) as client:
            await trio.testing.wait_all_tasks_blocked()
            waited_at = len(sent)
            print("it waits:", waited_at < 200)
            result = await broadcast(server.connections, "news", limit=10_000)
            print("left out of the news:", result.dropped == (*server.connections,))
            for _ in range(waited_at):
                await client.receive()
            await trio.testing.wait_all_tasks_blocked()
            print("it goes on:", len(sent) > waited_at)


trio.run(main)
