"""Answers that are no 101: where their bodies end, what no body costs, and what comes before them.

The servers here keep their connections, and the clock jumps when nobody has anything to do: so what
is waited for is known.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import trio
import trio.testing

from trio_draftws import (
    DRAFTS,
    Draft,
    HandshakeError,
    ProxyFailed,
    RedirectRefused,
    Rejected,
    is_transient,
    open_websocket,
    ssl_stream_factory,
)
from trio_draftws.drafts import auto_drafts, draft_named
from trio_draftws.testing import RawServer

from .processes import run_here
from .redirecting import FOLLOWED
from .rows import in_turn
from .wire import raw_server, read_request, read_to_end, reset_when_closed, take_up

Clock: TypeAlias = trio.testing.MockClock

CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
NOTHING_TELLS = b"\r\nno such"
# So many of 1xx may come before the answer.
MAX_INTERIM = 32


@pytest.fixture
def clock(autojump_clock: Clock) -> Clock:
    """It jumps, but not while the kernel is passing bytes on."""
    autojump_clock.autojump_threshold = 0.02
    return autojump_clock


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives these answers, one after the other and then the last again and again,
    and keeps its connections; gives its URL, and the requests that came.
    """
    asked: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        head, _ = await read_request(stream, 0)
        asked.append(head)
        answer = answers[min(len(asked), len(answers)) - 1]
        try:
            await stream.send_all(answer)
            await read_to_end(stream)
        except trio.BrokenResourceError:
            pass  # a client that has seen enough leaves

    async with raw_server(behave) as port:
        yield f"ws://127.0.0.1:{port}/", asked


async def refusal(url: str, **settings: Any) -> tuple[Rejected, float]:
    """How an opening is refused, and how many seconds that took."""
    started = trio.current_time()
    with pytest.raises(Rejected) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("there is no connection")
    return caught.value, trio.current_time() - started


# Bodies that end


ENDS = {
    "length": (b"Content-Length: 2\r\n\r\nno", b"no"),
    "length twice": (b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nno", b"no"),
    "length listed": (b"Content-Length: 2, 2\r\n\r\nno", b"no"),
    "nothing": (b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (CHUNKED + b"2\r\nno\r\n0\r\n\r\n", b"no"),
    "extensions and trailers": (CHUNKED + b"2;a=b\r\nno\r\n0;c\r\nD: e\r\n\r\n", b"no"),
    "no chunk": (CHUNKED + b"0\r\n\r\n", b""),
}


@in_turn(end=list(ENDS.values()))
async def test_a_body_that_ends(end: tuple[bytes, bytes], draft: Draft, clock: Clock) -> None:
    rest, body = end
    async with answering(b"HTTP/1.1 403 No\r\n" + rest) as (url, _):
        error, seconds = await refusal(url, draft=draft)
    assert (error.status, error.body, seconds) == (403, body, 0)


@pytest.mark.parametrize("rest", [b"\r\n", b"Content-Length: 7\r\n\r\n", CHUNKED])
@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body(status: int, rest: bytes, clock: Clock) -> None:
    async with answering(b"HTTP/1.1 %d No\r\n" % status + rest) as (url, _):
        error, seconds = await refusal(url, draft="rfc6455")
    assert (error.status, error.body, seconds) == (status, b"", 0)


@pytest.mark.parametrize(("count", "seconds"), [(4, 1.6), (7, 3)])
async def test_chunks_that_come_one_by_one(count: int, seconds: float, clock: Clock) -> None:
    """However slowly, while they come: but not for longer than `close_timeout`."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 403 No\r\n" + CHUNKED)
        for number in range(count):
            await trio.sleep(0.4)
            await stream.send_all(b"2\r\n%02d\r\n" % number)
        if count == 4:
            await stream.send_all(b"0\r\n\r\n")
        await read_to_end(stream)

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        error, took = await refusal(url, draft="rfc6455", close_timeout=3)
    assert error.body == b"".join(b"%02d" % number for number in range(count))
    assert took == pytest.approx(seconds, abs=0.01)


# Bodies that have no end


ENDLESS = {
    "nothing tells": (NOTHING_TELLS, b"no such"),
    "two lengths": (b"Content-Length: 2, 3\r\n\r\nno such", b"no such"),
    "another coding": (b"Transfer-Encoding: gzip\r\n\r\nno such", b"no such"),
    "less than its length": (b"Content-Length: 9\r\n\r\nno such", b"no such"),
    "no last chunk": (CHUNKED + b"7\r\nno such\r\n", b"no such"),
    "half a chunk": (CHUNKED + b"f\r\nno such", b"no such"),
    "no chunk": (CHUNKED + b"no such", b"no such"),
}


@in_turn(end=list(ENDLESS.values()))
async def test_a_body_without_an_end(end: tuple[bytes, bytes], draft: Draft, clock: Clock) -> None:
    """It costs half a second, and the status is known."""
    rest, body = end
    async with answering(b"HTTP/1.1 403 No\r\n" + rest) as (url, _):
        error, seconds = await refusal(url, draft=draft)
    assert (error.status, error.body) == (403, body)
    assert seconds == pytest.approx(0.5, abs=0.01)


async def test_a_body_that_never_ends(clock: Clock) -> None:
    """No more than half a second, although something comes all the time."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                await trio.sleep(0.2)
                await stream.send_all(b"tick")
        except trio.BrokenResourceError:
            pass  # the client has gone

    async with raw_server(behave) as port:
        error, seconds = await refusal(f"ws://127.0.0.1:{port}/", draft="rfc6455")
    assert error.body == b"tick" * 2
    assert seconds == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rest", [NOTHING_TELLS, b"Content-Length: 9\r\n\r\nno such"])
async def test_little_time_is_left(rest: bytes, clock: Clock) -> None:
    async with answering(b"HTTP/1.1 403 No\r\n" + rest) as (url, _):
        error, seconds = await refusal(url, draft="rfc6455", handshake_timeout=0.4)
    assert (error.status, error.body) == (403, b"no such")
    assert seconds == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("rest", [NOTHING_TELLS, CHUNKED + b"7\r\nno such\r\n"])
@pytest.mark.parametrize("end", ["end", "reset"])
async def test_a_stream_that_ends_first(rest: bytes, end: str, clock: Clock) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 403 No\r\n" + rest)
        await trio.testing.wait_all_tasks_blocked()
        if end == "reset":
            reset_when_closed(stream)

    async with raw_server(behave) as port:
        error, seconds = await refusal(f"ws://127.0.0.1:{port}/", draft="rfc6455")
    assert (error.status, error.body, seconds) == (403, b"no such", 0)


async def test_over_other_streams(clock: Clock) -> None:
    """As over TCP."""
    ours, theirs = trio.testing.memory_stream_pair()
    server = RawServer(theirs)

    async def behave() -> None:
        await server.expect_request()
        await theirs.send_all(b"HTTP/1.1 403 No\r\n" + NOTHING_TELLS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(behave)
        error, seconds = await refusal("ws://h/", draft="rfc6455", stream=ours)
    assert error.body == b"no such"
    assert seconds == pytest.approx(0.5, abs=0.01)


async def test_over_tls(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, clock: Clock
) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        secure = await ssl_stream_factory(server_ssl)(stream)
        await secure.receive_some()
        await secure.send_all(b"HTTP/1.1 403 No\r\n" + NOTHING_TELLS)
        await read_to_end(secure)

    async with raw_server(behave) as port:
        url = f"wss://127.0.0.1:{port}/"
        error, seconds = await refusal(url, draft="rfc6455", ssl_context=client_ssl)
    assert error.body == b"no such"
    assert seconds == pytest.approx(0.5, abs=0.01)


# Where it goes on, nobody waits


async def test_climbing_down_waits_for_no_body(clock: Clock) -> None:
    """What came with the head is kept."""
    async with answering(b"HTTP/1.1 400 No\r\n" + NOTHING_TELLS) as (url, asked):
        error, seconds = await refusal(url, draft="auto")
    assert (error.status, error.body, seconds) == (400, b"no such", 0)
    assert len(asked) == len(auto_drafts())


async def test_of_what_ends_climbing_down_neither(clock: Clock) -> None:
    async with answering(b"HTTP/1.1 401 No\r\n" + CHUNKED + b"2\r\nno\r\n") as (url, asked):
        error, seconds = await refusal(url, draft="auto")
    assert (error.status, error.body, seconds) == (401, b"no", 0)
    assert len(asked) == 1


@pytest.mark.parametrize("status", FOLLOWED)
@pytest.mark.parametrize("rest", [NOTHING_TELLS, CHUNKED, b"Content-Length: 9\r\n\r\n"])
async def test_a_redirect_waits_for_no_body(status: int, rest: bytes, clock: Clock) -> None:
    on = b"HTTP/1.1 %d On\r\nLocation: /%d\r\n"
    answers = [on % (status, number) + rest for number in range(4)]
    async with answering(*answers, b"HTTP/1.1 403 No\r\n\r\n") as (url, asked):
        _, seconds = await refusal(url, draft="rfc6455")
    assert len(asked) == 5
    assert seconds == pytest.approx(0.5, abs=0.01)


async def test_a_redirect_that_is_refused_neither(clock: Clock) -> None:
    answer = b"HTTP/1.1 302 On\r\nLocation: http:///\r\n" + NOTHING_TELLS
    async with answering(answer) as (url, _):
        error, seconds = await refusal(url, draft="rfc6455")
    assert isinstance(error, RedirectRefused)
    assert (error.body, seconds) == (b"no such", 0)


async def test_a_redirect_that_nobody_is_to_follow(clock: Clock) -> None:
    """It is a refusal as others are."""
    async with answering(b"HTTP/1.1 302 On\r\nLocation: /a\r\n" + NOTHING_TELLS) as (url, _):
        error, seconds = await refusal(url, draft="rfc6455", max_redirects=0)
    assert error.body == b"no such"
    assert seconds == pytest.approx(0.5, abs=0.01)


async def test_probing_waits_for_no_body(capfd: pytest.CaptureFixture[str], clock: Clock) -> None:
    async with answering(b"HTTP/1.1 403 No\r\n" + NOTHING_TELLS) as (url, asked):
        started = trio.current_time()
        assert await run_here("probe", url) == 1
        assert trio.current_time() == started
        assert len(asked) == len(DRAFTS) + 1
        assert "status 403: 'no such'" in capfd.readouterr().out
        # That is over then.
        _, seconds = await refusal(url, draft="rfc6455")
        assert seconds == pytest.approx(0.5, abs=0.01)


# What cannot be asked any more


async def test_a_refusal_before_the_request(client_ssl: ssl.SSLContext, clock: Clock) -> None:
    """As by a server that has no room: the request goes nowhere, and the answer is there."""
    gone = trio.Event()

    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.1 503 Full\r\nContent-Length: 2\r\n\r\nno")
        reset_when_closed(stream)
        await stream.aclose()
        gone.set()

    async def late(stream: trio.abc.Stream) -> trio.abc.Stream:
        await gone.wait()
        return stream

    async with raw_server(behave) as port:
        url = f"ws://127.0.0.1:{port}/"
        error, seconds = await refusal(url, draft="rfc6455", stream_factory=late)
    assert (error.status, error.body, seconds) == (503, b"no", 0)


async def test_nothing_was_said_before_the_request(clock: Clock) -> None:
    """A stream whose other side only reads no more says nothing, which does not take long."""
    ours, theirs = trio.testing.memory_stream_pair()
    assert isinstance(theirs.receive_stream, trio.testing.MemoryReceiveStream)
    theirs.receive_stream.close()
    started = trio.current_time()
    with pytest.raises(HandshakeError, match="broke within the opening handshake"):
        async with open_websocket("ws://h/", stream=ours):
            raise AssertionError("there is no connection")
    assert trio.current_time() - started == pytest.approx(0.5, abs=0.01)


# 1xx before the answer


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": HINTS,
    "199": b"HTTP/1.0 199\r\nContent-Length: 5\r\n\r\n",
    "several": b"HTTP/1.1 102 Processing\r\n\r\n" + HINTS,
    "many": HINTS * MAX_INTERIM,
}


def opening_after(interim: bytes, draft: Draft) -> Any:
    """A server that says that first, in pieces, and then what the draft demands."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream, draft.opening.request_body)
        for begin in range(0, len(interim), 50):
            await stream.send_all(interim[begin : begin + 50])
            await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(take_up(draft, head, key3)[0])
        await read_to_end(stream)

    return raw_server(behave)


@in_turn(interim=list(INTERIM.values()))
async def test_interim_answers_are_read_over(interim: bytes, draft: Draft, clock: Clock) -> None:
    async with opening_after(interim, draft) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft) as connection:
            assert connection.line.startswith(b"HTTP/1.1 101")
            assert "Link" not in connection.headers


async def test_interim_answers_before_a_refusal(clock: Clock) -> None:
    answer = HINTS + b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
    async with answering(answer) as (url, _):
        error, seconds = await refusal(url, draft="rfc6455")
    assert (error.status, error.body, seconds) == (401, b"no", 0)
    assert "Link" not in error.headers


async def test_interim_answers_before_a_redirect(clock: Clock) -> None:
    on = HINTS + b"HTTP/1.1 302 On\r\nLocation: /a\r\n\r\n"
    async with answering(on, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as (url, asked):
        error, _ = await refusal(url, draft="rfc6455")
    assert error.status == 404
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HINTS * (MAX_INTERIM + 1), f"got more than {MAX_INTERIM} of 1xx"),
        (HINTS + b"HTTP/1.1 1\r\n\r\n", "expected a status line"),
        (HINTS + b"no HTTP", "expected a status line|expected HTTP"),
        (HINTS + b"A" * 20_000, "expected HTTP, got"),
        (HINTS + b"HTTP/1.1 200 " + b"A" * 20_000, "longer than 8192 bytes"),
    ],
)
async def test_interim_answers_and_no_other(answer: bytes, why: str, clock: Clock) -> None:
    async with answering(answer + b"\r\n\r\n") as (url, _):
        with pytest.raises(HandshakeError, match=why) as caught:
            async with open_websocket(url, draft="rfc6455"):
                raise AssertionError("there is no connection")
    assert not is_transient(caught.value)


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
async def test_interim_answers_of_a_proxy(interim: bytes, clock: Clock) -> None:
    draft = draft_named("rfc6455")

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(interim + b"HTTP/1.1 200 OK\r\n\r\n")
        head, _ = await read_request(stream, 0)
        await stream.send_all(HINTS + take_up(draft, head, b"")[0])
        await read_to_end(stream)

    async with raw_server(behave) as port:
        proxy = f"http://127.0.0.1:{port}"
        async with open_websocket("ws://h/", draft=draft, proxy=proxy) as connection:
            assert connection.line.startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HINTS * (MAX_INTERIM + 1), f"got more than {MAX_INTERIM} of 1xx"),
        (HINTS + b"HTTP/1.1 407 No\r\n\r\n", "refused with status 407"),
        (b"HTTP/1.1 101 No\r\n\r\n", "refused with status 101"),
    ],
)
async def test_a_proxy_that_makes_no_tunnel(answer: bytes, why: str, clock: Clock) -> None:
    """It is not waited for a body."""
    started = trio.current_time()
    async with answering(answer) as (url, _):
        with pytest.raises(ProxyFailed, match=why):
            async with open_websocket("ws://h/", proxy=url.replace("ws", "http")):
                raise AssertionError("there is no connection")
    assert trio.current_time() == started


async def test_a_body_that_comes_late_where_no_draft_was_named() -> None:
    """No other draft follows such a status, so its body is read as where one was named."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 12\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(b"token is old")

    async with raw_server(behave) as port:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/"):
                pass
    assert caught.value.body == b"token is old"


async def test_what_is_no_http_is_told_at_once() -> None:
    """Though it stays open, and says only a line."""

    async def behave(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9\r\n")
        await read_to_end(stream)

    async with raw_server(behave) as port:
        with trio.fail_after(8), pytest.raises(HandshakeError, match="SSH-2"):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455"):
                pass
