"""How a peer ends a connection, and what is said of it."""

from __future__ import annotations

import pytest
import trio

from trio_draftws import Close, ConnectionLost, Draft, PeerClosed
from trio_draftws.drafts import Event
from trio_draftws.testing import Ping, RawPeer

each_end = pytest.mark.parametrize(
    "how", ["silence", "a goodbye", "the end of its stream", "it is gone"]
)


async def end(peer: RawPeer, how: str) -> None:
    if how == "a goodbye":
        await say_goodbye(peer)
    elif how == "the end of its stream":
        if isinstance(peer.stream, trio.abc.HalfCloseableStream):
            await peer.send_eof()
        else:
            await peer.aclose()
    elif how == "it is gone":
        await trio.aclose_forcefully(peer.stream)
    else:
        assert how == "silence"


def error_at_the_end(draft: Draft, how: str) -> type[Exception] | None:
    """What a receiver gets behind the messages; None where the peer may still be there."""
    if how == "silence":
        return ConnectionLost if draft.ping else None
    if how == "a goodbye" or not draft.closing_handshake:
        return PeerClosed
    return ConnectionLost


async def say_goodbye(peer: RawPeer) -> None:
    """Ends the connection as its draft says; a peer that has no closing frame ends its side."""
    assert peer.draft is not None
    if peer.draft.closing_handshake:
        await peer.send_frame(goodbye(peer.draft))
    else:
        await peer.send_eof()


def goodbye(draft: Draft) -> Close:
    return Close(1000) if draft.close_status else Close()


async def say_last(peer: RawPeer, *messages: str) -> None:
    """These messages and a goodbye behind them, as one piece where the draft has a frame for it."""
    assert peer.draft is not None
    if peer.draft.closing_handshake:
        await peer.send_frame(*messages, goodbye(peer.draft))
    else:
        await peer.send_frame(*messages)
        await peer.send_eof()


async def hear_goodbye(peer: RawPeer) -> list[Event]:
    """Waits for the other's goodbye; returns what came before it, but for pings."""
    came: list[Event] = []
    while True:
        try:
            event = await peer.receive_frame()
        except AssertionError:
            assert peer.draft is not None
            if peer.draft.closing_handshake:
                raise
            await peer.expect_end()
            return came
        if isinstance(event, Close):
            return came
        if not isinstance(event, Ping):
            came.append(event)
