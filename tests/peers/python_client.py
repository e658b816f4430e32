"""A client made with one of four libraries: python_client.py LIBRARY URL DRAFT TASK"""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Report = dict[str, Any]


class Task:
    """What is to be done, and what came back."""

    def __init__(self, url: str, file: str) -> None:
        task = json.loads(Path(file).read_text("utf-8"))
        self.url = url
        self.subprotocols: list[str] = [task["subprotocol"]] if task["subprotocol"] else []
        self.close: bool = task["close"]
        self.deflate: bool = task["deflate"]
        self.messages: list[str | bytes] = [
            *task["messages"],
            *map(base64.b64decode, task["binary"]),
        ]
        self.echoes: list[str] = []
        self.binary: list[str] = []

    def heard(self, sent: str | bytes, echo: object) -> None:
        if echo != sent or type(echo) is not type(sent):
            sys.exit("another message came back")
        if isinstance(sent, str):
            self.echoes.append(sent)
        else:
            self.binary.append(base64.b64encode(sent).decode())

    def report(self, code: int | None, reason: str | None, subprotocol: str | None) -> Report:
        # The libraries say 1006 where no close frame came.
        return {
            "echoes": self.echoes,
            "binary": self.binary,
            "closed": "tcp" if code == 1006 else "clean",
            "code": code,
            "reason": reason or "",
            "subprotocol": subprotocol,
        }


async def aiohttp(task: Task) -> Report:
    from aiohttp import ClientSession, WSMsgType

    async with ClientSession() as session:
        compress = 15 if task.deflate else 0
        async with session.ws_connect(
            task.url, protocols=task.subprotocols, compress=compress
        ) as connection:
            for message in task.messages:
                if isinstance(message, str):
                    await connection.send_str(message)
                    task.heard(message, await connection.receive_str())
                else:
                    await connection.send_bytes(message)
                    task.heard(message, await connection.receive_bytes())
            reason = ""
            if task.close:
                # It has no word for the other side's reason then.
                await connection.close(code=4001, message=b"bye")
            else:
                end = await connection.receive()
                if end.type is not WSMsgType.CLOSE:
                    sys.exit("a message instead of the end")
                reason = end.extra
            return task.report(connection.close_code, reason, connection.protocol)


async def websockets(task: Task) -> Report:
    from websockets.asyncio.client import connect

    compression = "deflate" if task.deflate else None
    async with connect(
        task.url, subprotocols=task.subprotocols or None, compression=compression
    ) as connection:
        for message in task.messages:
            await connection.send(message)
            task.heard(message, await connection.recv())
        if task.close:
            await connection.close(4001, "bye")
        await connection.wait_closed()
    return task.report(connection.close_code, connection.close_reason, connection.subprotocol)


async def trio_websocket(task: Task) -> Report:
    import trio_websocket as library

    async with library.open_websocket_url(task.url, subprotocols=task.subprotocols) as connection:
        for message in task.messages:
            await connection.send_message(message)
            task.heard(message, await connection.get_message())
        if task.close:
            await connection.aclose(4001, "bye")
        try:
            await connection.get_message()
        except library.ConnectionClosed as error:
            end = error.reason
        else:
            sys.exit("a message instead of the end")
        return task.report(end.code, end.reason, connection.subprotocol)


def wsproto(task: Task) -> Report:
    from wsproto import ConnectionType, WSConnection, events
    from wsproto.extensions import PerMessageDeflate

    place = urlsplit(task.url)
    connection = WSConnection(ConnectionType.CLIENT)
    with socket.create_connection((place.hostname, place.port)) as stream:

        def put(event: Any) -> None:
            stream.sendall(connection.send(event))

        def events_until_end() -> Any:
            while True:
                for event in connection.events():
                    if isinstance(event, events.Ping):
                        put(event.response())
                    else:
                        yield event
                # The library takes None for the end of TCP.
                connection.receive_data(stream.recv(65_536) or None)

        put(
            events.Request(
                host=place.netloc,
                target=f"{place.path}?{place.query}",
                subprotocols=task.subprotocols,
                extensions=[PerMessageDeflate()] if task.deflate else [],
            )
        )
        coming = events_until_end()
        accepted = next(coming)
        if not isinstance(accepted, events.AcceptConnection):
            sys.exit(f"refused: {accepted}")
        for message in task.messages:
            if isinstance(message, str):
                put(events.TextMessage(data=message))
            else:
                put(events.BytesMessage(data=message))
            parts = []
            for event in coming:
                parts.append(event.data)
                if event.message_finished:
                    break
            task.heard(message, parts[0][:0].join(parts))
        if task.close:
            put(events.CloseConnection(code=4001, reason="bye"))
        end = next(coming)
        if not isinstance(end, events.CloseConnection):
            sys.exit("a message instead of the end")
        if not task.close:
            put(end.response())
        return task.report(end.code, end.reason, accepted.subprotocol)


def run(library: str, task: Task) -> Report:
    if library == "aiohttp":
        return asyncio.run(aiohttp(task))
    if library == "websockets":
        return asyncio.run(websockets(task))
    if library == "trio-websocket":
        import trio

        report: Report = trio.run(trio_websocket, task)
        return report
    if library == "wsproto":
        return wsproto(task)
    sys.exit(f"no such library here: {library}")


def main(library: str, url: str, draft: str, file: str) -> None:
    if draft != "rfc6455":
        sys.exit(f"no such draft here: {draft}")
    # Ends the process; nobody waits this long when all is well.
    signal.alarm(30)
    print(json.dumps(run(library, Task(url, file))))


main(*sys.argv[1:])
