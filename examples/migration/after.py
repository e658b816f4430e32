"""A notice board, on trio_draftws.

    python after.py serve [--port PORT]
    python after.py post URL TOKEN TEXT ...

A client that connects gets all notes so far, and then each new one. `before.py` is the
same program.
"""

import argparse
import signal
from functools import partial

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    Server,
    broadcast,
    open_websocket,
    serve_websocket,
)

TOKEN = "sesame"
notes: list[str] = []
readers: set[Connection] = set()


async def check(request: Request) -> tuple[HeaderFields, None]:
    if request.path != "/board":
        raise Reject(404, body="The board is at /board")
    if request.headers.get("X-Token") != TOKEN:
        raise Reject(401, body="Not without the token")
    return (), None


async def board(connection: Connection, state: None) -> None:
    readers.add(connection)
    try:
        await connection.send_many(notes)
        async for note in connection.text:
            notes.append(note)
            # To all at once; waits for nobody.
            await broadcast(readers, note)
    finally:
        readers.discard(connection)


async def serve(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(
                partial(
                    serve_websocket,
                    board,
                    port,
                    host="127.0.0.1",
                    conn_headers=check,
                    subprotocols=["board.v1"],
                    max_message_size=200,
                )
            )
            print(f"listening on ws://127.0.0.1:{server.port}/board", flush=True)
            await anext(signals)
            # Each client gets a close with 1001, going away.
            nursery.cancel_scope.cancel()


async def post(url: str, token: str, texts: list[str]) -> None:
    try:
        async with open_websocket(
            url, draft="rfc6455", subprotocols=["board.v1"], headers={"X-Token": token}
        ) as connection:
            print(f"connected: {connection.subprotocol}")
            await connection.send_many(texts)
            while texts:
                note = await connection.text.receive()
                print(note)
                if note in texts:
                    texts.remove(note)
    except Rejected as error:
        print(f"refused: {error.status} {error.body.decode()}")
    except PeerClosed as error:
        print(f"closed: {error.code}")


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
