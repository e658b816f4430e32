"""Echoes bytes, no messages: `trio.SocketStream`, or a `trio.SSLStream` over it."""

from __future__ import annotations

from functools import partial

import trio

from .common import Options, listening, options


async def echo(stream: trio.abc.Stream) -> None:
    async with stream:
        async for chunk in stream:
            await stream.send_all(chunk)


async def echo_over_tls(chosen: Options, stream: trio.SocketStream) -> None:
    assert chosen.ssl_context is not None
    await echo(trio.SSLStream(stream, chosen.ssl_context, server_side=True, https_compatible=True))


async def serve(chosen: Options) -> None:
    handler = partial(echo_over_tls, chosen) if chosen.ssl_context else echo
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        listening(listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    trio.run(serve, options())
