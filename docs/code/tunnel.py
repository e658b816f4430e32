"""TLS through a WebSocket, to a service that the WebSocket server can reach."""

import ssl
from functools import partial

import trio
import trustme

from trio_draftws import Connection, Server, open_websocket, serve_websocket

authority = trustme.CA()


async def copy(source: trio.abc.Stream, target: trio.abc.HalfCloseableStream) -> None:
    async for some in source:
        await target.send_all(some)
    await target.send_eof()


async def tunnel(port: int, connection: Connection, state: object) -> None:
    here = connection.as_stream()
    async with await trio.open_tcp_stream("127.0.0.1", port) as there:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(copy, here, there)
            nursery.start_soon(copy, there, here)


async def shout(stream: trio.abc.Stream) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("service.example").configure_cert(context)
    async with trio.SSLStream(stream, context, server_side=True) as secure:
        await secure.send_all((await secure.receive_some()).upper())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        [service] = await nursery.start(
            partial(trio.serve_tcp, shout, 0, host="127.0.0.1")
        )
        port = service.socket.getsockname()[1]
        server: Server = await nursery.start(
            partial(serve_websocket, partial(tunnel, port), 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/"
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with open_websocket(url, draft="rfc6455") as connection:
            stream = connection.as_stream()
            secure = trio.SSLStream(stream, context, server_hostname="service.example")
            await secure.send_all(b"through the tunnel")
            print(await secure.receive_some(), secure.version())
            await secure.aclose()
        nursery.cancel_scope.cancel()


trio.run(main)
