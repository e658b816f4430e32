"""An echo server for Autobahn's fuzzing client.

    python compliance/server.py

Prints the port that it listens on.
"""

from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket

# The longest message of section 9
MAX_MESSAGE_SIZE = 16 * 2**20


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
                drafts=["rfc6455"],
                max_message_size=MAX_MESSAGE_SIZE,
            )
        )
        print(server.port, flush=True)


if __name__ == "__main__":
    trio.run(main)
