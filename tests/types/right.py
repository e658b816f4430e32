"""Programs that are right, and what type checkers know of them; nobody runs this.

`tests/test_types.py` has mypy and pyright check it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Token
from functools import partial
from typing import Any

import trio
from typing_extensions import assert_type

import trio_draftws
from trio_draftws import (
    ConnectionSettings,
    ConnHeaders,
    Draft,
    DraftName,
    Handler,
    HeaderFields,
    Instrument,
    Request,
    Routes,
    Server,
    accept,
    bridge,
    broadcast,
    framing_mode,
    open_gateway,
    open_websocket,
    reconnecting,
    serve_websocket,
    use_framing_mode,
    wait_any,
)
from trio_draftws.testing import (
    MemoryListener,
    MemoryStream,
    ServerUnderTest,
    connected_pair,
    echo,
    memory_stream_pair,
    served,
    served_on_port,
)


class User:
    name: str = ""


class Admin(User): ...


async def sign_in(request: Request) -> tuple[HeaderFields, User]:
    return {}, User()


async def sign_in_admin(request: Request) -> tuple[HeaderFields, Admin]:
    return {}, Admin()


async def no_state(request: Request) -> tuple[HeaderFields, None]:
    return (), None


# What a handler knows


async def chat(connection: trio_draftws.Connection[User], user: User) -> None:
    assert_type(connection.state, User)
    assert_type(connection.state.name, str)
    connection.state = Admin()
    async for message in connection:
        assert_type(message, str | bytes)


async def by_connection(connection: trio_draftws.Connection[User], _: object) -> None:
    assert_type(connection.state, User)


async def of_today(connection: trio_draftws.Connection, state: User) -> None:
    assert_type(connection, trio_draftws.Connection[Any])
    assert_type(connection.state, Any)
    connection.state = 5


async def for_all(connection: trio_draftws.Connection, state: object) -> None: ...


async def without_state(connection: trio_draftws.Connection, state: None) -> None: ...


async def with_rooms(
    rooms: list[str], connection: trio_draftws.Connection[User], user: User
) -> None:
    rooms.append(connection.state.name)


class Chat:
    async def __call__(self, connection: trio_draftws.Connection[User], user: User) -> None: ...

    async def handle(self, connection: trio_draftws.Connection[User], user: User) -> None: ...


bare_handler: Handler = chat
bare_handlers: dict[str, Handler] = {"/chat": chat, "/all": for_all}
handler_of_users: Handler[User] = chat
handlers_of_users: Mapping[str, Handler[User]] = {"/chat": chat, "/today": of_today}
routes: Routes[Handler[User]] = Routes(handlers_of_users)
bare_conn_headers: ConnHeaders = sign_in
conn_headers_of_users: ConnHeaders[User] = sign_in_admin


async def servers(nursery: trio.Nursery) -> None:
    # The way that most programs take: checkers look into the `partial`.
    server: Server = await nursery.start(
        partial(serve_websocket, chat, 0, conn_headers=sign_in, max_connections=10)
    )
    assert_type(server.connections, set[trio_draftws.Connection])
    await serve_websocket(chat, 80, conn_headers=sign_in)
    await serve_websocket(Chat().handle, 80, conn_headers=sign_in)
    await serve_websocket(Chat(), 80, conn_headers=sign_in)
    await serve_websocket(partial(with_rooms, []), 80, conn_headers=sign_in)
    await serve_websocket(lambda connection, user: chat(connection, user), 80, conn_headers=sign_in)
    async with open_gateway("ws://localhost/") as gateway:
        await serve_websocket(gateway.handler, 80, conn_headers=gateway.conn_headers)
    await serve_websocket(by_connection, 80, conn_headers=sign_in)
    await serve_websocket(of_today, 80, conn_headers=sign_in)
    await serve_websocket(of_today, 80, conn_headers=sign_in_admin)
    await serve_websocket(for_all, 80, conn_headers=sign_in)
    await serve_websocket(for_all, 80)
    await serve_websocket(without_state, 80)
    await serve_websocket(without_state, 80, conn_headers=no_state)
    await serve_websocket(echo, 80, conn_headers=sign_in)
    await serve_websocket(echo, 80)
    await serve_websocket({"/a": chat, "/b": of_today, "/c": for_all}, 80, conn_headers=sign_in)
    await serve_websocket(handlers_of_users, 80, conn_headers=sign_in)
    await serve_websocket(routes, 80, conn_headers=sign_in)
    await serve_websocket(bare_handler, 80, conn_headers=bare_conn_headers)
    await serve_websocket(bare_handlers, 80, conn_headers=sign_in)


async def connections(stream: trio.abc.Stream) -> None:
    async with accept(stream, conn_headers=sign_in) as connection:
        assert_type(connection, trio_draftws.Connection[User])
        await broadcast([connection], "to all")
        await bridge(connection, connection)
        assert_type(await wait_any(connection), trio_draftws.Connection)
        channel: trio.abc.Channel[str | bytes] = connection
        assert_type(await channel.receive(), str | bytes)
    async with accept(stream) as plain:
        assert_type(plain, trio_draftws.Connection[Any])
    async with open_websocket("ws://localhost/") as client:
        assert_type(client, trio_draftws.Connection[Any])
        client.state = User()
        assert_type(client.text, trio_draftws.TextChannel)
    async with reconnecting("ws://localhost/") as clients:
        async for client in clients:
            assert_type(client, trio_draftws.Connection[Any])


# Names of drafts


async def drafts(named: str, draft: Draft, literal: DraftName, nursery: trio.Nursery) -> None:
    open_websocket("ws://localhost/", draft="old")
    open_websocket("ws://localhost/", draft="auto")
    open_websocket("ws://localhost/", draft=named)
    open_websocket("ws://localhost/", draft=draft)
    open_websocket("ws://localhost/", draft=literal)
    open_websocket("ws://localhost/", draft=None)
    some: list[str] = [named]
    await serve_websocket(echo, 80, drafts=["rfc6455", named, draft])
    await serve_websocket(echo, 80, drafts=some, framing_mode=lambda request: "new")
    await serve_websocket(echo, 80, framing_mode=lambda request: named)
    token: Token[str] = framing_mode.set("new")
    framing_mode.reset(token)
    mode: str = framing_mode.get()
    with use_framing_mode("whatwg-2010-08"), use_framing_mode(mode):
        pass


# The kit


async def kit() -> None:
    assert_type(memory_stream_pair(buffer=10), tuple[MemoryStream, MemoryStream])
    await serve_websocket(echo, listeners=[MemoryListener()])
    async with connected_pair("old", conn_headers=sign_in, max_message_size=10) as (client, server):
        assert_type(client, trio_draftws.Connection[Any])
        assert_type(server, trio_draftws.Connection[User])
    async with connected_pair(state=User()) as (_, server):
        assert_type(server.state, User)
    async with connected_pair() as (_, plain):
        assert_type(plain, trio_draftws.Connection[Any])
    settings: ConnectionSettings = {"close_timeout": 1}
    async with connected_pair(client=settings, server={"ping_interval": 5}):
        pass
    for start in (served, served_on_port):
        async with start(chat, draft="new", host="::1", buffer=5, conn_headers=sign_in) as under:
            assert_type(under, ServerUnderTest)
            assert_type(under.errors, list[Exception])
            async with under.open_websocket("/a", subprotocols=["b"]) as client:
                assert_type(client, trio_draftws.Connection[Any])
    async with served({"/chat": chat}, conn_headers=sign_in, max_connections=1) as under:
        assert_type(under.port, int)
    async with served() as under, served_on_port(of_today, conn_headers=sign_in) as under:
        assert_type(await under.dial(), trio.abc.Stream)


opener: Callable[[str], AbstractAsyncContextManager[trio_draftws.Connection]] = open_websocket


class Counting(Instrument):
    def connection_opened(self, connection: trio_draftws.Connection) -> None: ...


# Both kinds of context managers


class Bounding(Instrument):
    def around_handler(self, connection: trio_draftws.Connection) -> trio.CancelScope:
        return trio.move_on_after(60)


class Spanning(Instrument):
    @asynccontextmanager
    async def around_handler(
        self, connection: trio_draftws.Connection
    ) -> AsyncGenerator[None, None]:
        yield
