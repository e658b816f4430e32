"""Programs that are wrong, each in the lines that ignore an error; nobody runs this.

`tests/test_types.py` has mypy and pyright check it. They report what is ignored without need, too,
so each of these lines is rejected by both.
"""

from __future__ import annotations

from functools import partial

import trio

from trio_draftws import (
    Connection,
    ConnHeaders,
    Handler,
    HeaderFields,
    Instrument,
    Request,
    accept,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.testing import connected_pair, memory_stream_pair, served, served_on_port


class User: ...


async def sign_in(request: Request) -> tuple[HeaderFields, User]:
    return {}, User()


async def number(request: Request) -> tuple[HeaderFields, int]:
    return {}, 1


async def no_pair(request: Request) -> User:
    return User()


async def chat(connection: Connection[User], user: User) -> None:
    connection.state = 5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]


async def by_connection(connection: Connection[User], _: object) -> None: ...


async def for_numbers(connection: Connection[int], state: int) -> None: ...


async def one_argument(connection: Connection) -> None: ...


def not_async(connection: Connection, state: object) -> None: ...


async def wrong(nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
    await serve_websocket(chat, 0, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await serve_websocket(by_connection, 0, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await serve_websocket(chat, 0, conn_headers=no_pair)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await serve_websocket({"/a": chat}, 0, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await serve_websocket({"/a": chat, "/b": for_numbers}, 0, conn_headers=sign_in)  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await serve_websocket(one_argument, 0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await serve_websocket(not_async, 0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await serve_websocket(chat, 0, max_connection=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await serve_websocket(chat, 0, max_connections="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await serve_websocket(chat, 0, drafts=[13])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await serve_websocket(chat, 0, framing_mode=lambda request: 13)  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
    await nursery.start(partial(serve_websocket, chat, 0, conn_headers=number))  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await nursery.start(partial(serve_websocket, {"/a": chat}, 0, conn_headers=number))  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await nursery.start(partial(serve_websocket, chat, 0, max_connections="3"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await nursery.start(partial(serve_websocket, chat, 0, max_connection=3))  # type: ignore[call-arg]  # pyright: ignore[reportArgumentType]
    async with accept(stream, conn_headers=sign_in) as connection:
        connection.state = 5  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    open_websocket("ws://localhost/", draft=13)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    open_websocket("ws://localhost/", drafts=["old"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with use_framing_mode(76):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass
    served(chat, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    served_on_port(by_connection, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    served({"/a": chat}, conn_headers=number)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    served(chat, max_connection=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    served_on_port(chat, max_connections="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    served(port=80)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    served(draft=13)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    memory_stream_pair(buffer="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connected_pair(max_message_sizes=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    connected_pair(client={"max_message_sizes": 5})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    connected_pair(server={"max_message_size": "5"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with served() as server:
        server.open_websocket(headers=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Wrong(Instrument):
    async def around_handler(self, connection: Connection) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


handler: Handler[int] = chat  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
conn_headers: ConnHeaders[User] = number  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
