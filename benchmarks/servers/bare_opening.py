"""Opens and closes, and no more: what a handler on `trio.serve_tcp` must do for each connection.

It reads the request's head, answers 101 with the proof of its key, waits for the peer's close,
answers that, and ends. Nothing is checked and nothing has a deadline.
"""

from __future__ import annotations

from functools import partial

import trio

from benchmarks.raw import CLOSE, answer_to, frame

from .common import listening

CHUNK = 1 << 16


async def handle(stream: trio.SocketStream) -> None:
    async with stream:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            chunk = await stream.receive_some(CHUNK)
            if not chunk:
                return
            head += chunk
        await stream.send_all(answer_to(head))
        if await stream.receive_some(CHUNK):
            # RFC 6455 section 5.5.1: code 1000
            await stream.send_all(frame(CLOSE, b"\x03\xe8", masked=False))


async def serve() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        listening(listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(serve)
