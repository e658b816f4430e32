"""A client that reconnects after its server was away."""

from functools import partial

import trio

from trio_draftws import Connection, Server, reconnecting, serve_websocket


async def serve_for_a_while(port: int, task_status: trio.TaskStatus[int]) -> None:
    """A server that closes as soon as somebody has thanked it."""
    thanked = trio.Event()

    async def greet(connection: Connection, state: object) -> None:
        await connection.send("hello")
        async for _ in connection:
            thanked.set()

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, greet, port, host="127.0.0.1")
        )
        task_status.started(server.port or port)
        await thanked.wait()
        print("the server closes")
        await server.aclose()


async def serve_twice(task_status: trio.TaskStatus[int]) -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_for_a_while, 0)
        task_status.started(port)
    await trio.sleep(0.1)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_for_a_while, port)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_twice)
        url = f"ws://127.0.0.1:{port}/"
        visits = 0
        async with reconnecting(
            url, draft="rfc6455", initial_backoff=0.05
        ) as connections:
            async for connection in connections:
                print("connected")
                visits += 1
                try:
                    async for message in connection:
                        print("received", message)
                        await connection.send("thanks")
                except trio.BrokenResourceError as error:
                    print("lost:", error)
                if visits == 2:
                    break
    print("that will do")


trio.run(main)
