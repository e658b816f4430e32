"""The policy for Flash players, on the port of a WebSocket server."""

from __future__ import annotations

import logging
import ssl
import tracemalloc
from contextlib import closing
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import trio
import trio.testing

from trio_draftws import (
    FlashPolicyServed,
    HandshakeError,
    HandshakeTimeout,
    RequestRefused,
    Server,
    accept,
    open_websocket,
    serve_websocket,
)

from .peers.catalogue import SERVERS, PeerServers, require
from .rows import each_row
from .wire import (
    KEY3,
    PROOF,
    Answer,
    dial,
    echo,
    read_to_end,
    read_until,
    request,
    request_13,
    serving,
)

ASKED = b"<policy-file-request/>\0"
POLICY = (
    '<?xml version="1.0"?><cross-domain-policy>'
    '<allow-access-from domain="{}" to-ports="{}"/></cross-domain-policy>'
)
ALL = POLICY.format("*", "*").encode()


async def ask(server: Server, *pieces: bytes) -> bytes:
    """What a player is told, until the server ends the stream."""
    async with await dial(server) as stream:
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        for piece in pieces:
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        return await read_to_end(stream)


# What is answered


async def test_all_domains_and_this_very_port(caplog: pytest.LogCaptureFixture) -> None:
    """XML and a zero byte; the log has it as news, and pages and connections go on beside it."""
    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving(flash_policy=True) as server:
            assert await ask(server, ASKED) == POLICY.format("*", server.port).encode() + b"\0"
            # What the player does next: web-socket-js of 2010 spoke hixie-76.
            async with await dial(server) as stream:
                await stream.send_all(request(Origin="http://a") + KEY3 + b"\0hello\xff")
                said = await read_until(stream, lambda got: got.endswith(b"\0hello\xff"))
                assert said.startswith(b"HTTP/1.1 101 ")
                assert PROOF in said
                await stream.send_all(b"\xff\0")
                await read_to_end(stream)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith(": a Flash player was sent the policy")
    assert record.message.startswith("no connection with 127.0.0.1 port ")


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            ["example.com", "*.example.org", "127.0.0.1"],
            (
                '<allow-access-from domain="example.com" to-ports="{0}"/>'
                '<allow-access-from domain="*.example.org" to-ports="{0}"/>'
                '<allow-access-from domain="127.0.0.1" to-ports="{0}"/>'
            ),
        ),
        ([], ""),
        (("*",), '<allow-access-from domain="*" to-ports="{0}"/>'),
    ],
)
async def test_domains(policy: Any, told: str) -> None:
    async with serving(flash_policy=policy) as server:
        said = await ask(server, ASKED)
    assert (
        said
        == (
            '<?xml version="1.0"?><cross-domain-policy>'
            f"{told.format(server.port)}</cross-domain-policy>\0"
        ).encode()
    )


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("<cross-domain-policy/>", b"<cross-domain-policy/>\0"),
        (b"<cross-domain-policy/>\0", b"<cross-domain-policy/>\0"),
        ('\n<?xml version="1.0"?>é', '\n<?xml version="1.0"?>é\0'.encode()),
    ],
)
async def test_a_policy_of_ones_own(policy: str | bytes, told: bytes) -> None:
    async with serving(flash_policy=policy) as server:
        assert await ask(server, ASKED) == told


@each_row(
    "policy, error, why",
    [
        ("example.com", ValueError, r"or a list of domains, as \['example.com'\]"),
        ("", ValueError, "a whole policy"),
        (b"<a>\0</a>", ValueError, "zero byte within"),
        (["http://example.com"], ValueError, "lists domains, .* not 'http://example.com'"),
        (['a" to-ports="*'], ValueError, "lists domains"),
        (["a.*"], ValueError, "lists domains"),
        (["example.com:80"], ValueError, "lists domains"),
        ([b"example.com"], ValueError, "lists domains"),
        ([""], ValueError, "lists domains"),
        (7, TypeError, "flash_policy is True, a policy or a list of domains, not 7"),
        (None, TypeError, "flash_policy is True, a policy or a list of domains, not None"),
    ],
)
async def test_what_is_no_policy(policy: Any, error: type[Exception], why: str) -> None:
    """The server does not start."""
    with pytest.raises(error, match=why):
        await serve_websocket(echo, 0, flash_policy=policy)


# How it comes


@pytest.mark.parametrize(
    "pieces",
    [
        [ASKED[i : i + 1] for i in range(len(ASKED))],
        [ASKED[:10], ASKED[10:]],
        [ASKED[:-1]],  # by hand, without the zero byte
        [ASKED + b"and more" * 100_000],
        [ASKED, ASKED, request_13()],
    ],
    ids=["byte by byte", "in two", "no zero", "more", "thrice"],
)
async def test_however_it_comes(pieces: list[bytes]) -> None:
    """One answer, in order, whatever follows."""
    async with serving(flash_policy=ALL) as server:
        assert await ask(server, *pieces) == ALL + b"\0"


@pytest.mark.parametrize("size", [1, 1000])
async def test_what_a_head_begins_with_is_no_policy(size: int) -> None:
    """Whoever speaks HTTP does not notice that players could."""
    async with serving(flash_policy=True) as server, await dial(server) as stream:
        head = request_13()
        for start in range(0, len(head), size):
            await stream.send_all(head[start : start + size])
        said = await read_until(stream, lambda got: b"\r\n\r\n" in got)
        assert said.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("policy", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        b"<",
        b"<html>",
        b"<policy-file-request>" + b"x" * 50,
        b"<POLICY-FILE-REQUEST/>\0",
        b"\0" + ASKED,
        b" " + ASKED,
    ],
)
async def test_what_is_no_request_is_refused(
    policy: bool, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """At once where it cannot become one, else at the end; switched on or not."""
    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving(flash_policy=policy) as server, await dial(server) as stream:
            await stream.send_all(said)
            if said == b"<":
                await stream.send_eof()
            told = await read_to_end(stream)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    if policy and said == b"<":
        assert told == b""
        assert "after 1 bytes of it" in record.message
    else:
        assert Answer.parse(told).line == b"HTTP/1.1 400 Bad Request"
        assert b"expected HTTP, got `" in told


async def test_players_are_refused_by_default(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving() as server:
            answer = Answer.parse(await ask(server, ASKED))
    assert answer.line == b"HTTP/1.1 400 Bad Request"
    assert answer.text == "expected HTTP, got `<policy-file-req`\n"
    assert "status 400" in caplog.text


# How it ends


@pytest.mark.parametrize("said", [ASKED[:1], ASKED[:-2]])
async def test_one_that_never_ends_meets_the_deadline(
    said: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(said)
    with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
        async with accept(stream, flash_policy=True, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    assert await read_to_end(client) == b""


async def test_one_that_does_not_close(autojump_clock: trio.testing.MockClock) -> None:
    """It is waited for `close_timeout`, and what it sends meanwhile takes no memory."""
    client, stream = trio.testing.memory_stream_pair()
    most = 0

    async def flood() -> None:
        nonlocal most
        await client.send_all(ASKED)
        for _ in range(200):
            await client.send_all(bytes(2**16))
            await trio.testing.wait_all_tasks_blocked()
            most = max(most, tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with pytest.raises(FlashPolicyServed):
                async with accept(stream, flash_policy=True, close_timeout=3):
                    raise AssertionError("there is no connection")
    finally:
        tracemalloc.stop()
    assert trio.current_time() == 3
    assert most - before < 2**20
    assert await read_to_end(client) == ALL + b"\0"


async def test_accept_says_that_there_is_no_connection() -> None:
    """A stream without a port has all of them; the stream is closed."""
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(ASKED)
    await client.send_eof()
    with pytest.raises(FlashPolicyServed, match=r"^a Flash player was sent the policy$") as caught:
        async with accept(stream, flash_policy=True):
            raise AssertionError("there is no connection")
    assert isinstance(caught.value, HandshakeError)
    assert await read_to_end(client) == ALL + b"\0"
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"more")


async def test_over_a_unix_socket() -> None:
    """It has an address, but no port."""
    ours, theirs = trio.socket.socketpair()
    client = trio.SocketStream(ours)
    await client.send_all(ASKED)
    await client.send_eof()
    with pytest.raises(FlashPolicyServed):
        async with accept(trio.SocketStream(theirs), flash_policy=True):
            raise AssertionError("there is no connection")
    assert await read_to_end(client) == ALL + b"\0"
    await client.aclose()


async def test_a_full_server_tells_a_player_so() -> None:
    """A player counts as any client does."""
    async with serving(flash_policy=True, max_connections=1) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="rfc6455"):
            assert Answer.parse(await ask(server, ASKED)).line.startswith(b"HTTP/1.1 503 ")


async def test_the_servers_end_while_a_player_asks() -> None:
    async with serving(flash_policy=True) as server, await dial(server) as stream:
        await stream.send_all(ASKED[:5])
        await trio.testing.wait_all_tasks_blocked()
        await server.aclose()
        assert Answer.parse(await read_to_end(stream)).line.startswith(b"HTTP/1.1 503 ")


async def test_a_server_of_wss_does_not_hear_it(
    server_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """It expects TLS first, which no player speaks when it asks."""
    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving(flash_policy=True, ssl_context=server_ssl) as server:
            assert b"cross-domain-policy" not in await ask(server, ASKED)
    assert "TLS failed" in caplog.text


async def test_a_refused_accept_stays_a_refusal() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(ASKED)
    await client.send_eof()
    with pytest.raises(RequestRefused, match="status 400: expected HTTP, got `<policy-file-req`"):
        async with accept(stream):
            raise AssertionError("there is no connection")


# What a library of 2010 answers


def shape(policy: bytes) -> list[tuple[str, str | None]]:
    """Each element of a policy, and the domain that it names."""
    root = ET.fromstring(policy.removesuffix(b"\0"))
    return [(element.tag, element.get("domain")) for element in root.iter()]


async def test_em_websocket_says_the_same() -> None:
    """Its policy is ours but for the ports, of which it opens all."""
    [peer] = [peer for peer in SERVERS if peer.name == "em-websocket"]
    require(peer)
    with closing(PeerServers()) as servers, servers.running(peer) as running:
        theirs = await trio.open_tcp_stream("127.0.0.1", running.port)
        async with theirs:
            await theirs.send_all(ASKED)
            told = await read_to_end(theirs)
    async with serving(flash_policy=True) as server:
        ours = await ask(server, ASKED)
    assert told == ALL
    assert shape(ours) == shape(told) == [("cross-domain-policy", None), ("allow-access-from", "*")]
