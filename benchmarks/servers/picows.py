"""Echoes frames: picows, with the loop of its own example, which decodes no text."""

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


async def serve(chosen: Options) -> None:
    server = await picows.ws_create_server(
        lambda request: Echo(), "127.0.0.1", 0, ssl=chosen.ssl_context
    )
    listening(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    run_asyncio(serve)
