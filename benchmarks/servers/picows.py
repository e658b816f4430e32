"""Echoes frames: picows, with the loop of its own example, which decodes no text.

Or sends each to all. It compresses nothing.
"""

from __future__ import annotations

from typing import Any

import picows

from .common import Options, listening, run_asyncio


class Echo(picows.WSListener):
    """One connection's callbacks."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called by the library."""
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class TellAll(picows.WSListener):
    """The same for a connection whose frames go to all."""

    def __init__(self, everybody: set[Any]) -> None:
        super().__init__()
        self.everybody = everybody

    def on_ws_connected(self, transport: Any) -> None:
        """Called by the library."""
        self.everybody.add(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        """Called by the library."""
        self.everybody.discard(transport)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called by the library."""
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            payload = frame.get_payload_as_memoryview()
            for other in list(self.everybody):
                other.send(frame.msg_type, payload)


async def serve(chosen: Options) -> None:
    everybody: set[Any] = set()
    server = await picows.ws_create_server(
        lambda request: TellAll(everybody) if chosen.broadcast else Echo(),
        "127.0.0.1",
        0,
        ssl=chosen.ssl_context,
    )
    listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    run_asyncio(serve)
