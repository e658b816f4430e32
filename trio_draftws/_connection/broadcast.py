"""One message to many connections, none of which waits for another."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal

import attrs
import trio

from trio_draftws._settings.checks import needs_trio, several
from trio_draftws._settings.limits import check_positive
from trio_draftws.drafts import Buffer, Codec, encode_long_text, no_message

from .connection import Connection, endpoint_of

# Others run at least so often.
CONNECTIONS_PER_PASS = 64


@attrs.frozen
class BroadcastResult:
    """What became of a message for each connection that `broadcast` was given."""

    sent: tuple[Connection, ...]
    """It will be sent, in order, or the connection breaks and says so."""
    dropped: tuple[Connection, ...]
    """It was left out, since too much waits for a slow peer, or another message is being sent to
    it part by part."""
    cut: tuple[Connection, ...]
    """They were too slow, and are being closed."""
    gone: tuple[Connection, ...]
    """They had ended before."""
    unable: tuple[Connection, ...]
    """Their draft cannot say it, as bytes before hybi-01."""


async def broadcast(
    connections: Iterable[Connection],
    message: str | Buffer,
    *,
    compress: bool | None = None,
    limit: int = 2**20,
    slow: Literal["drop", "close"] = "drop",
) -> BroadcastResult:
    """Sends one message to many connections; it never waits for any of them.

    It is encoded once for all that say it with the same bytes, which are all of one draft on a
    server. For each connection it stands in order with what `send` sends. Others run now and then
    while it goes through a long list. A checkpoint; if it is cancelled, nobody was sent anything.

    Args:
        connections: a snapshot of them is taken, so a server's `connections` will do.
        message: as `Connection.send` takes it.
        compress: whether to compress it where that was agreed to. By default only where the result
            can be shared, which is where no context is taken over; True compresses it for each
            connection by itself, False for none.
        limit: how many bytes may wait for one peer, this message included; one for which nothing
            waits is always sent it.
        slow: what becomes of a peer for which more would wait: `"drop"` leaves this message out,
            `"close"` ends the connection, and what waits is lost; the peer is told 1008 only
            where that can be written at once.

    Raises:
        ValueError: `slow` or `limit` is out of range, or the message is a text that UTF-8 cannot
            say (a `LocalProtocolError`); nobody was sent anything.
        TypeError: it is no message, or an argument is of another kind, as one connection where
            several were meant; nobody was sent anything.
    """
    needs_trio("broadcast")
    if slow not in ("drop", "close"):
        raise ValueError(f"slow is 'drop' or 'close', not {slow!r}")
    check_positive("limit", limit)
    if compress not in (None, True, False):
        raise TypeError(f"compress is True, False or None, not {compress!r}")
    if isinstance(message, (bytearray, memoryview)):
        message = bytes(message)
    elif not isinstance(message, (str, bytes)):
        raise no_message(message)
    once = _Once(message, compress)
    await trio.lowlevel.checkpoint()
    verdicts: dict[str, list[Connection]] = {
        field.name: [] for field in attrs.fields(BroadcastResult)
    }
    those = several("connections", connections, "connections", Connection)
    for number, connection in enumerate(those, 1):
        endpoint = endpoint_of(connection)
        verdict: str = endpoint.try_send(once.encode, once.size, limit)
        if verdict == "dropped" and slow == "close":
            endpoint.abort_slow(f"more than {limit} bytes would wait for the peer")
            verdict = "cut"
        verdicts[verdict].append(connection)
        if number % CONNECTIONS_PER_PASS == 0:
            # A cancellation must not come between those who are told and those who are not.
            await trio.lowlevel.cancel_shielded_checkpoint()
    return BroadcastResult(**{name: tuple(some) for name, some in verdicts.items()})


class _Once:
    """A message that is encoded once for all codecs that say it with the same bytes."""

    def __init__(self, message: str | bytes, compress: bool | None) -> None:
        self.size = len(encode_long_text(message) if isinstance(message, str) else message)
        self._message = message
        self._compress = compress
        self._encoded: dict[Hashable, list[Buffer]] = {}

    def encode(self, codec: Codec) -> list[Buffer]:
        compress = self._compress
        key = codec.shared(self._message, compress)
        if key is None and compress is None:
            compress = False
            key = codec.shared(self._message, compress)
        if key is None:
            return codec.encode(self._message, compress)
        if key not in self._encoded:
            self._encoded[key] = codec.encode(self._message, compress)
        return self._encoded[key]
