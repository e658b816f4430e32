"""An echo server and a client in one program, with the bytes that pass between them.

Both framing modes, each over ws and over wss. For wss it shows what TLS carries.
"""

import os
import ssl
import sys
from functools import partial

import trio
import trustme

from trio_draftws import (
    Connection,
    Server,
    StreamFactory,
    open_websocket,
    serve_websocket,
    ssl_stream_factory,
    use_framing_mode,
)

HOST = "127.0.0.1"
MESSAGES = ["hello", "wörld"]
COLOURS = {"client": "\x1b[36m", "server": "\x1b[32m"}
COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def show(who: str, line: str) -> None:
    label = f"{COLOURS[who]}{who}\x1b[0m" if COLOURED else who
    print(f"  {label}  {line}".rstrip())


def show_dump(who: str, data: bytes) -> None:
    """Sixteen bytes on a line, as numbers and as characters."""
    for start in range(0, len(data), 16):
        row = data[start : start + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        show(who, f"{row.hex(' '):47}  |{text}|")


class _Recorder(trio.abc.Stream):
    """A client's stream that shows what passes through it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        # Each side begins with a head, in lines of text; the rest is bytes.
        self.in_head = {"client", "server"}

    def show(self, who: str, data: bytes) -> None:
        if who in self.in_head:
            head, blank_line, data = data.partition(b"\r\n\r\n")
            for line in head.decode("latin-1").split("\r\n"):
                show(who, line)
            if blank_line:
                show(who, "")
                self.in_head.remove(who)
        show_dump(who, data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.show("client", bytes(data))
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = bytes(await self.stream.receive_some(max_bytes))
        if data:
            self.show("server", data)
        else:
            show("server", "(ends the stream)")
        return data

    async def aclose(self) -> None:
        await self.stream.aclose()


async def echo(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


async def talk(url: str, stream_factory: StreamFactory) -> None:
    async with open_websocket(
        url, origin="http://example.com", stream_factory=stream_factory
    ) as connection:
        for message in MESSAGES:
            print(f"\nThe client sends {message!r}:")
            await connection.send(message)
            answer = await connection.receive()
            if answer != message:
                raise RuntimeError(f"sent {message!r}, got {answer!r}")
        print("\nThe client closes:")


async def record(stream: trio.abc.Stream) -> trio.abc.Stream:
    return _Recorder(stream)


async def record_inside_tls(
    context: ssl.SSLContext, stream: trio.abc.Stream
) -> trio.abc.Stream:
    shake_hands = ssl_stream_factory(context, server_hostname=HOST)
    return _Recorder(await shake_hands(stream))


async def main() -> None:
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)

    transports: list[tuple[str, ssl.SSLContext | None, StreamFactory]] = [
        ("ws", None, record),
        ("wss", server_context, partial(record_inside_tls, client_context)),
    ]
    for mode in ["old", "new"]:
        for scheme, server_tls, stream_factory in transports:
            # The server takes the mode from where it is started, the client from where
            # it connects.
            with use_framing_mode(mode):
                async with trio.open_nursery() as nursery:
                    server: Server = await nursery.start(
                        partial(
                            serve_websocket, echo, 0, host=HOST, ssl_context=server_tls
                        )
                    )
                    print(f"\n=== Framing mode {mode!r} over {scheme} ===\n")
                    await talk(f"{scheme}://{HOST}:{server.port}/", stream_factory)
                    await server.aclose()
    print("\nEverything came back as it was sent: both framing modes, over ws and wss.")


if __name__ == "__main__":
    trio.run(main)
