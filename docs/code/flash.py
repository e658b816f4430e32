"""A Flash player of 2010 asks whether it may connect."""

from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(
                serve_websocket,
                echo,
                0,
                host="127.0.0.1",
                flash_policy=["*.example.com"],
            )
        )
        assert server.port is not None
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as player:
            await player.send_all(b"<policy-file-request/>\0")
            policy = b"".join([bytes(part) async for part in player]).decode()
        print(
            policy.replace(str(server.port), "PORT")
            .replace("\0", "\\0")
            .replace("><", ">\n<")
        )
        await server.aclose()


trio.run(main)
