"""A notice board, on trio-websocket.

    python before.py serve [--port PORT]
    python before.py post URL TOKEN TEXT ...

A client that connects gets all notes so far, and then each new one. `after.py` is the
same program.
"""

import argparse
import signal
from functools import partial

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

TOKEN = "sesame"
notes: list[str] = []
readers: set[WebSocketConnection] = set()


async def board(request: WebSocketRequest) -> None:
    headers = dict(request.headers)
    if request.path != "/board":
        await request.reject(404, body=b"The board is at /board")
        return
    if headers.get(b"x-token") != TOKEN.encode():
        await request.reject(401, body=b"Not without the token")
        return
    offered = "board.v1" in request.proposed_subprotocols
    connection = await request.accept(subprotocol="board.v1" if offered else None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_alive, connection)
        await read(connection)
        nursery.cancel_scope.cancel()


async def read(connection: WebSocketConnection) -> None:
    readers.add(connection)
    try:
        for note in notes.copy():
            await connection.send_message(note)
        while True:
            note = await connection.get_message()
            notes.append(note)
            # One after the other: the slowest reader delays all after it.
            for reader in list(readers):
                try:
                    await reader.send_message(note)
                except ConnectionClosed:
                    pass
    except ConnectionClosed:
        pass
    finally:
        readers.discard(connection)


async def keep_alive(connection: WebSocketConnection) -> None:
    try:
        while True:
            with trio.fail_after(20):
                await connection.ping()
            await trio.sleep(20)
    except trio.TooSlowError:
        await connection.aclose()
    except ConnectionClosed:
        pass


async def serve(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(
                partial(
                    serve_websocket,
                    board,
                    "127.0.0.1",
                    port,
                    None,
                    max_message_size=200,
                )
            )
            print(f"listening on ws://127.0.0.1:{server.port}/board", flush=True)
            await anext(signals)
            # Each client is cut off without a close.
            nursery.cancel_scope.cancel()


async def post(url: str, token: str, texts: list[str]) -> None:
    try:
        async with open_websocket_url(
            url, subprotocols=["board.v1"], extra_headers=[(b"X-Token", token.encode())]
        ) as connection:
            print(f"connected: {connection.subprotocol}")
            for text in texts:
                await connection.send_message(text)
            while texts:
                note = await connection.get_message()
                print(note)
                if note in texts:
                    texts.remove(note)
    except ConnectionRejected as error:
        print(f"refused: {error.status_code} {error.body.decode()}")
    except ConnectionClosed as error:
        print(f"closed: {error.reason.code}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve")
    serving.add_argument("--port", type=int, default=8080)
    posting = commands.add_parser("post")
    posting.add_argument("url")
    posting.add_argument("token")
    posting.add_argument("texts", metavar="TEXT", nargs="*")
    arguments = parser.parse_args()
    if arguments.command == "serve":
        trio.run(serve, arguments.port)
    else:
        trio.run(post, arguments.url, arguments.token, arguments.texts)
