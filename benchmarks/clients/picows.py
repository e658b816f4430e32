"""picows: callbacks, which get frames and send the next."""

from __future__ import annotations

import asyncio
from typing import Any

import picows

from .common import Options, Wrong, check, run_asyncio


class Echo(picows.WSListener):
    """Sends, and again when that has come back."""

    def __init__(self, chosen: Options) -> None:
        super().__init__()
        self.message = chosen.message.encode()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: Any) -> None:
        """Called by the library."""
        transport.send(picows.WSMsgType.TEXT, self.message)

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called by the library."""
        try:
            check(frame.get_payload_as_bytes(), self.message)
        except Wrong as error:
            self.done.set_exception(error)
        transport.send(picows.WSMsgType.TEXT, self.message)


async def echo(chosen: Options) -> None:
    _, listener = await picows.ws_connect(lambda: Echo(chosen), chosen.url)
    await listener.done


class Visit(picows.WSListener):
    """Ends when the server has answered the close."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        """Called by the library."""
        transport.disconnect()


async def visit(chosen: Options) -> None:
    transport, _ = await picows.ws_connect(Visit, chosen.url)
    transport.send_close(picows.WSCloseCode.OK)
    await transport.wait_disconnected()


if __name__ == "__main__":
    run_asyncio(echo, visit)
