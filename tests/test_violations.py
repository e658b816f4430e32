"""Messages and frames that no peer may send, over TCP: closed with the code that says why."""

from __future__ import annotations

import logging
import operator
import struct

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    PeerClosed,
    PeerViolation,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

from .turns import each_draft
from .wire import (
    ACCEPT,
    Answer,
    answer_to,
    echo,
    masked,
    raw_server,
    read_request,
    read_to_end,
    request_13,
    server_with_a_healthy_client,
    serving,
    take_up,
    unmasked,
)


def check_what_the_peer_saw(draft: Draft, violation: PeerViolation, end: BaseException) -> None:
    """How each side saw the end that a message over the limit brings.

    hixie-75 says it by the end of TCP, which is its closing, and the draft of August 2010 cuts; all
    others say it in their closing frame, with a code where that has one.
    """
    assert "longer than 100 bytes" in violation.reason
    if draft.close_status:
        assert draft.version is not None
        assert violation.close_code == (1009 if draft.version >= 13 else 1004)
    if violation.close_code is None:
        assert type(end) is ConnectionLost
        assert not draft.fragments
        return
    assert isinstance(end, PeerClosed)
    told = (violation.close_code, violation.reason) if draft.close_status else (None, "")
    assert (end.code, end.reason) == told


@each_draft
async def test_a_message_over_the_limit_of_a_server(
    draft: Draft, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[PeerViolation] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await echo(connection)
        except PeerViolation as violation:
            seen.append(violation)

    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client(handler=handler, max_message_size=100) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                await client.send("é" * 50)
                assert await client.receive() == "é" * 50
                await client.send("é" * 50 + "!")
                with pytest.raises((PeerClosed, ConnectionLost)) as end:
                    await client.receive()
                with pytest.raises(trio.BrokenResourceError):
                    await client.send("too late")
    [violation] = seen
    check_what_the_peer_saw(draft, violation, end.value)
    assert caplog.records == []


@each_draft
async def test_a_message_over_the_limit_of_a_client(draft: Draft) -> None:
    ends: list[BaseException] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await connection.send(await connection.receive() * 101)
            await connection.receive()
        except (trio.EndOfChannel, trio.BrokenResourceError) as end:
            ends.append(end)

    with use_framing_mode(draft.name):
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, max_message_size=100) as client:
                await client.send("x")
                with pytest.raises(PeerViolation, match="longer than 100 bytes") as caught:
                    await client.receive()
                with pytest.raises(PeerViolation):
                    await client.send("too late")
    check_what_the_peer_saw(draft, caught.value, ends[-1])


async def test_a_violation_that_the_handler_lets_out_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is no mistake of the handler's: news, in one line."""
    caplog.set_level(logging.INFO, "trio_draftws")
    async with server_with_a_healthy_client(max_message_size=10) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
            await client.send("x" * 11)
            with pytest.raises(PeerClosed):
                await client.receive()
    [record] = caplog.records
    assert (record.levelno, record.exc_info) == (logging.INFO, None)
    assert "ended under its handler: a message is longer than 10 bytes" in record.message


# Frames of RFC 6455 that no peer may send

NAME = operator.attrgetter("name")


@attrs.frozen
class Violation:
    name: str
    first: int
    payload: bytes
    code: int
    why: str

    @property
    def frame(self) -> bytes:
        """As a server sends it."""
        return bytes((self.first, len(self.payload))) + self.payload

    @property
    def told(self) -> bytes:
        """What the closing frame carries that answers it."""
        return struct.pack(">H", self.code) + self.why.encode()


CODE = "a close has the code {}, which none may have"
VIOLATIONS = [
    Violation("bad UTF-8", 0x81, b"a\xff", 1007, "a text is not UTF-8"),
    Violation("bad UTF-8 in a first fragment", 0x01, b"a\xff", 1007, "a text is not UTF-8"),
    Violation("half a character", 0x81, b"\xc3", 1007, "a text is not UTF-8"),
    Violation("a surrogate", 0x81, b"\xed\xa0\x80", 1007, "a text is not UTF-8"),
    Violation("RSV1", 0xC1, b"a", 1002, "a reserved bit is set, and no extension was agreed to"),
    Violation("opcode 3", 0x83, b"a", 1002, "the opcode 0x3 is reserved"),
    Violation("opcode 11", 0x8B, b"a", 1002, "the opcode 0xb is reserved"),
    Violation("half a ping", 0x09, b"a", 1002, "a control frame is fragmented"),
    Violation("a fragment of nothing", 0x80, b"a", 1002, "a fragment continues no message"),
    Violation("half a code", 0x88, b"\x03", 1002, "a close has half a code"),
    Violation("code 999", 0x88, b"\x03\xe7", 1002, CODE.format(999)),
    Violation("code 1005", 0x88, b"\x03\xed", 1002, CODE.format(1005)),
    Violation("code 1006", 0x88, b"\x03\xee", 1002, CODE.format(1006)),
    Violation("code 1015", 0x88, b"\x03\xf7", 1002, CODE.format(1015)),
    Violation("code 5000", 0x88, b"\x13\x88", 1002, CODE.format(5000)),
    Violation(
        "bad UTF-8 in a reason", 0x88, b"\x03\xe8\xff", 1007, "the reason of a close is not UTF-8"
    ),
]


async def what_a_server_says(said: bytes) -> tuple[bytes, list[PeerViolation]]:
    """The frames that an echo server of RFC 6455 answers with, and what its handler met."""
    met: list[PeerViolation] = []

    async def handler(connection: Connection, state: object) -> None:
        try:
            await echo(connection)
        except PeerViolation as violation:
            met.append(violation)
            with pytest.raises(PeerViolation):
                await connection.send("too late")

    async with server_with_a_healthy_client(handler=handler) as server:
        answer = Answer.parse(await answer_to(server, request_13() + said))
    assert answer.line == b"HTTP/1.1 101 Switching Protocols"
    assert answer.headers["Sec-WebSocket-Accept"] == ACCEPT
    return answer.body, met


def check_end(body: bytes, met: list[PeerViolation], told: Violation) -> None:
    # The echo of what came before it leaves first.
    assert body == b"\x81\x05first" + bytes((0x88, len(told.told))) + told.told
    [violation] = met
    assert (violation.close_code, violation.reason) == (told.code, told.why)


@pytest.mark.parametrize("case", VIOLATIONS, ids=NAME)
async def test_a_violation_by_a_client(case: Violation) -> None:
    said = masked(0x81, b"first") + masked(case.first, case.payload)
    check_end(*await what_a_server_says(said), case)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"\x81\x05Hello", "a client's frame is not masked"),
        # The first two bytes are enough to know; the rest need not come.
        (b"\x81\x05", "a client's frame is not masked"),
        (b"\x89\xfe", "a control frame has more than 125 bytes"),
        (b"\x82\xff" + b"\xff" * 8, "a frame's length has its top bit set"),
        (b"\x82\xfe\x00\x7d", "a frame's length is not in its shortest form"),
        (masked(0x01, b"a") + masked(0x81, b"b"), "a message begins before another has ended"),
    ],
)
async def test_a_frame_that_cannot_be_taken(said: bytes, why: str) -> None:
    told = Violation("", 0, b"", 1002, why)
    check_end(*await what_a_server_says(masked(0x81, b"first") + said), told)


async def test_nothing_behind_a_violation_counts() -> None:
    body, [violation] = await what_a_server_says(b"\x81\x00" + masked(0x81, b"later") * 100)
    assert violation.close_code == 1002
    assert body[:4] == b"\x88" + bytes([len(body) - 2]) + struct.pack(">H", 1002)


@pytest.mark.parametrize(
    "case",
    [
        *VIOLATIONS,
        # The second byte, the length, has the bit in it that says "masked".
        Violation("masked", 0x81, bytes(0x80), 1002, "a server's frame is masked"),
    ],
    ids=NAME,
)
async def test_a_violation_by_a_server(case: Violation) -> None:
    heard: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        answer, _ = take_up(draft_named("rfc6455"), *await read_request(stream, 0))
        await stream.send_all(answer + b"\x81\x05first" + case.frame)
        heard.append(await read_to_end(stream))

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455") as client:
            await client.send(await client.receive())
            with pytest.raises(PeerViolation) as caught:
                await client.receive()
            with pytest.raises(PeerViolation):
                await client.send("too late")
    assert (caught.value.close_code, caught.value.reason) == (case.code, case.why)
    assert unmasked(heard[0]) == [(0x81, b"first"), (0x88, case.told)]
