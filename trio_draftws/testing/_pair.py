"""A client's and a server's side of one connection, in one place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from trio_draftws._client.open import open_websocket
from trio_draftws._connection.connection import Connection
from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._server.accept import accept
from trio_draftws._server.origins import OriginPolicy
from trio_draftws._settings.checks import check_kind, needs_trio, tuple_of
from trio_draftws.drafts import Draft, HandshakeError, HeaderFields, Request, draft_named

from ._nursery import plain_nursery

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from trio_draftws._server.settings import ConnHeaders, SubprotocolSelector

URL = "ws://localhost/"
# Seconds that a side which has failed leaves the other to say why
PATIENCE = 5


async def as_it_is(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A stream factory that changes nothing: there is no TLS unless who has the stream made it."""
    return stream


@attrs.define(eq=False)
class _ServerSide:
    """The server's side, in a task of its own."""

    stream: trio.abc.Stream
    ready: trio.Event = attrs.field(factory=trio.Event)
    """Set when it is open, or has failed."""
    done: trio.Event = attrs.field(factory=trio.Event)
    """To be set when it is to close."""
    connection: Connection | None = None
    failure: Exception | None = None

    async def run(self, accepting: AbstractAsyncContextManager[Connection]) -> None:
        async with AsyncExitStack() as stack:
            try:
                self.connection = await stack.enter_async_context(accepting)
            except Exception as error:  # noqa: BLE001
                self.failure = error
                # So that the client need not wait, also where it was never used
                await trio.aclose_forcefully(self.stream)
            self.ready.set()
            await self.done.wait()


@asynccontextmanager
async def connected_pair(
    draft: str | Draft = "rfc6455",
    *,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    url: str = URL,
    headers: HeaderFields = (),
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    agreed_subprotocols: Sequence[str] | SubprotocolSelector | None = None,
    conn_headers: ConnHeaders | None = None,
    state: Any = None,
    origins: Iterable[str | None] | OriginPolicy | None = None,
    client: ConnectionSettings | None = None,
    server: ConnectionSettings | None = None,
    **settings: Unpack[ConnectionSettings],
) -> AsyncGenerator[tuple[Connection, Connection], None]:
    """Both sides of one connection: `async with connected_pair() as (client, server)`.

    They are joined in memory, after a real opening handshake. The block's end closes both in order,
    the client first; what the block raises comes out as it is. Entering is a checkpoint; cancelling
    it closes both streams.

    Args:
        draft: the name of the draft that they speak.
        streams: the client's and the server's end of what joins them, as a `FaultyStream` over
            one end of `trio.testing.memory_stream_pair()`, or of `lockstep_stream_pair()`; by
            default a new pair of the former.
        url: what the client asks for.
        headers: further fields for the client's request.
        origin: the origin that the client names.
        subprotocols: those that the client asks for, the favourite first.
        agreed_subprotocols: those that the server agrees to; by default all that are asked for.
        conn_headers: as that of `accept`: what the server does before it answers.
        state: `server.state`, where there is no `conn_headers` to make it.
        origins: as that of `accept`: which origins the server lets in.
        client: settings for the client only, before those for both.
        server: settings for the server only, before those for both.
        settings: settings for both sides.

    Raises:
        HandshakeError: there is no connection; what went wrong is told as the client sees it.
        Exception: what `conn_headers` raised, where that is no `Reject`.
        ValueError: no draft has that name, it cannot ask for that, or a setting is out of range.
        TypeError: an argument is nothing of its kind.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("connected_pair")
    for name, given in (("client", client), ("server", server)):
        if given is not None:
            check_kind(name, given, Mapping, "a mapping from settings to values")
    if streams is not None:
        ends = tuple_of("streams", streams, "two streams", trio.abc.Stream)
        if len(ends) != 2:
            raise ValueError(f"streams is the client's end and the server's, not {len(ends)}")
    row = draft_named(draft)
    if conn_headers is None and state is not None:

        async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
            return (), state

    agreed = subprotocols if agreed_subprotocols is None else agreed_subprotocols
    ours: ConnectionSettings = {**settings, **(client or {})}
    theirs: ConnectionSettings = {**settings, **(server or {})}
    client_end, server_end = streams or trio.testing.memory_stream_pair()
    accepting = accept(
        server_end,
        conn_headers=conn_headers,
        framing_mode=lambda request: row.name,
        origins=origins,
        subprotocols=agreed,
        **theirs,
    )
    asking = open_websocket(
        url,
        stream=client_end,
        stream_factory=as_it_is,
        draft=row,
        headers=headers,
        origin=origin,
        subprotocols=subprotocols,
        **ours,
    )
    side = _ServerSide(server_end)
    opened = False
    try:
        async with plain_nursery() as nursery:
            nursery.start_soon(side.run, accepting)
            try:
                async with asking as client_side:
                    await side.ready.wait()
                    assert side.connection is not None, side.failure
                    opened = True
                    try:
                        yield client_side, side.connection
                    finally:
                        # Each side waits for the other's goodbye, so both close at once.
                        side.done.set()
            except HandshakeError:
                if not opened:
                    # The client was told no more than a status; why is the server's to say.
                    with trio.move_on_after(PATIENCE):
                        await side.ready.wait()
                raise
            finally:
                side.done.set()
    except HandshakeError as error:
        if opened or side.failure is None or isinstance(side.failure, HandshakeError):
            raise
        raise side.failure from error
