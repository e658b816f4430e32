"""Floods of frames that carry next to nothing, and cost more to handle than to send."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio
import trio.testing

from trio_draftws.drafts import Event
from trio_draftws.testing import Fragment, Ping, Pong, RawClient, RawPeer, frame

# How many frames each attacker sends. From a client that is more than one read of 16 KiB holds.
FRAMES = 5000
# A thousand empty fragments in a row are a violation, so this stays below.
EMPTY_IN_A_ROW = 500
# The masking key in the examples of RFC 6455 section 5.7
MASK = b"\x37\xfa\x21\x3d"

Flood: TypeAlias = Callable[[RawPeer], Awaitable[bytes]]
"""Returns the frames an attacker sends, in the draft and with the keys of its connection."""


async def encoded(peer: RawPeer, *events: Event) -> bytes:
    """Returns the bytes that `peer` would send for these events, without sending them."""
    ours, theirs = trio.testing.memory_stream_pair()
    stream, peer.stream = peer.stream, ours
    try:
        await peer.send_frame(*events)
    finally:
        peer.stream = stream
    return bytes(await theirs.receive_some())


def many(event: Event, count: int = FRAMES) -> Flood:
    async def flood(peer: RawPeer) -> bytes:
        return await encoded(peer, event) * count

    return flood


def raw(frames: bytes) -> Flood:
    async def flood(peer: RawPeer) -> bytes:
        return frames

    return flood


async def empty_fragments(peer: RawPeer) -> bytes:
    """Returns empty fragments, with one byte often enough that they are allowed."""
    empty, other = [await encoded(peer, Fragment(data)) for data in ("", "x")]
    return (empty * EMPTY_IN_A_ROW + other) * (FRAMES // EMPTY_IN_A_ROW)


def compressed(payload: bytes, count: int) -> Flood:
    """Messages of RFC 6455 with this compressed payload."""

    async def flood(peer: RawPeer) -> bytes:
        # RFC 7692 section 6: RSV1 marks a compressed message.
        return frame(2, payload, reserved=4, mask=mask_of(peer)) * count

    return flood


def compressed_fragments(payload: bytes) -> Flood:
    """Fragments, each with this payload, of one compressed message that never ends."""

    async def flood(peer: RawPeer) -> bytes:
        mask = mask_of(peer)
        first = frame(2, payload, final=False, reserved=4, mask=mask)
        return first + frame(0, payload, final=False, mask=mask) * (FRAMES - 1)

    return flood


def mask_of(peer: RawPeer) -> bytes | None:
    return MASK if isinstance(peer, RawClient) else None


CONTROL = {"pings": many(Ping()), "pongs": many(Pong())}
MESSAGES = {"tiny messages": many("x"), "empty messages": many("")}
# These need a message that has begun: see `Target.begun`.
FRAGMENTS = {"empty fragments": empty_fragments, "tiny fragments": many(Fragment("x"))}
# hixie-76 section 5.3: frames of types 80 to ff have a length, all others end with ff. They are the
# cheapest to skip, so more of them are sent.
SENTINEL = {
    "frames of length 0": raw(b"\x80\x00" * 4 * FRAMES),
    "frames between sentinels": raw(b"\x01\xff" * 4 * FRAMES),
}
# r5241: every type but ff is reserved.
LENGTH64 = {"reserved frames": raw(b"\x01\x00\x00\x00\x00\x00\x00\x00\x00" * FRAMES)}
# RFC 7692 section 7.2.3.4: a final block (03 00 is an empty one) may be followed by others. Section
# 7.2.3.6: 00 is an empty message. RFC 1951 section 3.2.4: a stored block, here of length 0.
NOTHING_AT_ONCE = {
    "final blocks": compressed(b"\x03\x00" * 2 * FRAMES, 1),
    "final blocks that are stored": compressed(b"\x01\x00\x00\xff\xff" * 2 * FRAMES, 1),
    "stored blocks": compressed(b"\x00\x00\x00\xff\xff" * FRAMES, 1),
}
NOTHING_IN_PIECES = {
    "fragments of a final block": compressed_fragments(b"\x03\x00"),
    "messages of a final block": compressed(b"\x03\x00", FRAMES),
    "messages of an empty block": compressed(b"\x00", FRAMES),
}


async def in_tiny_records(peer: RawPeer, frames: bytes) -> bytes:
    """Returns TLS records of one byte each, as `peer` would write them, without sending them."""
    stream = peer.stream
    assert isinstance(stream, trio.SSLStream)
    ours, theirs = trio.testing.memory_stream_pair()
    transport, stream.transport_stream = stream.transport_stream, ours
    try:
        for start in range(len(frames)):
            await stream.send_all(frames[start : start + 1])
    finally:
        stream.transport_stream = transport
    return bytes(await theirs.receive_some())


def write(peer: RawPeer, data: bytes) -> memoryview:
    """Writes what the kernel takes, without letting any other task run; returns the rest."""
    stream = beneath(peer)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**18)
    return memoryview(data)[os.write(stream.socket.fileno(), data) :]


async def write_rest(peer: RawPeer, data: memoryview) -> None:
    """Writes the rest as the kernel takes it, until the connection ends."""
    try:
        await beneath(peer).send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


def beneath(peer: RawPeer) -> trio.SocketStream:
    """Returns the TCP stream, which may lie below TLS."""
    stream = peer.stream
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    assert isinstance(stream, trio.SocketStream)
    return stream
