"""A server that restarts: handlers have half a second to finish their work."""

from functools import partial

import trio

from trio_draftws import (
    CloseCode,
    Connection,
    PeerClosed,
    Server,
    open_websocket,
    serve_websocket,
)


async def work(connection: Connection, state: object) -> None:
    seconds = await connection.receive()
    await trio.sleep(float(seconds))
    await connection.send("done")


async def visit(
    url: str,
    seconds: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with open_websocket(url, draft="rfc6455") as connection:
        await connection.send(str(seconds))
        task_status.started()
        try:
            print(f"{seconds} s of work:", await connection.receive())
        except PeerClosed as closed:
            print(f"{seconds} s of work:", closed.code, closed.reason)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, work, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        for seconds in (0.1, 60):
            await nursery.start(visit, url, seconds)
        await server.aclose(CloseCode.SERVICE_RESTART, "back soon", grace=0.5)


trio.run(main)
