"""Conversations recorded from Racket's net/websocket, replayed over TCP, in both roles.

Racket sends its closing frame only where its handler closes the connection. It leaves a client's
closing frame unanswered, and a handler that returns or raises says nothing to the client. Ours
answers, and closes: so in every case but `server-close` (where Racket says it too) and
`client-exit-no-close` (where the client is gone) our closing frame follows what Racket said.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Close,
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import Request, Response, draft_named

from .rows import each_row
from .wire import KEY_FIELDS, dial, raw_server, read_request, read_to_end, read_until, serving

VECTORS = Path(__file__).parent / "vectors"

SAYS_CLOSE_ITSELF = {"server-close"}
NOBODY_TO_TELL = {"client-exit-no-close"}
# With what the handler fails, and the log says so
FAILURES: dict[str, list[type[Exception]]] = {
    "server-handler-raises": [RuntimeError],
    "client-exit-no-close": [ConnectionLost],
}
# A byte at a time, these would take long and show nothing more.
LONG = {"len70000"}


@attrs.frozen
class Conversation:
    """What each side said, in the order in which it said it."""

    mode: str
    case: str
    request: bytes
    client_frames: bytes
    answer: bytes
    server_frames: bytes

    @property
    def draft(self) -> Draft:
        return draft_named(self.mode)

    @property
    def closing_frame(self) -> bytes:
        return bytes(self.draft.codec("server", 0).encode(Close())[0])

    @property
    def asks_to_close(self) -> bytes:
        """What the client says to have the server close."""
        return bytes(self.draft.codec("client", 0).encode("__close")[0])

    def messages(self, frames: bytes) -> list[str | bytes]:
        events = self.draft.codec("client", 2**20).decode(frames)
        return [event for event in events if isinstance(event, (str, bytes))]


def whole(row: dict[str, Any]) -> bytes:
    """Recorded bytes; of the long ones, a run of `x` was left out."""
    if "hex" in row:
        return bytes.fromhex(row["hex"])
    begin, end = bytes.fromhex(row["hex_prefix"]), bytes.fromhex(row["hex_suffix"])
    return begin + b"x" * (int(row["hex_length"]) - len(begin) - len(end)) + end


def conversations() -> list[Conversation]:
    recorded: dict[tuple[str, str], dict[tuple[str, str], bytes]] = {}
    with (VECTORS / "racket-net-websocket.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            parts = recorded.setdefault((row["mode"], row["case"]), {})
            parts[row["direction"], row["part"]] = whole(row)
    return [
        Conversation(
            mode,
            case,
            request=parts["c2s", "handshake"],
            client_frames=parts["c2s", "frames"],
            answer=parts["s2c", "handshake"],
            server_frames=parts["s2c", "frames"],
        )
        for (mode, case), parts in recorded.items()
    ]


def with_keys(key1: bytes, key2: bytes, key3: bytes, proof: bytes) -> list[Conversation]:
    """What Racket's client and server would say with other keys, in both modes."""
    made = []
    for conversation in conversations():
        if conversation.case == "ascii":
            lines = conversation.request.split(b"\r\n")
            lines[4:6] = [
                b"%b: %b" % (name.encode(), key)
                for name, key in zip(KEY_FIELDS, (key1, key2), strict=True)
            ]
            changed = attrs.evolve(
                conversation,
                case="keys that end in a space",
                request=b"\r\n".join([*lines[:6], b"", b""]) + key3,
                answer=conversation.answer[:-16] + proof,
            )
            made.append(changed)
    return made


def trailing_spaces() -> list[Conversation]:
    """0.8 % of the keys of Racket's client end in a space; none of those recorded does."""
    [vector] = (
        vector
        for vector in json.loads((VECTORS / "drafts.json").read_text("utf-8"))["handshakes"]
        if vector["id"] == "hixie76-trailing-space-key"
    )
    challenge = vector["challenge"]
    keys = [challenge[name].encode() for name in ("key1", "key2")]
    assert all(key.endswith(b" ") for key in keys)
    hexes = [bytes.fromhex(challenge[name]) for name in ("key3_hex", "response_hex")]
    return with_keys(*keys, *hexes)


EVERY = [*conversations(), *trailing_spaces()]
every_conversation = pytest.mark.parametrize(
    "conversation", EVERY, ids=[f"{one.mode}-{one.case}" for one in EVERY]
)
at_once_and_bytewise = each_row("split", [False, True])


def test_all_are_there() -> None:
    """14 cases in both modes, and the keys that end in a space."""
    modes = [conversation.mode for conversation in EVERY]
    assert (modes.count("old"), modes.count("new")) == (15, 15)


async def send(stream: trio.abc.Stream, said: bytes, split: bool) -> None:
    """In one piece, or each byte when the one before it was read."""
    step = 1 if split else len(said)
    for position in range(0, len(said), step):
        await stream.send_all(said[position : position + step])
        await trio.testing.wait_all_tasks_blocked()


# Our server, Racket's client


async def as_racket_did(ends: list[BaseException], connection: Connection, state: object) -> None:
    """The handler of the recordings: an echo with three commands."""
    try:
        async for message in connection:
            if message == "__close":
                await connection.aclose()
                return
            if message == "__return":
                return
            if message == "__raise":
                raise RuntimeError("as the recorded handler did")
            await connection.send(message)
    except Exception as error:
        ends.append(error)
        raise
    with pytest.raises(PeerClosed) as caught:
        await connection.receive()
    ends.append(caught.value)


@contextmanager
def expected_end(conversation: Conversation, ends: list[BaseException]) -> Iterator[None]:
    """Checks how the handler's connection ended."""
    yield
    closes_itself = conversation.case in {"server-close", "server-handler-returns"}
    expected = FAILURES.get(conversation.case, [] if closes_itself else [PeerClosed])
    assert [type(end) for end in ends] == expected


async def server_says(conversation: Conversation, split: bool) -> bytes:
    """What our server answers to the recorded client."""
    ends: list[BaseException] = []
    said = conversation.request + conversation.client_frames
    with use_framing_mode(conversation.mode), expected_end(conversation, ends):
        async with serving(partial(as_racket_did, ends)) as server:
            async with await dial(server) as stream, trio.open_nursery() as nursery:

                async def say() -> None:
                    await send(stream, said, split)
                    await stream.send_eof()

                nursery.start_soon(say)
                return await read_to_end(stream)
    raise AssertionError("unreachable")


@every_conversation
@at_once_and_bytewise
async def test_our_server_answers_racket(
    conversation: Conversation, split: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if split and conversation.case in LONG:
        return
    caplog.clear()
    with caplog.at_level(logging.ERROR, "trio_draftws"):
        said = await server_says(conversation, split)
    head, blank, rest = said.partition(b"\r\n\r\n")
    recorded_head, recorded_blank, proof = conversation.answer.partition(b"\r\n\r\n")
    ours, racket = Response.parse(head + blank), Response.parse(recorded_head + recorded_blank)
    assert ours.status == 101
    assert ours.line == racket.line
    # Racket's server sends Origin and Location only where its application says so.
    assert set(racket.headers.raw) <= set(ours.headers.raw)
    assert rest[:16] == proof
    silent = conversation.case in SAYS_CLOSE_ITSELF | NOBODY_TO_TELL
    closing_frame = b"" if silent else conversation.closing_frame
    assert rest[16:] == conversation.server_frames + closing_frame
    raised = [record.exc_info[0] for record in caplog.records if record.exc_info]
    # That a client has gone is no failure of the handler's.
    expected = [error for error in FAILURES.get(conversation.case, []) if error is RuntimeError]
    assert raised == expected


# Our client, Racket's server


@attrs.frozen
class RecordedOpening:
    """An opening that sends the recorded keys instead of new ones."""

    opening: Any
    recorded: bytes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opening, name)

    def ask(self, *what: Any) -> Any:
        head, blank, key3 = self.recorded.partition(b"\r\n\r\n")
        headers = Request.parse(head + blank).headers
        [key1], [key2] = (headers.get_raw(name) for name in KEY_FIELDS)
        return attrs.evolve(self.opening.ask(*what), key1=key1, key2=key2, key3=key3)


def without_target(head: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The fields of a request in an order of their own, and the 8 bytes."""
    fields, blank, body = head.partition(b"\r\n\r\n")
    return sorted(Request.parse(fields + blank).headers.raw), body


@every_conversation
@at_once_and_bytewise
async def test_our_client_talks_to_racket(conversation: Conversation, split: bool) -> None:
    if split and conversation.case in LONG:
        return
    heard: list[bytes] = []

    async def racket(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream)
        heard.append(head + key3)
        if conversation.case in SAYS_CLOSE_ITSELF:
            await send(stream, conversation.answer, split)
            asked = len(conversation.asks_to_close)
            received = await read_until(stream, lambda received: len(received) >= asked)
            await send(stream, conversation.server_frames, split)
            await stream.send_eof()
            heard.append(received + await read_to_end(stream))
            return
        await send(stream, conversation.answer + conversation.server_frames, split)
        if conversation.case in NOBODY_TO_TELL:
            await stream.send_eof()
            heard.append(await read_to_end(stream))
        else:
            # Racket's server ends TCP when it has read the close.
            said = len(conversation.client_frames)
            heard.append(await read_until(stream, lambda received: len(received) >= said))

    recorded = Request.parse(conversation.request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    opening: Any = RecordedOpening(conversation.draft.opening, conversation.request)
    draft = attrs.evolve(conversation.draft, opening=opening)
    url = f"ws://{recorded.host}{recorded.raw_target.decode()}"
    incoming = conversation.messages(conversation.server_frames)
    outgoing = conversation.messages(conversation.client_frames)
    async with raw_server(racket) as port:
        # Racket's client never names a port, so port 80 is asked for.
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        # The recorded server leaves the subprotocol unanswered, which hixie-76 forbids: not asked.
        async with open_websocket(
            url, draft=draft, origin=recorded.origin, stream=stream
        ) as client:
            for message in outgoing:
                if message not in ("after-eof", "after-eof2"):
                    await client.send(message)
            received = [await client.receive() for _ in incoming]
            if conversation.case in SAYS_CLOSE_ITSELF:
                with pytest.raises(PeerClosed):
                    await client.receive()
                # Racket's client went on sending here.
                with pytest.raises(trio.BrokenResourceError, match="the peer closed"):
                    await client.send("after-eof")
            elif conversation.case in NOBODY_TO_TELL:
                with pytest.raises(ConnectionLost, match="without closing the connection"):
                    await client.receive()
    assert received == incoming
    our_fields, our_key3 = without_target(heard[0])
    their_fields, their_key3 = without_target(conversation.request)
    asked_for = (b"Sec-WebSocket-Protocol", b"chat")
    assert our_fields == [field for field in their_fields if field != asked_for]
    assert our_key3 == their_key3
    # Ours sends what Racket's sent, but nothing behind the server's close.
    until = conversation.client_frames
    if conversation.case in SAYS_CLOSE_ITSELF:
        until = conversation.asks_to_close + conversation.closing_frame
    assert heard[1] == until
    assert client.closed


@pytest.mark.parametrize("mode", ["old", "new"])
async def test_our_client_leaving_without_a_close(mode: str) -> None:
    """As in `client-exit-no-close`, with both sides ours."""
    lost: list[ConnectionLost] = []

    async def handler(connection: Connection, state: object) -> None:
        assert await connection.receive() == "hello"
        await connection.send("hello")
        with pytest.raises(ConnectionLost, match="without closing the connection") as caught:
            await connection.receive()
        lost.append(caught.value)

    with use_framing_mode(mode):
        async with serving(handler) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                await trio.aclose_forcefully(client._endpoint.stream)
                while not lost:
                    await trio.testing.wait_all_tasks_blocked()
    assert len(lost) == 1
