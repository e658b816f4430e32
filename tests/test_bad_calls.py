"""What a program gets wrong, in its hooks or in what it asks for: a clear error, nothing sent."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from trio_draftws import (
    DRAFTS,
    Connection,
    Draft,
    HeaderFields,
    LocalProtocolError,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    Server,
    open_websocket,
    use_framing_mode,
)

from .turns import each_draft, in_turn
from .wire import (
    echo,
    server_with_a_healthy_client,
    serving,
)

# conn_headers


async def connect_to(server: Server, **settings: Any) -> None:
    async with open_websocket(f"ws://127.0.0.1:{server.port}/bad", **settings):
        raise AssertionError("there is no connection")


def when_bad(
    answer: Callable[[], tuple[HeaderFields, Any]],
) -> Callable[[Request], Any]:
    """A conn_headers that takes the healthy client, and fails for `/bad` as `answer` does."""

    async def conn_headers(asked: Request) -> tuple[HeaderFields, Any]:
        return answer() if asked.path == "/bad" else ((), None)

    return conn_headers


@each_draft
async def test_conn_headers_rejects(draft: Draft, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> tuple[HeaderFields, Any]:
        raise Reject(403, {"X-Why": "members only"}, "Bring a friend.")

    async with server_with_a_healthy_client(conn_headers=when_bad(refuse)) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(Rejected, match=r"status 403: 'Bring a friend\.'") as caught:
                await connect_to(server, draft=draft)
    assert caught.value.status == 403
    assert caught.value.headers["x-why"] == "members only"
    assert caught.value.body == b"Bring a friend."
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith("refused with status 403: Bring a friend.")


async def test_fields_of_a_reject_arrive_as_they_are() -> None:
    """Two fields of one name stay two: of cookies, one joined with a comma is another."""

    def refuse() -> tuple[HeaderFields, Any]:
        raise Reject(401, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    async with serving(conn_headers=when_bad(refuse)) as server:
        with pytest.raises(Rejected) as caught:
            await connect_to(server)
    cookies = [pair for pair in caught.value.headers.raw if pair[0].lower() == b"set-cookie"]
    assert cookies == [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")]


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection"])
def test_a_reject_that_cannot_be_sent(name: str) -> None:
    """It shows where it is made, as its docstring says, and not as a connection that is cut."""
    with pytest.raises(ValueError, match=name):
        Reject(403, {name: "0"})


@pytest.mark.parametrize("status", [0, 101, 200, 299, 304, 600])
def test_a_reject_is_no_success(status: int) -> None:
    with pytest.raises(ValueError, match=f"300 to 599, except 304, not {status}"):
        Reject(status)


def fail() -> tuple[HeaderFields, Any]:
    raise RuntimeError("the database is away")


def inject() -> tuple[HeaderFields, Any]:
    return {"X-Name": "a\r\nX-Evil: 1"}, None


def inject_name() -> tuple[HeaderFields, Any]:
    return {"X-Evil: 1\r\nX-Name": "a"}, None


def write_the_handshake() -> tuple[HeaderFields, Any]:
    return {"Upgrade": "h2c"}, None


def no_pair() -> tuple[HeaderFields, Any]:
    return None  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (fail, RuntimeError, "the database is away"),
        (inject, ValueError, "X-Name has a control character"),
        (inject_name, ValueError, "must be a token"),
        (write_the_handshake, ValueError, "Upgrade is written by the handshake"),
        (no_pair, TypeError, "NoneType"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_conn_headers_fails(
    answer: Callable[[], tuple[HeaderFields, Any]],
    error: type[Exception],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client hears of a mistake, and not whose; the log has it all."""
    async with server_with_a_healthy_client(conn_headers=when_bad(answer)) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"), pytest.raises(Rejected) as caught:
            await connect_to(server)
    assert (caught.value.status, caught.value.body) == (500, b"The server made a mistake.\n")
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message.startswith("the opening for 127.0.0.1 port ")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], error)
    assert why in str(record.exc_info[1])


def chat(request: Request) -> str | None:
    return "chat" if request.subprotocols else None


async def test_a_selector_that_chooses_what_was_not_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_with_a_healthy_client(subprotocols=chat) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"), pytest.raises(Rejected, match="500"):
            await connect_to(server, subprotocols=["news"])
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == (
        "subprotocols returned 'chat' for a client that offers ['news']; "
        "it returns one of request.subprotocols, or None"
    )


# Arguments that nobody can ask for; nothing is dialled


NOBODY = "ws://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1/", r"the scheme is 'http', expected ws:// or wss://"),
        ("127.0.0.1:80", "expected ws:// or wss://"),
        ("ws:///path", "it names no host"),
        ("ws://127.0.0.1/#top", "no fragment"),
        ("ws://127.0.0.1:0/", "nothing listens on port 0"),
        ("ws://127.0.0.1:99999/", "not a WebSocket URL"),
        ("ws://127.0.0.1/a\r\nX-Evil: 1", "control character"),
    ],
)
async def test_a_url_that_is_none(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        async with open_websocket(url):
            raise AssertionError("there is no connection")


async def test_a_draft_that_is_none() -> None:
    known = "no draft is named 'hixie-77'; there are: " + "; ".join(
        " = ".join((draft.name, *draft.aliases)) for draft in DRAFTS
    )
    with pytest.raises(ValueError, match=known):
        async with open_websocket(NOBODY, draft="hixie-77"):
            raise AssertionError("there is no connection")
    with pytest.raises(ValueError, match=known):
        async with serving(drafts=["hixie-77"]):
            raise AssertionError("there is no server")


INJECTIONS: dict[str, dict[str, Any]] = {
    "value": {"headers": {"X-Name": "a\r\nX-Evil: 1"}},
    "value with a lone LF": {"headers": {"X-Name": "a\nX-Evil: 1"}},
    "value with NUL": {"headers": [(b"X-Name", b"a\0b")]},
    "name": {"headers": {"X-Evil: 1\r\nX-Name": "a"}},
    "name with a space": {"headers": [("X Name", "a")]},
    "empty name": {"headers": [("", "a")]},
    "value past Latin-1": {"headers": {"X-Name": "日本"}},
    "origin": {"origin": "http://a\r\nX-Evil: 1"},
    "origin with a lone LF": {"origin": "http://a\nX-Evil: 1"},
    "subprotocol": {"subprotocols": ["chat\r\nX-Evil: 1"]},
    "empty subprotocol": {"subprotocols": [""]},
}


@in_turn("settings", INJECTIONS.values())
@each_draft
async def test_header_injection(draft: Draft, settings: dict[str, Any]) -> None:
    """Nothing is dialled: nobody listens there, and that is not what it says."""
    with pytest.raises(ValueError, match=r"control character|token|Latin-1|subprotocol"):
        async with open_websocket(NOBODY, draft=draft, **settings):
            raise AssertionError("there is no connection")


@each_draft
async def test_fields_that_the_handshake_writes(draft: Draft) -> None:
    for name in draft.opening.written_fields:
        for spelt in (name, name.lower(), name.upper()):
            why = f"the header field {spelt} is written by the handshake"
            with pytest.raises(ValueError, match=why):
                async with open_websocket(NOBODY, draft=draft, headers={spelt: "x"}):
                    raise AssertionError("there is no connection")


async def test_one_str_is_no_list_of_subprotocols() -> None:
    with pytest.raises(TypeError, match=r"write \['chat'\]"):
        async with open_websocket(NOBODY, subprotocols="chat"):
            raise AssertionError("there is no connection")
    with pytest.raises(TypeError, match=r"write \['chat'\]"):
        async with serving(subprotocols="chat"):
            raise AssertionError("there is no server")


# Messages


@in_turn("draft", [draft for draft in DRAFTS if draft.binary])
async def test_bytes_where_the_draft_has_them(draft: Draft) -> None:
    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client() as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                for message in (b"", b"bytes", bytes(range(256)), b"\xff" * 70_000):
                    await client.send(message)
                    received = await client.receive()
                    assert isinstance(received, bytes)
                    assert received == message


@in_turn("draft", [draft for draft in DRAFTS if not draft.binary])
async def test_bytes_where_the_draft_has_text_only(draft: Draft) -> None:
    with use_framing_mode(draft.name):
        async with server_with_a_healthy_client() as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                with pytest.raises(LocalProtocolError, match="no binary messages, so bytes"):
                    await client.send(b"bytes")
                await client.send("text")
                assert await client.receive() == "text"


# Codes and reasons to close with


WITH_STATUS = in_turn("draft", [draft for draft in DRAFTS if draft.close_status])


CLOSING = in_turn("how", [Connection.aclose, Connection.send_close])


async def cannot_close(
    how: Callable[[Connection, int, str], Awaitable[None]],
    draft: Draft | str,
    code: int,
    reason: str,
    why: str,
) -> None:
    """Neither side can so, and the connection is as good as before."""

    async def handler(connection: Connection, state: object) -> None:
        with pytest.raises(LocalProtocolError, match=why):
            await how(connection, code, reason)
        assert not connection.closed
        await echo(connection)

    async with serving(handler, drafts=[draft]) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
            with pytest.raises(LocalProtocolError, match=why):
                await how(client, code, reason)
            assert not client.closed
            await client.send("still here")
            assert await client.receive() == "still here"
            await client.aclose()
            assert client.close_received is not None
            assert client.close_received.code == 1000


@WITH_STATUS
@CLOSING
@in_turn("code", [-1, 0, 999, 5000, 65536])
async def test_a_code_that_no_draft_has(how: Any, draft: Draft, code: int) -> None:
    await cannot_close(how, draft, code, "", f"cannot carry the code {code}")


@CLOSING
@in_turn("code", [1004, 1005, 1006, 1015, 2999])
async def test_a_code_that_rfc6455_keeps_back(how: Any, code: int) -> None:
    await cannot_close(how, "rfc6455", code, "", f"cannot carry the code {code}")


@WITH_STATUS
@CLOSING
async def test_a_reason_that_cannot_be_sent(how: Any, draft: Draft) -> None:
    await cannot_close(how, draft, 1000, "é" * 62, "124 bytes, and may have 123")
    await cannot_close(how, draft, 1000, "\ud800", "lone surrogate")


@each_draft
async def test_what_is_said_at_a_close_arrives(draft: Draft) -> None:
    """From either side; where a closing frame has no room for it, only that it was closed."""
    ends: list[PeerClosed] = []

    async def handler(connection: Connection, state: object) -> None:
        if connection.request.path == "/server":
            await connection.aclose(4000, "why")
        else:
            with pytest.raises(PeerClosed) as caught:
                await connection.receive()
            ends.append(caught.value)

    with use_framing_mode(draft.name):
        async with serving(handler) as server:
            url = f"ws://127.0.0.1:{server.port}"
            async with open_websocket(f"{url}/client") as client:
                await client.aclose(4000, "why")
            async with open_websocket(f"{url}/server") as client:
                with pytest.raises(PeerClosed) as caught:
                    await client.receive()
                ends.append(caught.value)
    said = (4000, "why") if draft.close_status else (None, "")
    assert [(end.code, end.reason) for end in ends] == [said, said]
