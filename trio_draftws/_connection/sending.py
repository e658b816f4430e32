"""Sends several messages, or a message part by part, for `Connection`; checks a closing frame."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager
from operator import length_hint

import trio

from trio_draftws.drafts import DRAFTS, Buffer, Close, Fragment, Ping, Pong, as_text

from .closing import NORMAL, UNFINISHED
from .endpoint import Endpoint
from .instrumented_codec import InstrumentedCodec


@trio.lowlevel.enable_ki_protection
def put_all(
    endpoint: Endpoint, messages: Sequence[str | Buffer], compress: bool | None, *, text: bool
) -> None:
    """Encodes messages and writes them together; if one fails, those before it are sent.

    With `text`, all of them are text, and were any not UTF-8, none is sent.
    """
    endpoint.check_sendable()
    events = [as_text(message) for message in messages] if text else messages
    encode = endpoint.protocol.codec.encode
    wire: list[Buffer] = []
    left = iter(events)
    failed = 1
    try:
        for message in left:
            wire += encode(message, compress)
        failed = 0
    finally:
        endpoint.write(wire, messages=len(messages) - length_hint(left) - failed)
        if endpoint.sender.size:
            endpoint.sender.own()


@contextmanager
def while_sendable(endpoint: Endpoint) -> Iterator[None]:
    """Cancels the block, which may wait for something else, when nothing can be sent any more.

    Raises:
        trio.ClosedResourceError: that is so, since we closed the connection.
        trio.BrokenResourceError: that is so, since the peer closed it, or it was lost.
    """
    endpoint.check_sendable()
    with trio.CancelScope() as scope:
        endpoint.protocol.add_stop_callback(scope.cancel)
        try:
            yield
        finally:
            endpoint.protocol.remove_stop_callback(scope.cancel)
    if scope.cancelled_caught:
        raise endpoint.why_not_sendable()


async def send_fragments(
    endpoint: Endpoint,
    parts: AsyncIterable[str] | AsyncIterable[bytes],
    compress: bool | None,
) -> None:
    """Sends each part as a fragment as soon as it comes; nobody else has a turn meanwhile.

    A message that was begun and cannot be ended closes the connection.
    """
    sender = endpoint.sender
    async with sender.turn():
        try:
            async for part in parts:
                await endpoint.checkpoints.before_send()
                await sender.wait_for_room()
                _put_fragment(endpoint, Fragment(part), compress)
            if sender.in_parts:
                _put_fragment(endpoint, Fragment(part[:0], final=True))
        finally:
            unfinished = sender.in_parts
            sender.end_parts()
            if unfinished and endpoint.protocol.can_send:
                endpoint.send_close(UNFINISHED)


@trio.lowlevel.enable_ki_protection
def _put_fragment(endpoint: Endpoint, fragment: Fragment, compress: bool | None = None) -> None:
    endpoint.check_sendable()
    wire = endpoint.protocol.codec.encode(fragment, compress)
    endpoint.write(wire, messages=int(fragment.final))
    if fragment.final:
        endpoint.sender.end_parts()
    else:
        endpoint.sender.begin_parts()


def check_close(endpoint: Endpoint, close: Close) -> None:
    """Raises if the draft cannot say `close`, so that the caller learns it before anything is done.

    Raises:
        LocalProtocolError: that code or reason cannot be sent.
        TypeError: the code is no int, or the reason no str.
    """
    _check_types(close)
    protocol = endpoint.protocol
    if protocol.draft.close_status and close != NORMAL:
        check_encodable(endpoint, close)


def check_close_for_all(close: Close) -> None:
    """Raises if there may be connections on which `close` cannot be sent.

    Raises:
        LocalProtocolError: that code or reason cannot be sent.
        TypeError: the code is no int, or the reason no str.
    """
    _check_types(close)
    # Whatever the latest draft allows, all before it that have codes do.
    DRAFTS[-1].codec("server", 0).encode(close)


def _check_types(close: Close) -> None:
    if isinstance(close.code, bool) or not isinstance(close.code, int):
        raise TypeError(f"a close's code is a number, as 1000, not {close.code!r}")
    if not isinstance(close.reason, str):
        raise TypeError(f"a close's reason is a str, not {close.reason!r}")


def check_encodable(endpoint: Endpoint, frame: Ping | Pong | Close) -> None:
    """Raises if the draft cannot express a control frame.

    Raises:
        LocalProtocolError: that is so.
    """
    codec = endpoint.protocol.codec
    # To try it is not to send it: no instrument is told.
    inner = codec.inner if isinstance(codec, InstrumentedCodec) else codec
    inner.encode(frame)
