"""JSON values over text messages: `connection.json()`."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import Draft, LocalProtocolError, PeerClosed, PeerViolation
from trio_draftws.drafts import draft_named

from .pairs import connected, mute
from .turns import each_draft

VALUES: list[Any] = [None, True, 0, 1.5, "", "é日\ud83d", [], {"a": [1, {"b": None}]}, "日" * 5000]


def dumps_to(kind: Any) -> Any:
    """A `dumps` that gives bytes, as that of orjson does."""
    return lambda value: kind(json.dumps(value, ensure_ascii=False).encode())


@each_draft
async def test_values_come_back(draft: Draft) -> None:
    async with connected("memory", draft) as (client, server):
        here, there = client.json(), server.json()
        assert isinstance(here, trio.abc.Channel)
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def echo() -> None:
                async for value in there:
                    await there.send(value)
                await there.aclose()

            for value in VALUES:
                await here.send(value)
                assert await here.receive() == value
            await here.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await here.receive()
        with pytest.raises(trio.ClosedResourceError):
            await here.send(1)


@each_draft
async def test_by_other_functions(draft: Draft) -> None:
    """`dumps` may give bytes of any type; `loads` is given a str."""

    def loads(text: str) -> Any:
        assert type(text) is str
        return json.loads(text.encode())

    async with connected("tcp", draft) as (client, server):
        there = server.json(loads=loads, dumps=partial(json.dumps, indent=1))
        for kind in (bytes, bytearray, memoryview):
            await client.json(dumps=dumps_to(kind)).send({"é": "日" * 3000})
            assert await there.receive() == {"é": "日" * 3000}
        await there.send([1])
        assert await client.receive() == "[\n 1\n]"


@each_draft
async def test_what_cannot_be_sent(draft: Draft) -> None:
    """The connection stays as it was."""
    async with connected("memory", draft) as (client, server):
        here = client.json()
        with pytest.raises(TypeError, match="not JSON serializable"):
            await here.send({1, 2})
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(ValueError, match="Circular"):
            await here.send(loop)
        with pytest.raises(TypeError, match="dumps has to return str or bytes, not list"):
            await client.json(dumps=lambda value: [value]).send(1)  # type: ignore[arg-type, return-value]
        with pytest.raises(LocalProtocolError, match="must be UTF-8"):
            await client.json(dumps=lambda value: b"\xff").send(1)
        with pytest.raises(LocalProtocolError, match="lone surrogate"):
            await client.json(dumps=partial(json.dumps, ensure_ascii=False)).send("\ud800")
        await here.send(1)
        assert await server.receive() == "1"


@each_draft
async def test_what_is_no_json_closes(draft: Draft) -> None:
    """Also what is nested too deeply, and whatever a decoder calls its error."""

    class DecodeError(Exception):
        """As msgspec's, which is no ValueError."""

    def fail(text: str) -> Any:
        raise DecodeError("no")

    for text, loads, cause in (
        ("{", json.loads, json.JSONDecodeError),
        ("", json.loads, json.JSONDecodeError),
        ("[" * 100_000, json.loads, RecursionError),
        ("{}", fail, DecodeError),
    ):
        async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:

            @nursery.start_soon
            async def answer(server: Any = server) -> None:
                with pytest.raises(PeerClosed) as closed:
                    await server.receive()
                if draft.close_status:
                    assert (closed.value.code, closed.value.reason) == (1007, "invalid JSON")

            await server.send(text)
            with pytest.raises(PeerViolation, match="a message is no JSON: ") as caught:
                await client.json(loads=loads).receive()
            assert isinstance(caught.value.__cause__, cause)
            assert caught.value.close_code == 1007
            assert client.closed


@each_draft
async def test_binary_closes(draft: Draft) -> None:
    if not draft.binary:
        return  # this draft has no binary messages
    async with connected("memory", draft) as (client, server), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            with pytest.raises(PeerClosed):
                await server.receive()

        await server.send(b"{}")
        with pytest.raises(PeerViolation, match="binary message came") as caught:
            await client.json().receive()
        assert caught.value.close_code == 1003


async def test_what_is_no_function() -> None:
    async def loads_later(text: str) -> Any: ...

    async with connected("memory", draft_named("rfc6455")) as (client, _):
        for arguments, error in (
            ({"loads": None}, "loads is a function, not None"),
            ({"dumps": "json"}, "dumps is a function, not 'json'"),
            ({"loads": loads_later}, "loads is a function that answers at once"),
            ({"dumps": lambda: ""}, r"dumps is called as dumps\(value\)"),
        ):
            with pytest.raises(TypeError, match=error):
                client.json(**arguments)
        await client.send("still open")


@each_draft
async def test_what_is_refused_is_a_violation_for_everybody(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """At once, whatever the peer does, and for every later call, like one that the codec finds."""
    refused: list[tuple[Any, Any]] = [("{", lambda connection: connection.json().receive())]
    if draft.binary:
        refused += [
            (b"x", lambda connection: connection.receive_text()),
            (b"x", lambda connection: connection.text.receive()),
            ("x", lambda connection: connection.as_stream().receive_some()),
        ]
    for message, receive in refused:
        async with connected("memory", draft) as (client, server):
            mute(client)
            await client.send_many([message, "behind it"])
            started = trio.current_time()
            with trio.move_on_after(0.1) as scope, pytest.raises(PeerViolation) as first:
                await receive(server)
            assert trio.current_time() == started
            assert not scope.cancelled_caught
            for call in (server.receive, partial(server.send, "x"), partial(receive, server)):
                with pytest.raises(PeerViolation) as again:
                    await call()
                assert str(again.value) == str(first.value)
            assert server.closed
            await server.wait_closed()
            assert (server.close_code, server.closed_by) == (1006, "server")
            if draft.close_status:
                assert server.close_sent is not None
                assert server.close_sent.code == first.value.close_code
