"""The client: dial, ask, check."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager

import trio

from ._connection import Connection
from ._exceptions import DialFailed, HandshakeTimeout
from ._framing_mode import framing_mode
from ._handshake import ask, check_subprotocols, dress, opening
from ._limits import Limits
from ._streams import StreamFactory, ssl_stream_factory, take_over
from ._upkeep import open_upkeep
from .drafts import Ask, Draft, HeaderFields, WebSocketURL, checked_fields, draft_named

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup


@asynccontextmanager
async def open_websocket(
    url: str,
    *,
    draft: str | Draft | None = None,
    headers: HeaderFields = (),
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    ssl_context: ssl.SSLContext | None = None,
    stream_factory: StreamFactory | None = None,
    handshake_timeout: float = 10,
    close_timeout: float = 5,
    idle_timeout: float = 3600,
    max_message_size: int = 2**20,
    max_head_size: int = 2**14,
) -> AsyncGenerator[Connection, None]:
    """Connects to a server: `async with open_websocket(url) as connection`.

    The block's end closes the connection in order, within `close_timeout`, also when the block is
    cancelled or raises; what it raises comes out as it is. Entering is a checkpoint; cancelling it
    closes what was opened so far.

    Args:
        url: `ws://` or `wss://`, a host, perhaps a port, path and query.
        draft: the name of the draft to speak; by default what `framing_mode` says.
        headers: further fields for the request.
        origin: the origin to send. None is sent by default, except by hixie-75, whose requests
            have one always: `http(s)://host[:port]`.
        subprotocols: those to ask for, the favourite first; see `connection.subprotocol`.
        ssl_context: for wss; by default `ssl.create_default_context()`, which checks the
            certificate and the host's name.
        stream_factory: makes the stream to speak on from the one that was dialled, in place of
            TLS: an async callable, stream to stream.
        handshake_timeout: seconds for DNS, TCP, TLS and the opening handshake together.
        close_timeout: seconds for the closing handshake.
        idle_timeout: seconds without a byte from the server after which it is given up.
        max_message_size: the most bytes that a received message may have.
        max_head_size: the most bytes that the head of the server's answer may have.

    Times may be `math.inf`.

    Raises:
        ValueError: the URL is no WebSocket URL, no draft has that name, or the draft cannot ask
            for that.
        DialFailed: a `HandshakeError`; no TCP connection came about.
        TLSFailed: a `HandshakeError`; the cause says why, as a certificate that is not trusted.
        Rejected: a `HandshakeError`; the server answered something else than 101.
        InvalidAnswer: a `HandshakeError`; the server does not speak the draft.
        HandshakeTimeout: a `HandshakeError`; `handshake_timeout` passed.
        HandshakeError: the server ended or broke the connection before it answered.
    """
    limits = Limits(
        handshake_timeout=handshake_timeout,
        close_timeout=close_timeout,
        idle_timeout=idle_timeout,
        max_message_size=max_message_size,
        max_head_size=max_head_size,
    )
    target = WebSocketURL.parse(url)
    speaks = draft_named(framing_mode.get() if draft is None else draft)
    wish = Ask(
        url=target,
        headers=checked_fields(headers, forbidden=speaks.opening.written_fields),
        origin=origin,
        subprotocols=check_subprotocols(subprotocols),
    )
    # Made once here so that what the draft cannot ask for shows before anything is dialled.
    speaks.opening.ask(wish, speaks.subprotocols)
    if ssl_context is not None and stream_factory is not None:
        raise ValueError("give ssl_context or stream_factory, not both")
    if stream_factory is None and target.secure:
        context = ssl_context or ssl.create_default_context()
        stream_factory = ssl_stream_factory(context, server_hostname=target.host)
    async with open_upkeep() as upkeep:
        started = trio.current_time()
        dialled = await _dial(target, handshake_timeout)
        async with opening(dialled, handshake_timeout, started):
            stream = await dress(dialled, stream_factory)
            connection = await ask(stream, speaks, wish, limits, upkeep)
        code = 1001
        try:
            yield connection
            code = 1000
        finally:
            await connection.aclose(code)


async def _dial(target: WebSocketURL, timeout: float) -> trio.abc.Stream:
    try:
        with trio.fail_after(timeout):
            return take_over(await trio.open_tcp_stream(target.host, target.port))
    except trio.TooSlowError as error:
        raise HandshakeTimeout(f"no TCP connection came about within {timeout} s") from error
    except OSError as error:
        why = ", ".join(dict.fromkeys(map(str, _attempts(error))))
        raise DialFailed(f"no TCP connection to {target.host} port {target.port}: {why}") from error


def _attempts(error: BaseException) -> Iterator[BaseException]:
    """What went wrong at each address: Trio's error holds them as its cause."""
    if isinstance(error, BaseExceptionGroup):
        for attempt in error.exceptions:
            yield from _attempts(attempt)
    elif error.__cause__ is not None:
        yield from _attempts(error.__cause__)
    else:
        yield error
