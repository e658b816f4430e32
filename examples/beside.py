"""An echo server and another Trio service in one nursery: shared state, one shutdown.

    python examples/beside.py [--port PORT] [--line-port PORT]

The other service takes lines over TCP: `who` lists who is connected, `say WORDS` sends
the words to all of them. Ctrl-C ends both: WebSocket clients get 1001, the others see
the end of their stream.
"""

import argparse
import signal
from functools import partial

import attrs
import trio

from trio_draftws import Connection, Server, broadcast, serve_websocket


@attrs.define
class Desk:
    """What the two services share."""

    echoed: dict[Connection, int] = attrs.field(factory=dict)

    async def echo(self, connection: Connection, state: None) -> None:
        """A WebSocket client."""
        self.echoed[connection] = 0
        try:
            async for message in connection:
                await connection.send(message)
                self.echoed[connection] += 1
        finally:
            del self.echoed[connection]

    async def obey(self, stream: trio.SocketStream) -> None:
        """Somebody at the other service."""
        received = b""
        async for data in stream:
            *lines, received = (received + data).split(b"\n")
            if len(received) > 1000:
                return
            for line in lines:
                try:
                    await stream.send_all(
                        await self.answer(line.decode("utf-8", "replace"))
                    )
                except trio.BrokenResourceError:
                    return

    async def answer(self, line: str) -> bytes:
        """Returns the answer to a line; a full stop ends it."""
        command, _, words = line.strip().partition(" ")
        if command == "who":
            told = [
                f"{it.draft.name}: {count} echoed" for it, count in self.echoed.items()
            ]
        elif command == "say":
            result = await broadcast(self.echoed, words)
            told = [f"sent to {len(result.sent)}"]
        else:
            told = ["who | say WORDS"]
        return "".join(f"{line}\n" for line in [*told, "."]).encode()


async def main(port: int, line_port: int) -> None:
    desk = Desk()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(serve_websocket, desk.echo, port, host="127.0.0.1")
            )
            serve_lines = partial(
                trio.serve_tcp, desk.obey, line_port, host="127.0.0.1"
            )
            [listener] = await nursery.start(serve_lines)
            lines_at = listener.socket.getsockname()[1]
            print(f"listening on ws://127.0.0.1:{server.port}", flush=True)
            print(f"lines at port {lines_at}", flush=True)
            await anext(signals)
            # Cancelling is enough: a cancelled server closes each connection properly.
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--line-port", type=int, default=8081)
    arguments = parser.parse_args()
    trio.run(main, arguments.port, arguments.line_port)
