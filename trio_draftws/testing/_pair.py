"""`connected_pair`: both sides of one connection."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

import attrs
import trio

from trio_draftws._client.open import open_websocket
from trio_draftws._connection.block import block
from trio_draftws._connection.connection import Connection
from trio_draftws._connection.info import State
from trio_draftws._connection.settings import ConnectionSettings
from trio_draftws._server.accept import accept
from trio_draftws._server.origins import OriginPolicy
from trio_draftws._server.settings import ConnHeaders, SubprotocolSelector
from trio_draftws._settings.checks import check_kind, needs_trio, tuple_of
from trio_draftws._settings.keywords import expand_signature, with_defaults
from trio_draftws.drafts import Draft, DraftName, HandshakeError, HeaderFields, Request, draft_named

from ._memory import memory_stream_pair
from ._nursery import plain_nursery

if TYPE_CHECKING:
    from typing_extensions import Unpack

URL = "ws://localhost/"
# How many seconds a client that failed waits for the server's side to fail too, with the reason
REASON_TIMEOUT = 5


async def no_tls(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A stream factory that returns the stream unchanged: a wss URL then means no TLS of ours."""
    return stream


@attrs.define(eq=False, kw_only=True)
class _ServerSide:
    """The server's side, which runs in a task of its own."""

    stream: trio.abc.Stream
    ready: trio.Event = attrs.field(factory=trio.Event)
    """Set when the connection is open or has failed."""
    done: trio.Event = attrs.field(factory=trio.Event)
    """Set it to close the connection."""
    connection: Connection | None = None
    failure: Exception | None = None

    async def run(self, accepting: AbstractAsyncContextManager[Connection]) -> None:
        async with AsyncExitStack() as stack:
            try:
                self.connection = await stack.enter_async_context(accepting)
            except Exception as error:  # noqa: BLE001
                self.failure = error
                # So that the client need not wait, even if `accept` never used the stream
                await trio.aclose_forcefully(self.stream)
            self.ready.set()
            await self.done.wait()


@expand_signature(ConnectionSettings)
@block("(client, server)")
async def connected_pair(
    draft: DraftName | str | Draft = "rfc6455",
    *,
    streams: tuple[trio.abc.Stream, trio.abc.Stream] | None = None,
    buffer: float = math.inf,
    url: str = URL,
    headers: HeaderFields = (),
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    agreed_subprotocols: Sequence[str] | SubprotocolSelector | None = None,
    conn_headers: ConnHeaders[State] | None = None,
    state: State | None = None,
    origins: Iterable[str | None] | OriginPolicy | None = None,
    client: ConnectionSettings | None = None,
    server: ConnectionSettings | None = None,
    **settings: Unpack[ConnectionSettings],
) -> AsyncGenerator[tuple[Connection, Connection[State]], None]:
    """Opens both sides of a connection: `async with connected_pair() as (client, server)`.

    They are joined in memory, with a real opening handshake. Leaving the block closes both with a
    closing handshake, the client first; what the block raises is raised unchanged. Entering and
    leaving are checkpoints; cancelling entry closes both streams.

    Args:
        draft: the draft that they speak, by name or as a `Draft`; by default `"rfc6455"`.
        streams: the client's and the server's stream, for example a `FaultyStream` over one end of
            `memory_stream_pair()` together with the other end. By default a new pair of those.
        buffer: how many bytes each end of that pair holds that were not received yet, an int. Then
            `send` waits, as it does with TCP, where the peer does not receive. By default
            `math.inf`, for any number. Not together with `streams`.
        url: the URL that the client asks for, a str; by default `"ws://localhost/"`.
        headers: additional header fields for the client's request; by default none.
        origin: the Origin that the client sends, a str; by default None.
        subprotocols: the subprotocols that the client asks for, in order of preference; by default
            none.
        agreed_subprotocols: the subprotocols that the server agrees to, or a function that chooses
            one, as for `accept`; by default all that the client asks for.
        conn_headers: what the server does before it answers, as for `accept`; by default None.
        state: the value of `server.state`, if there is no `conn_headers`; by default None.
        origins: which origins the server accepts, as for `accept`; by default None.
        client: settings for the client only, a mapping; they take precedence over those for both.
        server: settings for the server only, a mapping; they take precedence over those for both.
        settings: settings for both sides: the keyword arguments that `ConnectionSettings`
            describes.

    Returns:
        An async context manager, which gives the client's `Connection` and the server's.

    Raises:
        HandshakeError: the opening handshake failed, as the client sees it.
        Exception: `conn_headers` raised it, and it is not a `Reject`.
        ValueError: no draft has that name, it cannot express the request, or a setting is out of
            range, or there are both `streams` and a `buffer`.
        TypeError: an argument has the wrong type.
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
        if buffer != math.inf:
            raise ValueError("give connected_pair streams or a buffer, not both")
    spoken = draft_named(draft)
    if conn_headers is None and state is not None:

        async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
            return (), state

    agreed = subprotocols if agreed_subprotocols is None else agreed_subprotocols
    client_settings: ConnectionSettings = {**settings, **(client or {})}
    server_settings: ConnectionSettings = {**settings, **(server or {})}
    for given in (client_settings, server_settings):
        with_defaults(ConnectionSettings, given, "connected_pair")
    client_end, server_end = streams or memory_stream_pair(buffer=buffer)
    accepting = accept(
        server_end,
        conn_headers=conn_headers,
        framing_mode=lambda request: spoken.name,
        origins=origins,
        subprotocols=agreed,
        **server_settings,
    )
    opening = open_websocket(
        url,
        stream=client_end,
        stream_factory=no_tls,
        draft=spoken,
        headers=headers,
        origin=origin,
        subprotocols=subprotocols,
        **client_settings,
    )
    side = _ServerSide(stream=server_end)
    opened = False
    try:
        async with plain_nursery() as nursery:
            nursery.start_soon(side.run, accepting)
            try:
                async with opening as client_side:
                    await side.ready.wait()
                    assert side.connection is not None, side.failure
                    opened = True
                    try:
                        yield client_side, side.connection
                    finally:
                        # Each side waits for the other's Close, so both have to close together.
                        side.done.set()
            except HandshakeError:
                if not opened:
                    # The client knows a status at most; the server's exception has the reason.
                    with trio.move_on_after(REASON_TIMEOUT):
                        await side.ready.wait()
                raise
            finally:
                side.done.set()
    except HandshakeError as error:
        if opened or side.failure is None or isinstance(side.failure, HandshakeError):
            raise
        raise side.failure from error
