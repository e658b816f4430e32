"""An echo server that follows the browser origin model.

    python examples/echo.py [--port PORT] [ORIGIN ...]

Only pages of the given origins, such as http://example.com, may connect. Without any,
all pages may.
"""

import argparse
import signal
from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    Reject,
    Request,
    Server,
    serve_websocket,
)


async def follow_origin_model(
    allowed: list[str], request: Request
) -> tuple[HeaderFields, str | None]:
    # A browser lets any page connect to any server, with the visitor's cookies. It only
    # says which page that was; refusing is up to the server.
    if allowed and request.origin not in allowed:
        raise Reject(403, body=f"not for pages of {request.origin}\n")

    # The browser then expects the answer to repeat its page and this URL.
    # hixie-75 has no keys, and its fields have no "Sec-".
    prefix = "Sec-" if "Sec-WebSocket-Key1" in request.headers else ""
    fields = [(f"{prefix}WebSocket-Location", request.location)]
    # A client that is not a browser may send no origin.
    if request.origin is not None:
        fields.insert(0, (f"{prefix}WebSocket-Origin", request.origin))

    # The second value is what the handler gets as its state.
    return fields, request.origin


async def echo(connection: Connection, origin: str | None) -> None:
    who = "no browser" if origin is None else f"a page of {origin}"
    print(f"{who} speaks {connection.draft.name}", flush=True)
    async for message in connection:
        await connection.send(message)


async def main(port: int, allowed: list[str]) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    echo,
                    port,
                    host="127.0.0.1",
                    conn_headers=partial(follow_origin_model, allowed),
                )
            )
            print(f"listening on ws://127.0.0.1:{server.port}", flush=True)
            await anext(signals)
            await server.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    # Browsers write origins in lower case.
    parser.add_argument("allowed", metavar="ORIGIN", nargs="*", type=str.lower)
    arguments = parser.parse_args()
    trio.run(main, arguments.port, arguments.allowed)
