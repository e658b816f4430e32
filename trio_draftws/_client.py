"""The client: dial, ask, check."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

import trio

from ._ask import ask
from ._connection import Connection
from ._exceptions import DialFailed, HandshakeTimeout, Rejected
from ._framing_mode import framing_mode
from ._handshake import check_subprotocols, dress, opening
from ._instruments import Instrument, Instruments
from ._limits import Limits
from ._streams import StreamFactory, take_over
from ._tls import ssl_stream_factory
from ._upkeep import Upkeep, open_upkeep
from .drafts import (
    COMPRESSION,
    Ask,
    Compression,
    Draft,
    HandshakeError,
    HeaderFields,
    InvalidAnswer,
    WebSocketURL,
    checked_fields,
    draft_named,
    ladder,
)

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

# Not found, or refused for who is asking, says nothing of the draft.
UNKNOWN_DRAFT = (400, 405, 426, 501, 505)


@asynccontextmanager
async def open_websocket(
    url: str,
    *,
    draft: str | Draft | None = None,
    headers: HeaderFields = (),
    origin: str | None = None,
    subprotocols: Sequence[str] = (),
    compression: Compression | None = COMPRESSION,
    ssl_context: ssl.SSLContext | None = None,
    stream_factory: StreamFactory | None = None,
    handshake_timeout: float = 10,
    close_timeout: float = 5,
    idle_timeout: float = 3600,
    ping_interval: float = 20,
    ping_timeout: float = 20,
    write_timeout: float = 60,
    max_message_size: int = 2**20,
    max_head_size: int = 2**14,
    instruments: Iterable[Instrument] = (),
) -> AsyncGenerator[Connection, None]:
    """Connects to a server: `async with open_websocket(url) as connection`.

    The block's end closes the connection in order, within `close_timeout`, also when the block is
    cancelled or raises; what it raises comes out as it is. Entering is a checkpoint; cancelling it
    closes what was opened so far.

    Args:
        url: `ws://` or `wss://`, a host, perhaps a port, path and query.
        draft: the name of the draft to speak; by default what `framing_mode` says. `"auto"`
            climbs down from the newest, a new TCP connection each time, until the server knows
            one; each attempt has its own `handshake_timeout`.
        headers: further fields for the request.
        origin: the origin to send. None is sent by default, except by hixie-75, whose requests
            have one always: `http(s)://host[:port]`.
        subprotocols: those to ask for, the favourite first; see `connection.subprotocol`.
        compression: how to compress messages, where the draft and the server can; by default with
            permessage-deflate, None not at all. See `connection.compression`.
        ssl_context: for wss; by default `ssl.create_default_context()`, which checks the
            certificate and the host's name.
        stream_factory: makes the stream to speak on from the one that was dialled, in place of
            TLS: an async callable, stream to stream.
        handshake_timeout: seconds for DNS, TCP, TLS and the opening handshake together.
        close_timeout: seconds for the closing handshake.
        idle_timeout: seconds without a byte from the server after which it is given up.
        ping_interval: seconds of silence after which the server is pinged, where the draft has
            pings.
        ping_timeout: seconds without a byte after such a ping, after which it is given up.
        write_timeout: seconds in which the server takes nothing of what waits for it, after which
            it is given up. It may be as slow as it likes while it takes something.
        max_message_size: the most bytes that a received message may have.
        max_head_size: the most bytes that the head of the server's answer may have.
        instruments: are told what happens to the connection, as for metrics.

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
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        write_timeout=write_timeout,
        max_message_size=max_message_size,
        max_head_size=max_head_size,
    )
    if ssl_context is not None and stream_factory is not None:
        raise ValueError("give ssl_context or stream_factory, not both")
    target = WebSocketURL.parse(url)
    if stream_factory is None and target.secure:
        context = ssl_context or ssl.create_default_context()
        stream_factory = ssl_stream_factory(context, server_hostname=target.host)
    rungs = ladder() if draft == "auto" else (draft_named(draft or framing_mode.get()),)
    written = {name for rung in rungs for name in rung.opening.written_fields}
    wish = Ask(
        url=target,
        headers=checked_fields(headers, forbidden=written),
        origin=origin,
        subprotocols=check_subprotocols(subprotocols),
        compression=compression,
    )
    able = _able_to_ask(rungs, wish)
    async with open_upkeep(Instruments.of(instruments)) as upkeep:
        try:
            connection = await _climb_down(able, wish, stream_factory, limits, upkeep)
        except HandshakeError as error:
            if upkeep.instruments is not None:
                peer = f"{target.host} port {target.port}"
                upkeep.instruments.tell("opening_failed", error, peer)
            raise
        try:
            yield connection
        except BaseException:
            # A cancellation would take the place of what the block raised.
            with trio.CancelScope(shield=True):
                await connection.aclose(1001)
            raise
        await connection.aclose()


def _able_to_ask(rungs: Sequence[Draft], wish: Ask) -> list[Draft]:
    """Those of the drafts that can ask for that; told before anything is dialled.

    Raises:
        ValueError: none can.
    """
    able: list[Draft] = []
    mistake: ValueError | None = None
    for draft in rungs:
        try:
            draft.opening.ask(wish, draft.subprotocols)
        except ValueError as error:
            mistake = error
        else:
            able.append(draft)
    if not able:
        assert mistake is not None
        raise mistake
    return able


async def _climb_down(
    rungs: list[Draft],
    wish: Ask,
    stream_factory: StreamFactory | None,
    limits: Limits,
    upkeep: Upkeep,
) -> Connection:
    """Opens in the first of the drafts that the server speaks; a new TCP connection each time."""
    refusal: HandshakeError | None = None
    while rungs:
        draft = rungs.pop(0)
        started = trio.current_time()
        dialled = await _dial(wish.url, limits.handshake_timeout)
        try:
            async with opening(dialled, limits.handshake_timeout, started):
                stream = await dress(dialled, stream_factory)
                return await ask(stream, draft, wish, limits, upkeep)
        except HandshakeError as error:
            if not _is_unknown_draft(error):
                raise
            # What the server says to the newest draft tells most.
            refusal = refusal or error
            spoken = _versions_spoken(error)
            if spoken:
                rungs = [rung for rung in rungs if rung.version in spoken or rung.version is None]
    assert refusal is not None
    raise refusal


def _is_unknown_draft(error: HandshakeError) -> bool:
    """Whether the answer means "I don't know this version", as old servers put it too: by an
    answer of their own draft, or by ending the connection.
    """
    if isinstance(error, Rejected):
        return error.status in UNKNOWN_DRAFT or "Sec-WebSocket-Version" in error.headers
    return isinstance(error, InvalidAnswer) or type(error) is HandshakeError


def _versions_spoken(error: HandshakeError) -> set[int]:
    """The versions that a refusal names (RFC 6455 section 4.4)."""
    if not isinstance(error, Rejected):
        return set()
    named = error.headers.get("Sec-WebSocket-Version", "").split(",")
    return {int(number) for number in named if number.strip().isdecimal()}


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
