"""An echo server made with eventlet: eventlet_server.py. It closes at the message "bye"."""

from __future__ import annotations

from typing import Any

import eventlet  # type: ignore[import-not-found]
from eventlet import websocket, wsgi


def echo(connection: Any) -> None:
    while (message := connection.wait()) not in (None, "bye"):
        connection.send(message)
    # The library closes when this returns, without a code.
    if message == "bye" and isinstance(connection, websocket.RFC6455WebSocket):
        connection.close((4001, "bye"))


listener = eventlet.listen(("127.0.0.1", 0))
print("listening on", listener.getsockname()[1], flush=True)
wsgi.server(listener, websocket.WebSocketWSGI(echo), log_output=False)
