"""What is logged: refusals and bad ends at INFO, failing handlers at ERROR."""

import logging
import re
from functools import partial

import trio

from trio_draftws import Connection, Rejected, Server, open_websocket, serve_websocket


async def divide(connection: Connection, state: object) -> None:
    async for message in connection.text:
        await connection.send(str(1 / int(message)))


def without_the_port(record: logging.LogRecord) -> bool:
    """Makes every run print the same text; only this example needs it."""
    message = re.sub(r"port \d+", "port …", record.getMessage())
    print(f"{record.levelname}: {message}")
    if record.exc_info and record.exc_info[0]:
        print("    because of a", record.exc_info[0].__name__)
    return False


async def main() -> None:
    logger = logging.getLogger("trio_draftws")
    logger.setLevel(logging.INFO)
    logger.addFilter(without_the_port)

    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket, divide, 0, host="127.0.0.1", origins=["https://a.example"]
        )
        server: Server = await nursery.start(serve)
        url = f"ws://127.0.0.1:{server.port}/"
        connect = partial(open_websocket, url, draft="rfc6455")
        async with connect(origin="https://a.example") as connection:
            await connection.send("0")
            async for message in connection:
                print(message)
            print("client got:", connection.close_received)
        try:
            async with connect(origin="https://b.example"):
                pass
        except Rejected as refused:
            print("client got:", refused.status)
        await server.aclose()


trio.run(main)
