"""Lists who is connected and what each has done."""

from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


async def chat(connection: Connection, state: None) -> None:
    # The first message is a name. `state` keeps it with the connection.
    connection.state = await connection.receive()
    await connection.send(f"welcome, {connection.state}")
    async for message in connection:
        await connection.send(message)


def show(server: Server) -> None:
    for connection in sorted(
        server.connections, key=lambda connection: connection.state
    ):
        done = connection.statistics()
        print(
            f"{connection.state}: {done.messages_received} messages and "
            f"{done.bytes_received} bytes received, {done.bytes_waiting} bytes wait"
        )
    total = server.statistics()
    print(
        f"{total.open} open of {total.accepted}, closed by code: {dict(total.closed)}, "
        f"{total.messages_sent} messages sent to all"
    )


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, chat, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455") as ada:
            await ada.send("Ada")
            await ada.receive()
            async with open_websocket(url, draft="rfc6455") as bob:
                await bob.send("Bob")
                await bob.receive()
                await bob.send("hello")
                await bob.receive()
                show(server)
        await server.aclose()
    show(server)


trio.run(main)
