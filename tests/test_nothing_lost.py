"""Two ways in which messages are easily lost or spoilt: a send that is cancelled half written, and
a message that its sender's close comes with."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Close,
    Connection,
    Draft,
    PeerClosed,
    Server,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import Codec, Event, HandshakeRequest, Response, WebSocketURL, draft_named

from .pairs import connected, mute, unmute
from .turns import each_draft, in_turn, over_streams
from .wire import dial, raw_server, read_request, read_to_end, read_until, serving, take_up

both_roles = in_turn("role", ["client", "server"])
LARGE = 8 * 2**20


@both_roles
@over_streams(transports=["tcp", "lockstep", "foreign", "tls"])
async def test_a_large_message_cancelled_under_backpressure(
    transport: str, draft: Draft, role: str
) -> None:
    """What is sent next is itself, and no part of a message that was cut off."""
    async with connected(transport, draft, max_message_size=LARGE) as sides:
        ours, theirs = sides if role == "client" else reversed(sides)
        mute(theirs)
        sent: list[str] = []

        async def send(message: str) -> None:
            await ours.send(message)
            sent.append(message)

        # Nobody reads, so not all of these can be written, and those who send them have to wait.
        for letter in "abc":
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send, letter * LARGE)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    scope.cancel()
        assert len(sent) == 1, "the first fits into the room that there is, the others wait"
        unmute(theirs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "next")
            received: list[str | bytes] = []
            while "next" not in received:
                received.append(await theirs.receive())
        # Not compared at once: what pytest says of a difference would be as large.
        assert [len(message) for message in received] == [LARGE, len("next")]
        assert received == sent


ROUNDS = 10
LAST_WORDS = ["last words", "and the very last"]

with_and_without = in_turn("words", [LAST_WORDS, []])
# hybi-04 makes its masks of what the server answers, so nothing can be said before that.
AT_ONCE = [draft for draft in DRAFTS if draft.name != "hybi-04"]


def farewell(codec: Codec, draft: Draft, words: list[str]) -> bytes:
    """Messages and the close behind them; where that is the end of the stream, whoever sends it
    sees to that.
    """
    events: list[Event] = [*words, Close(1000)] if draft.closing_handshake else [*words]
    return b"".join(b"".join(codec.encode(event)) for event in events)


def check_answer(codec: Codec, draft: Draft, answer: bytes) -> None:
    """The close is answered in kind, and nothing else is said."""
    events = codec.decode(answer)
    assert [type(event) for event in events] == ([Close] if draft.closing_handshake else [])


@with_and_without
@in_turn(
    ("when", "draft"),
    [
        (when, draft)
        for when, drafts in (("after-the-answer", DRAFTS), ("with-the-request", AT_ONCE))
        for draft in drafts
    ],
)
async def test_a_message_and_close_at_once_reach_the_handler(
    when: str, draft: Draft, words: list[str]
) -> None:
    """The handler is called, has the messages, and the close is answered: each time."""
    heard: list[list[str | bytes]] = []

    async def hear(connection: Connection, state: Any) -> None:
        heard.append([message async for message in connection])

    async def visit(server: Server) -> None:
        opening = draft.opening.ask(
            HandshakeRequest(url=WebSocketURL.parse(f"ws://127.0.0.1:{server.port}/")),
            draft.subprotocols,
        )
        async with await dial(server) as stream:
            at_once = b""
            if when == "with-the-request":
                at_once = farewell(draft.codec("client", 0), draft, words)
            await stream.send_all(opening.request() + at_once)
            received = await read_until(
                stream,
                lambda received: (
                    b"\r\n\r\n" in received
                    and len(received.partition(b"\r\n\r\n")[2]) >= opening.response_body
                ),
            )
            head, blank, rest = received.partition(b"\r\n\r\n")
            body, rest = rest[: opening.response_body], rest[opening.response_body :]
            agreement = opening.verify(Response.parse(head + blank), body)
            codec = draft.codec("client", 0, agreement)
            if when == "after-the-answer":
                await stream.send_all(farewell(codec, draft, words))
            if not draft.closing_handshake:
                await stream.send_eof()
            check_answer(codec, draft, rest + await read_to_end(stream))

    with use_framing_mode(draft.name):
        async with serving(hear) as server:
            for _ in range(ROUNDS):
                await visit(server)
    assert heard == [words] * ROUNDS


@with_and_without
@each_draft
async def test_a_message_and_close_at_once_reach_the_client(draft: Draft, words: list[str]) -> None:
    """Also in one piece with the answer to its request."""

    async def behave(stream: trio.SocketStream) -> None:
        answer, agreement = take_up(draft, *await read_request(stream, draft.opening.request_body))
        codec = draft.codec("server", 0, agreement)
        await stream.send_all(answer + farewell(codec, draft, words))
        if not draft.closing_handshake:
            await stream.send_eof()
        check_answer(codec, draft, await read_to_end(stream))

    async with raw_server(behave) as port:
        for _ in range(ROUNDS):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft) as client:
                assert [await client.receive() for _ in words] == words
                with pytest.raises(PeerClosed):
                    await client.receive()


@pytest.mark.parametrize(
    ("transport", "call"),
    [
        # A stream that is not ours may itself take a pass before it reads.
        *(
            (transport, call)
            for transport in ("tcp", "tls")
            for call in ("receive", "receive_many")
        ),
        *(
            (transport, call)
            for transport in ("tcp", "tls", "foreign", "memory")
            for call in ("send", "send_many")
        ),
    ],
)
async def test_deadlines_shorter_than_a_pass(
    transport: str, call: str, mock_clock: trio.testing.MockClock
) -> None:
    """Others who take long in every pass do not keep anybody from what is there already: a call
    that can be done at once is done, as on Trio's streams, whatever its deadline says behind that.
    """
    count = 200
    received = sent = cut = 0

    async def take_long() -> None:
        while True:
            mock_clock.jump(1)
            await trio.lowlevel.checkpoint()

    async with connected(transport, draft_named("rfc6455")) as (client, server):
        if call.startswith("receive"):
            for number in range(count):
                await client.send(str(number))
            first = await server.receive()
            assert first == "0"
            received = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_long)
            while received < count and sent < count and cut < count:
                with trio.move_on_after(0.5) as scope:
                    if call == "receive":
                        assert await server.receive() == str(received)
                        received += 1
                    elif call == "receive_many":
                        received += len(await server.receive_many())
                    elif call == "send":
                        await client.send("x")
                        sent += 1
                    else:
                        await client.send_many(["x"] * 10)
                        sent += 10
                cut += scope.cancelled_caught
            nursery.cancel_scope.cancel()
        # A wait for what has not come yet may be cut.
        assert max(received, sent) >= count
        assert cut <= (count // 10 if call.startswith("receive") else 0)
