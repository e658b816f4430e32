"""A page and the echo server it talks to, on one port.

    python examples/browser.py [--port PORT]

Open the address that it prints in a browser.
"""

import argparse
import signal
from functools import partial
from pathlib import Path

import trio

from trio_draftws import (
    Connection,
    HTTPResponse,
    Reject,
    Request,
    Server,
    same_host,
    serve_websocket,
)

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")


async def page(request: Request) -> HTTPResponse:
    if request.path != "/":
        raise Reject(404, body="The page is at /\n")
    return HTTPResponse(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)


async def echo(connection: Connection, state: None) -> None:
    print(
        f"open: {connection.draft.name}, subprotocol {connection.subprotocol}",
        flush=True,
    )
    async for message in connection:
        await connection.send(message)
    close = connection.close_received
    if close is not None:
        print(f"closed: {close.code} {close.reason}".rstrip(), flush=True)


async def main(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    echo,
                    port,
                    host="127.0.0.1",
                    http_handler=page,
                    # Any page may try to connect; the browser only says which.
                    origins=same_host,
                    subprotocols=["echo"],
                )
            )
            print(f"listening on http://127.0.0.1:{server.port}/", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    trio.run(main, parser.parse_args().port)
