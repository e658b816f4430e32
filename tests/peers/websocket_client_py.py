"""A client made with websocket-client 0.4.1: websocket_client_py.py URL DRAFT TASK

The folder of the library's source is on PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import websocket  # type: ignore[import-not-found]


def main(url: str, draft: str, file: str) -> None:
    if draft != "hixie-76":
        sys.exit(f"no such draft here: {draft}")
    task = json.loads(Path(file).read_text("utf-8"))
    subprotocol = task["subprotocol"]
    header = [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
    connection = websocket.create_connection(url, timeout=30, header=header)
    echoes = []
    for message in task["messages"]:
        connection.send(message)
        # The library speaks of bytes as of characters.
        echo = connection.recv().encode("latin-1").decode("utf-8")
        if echo != message:
            sys.exit("another message came back")
        echoes.append(echo)
    if task["close"]:
        # close() of the library hides what it saw, so that its first step is taken here.
        connection.io_sock.sendall(b"\xff\x00")
    closed = "tcp"
    try:
        if connection.recv() is not None:
            sys.exit("a message instead of the end")
        closed = "clean"
    except websocket.ConnectionClosedException:
        pass
    print(json.dumps({"echoes": echoes, "closed": closed, "subprotocol": None}))


main(*sys.argv[1:])
