"""Sending one message to many connections, without waiting for any of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal

import attrs
import trio

from trio_draftws._settings.checks import needs_trio, tuple_of
from trio_draftws._settings.limits import check_positive
from trio_draftws.drafts import Buffer, Codec, EncodedText, as_text, encode_long_text, no_message

from .connection import Connection, endpoint_of

# Other tasks run at least this often.
CONNECTIONS_PER_PASS = 64


@attrs.frozen
class BroadcastResult:
    """The connections that `broadcast` was given, by what happened to the message."""

    sent: tuple[Connection, ...]
    """Those to which it will be sent, in order, unless the connection breaks."""
    dropped: tuple[Connection, ...]
    """Those for which it was left out: too much waits for a slow peer, or another message is being
    sent part by part."""
    cut: tuple[Connection, ...]
    """Those that were too slow, and are being closed."""
    gone: tuple[Connection, ...]
    """Those that had ended before."""
    unable: tuple[Connection, ...]
    """Those whose draft cannot say it, as bytes before hybi-01."""


async def broadcast(
    connections: Iterable[Connection],
    message: str | Buffer,
    *,
    text: bool = False,
    compress: bool | None = None,
    limit: int = 2**20,
    slow: Literal["drop", "close"] = "drop",
) -> BroadcastResult:
    """Sends one message to many connections, without waiting for any of them.

    The message is encoded once for all connections on which it has the same bytes, which on a
    server are all of one draft. On each connection it keeps its order with what `send` sends. Other
    tasks run now and then while this goes through a long list. A checkpoint; if it is cancelled,
    the message was sent to nobody.

    Args:
        connections: a snapshot of them is taken, so a server's `connections` may be given.
        message: as for `Connection.send`.
        text: whether to send `bytes` as text, as for `Connection.send`; by default False.
        compress: whether to compress it, on connections that agreed on that. By default only where
            the result can be shared, which is where no context is taken over; True compresses it
            for each connection by itself, False for none.
        limit: how many bytes may wait for one peer, this message included; by default 1 MiB. It is
            always sent to a peer for which nothing waits.
        slow: what to do where more would wait: `"drop"`, the default, leaves this message out;
            `"close"` ends the connection, and what waits is lost. The peer gets 1008 only if that
            can be written at once.

    Returns:
        Which connections it was sent to, and which not, and why.

    Raises:
        ValueError: `slow` or `limit` is out of range, or the message is text that UTF-8 cannot
            encode, or with `text` not UTF-8 (a `LocalProtocolError`); the message was sent to
            nobody.
        TypeError: `message` is of another type, or another argument is, as one connection in place
            of several; the message was sent to nobody.
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
    once = _Once(as_text(message) if text else message, compress)
    await trio.lowlevel.checkpoint()
    verdicts: dict[str, list[Connection]] = {
        field.name: [] for field in attrs.fields(BroadcastResult)
    }
    those = tuple_of("connections", connections, "connections", Connection)
    for number, connection in enumerate(those, 1):
        endpoint = endpoint_of(connection)
        verdict: str = endpoint.try_send(once.encode, once.size, limit)
        if verdict == "dropped" and slow == "close":
            endpoint.abort_slow(f"more than {limit} bytes would wait for the peer")
            verdict = "cut"
        verdicts[verdict].append(connection)
        if number % CONNECTIONS_PER_PASS == 0:
            # A cancellation must not come when it was sent to some and not to the others.
            await trio.lowlevel.cancel_shielded_checkpoint()
    return BroadcastResult(**{name: tuple(some) for name, some in verdicts.items()})


class _Once:
    """A message that is encoded once for all codecs that encode it to the same bytes."""

    def __init__(self, message: str | bytes | EncodedText, compress: bool | None) -> None:
        self.size = len(encode_long_text(message) if isinstance(message, str) else message)
        self._message = message
        self._compress = compress
        self._encoded: dict[Hashable, list[Buffer]] = {}

    def encode(self, codec: Codec) -> list[Buffer]:
        compress = self._compress
        key = codec.encoding_key(self._message, compress)
        if key is None and compress is None:
            compress = False
            key = codec.encoding_key(self._message, compress)
        if key is None:
            return codec.encode(self._message, compress)
        if key not in self._encoded:
            self._encoded[key] = codec.encode(self._message, compress)
        return self._encoded[key]
