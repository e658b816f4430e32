"""Sends pings and unasked pongs, for `Connection`."""

from __future__ import annotations

import trio

from trio_draftws.drafts import Buffer, Ping, Pong, SentPing, cannot_say

from .endpoint import Endpoint
from .sending import check_encodable


async def ping(endpoint: Endpoint, payload: Buffer | None) -> float:
    """Sends a ping and waits for its pong; returns the seconds that this took."""
    content = _ping_content(endpoint, "ping", payload)
    done = trio.Event()
    sent = await _put_ping(endpoint, content, done)
    try:
        await done.wait()
    finally:
        endpoint.protocol.keepalive.forget_ping(sent)
    if sent.round_trip is None:
        raise endpoint.why_not_sendable()
    return sent.round_trip


async def send_ping(endpoint: Endpoint, payload: Buffer | None) -> None:
    """Sends a ping whose pong nobody waits for."""
    await _put_ping(endpoint, _ping_content(endpoint, "send_ping", payload), None)


async def send_pong(endpoint: Endpoint, payload: Buffer) -> None:
    """Sends a pong that answers no ping."""
    content = _checked(endpoint, "send_pong", Pong, payload)
    await endpoint.checkpoints.before_send()
    await endpoint.sender.wait_for_room()
    endpoint.check_sendable()
    endpoint.protocol.send_pong(content)


async def _put_ping(endpoint: Endpoint, payload: bytes | None, done: trio.Event | None) -> SentPing:
    await endpoint.checkpoints.before_send()
    # It may go between the fragments of a message, so it waits for no turn.
    await endpoint.sender.wait_for_room()
    protocol = endpoint.protocol
    if not protocol.can_send or protocol.end is not None:
        raise endpoint.why_not_sendable()
    sent = protocol.ping(endpoint.scope.now(), None if done is None else done.set, payload)
    endpoint.scope.looks.take_turn(endpoint)
    return sent


def _ping_content(endpoint: Endpoint, method: str, payload: object) -> bytes | None:
    content = _checked(endpoint, method, Ping, b"" if payload is None else payload)
    return None if payload is None else content


def _checked(endpoint: Endpoint, method: str, kind: type[Ping | Pong], payload: object) -> bytes:
    """Returns a copy of the payload, before anything is done.

    Raises:
        LocalProtocolError: the draft has no pings, or the payload is too long.
        TypeError: the payload is of another type.
    """
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        advice = "; encode it first" if isinstance(payload, str) else ""
        raise TypeError(f"the payload of {method} is bytes, not {type(payload).__name__}{advice}")
    draft = endpoint.protocol.draft
    if not draft.ping:
        raise cannot_say(draft.name, f"{kind.__name__.lower()}s")
    content = bytes(payload)
    check_encodable(endpoint, kind(content))
    return content
