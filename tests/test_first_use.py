"""A client that nobody told which draft to speak: `old` first, then what servers of today do."""

from __future__ import annotations

import contextvars
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    DialFailed,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    Instrument,
    InvalidAnswer,
    Rejected,
    Server,
    TLSFailed,
    framing_mode,
    open_websocket,
    reconnecting,
    serve_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import LocalProtocolError, auto_drafts, draft_named
from trio_draftws.testing import RawServer, connected_pair, serve_raw

from .redirecting import echo_once, noting, redirect, sending_on
from .rows import each_row
from .wire import plain_nursery, raw_server, read_to_end, serving

OLD, NEWEST = draft_named("old"), auto_drafts()[0]
BEHIND = [draft for draft in auto_drafts() if draft is not OLD]

REFUSALS = {
    "400": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "426": b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
    "end": b"",
    "no HTTP": b"-ERR\r\n\r\n",
}


def announced(head: bytes) -> str:
    """Which draft a request is of, as far as it says."""
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n") if b": " in line)
    if b"Sec-WebSocket-Version" in fields:
        return f"version {fields[b'Sec-WebSocket-Version'].decode()}"
    if b"Sec-WebSocket-Draft" in fields:
        return "draft 1+"
    return "keys" if b"Sec-WebSocket-Key1" in fields else "upgrade"


WHOLE_ORDER = [draft.announced_by[0] for draft in (OLD, *BEHIND)]


@asynccontextmanager
async def refusing(answer: bytes, *, speaks: Draft | None = None) -> AsyncIterator[tuple[str, Any]]:
    """A server that answers so to each request, unless that is of the draft that it speaks."""
    asked: list[str] = []

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        asked.append(announced(server.head))
        if speaks is not None and asked[-1] in speaks.announced_by:
            await server.send(await server.answer(speaks))
            await server.send_frame("hello")
            await server.stream.receive_some()
        else:
            await server.send(answer)

    async with serve_raw(behave) as url:
        yield url, asked


async def failure(url: str, **settings: Any) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("there is no connection")
    return caught.value


@each_row("answer", REFUSALS.values())
@pytest.mark.parametrize("spoken", BEHIND, ids=lambda draft: draft.name)
async def test_a_server_that_refuses_old(spoken: Draft, answer: bytes) -> None:
    """Is asked in the order of `auto`, on a new connection each time."""
    async with refusing(answer, speaks=spoken) as (url, asked):
        async with open_websocket(url) as client:
            assert client.draft is spoken
            assert await client.receive() == "hello"
    assert asked == WHOLE_ORDER[: WHOLE_ORDER.index(spoken.announced_by[0]) + 1]


async def test_servers_of_ours() -> None:
    """Those that speak `old` are asked once, in that; those that do not say what they speak."""
    for drafts, spoken, requests in ((None, OLD, 0), (["hybi-08"], draft_named("hybi-08"), 1)):
        async with serving(drafts=drafts) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url) as client:
                assert client.draft is spoken
                await client.send("hello")
                assert await client.receive() == "hello"
            assert sum(server.statistics().refused.values()) == requests


async def test_whoever_says_a_draft_gets_just_that() -> None:
    """By the argument, or by the variable, also where it is set to what it is without."""
    async with refusing(REFUSALS["400"], speaks=NEWEST) as (url, asked):
        for mode in ("old", "hixie-76", "new"):
            with use_framing_mode(mode):
                assert isinstance(await failure(url), Rejected)
            assert isinstance(await failure(url, draft=mode), Rejected)
        with use_framing_mode("rfc6455"):
            assert isinstance(await failure(url, draft="old"), Rejected)

        def set_it() -> None:
            framing_mode.set("old")

        context = contextvars.copy_context()
        context.run(set_it)
        async with trio.open_nursery() as nursery:

            async def in_that_context() -> None:
                assert isinstance(await failure(url), Rejected)

            context.run(nursery.start_soon, in_that_context)
        assert asked == ["keys"] * 8
        # As before it was ever set
        assert framing_mode.get(None) is None
        assert framing_mode.get() == "old"
        async with open_websocket(url) as client:
            assert client.draft is NEWEST
    with pytest.raises(ValueError, match="no draft is named ''"):
        async with open_websocket(url, draft=""):
            raise AssertionError("there is no such draft")


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503, 302])
async def test_another_status(status: int) -> None:
    """Says nothing of the draft; nor does a redirect that is not followed, whatever is in it."""
    head = f"HTTP/1.1 {status} No\r\nLocation: /x\r\nContent-Length: 0\r\n"
    if status == 302:
        head += "Sec-WebSocket-Version: 13\r\n"
    async with refusing(f"{head}\r\n".encode()) as (url, asked):
        error = await failure(url, max_redirects=0)
    assert isinstance(error, Rejected)
    assert error.status == status
    assert asked == ["keys"]


async def test_a_redirect() -> None:
    """The place where it leads is asked as if there had been none."""
    async with noting(drafts=["rfc6455"]) as (port, _):
        async with sending_on(f"ws://127.0.0.1:{port}/there", OLD) as (first, heads):
            async with open_websocket(f"ws://127.0.0.1:{first}/") as client:
                assert client.draft is NEWEST
                await echo_once(client)
    assert list(map(announced, heads)) == ["keys"]


async def test_a_redirect_of_one_who_refuses_old() -> None:
    """It is asked for the redirect too."""
    asked: list[str] = []
    async with noting() as (port, requests):

        async def behave(server: RawServer) -> None:
            await server.expect_request()
            asked.append(announced(server.head))
            there = redirect(f"ws://127.0.0.1:{port}/there")
            await server.send(REFUSALS["426"] if asked[-1] == "keys" else there)

        async with serve_raw(behave) as url, open_websocket(url) as client:
            assert client.draft is OLD
            await echo_once(client)
    assert asked == ["keys", "version 13"]
    assert [request.path for request in requests] == ["/there"]


async def test_tls_that_fails(server_ssl: ssl.SSLContext) -> None:
    """Is no question of drafts."""
    dialled = 0

    async def behave(stream: trio.SocketStream) -> None:
        nonlocal dialled
        dialled += 1
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(stream, server_ssl, server_side=True).do_handshake()

    async with raw_server(behave) as port:
        error = await failure(f"wss://127.0.0.1:{port}/", ssl_context=ssl.create_default_context())
    assert isinstance(error, TLSFailed)
    assert dialled == 1


async def test_over_tls(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    async with serving(drafts=["rfc6455"], ssl_context=server_ssl) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, ssl_context=client_ssl) as client:
            await echo_once(client)


async def test_over_a_unix_socket(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """And one record for each host says which draft to name."""
    caplog.set_level(logging.INFO, "trio_draftws")
    path = str(tmp_path / "socket")
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(path)
    listening.listen()
    listener = trio.SocketListener(listening)

    serve = partial(serve_websocket, hello, listeners=[listener], drafts=["rfc6455"])
    async with plain_nursery() as nursery:
        server: Server = await nursery.start(serve)
        for host in ("first.example", "first.example", "second.example:81"):
            async with open_websocket(f"ws://{host}/", unix_socket=path) as client:
                assert await client.receive() == "hello"
        async with open_websocket("ws://third.example/", unix_socket=path, draft="auto") as client:
            assert await client.receive() == "hello"
        await server.aclose()
    said = [record for record in caplog.records if "no draft was named" in record.message]
    assert {record.levelname for record in said} == {"INFO"}
    assert [record.message for record in said] == [
        'no draft was named for first.example: it speaks draft="rfc6455"',
        'no draft was named for second.example:81: it speaks draft="rfc6455"',
    ]


async def hello(connection: Connection, state: object) -> None:
    await connection.send("hello")


async def test_nobody_is_told_who_speaks_old(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_draftws")
    async with serving(hello) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
            assert await client.receive() == "hello"
    assert "no draft was named" not in caplog.text


@pytest.mark.parametrize("wish", [{"subprotocols": ["chat", "news"]}])
async def test_what_old_cannot_say(wish: dict[str, Any]) -> None:
    """It is not asked in, and nobody is asked twice."""
    async with noting(subprotocols=["news"]) as (port, requests):
        url = f"ws://127.0.0.1:{port}/"
        async with open_websocket(url, **wish) as client:
            assert client.draft is NEWEST
            assert client.subprotocol == "news"
        client_end = await trio.open_tcp_stream("127.0.0.1", port)
        async with open_websocket(url, stream=client_end, **wish) as client:
            assert client.draft is NEWEST
        for name in ("old", "hixie-75"):
            with pytest.raises(ValueError, match="it can ask for one") as caught:
                async with open_websocket(url, draft=name, **wish):
                    raise AssertionError("it cannot be asked for")
            assert str(caught.value).startswith(f"{draft_named(name).name} cannot ask for that: ")
            assert str(caught.value).endswith('; draft="rfc6455" can')
    assert len(requests) == 2


@pytest.mark.parametrize("draft", [None, "auto", "old", "new", "rfc6455"])
async def test_what_nobody_can_say(draft: str | None) -> None:
    """The error names no draft as a cure that has none, and is that of the newest."""
    with pytest.raises(ValueError, match="cannot ask for that: 'é' is no subpr") as caught:
        async with open_websocket("ws://127.0.0.1:1/", draft=draft, subprotocols=["é"]):
            raise AssertionError("it cannot be asked for")
    asked = NEWEST if draft in (None, "auto") else draft_named(draft or "")
    assert str(caught.value).startswith(asked.name)
    assert "draft=" not in str(caught.value)


async def test_fields_of_other_drafts_than_old() -> None:
    """What could be given to `old` can be: those that write it themselves are not asked for it."""
    headers = {"Sec-WebSocket-Version": "x"}
    async with refusing(REFUSALS["400"]) as (url, asked):
        await failure(url, headers=headers)
    # The field shows in all of them.
    assert asked == ["version x"] * 3
    with pytest.raises(ValueError, match="Sec-WebSocket-Key1 is written by the handshake"):
        async with open_websocket(url, headers={"Sec-WebSocket-Key1": "x"}):
            raise AssertionError("it cannot be given")


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (REFUSALS["400"], 'it was asked in hixie-76: servers of today speak draft="rfc6455"'),
        (
            b"HTTP/1.1 426 x\r\nSec-WebSocket-Version: 8, 13\r\nContent-Length: 0\r\n\r\n",
            'it was asked in hixie-76: the server speaks draft="rfc6455" or draft="hybi-11"',
        ),
    ],
)
async def test_with_a_stream_there_is_one_attempt(answer: bytes, advice: str) -> None:
    """The error names the draft, and nothing that a stream cannot do."""
    async with refusing(answer) as (url, asked):
        port = int(url.rsplit(":", 1)[1].strip("/"))
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        error = await failure(url, stream=stream)
        assert isinstance(error, Rejected)
        assert advice in str(error)
        assert "auto" not in str(error)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        error = await failure(url, stream=stream, draft="rfc6455")
        assert "it was asked in rfc6455" in str(error)
        assert "auto" not in str(error)
    assert asked == ["keys", "version 13"]


async def test_all_refused() -> None:
    """What comes out is what was said to the newest; all were tried, so there is no advice."""

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        newest = announced(server.head) == "version 13"
        await server.refuse(400, body="newest" if newest else "other")

    async with serve_raw(behave) as url:
        error = await failure(url)
    assert isinstance(error, Rejected)
    assert error.body == b"newest"
    assert error.advice == ""


async def test_an_answer_to_the_second_attempt_that_is_not_about_the_draft() -> None:
    async def behave(server: RawServer) -> None:
        await server.expect_request()
        await server.refuse(401 if announced(server.head) == "version 13" else 400)

    async with serve_raw(behave) as url:
        error = await failure(url)
    assert isinstance(error, Rejected)
    assert error.status == 401


async def test_a_101_that_is_of_another_draft() -> None:
    """As servers answer that look at nothing: the proof of `old` is missing."""
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    async with refusing(answer, speaks=NEWEST) as (url, asked):
        async with open_websocket(url) as client:
            assert await client.receive() == "hello"
        assert asked == ["keys", "version 13"]
        with use_framing_mode("old"):
            assert isinstance(await failure(url), InvalidAnswer)


async def test_a_server_that_has_gone_meanwhile() -> None:
    """Each attempt has its own dial."""

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]

    async def refuse_and_go() -> None:
        async with RawServer(await listener.accept()) as server:
            await server.expect_request()
            await listener.aclose()
            await server.refuse(400)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refuse_and_go)
        assert isinstance(await failure(f"ws://127.0.0.1:{port}/"), DialFailed)


# Times


@pytest.mark.parametrize(
    ("draft", "asked", "cure"),
    [
        (None, "hixie-76", 'servers of today speak draft="rfc6455"'),
        ("hybi-04", "hybi-04", 'servers of today speak draft="rfc6455"'),
        ("rfc6455", "rfc6455", 'an older server may speak draft="old"'),
        ("auto", "rfc6455", 'an older server may speak draft="old"'),
    ],
)
async def test_a_server_that_does_not_answer(
    draft: str | None, asked: str, cure: str, autojump_clock: trio.testing.MockClock
) -> None:
    """A timeout is no refusal; it names the draft, and the cure."""
    autojump_clock.autojump_threshold = 0.01
    visits = 0

    async def behave(stream: trio.SocketStream) -> None:
        nonlocal visits
        visits += 1
        await read_to_end(stream)

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/", draft=draft)
    assert isinstance(error, HandshakeTimeout)
    assert str(error).endswith(f"not done within 10 s (it was asked in {asked}: {cure})")
    assert visits == 1


async def test_tls_that_does_not_answer(
    client_ssl: ssl.SSLContext, autojump_clock: trio.testing.MockClock
) -> None:
    """Nothing was asked yet, in whatever draft."""
    autojump_clock.autojump_threshold = 0.01
    async with raw_server(read_to_end) as port:
        error = await failure(f"wss://127.0.0.1:{port}/", ssl_context=client_ssl)
    assert isinstance(error, HandshakeTimeout)
    assert error.advice == ""


async def test_each_attempt_has_its_own_time(autojump_clock: trio.testing.MockClock) -> None:
    """9 s for each refusal, and none is over the 10 s of `handshake_timeout`."""
    autojump_clock.autojump_threshold = 0.01

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        await trio.sleep(9)
        if announced(server.head) == "version 13":
            await server.send(await server.answer())
            await server.send_frame("hello")
            await server.stream.receive_some()
        else:
            await server.refuse(400)

    async with serve_raw(behave) as url, open_websocket(url) as client:
        assert await client.receive() == "hello"
        assert trio.current_time() == pytest.approx(18, abs=1)


# Who is told


class Told(Instrument):
    """What an instrument hears of openings."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.failed: list[Exception] = []

    def connection_opened(self, connection: Connection) -> None:
        self.opened.append(connection.draft.name)

    def opening_failed(self, error: Exception, peer: str) -> None:
        self.failed.append(error)


async def test_instruments_hear_one_result() -> None:
    told = Told()
    async with refusing(REFUSALS["400"], speaks=NEWEST) as (url, _):
        async with open_websocket(url, instruments=[told]):
            pass
    assert (told.opened, told.failed) == (["rfc6455"], [])
    async with refusing(REFUSALS["400"]) as (url, asked):
        error = await failure(url, instruments=[told])
    assert (told.opened, told.failed) == (["rfc6455"], [error])
    assert asked == WHOLE_ORDER


# `reconnecting`


@pytest.mark.parametrize("draft", [None, "auto"])
async def test_reconnecting_remembers(
    draft: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    """What was agreed is asked first, and the others when that is refused."""
    autojump_clock.autojump_threshold = 0.01
    spoken = draft_named("hybi-07")
    first = WHOLE_ORDER if draft is None else [row.announced_by[0] for row in auto_drafts()]
    asked: list[str] = []

    async def behave(server: RawServer) -> None:
        await server.expect_request()
        asked.append(announced(server.head))
        if asked[-1] in spoken.announced_by:
            await server.send(await server.answer(spoken))
            await server.send_frame("hello")
            await server.stream.receive_some()
        else:
            await server.refuse(400)

    async with serve_raw(behave) as url, reconnecting(url, draft=draft) as connections:
        count = 0
        async for connection in connections:
            assert connection.draft is spoken
            count += 1
            if count == 1:
                assert asked == first[: first.index("version 7") + 1]
            elif count == 2:
                assert asked == ["version 7"]
                # From now on it is another server.
                spoken = draft_named("hybi-05")
            else:
                others = [name for name in first if name != "version 7"]
                order = ["version 7", *others]
                assert asked == order[: order.index("version 5") + 1]
                break
            asked.clear()


async def test_reconnecting_to_one_that_breaks_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """One that is being started again has not forgotten its draft: it is not asked in all. If it
    goes on so, it is another.
    """
    autojump_clock.autojump_threshold = 0.01
    asked: list[str] = []
    alive = True

    async def behave(server: RawServer) -> None:
        nonlocal alive
        await server.expect_request()
        asked.append(announced(server.head))
        if alive and asked[-1] == "version 13":
            await server.send(await server.answer())
            await server.stream.receive_some()
        alive = alive or len(asked) >= 6

    async with serve_raw(behave) as url, reconnecting(url) as connections:
        await anext(connections)
        assert asked == ["keys", "version 13"]
        asked.clear()
        alive = False
        await anext(connections)
    # Once in what was agreed; and then in the whole order, within which it came back.
    assert asked[:3] == ["version 13", "keys", "version 13"]
    assert asked[-2:] == ["keys", "version 13"]


# What a draft cannot say on an open connection


async def test_the_cure_for_what_a_draft_cannot_say() -> None:
    """It is the newest, which can say all of it."""
    assert NEWEST.name == "rfc6455"
    assert NEWEST.binary
    assert NEWEST.ping
    assert NEWEST.fragments
    for name in ("hixie-75", "hixie-76", "whatwg-2010-08"):
        async with connected_pair(name) as pair:
            for connection in pair:
                for attempt in (connection.send(b"x"), connection.ping()):
                    with pytest.raises(LocalProtocolError) as caught:
                        await attempt
                    assert str(caught.value).startswith(f"{name} has no ")
                    assert str(caught.value).endswith('; draft="rfc6455" has them')
