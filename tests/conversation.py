"""One conversation that uses all that a connection can do, and what must be true of any part of it.

However it is cut short – cancelled, or on a stream that fails – each side has received whole
messages of the other's, in order, none twice, and is told the truth about how it ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import trio

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    HandshakeError,
    PeerClosed,
    Rejected,
    accept,
    use_framing_mode,
)

from .pairs import open_client


@attrs.frozen
class Script:
    """What is said: each message with so many spaces at its end."""

    padding: int = 0

    @property
    def said(self) -> list[str]:
        """By the client."""
        words = ("one", "two, in parts", "three", "four")
        return [word + " " * self.padding for word in words]

    @property
    def answers(self) -> list[str]:
        """By the server, which begins."""
        return ["welcome" + " " * self.padding, *map(answer_to, self.said)]


def answer_to(message: str | bytes) -> str:
    return f"{message!s}?"


@attrs.define
class View:
    """What one side saw of a conversation."""

    script: Script
    connection: Connection | None = None
    sent: int = 0
    """How many messages were sent by calls that returned."""
    received: list[str | bytes] = attrs.field(factory=list)
    end: Exception | None = None
    """What it raised; None where it got through, or was cancelled."""

    @property
    def how(self) -> str:
        """How it ended, in a word or two."""
        if isinstance(self.end, Rejected):
            return f"Rejected {self.end.status}"
        return "over" if self.end is None else type(self.end).__name__

    @property
    def heard_all(self) -> bool:
        """Whether it has heard every answer, as a client that needs no more."""
        return self.received == self.script.answers


async def lead(stream: trio.abc.Stream, draft: Draft, view: View, **limits: Any) -> None:
    """The client's part: opens, says what is to be said, hears the answers, closes."""
    try:
        async with open_client(stream, draft, **limits) as connection:
            view.connection = connection
            try:
                await _say_all(connection, view)
            except trio.BrokenResourceError:
                await _hear_the_end(connection, view)
    except (HandshakeError, PeerClosed, trio.BrokenResourceError) as error:
        view.end = error


async def follow(stream: trio.abc.Stream, draft: Draft, view: View, **limits: Any) -> None:
    """The server's part: welcomes, answers all that is said, until the client closes."""
    try:
        with use_framing_mode(draft.name):
            async with accept(stream, **limits) as connection:
                view.connection = connection
                try:
                    await _answer_all(connection, view)
                except trio.BrokenResourceError:
                    await _hear_the_end(connection, view)
    except (HandshakeError, PeerClosed, trio.BrokenResourceError) as error:
        view.end = error


async def _say_all(connection: Connection, view: View) -> None:
    one, two, *rest = view.script.said
    view.received.append(await connection.receive())
    await connection.send(one)
    view.sent += 1
    view.received.append(await connection.receive())
    await connection.send_stream(_parts(two))
    view.sent += 1
    if connection.draft.ping:
        await connection.ping()
    async with connection.receive_stream() as parts:
        answer = "".join([str(part) async for part in parts])
    view.received.append(answer)
    await connection.send_many(rest)
    view.sent += len(rest)
    await connection.wait_readable()
    while len(view.received) < len(view.script.answers):
        view.received.append(await connection.receive())


async def _answer_all(connection: Connection, view: View) -> None:
    await connection.send(view.script.answers[0])
    view.sent += 1
    if connection.draft.ping:
        await connection.ping()
    while True:
        messages = await connection.receive_many()
        view.received += messages
        for message in messages:
            await connection.send(answer_to(message))
            view.sent += 1


async def _hear_the_end(connection: Connection, view: View) -> None:
    """What came before the break can still be received; then `receive` says how it ended."""
    while True:
        view.received.append(await connection.receive())


async def _parts(message: str) -> AsyncIterator[str]:
    middle = len(message) // 2
    for part in (message[:middle], message[middle:]):
        await trio.lowlevel.checkpoint()
        yield part


def check(draft: Draft, client: View, server: View) -> None:
    """What must be true of every conversation, whatever became of it."""
    for ours, theirs, heard in (
        (client, server, client.script.answers),
        (server, client, server.script.said),
    ):
        assert ours.received == heard[: len(ours.received)], "whole, in order, none twice"
        assert len(ours.received) <= theirs.sent, "nothing that was not sent"
        if isinstance(ours.end, PeerClosed) and draft.closing_handshake:
            assert theirs.connection is not None
            assert theirs.connection.close_sent is not None, "no close that was none"
            assert len(ours.received) == theirs.sent, "a close stands behind all that was sent"
        allowed = HandshakeError if ours.connection is None else (PeerClosed, ConnectionLost)
        assert ours.end is None or isinstance(ours.end, allowed), repr(ours.end)
