"""Opens and closes, and no more: the least that a WebSocket on `trio.serve_tcp` can cost.

It reads the request's head, answers 101 with the proof of its key, waits for the peer's close,
answers that, and ends. Nothing is checked and nothing has a deadline.
"""

from __future__ import annotations

import base64
import hashlib
import socket
from functools import partial

import trio

from benchmarks.raw import CLOSE, GUID, frame

from .common import listening

CHUNK = 1 << 16
# RFC 6455 section 4.2.2
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n\r\n"
)
# Section 5.5.1: code 1000
CLOSED = frame(CLOSE, b"\x03\xe8", masked=False)


async def handle(stream: trio.SocketStream) -> None:
    with socket.socket(fileno=stream.socket.detach()) as sock:
        sock.setblocking(False)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            chunk = await receive(sock)
            if not chunk:
                return
            head += chunk
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        sock.send(ANSWER % base64.b64encode(hashlib.sha1(key + GUID).digest()))
        if await receive(sock):
            sock.send(CLOSED)


async def receive(sock: socket.socket) -> bytes:
    try:
        return sock.recv(CHUNK)
    except BlockingIOError:
        await trio.lowlevel.wait_readable(sock)
        return sock.recv(CHUNK)


async def serve() -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        listening(listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(serve)
