"""A cancelled send sent nothing; each send that returned arrives whole, in order."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket

SIZE = 500_000


async def main() -> None:
    may_read = trio.Event()
    heard: list[int] = []

    async def read_late(connection: Connection, state: object) -> None:
        await may_read.wait()
        heard.extend([int(message) async for message in connection])

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, read_late, 0, host="127.0.0.1")
        )
        sent: list[int] = []
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as connection:
            for number in range(100):
                # Nobody reads, so sooner or later there is no room and `send` waits.
                with trio.move_on_after(0.1) as scope:
                    await connection.send(str(number).rjust(SIZE), compress=False)
                    sent.append(number)
                if scope.cancelled_caught:
                    break
            print("cancelled:", scope.cancelled_caught)
            may_read.set()
            await connection.send("100")
        await server.aclose()
    print("all that returned arrived, and nothing else:", heard == [*sent, 100])


trio.run(main)
