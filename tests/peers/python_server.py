"""An echo server made with one of four libraries: python_server.py LIBRARY

It closes at the message "bye", and compresses where the client offers it and the library can.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from typing import Any


def listening(port: int) -> None:
    print("listening on", port, flush=True)


async def aiohttp() -> None:
    from aiohttp import WSMsgType, web

    async def echo(request: Any) -> Any:
        connection = web.WebSocketResponse(protocols=("proto1",))
        await connection.prepare(request)
        async for message in connection:
            if message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
            elif message.data == "bye":
                await connection.close(code=4001, message=b"bye")
            else:
                await connection.send_str(message.data)
        return connection

    app = web.Application()
    app.router.add_get("/{path:.*}", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listening(runner.addresses[0][1])
    await asyncio.Event().wait()


async def websockets() -> None:
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosed

    async def echo(connection: Any) -> None:
        try:
            while (message := await connection.recv()) != "bye":
                await connection.send(message)
            await connection.close(4001, "bye")
        except ConnectionClosed:
            pass

    def select(connection: Any, offered: list[Any]) -> Any:
        return offered[0] if offered else None

    async with serve(echo, "127.0.0.1", 0, select_subprotocol=select) as server:
        listening(server.sockets[0].getsockname()[1])
        await server.serve_forever()


async def trio_websocket() -> None:
    import trio
    import trio_websocket as library

    async def echo(request: Any) -> None:
        offered = request.proposed_subprotocols
        connection = await request.accept(subprotocol=offered[0] if offered else None)
        try:
            while (message := await connection.get_message()) != "bye":
                await connection.send_message(message)
            await connection.aclose(4001, "bye")
        except library.ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        server = await nursery.start(library.serve_websocket, echo, "127.0.0.1", 0, None)
        listening(server.port)


def wsproto() -> None:
    # The library does no I/O: a thread for each client, with plain blocking calls, does.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listening(listener.getsockname()[1])
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=serve_wsproto, args=[stream], daemon=True).start()


def serve_wsproto(stream: socket.socket) -> None:
    from wsproto import ConnectionType, WSConnection, events
    from wsproto.extensions import PerMessageDeflate

    connection = WSConnection(ConnectionType.SERVER)
    parts: list[Any] = []
    with stream:
        while chunk := stream.recv(65_536):
            connection.receive_data(chunk)
            for event in connection.events():
                answer: events.Event | None = None
                if isinstance(event, events.Request):
                    offered = event.subprotocols
                    answer = events.AcceptConnection(
                        subprotocol=offered[0] if offered else None,
                        extensions=[PerMessageDeflate()],
                    )
                elif isinstance(event, events.Message):
                    parts.append(event.data)
                    if event.message_finished:
                        message = parts[0][:0].join(parts)
                        parts.clear()
                        if message == "bye":
                            answer = events.CloseConnection(code=4001, reason="bye")
                        else:
                            answer = type(event)(data=message)
                elif isinstance(event, events.Ping):
                    answer = event.response()
                elif isinstance(event, events.CloseConnection):
                    if connection.state.name == "REMOTE_CLOSING":
                        stream.sendall(connection.send(event.response()))
                    return
                if answer is not None:
                    stream.sendall(connection.send(answer))


def main(library: str) -> None:
    if library == "aiohttp":
        asyncio.run(aiohttp())
    elif library == "websockets":
        asyncio.run(websockets())
    elif library == "trio-websocket":
        import trio

        trio.run(trio_websocket)
    elif library == "wsproto":
        wsproto()
    else:
        sys.exit(f"no such library here: {library}")


main(*sys.argv[1:])
