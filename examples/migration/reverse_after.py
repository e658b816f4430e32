"""A server that sends each message back reversed, on trio_draftws.

    python reverse_after.py [--port PORT] [--certificate FILE]

With a certificate and its key, in one file, it serves wss. `reverse_before.py` is the
same program.
"""

import argparse
import signal
import ssl
from functools import partial

import trio

from trio_draftws import Connection, Server, serve_websocket


async def reverse(connection: Connection, state: None) -> None:
    async for message in connection:
        await connection.send(message[::-1])


async def main(port: int, certificate: str | None) -> None:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    reverse,
                    port,
                    host="127.0.0.1",
                    ssl_context=context,
                )
            )
            scheme = "ws" if context is None else "wss"
            print(f"listening on {scheme}://127.0.0.1:{server.port}/", flush=True)
            await anext(signals)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--certificate")
    arguments = parser.parse_args()
    trio.run(main, arguments.port, arguments.certificate)
