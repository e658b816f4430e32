"""`headers=` as a function: called before each attempt to connect, for what expires."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_draftws import (
    HandshakeTimeout,
    HeaderFields,
    Headers,
    Instrument,
    Reject,
    Rejected,
    Request,
    open_websocket,
    reconnecting,
    use_framing_mode,
)

from .redirecting import noting
from .rows import each_row
from .wire import serving

# These have between them each opening that there is.
DRAFTS = ["hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455"]

NOBODY = "ws://127.0.0.1:1/"


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """A clock that jumps, but not while the kernel is passing bytes on."""
    autojump_clock.autojump_threshold = 0.01
    return autojump_clock


@attrs.define
class Tokens:
    """Makes a new token each time, as a function, an async one, or a lambda that awaits."""

    made: int = 0

    def fresh(self) -> dict[str, str]:
        self.made += 1
        return {"X-Token": str(self.made)}

    async def fetched(self) -> HeaderFields:
        await trio.sleep(1)
        return [*self.fresh().items()]

    def awaitable(self) -> Any:
        return self.fetched()


@asynccontextmanager
async def refusing(*statuses: int) -> AsyncIterator[tuple[int, list[str]]]:
    """A server that answers with these statuses first; gives its port, and the tokens it saw."""
    tokens: list[str] = []
    left = list(statuses)

    async def conn_headers(request: Request) -> tuple[HeaderFields, None]:
        tokens.append(request.headers["X-Token"])
        if left:
            raise Reject(left.pop(0))
        return (), None

    async with serving(conn_headers=conn_headers) as server:
        assert server.port is not None
        yield server.port, tokens


@each_row("kind", ["fresh", "fetched", "awaitable"])
async def test_each_attempt_has_its_own(kind: str, clock: trio.testing.MockClock) -> None:
    """Those that fail as well; one for each step of the loop."""
    headers = getattr(Tokens(), kind)
    async with refusing(503, 429) as (port, tokens):
        url = f"ws://127.0.0.1:{port}/"
        async with reconnecting(url, draft="rfc6455", headers=headers) as connections:
            async for connection in connections:
                assert connection.headers["Upgrade"] == "websocket"
                if len(tokens) == 5:
                    break
    assert tokens == ["1", "2", "3", "4", "5"]


@each_row("draft", DRAFTS)
async def test_in_every_draft(draft: str) -> None:
    tokens = Tokens()
    with use_framing_mode(draft):
        async with noting() as (port, asked):
            for _ in range(2):
                async with open_websocket(
                    f"ws://127.0.0.1:{port}/", draft=draft, headers=tokens.fresh
                ) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
    assert [request.headers["X-Token"] for request in asked] == ["1", "2"]


async def test_another_draft_gets_the_same() -> None:
    """Also where none is named and the default is tried first."""
    for named in ("auto", None):
        tokens = Tokens()
        async with noting(drafts=["hybi-08"]) as (port, asked):
            async with open_websocket(
                f"ws://127.0.0.1:{port}/", draft=named, headers=tokens.fresh
            ) as client:
                assert client.draft.name == "hybi-08"
        assert tokens.made == 1
        assert asked[-1].headers["X-Token"] == "1"


async def test_a_redirect_gets_the_same() -> None:
    """Credentials go to no other origin, whoever made them."""
    calls: list[int] = []

    def headers() -> HeaderFields:
        calls.append(1)
        return {"X-Token": "1", "Authorization": "Bearer secret"}

    async def conn_headers(request: Request) -> Any:
        raise Reject.redirect(f"ws://localhost:{there}/new")

    async with noting() as (there, asked), serving(conn_headers=conn_headers) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft="rfc6455", headers=headers) as client:
            assert client.url == f"ws://localhost:{there}/new"
    assert len(calls) == 1
    [request] = asked
    assert request.headers["X-Token"] == "1"
    assert "Authorization" not in request.headers


async def test_beside_other_credentials() -> None:
    tokens = Tokens()
    async with noting() as (port, asked):
        async with open_websocket(
            f"ws://127.0.0.1:{port}/",
            draft="rfc6455",
            headers=tokens.fresh,
            cookies={"a": "1"},
            auth=("ada", "secret"),
        ):
            pass
    [request] = asked
    assert request.headers["X-Token"] == "1"
    assert request.cookies == {"a": "1"}
    assert request.headers["Authorization"].startswith("Basic ")


class Failed(Exception):
    pass


async def test_what_it_raises_leaves_the_loop(clock: trio.testing.MockClock) -> None:
    """Unchanged and without a connection; another loop may follow, and waits as always."""
    failure = Failed("no token today")
    tokens, retried = Tokens(), []

    async def headers() -> HeaderFields:
        if tokens.made == 1:
            tokens.made += 1
            raise failure
        return tokens.fresh()

    def retry(error: object) -> bool:
        retried.append(error)
        return True

    async with refusing() as (port, seen):
        url = f"ws://127.0.0.1:{port}/"
        async with reconnecting(
            url, draft="rfc6455", headers=headers, retry=retry, backoff_jitter=0
        ) as connections:
            await anext(connections)
            with pytest.raises(Failed) as caught:
                await anext(connections)
            assert caught.value is failure
            failed_at = trio.current_time()
            async for _ in connections:
                break
            assert trio.current_time() - failed_at >= 1
    assert seen == ["1", "3"]
    assert retried == []


async def test_an_opening_that_fails_within_is_like_the_attempts(
    clock: trio.testing.MockClock,
) -> None:
    """As where the token comes over a WebSocket, too: `retry` decides."""
    tokens = Tokens()

    async def headers() -> HeaderFields:
        if tokens.fresh() == {"X-Token": "1"}:
            async with open_websocket(NOBODY, draft="rfc6455"):
                raise AssertionError("there is no connection")
        if tokens.made == 3:
            raise Rejected(401, Headers(), b"")
        return {"X-Token": str(tokens.made)}

    async with refusing() as (port, seen):
        url = f"ws://127.0.0.1:{port}/"
        async with reconnecting(url, draft="rfc6455", headers=headers) as connections:
            with pytest.raises(Rejected, match="401"):
                async for _ in connections:
                    pass
    assert seen == ["2"]


class Failures(Instrument):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def opening_failed(self, error: Any, peer: str) -> None:
        self.seen.append((error, peer))


async def test_one_that_hangs(clock: trio.testing.MockClock) -> None:
    """It has the time of an opening handshake, and the next attempt calls it again."""
    tokens, failures = Tokens(), Failures()

    async def headers() -> HeaderFields:
        if tokens.fresh() == {"X-Token": "1"}:
            await trio.sleep_forever()
        return {"X-Token": str(tokens.made)}

    async with refusing() as (port, seen):
        url = f"ws://127.0.0.1:{port}/"
        async with reconnecting(
            url, draft="rfc6455", headers=headers, handshake_timeout=7, instruments=[failures]
        ) as connections:
            async for _ in connections:
                assert trio.current_time() >= 7
                break
    assert seen == ["2"]
    [(error, peer)] = failures.seen
    assert isinstance(error, HandshakeTimeout)
    assert str(error) == "headers returned nothing within 7 s"
    assert peer == f"127.0.0.1 port {port}"


async def test_a_step_that_is_cancelled_within(clock: trio.testing.MockClock) -> None:
    """The next one calls it again."""
    tokens = Tokens()
    async with refusing() as (port, seen):
        url = f"ws://127.0.0.1:{port}/"
        async with reconnecting(url, draft="rfc6455", headers=tokens.fetched) as connections:
            with trio.move_on_after(0.5) as scope:
                await anext(connections)
            assert scope.cancelled_caught
            assert tokens.made == 0
            await anext(connections)
    assert seen == ["1"]


async def test_the_stream_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    """A given one, always: if the function hangs, raises, or is cancelled."""

    def raises() -> HeaderFields:
        raise Failed

    async def hangs() -> HeaderFields:
        await trio.sleep_forever()
        raise AssertionError

    for headers, timeout, error in (
        (raises, math.inf, Failed),
        (hangs, 3, HandshakeTimeout),
        (lambda: 5, math.inf, TypeError),
    ):
        ours, theirs = trio.testing.memory_stream_pair()
        with pytest.raises(error):
            async with open_websocket(
                NOBODY,
                stream=ours,
                headers=headers,  # type: ignore[arg-type]
                handshake_timeout=timeout,
            ):
                raise AssertionError("there is no connection")
        assert await theirs.receive_some() == b""
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.move_on_after(1) as scope:
        async with open_websocket(NOBODY, stream=ours, headers=hangs):
            raise AssertionError("there is no connection")
    assert scope.cancelled_caught
    assert await theirs.receive_some() == b""


@each_row(
    "draft, returned, error, why",
    [
        ("rfc6455", 5, TypeError, "headers is a mapping from names to values, or a list"),
        ("rfc6455", None, TypeError, "not None"),
        ("rfc6455", "X: 1", TypeError, "headers is a mapping"),
        ("rfc6455", {"X": 1}, TypeError, "the value of the header field 'X' is a str or bytes"),
        ("rfc6455", {"X": "secret\r\n"}, ValueError, "X has a control character in its value"),
        ("rfc6455", {"": "a"}, ValueError, "name must be a token"),
        ("rfc6455", {"X": "ж"}, ValueError, "must be Latin-1"),
        ("rfc6455", {"Sec-WebSocket-Key": "a"}, ValueError, "Key is written by the handshake"),
        ("hixie-76", {"sec-websocket-key1": "a"}, ValueError, "key1 is written by the handshake"),
        ("rfc6455", {"Cookie": "b=2"}, ValueError, "the header field Cookie is given twice"),
    ],
)
async def test_what_it_must_not_return(
    draft: str, returned: Any, error: type[Exception], why: str
) -> None:
    """It shows before anything is dialled, and shows no value, which may be a token."""

    async def later() -> Any:
        return returned

    for headers in (lambda: returned, later):
        with pytest.raises(error) as caught:
            async with open_websocket(NOBODY, draft=draft, headers=headers, cookies={"a": "1"}):
                raise AssertionError("there is no connection")
        assert str(caught.value).startswith("headers returned what cannot be sent: ")
        assert why in str(caught.value)
        assert "secret" not in str(caught.value)


async def test_drafts_that_write_the_field_are_left_out() -> None:
    """As with fields that are always the same, of those that are tried."""
    tokens = Tokens()

    def headers() -> HeaderFields:
        return {**tokens.fresh(), "Sec-WebSocket-Key": "mine"}

    async with noting(drafts=["hixie-76"]) as (port, asked):
        async with open_websocket(f"ws://127.0.0.1:{port}/", headers=headers) as client:
            assert client.draft.name == "hixie-76"
    assert asked[0].headers["Sec-WebSocket-Key"] == "mine"


async def test_the_end_of_an_iterator_is_no_end_of_the_loop() -> None:
    """Of tokens there are none left."""

    async def none_left() -> HeaderFields:
        raise StopAsyncIteration

    async with reconnecting(NOBODY, headers=none_left) as connections:
        with pytest.raises(RuntimeError, match="headers raised StopAsyncIteration"):
            await anext(connections)
