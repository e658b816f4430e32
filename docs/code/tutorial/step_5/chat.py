"""A chat with a page for the browser, which starts and stops cleanly."""

import signal
from pathlib import Path
from urllib.parse import parse_qs

import trio

from trio_draftws import (
    Connection,
    HeaderFields,
    HTTPResponse,
    Reject,
    Request,
    Server,
    broadcast,
    same_host,
    serve_websocket,
)

PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")

everybody: set[Connection] = set()


async def page(request: Request) -> HTTPResponse:
    if request.path != "/":
        raise Reject(404, body="The chat is at /\n")
    return HTTPResponse(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)


async def ask_name(request: Request) -> tuple[HeaderFields, str]:
    [name] = parse_qs(request.query).get("name", [""])
    if not name:
        raise Reject(403, body="Say who you are: /?name=Ada\n")
    return {}, name


async def chat(connection: Connection, name: str) -> None:
    everybody.add(connection)
    try:
        await broadcast(everybody, f"{name} is here")
        async for message in connection.text:
            await broadcast(everybody, f"{name}: {message}", limit=2**16, slow="close")
    finally:
        everybody.remove(connection)
        with trio.CancelScope(shield=True):
            await broadcast(everybody, f"{name} has left")


async def serve(
    port: int, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED
) -> None:
    await serve_websocket(
        chat,
        port,
        host="127.0.0.1",
        conn_headers=ask_name,
        http_handler=page,
        origins=same_host,
        max_message_size=1000,
        max_connections=1000,
        task_status=task_status,
    )


async def main(port: int) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, port)
            print(f"listening on http://127.0.0.1:{server.port}/", flush=True)
            await anext(signals)
            print("goodbye", flush=True)
            await server.aclose()


if __name__ == "__main__":
    trio.run(main, 8080)
