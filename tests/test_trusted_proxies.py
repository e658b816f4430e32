"""Clients behind proxies that a server trusts to say who they are."""

from __future__ import annotations

import ipaddress
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Address,
    Connection,
    HTTPResponse,
    Instrument,
    Rejected,
    Request,
    accept,
    open_unix_listener,
    open_websocket,
    same_host,
)

from .pairs import stream_pair
from .rows import each_row
from .test_who_is_there import Seen
from .wire import Answer, dial, echo, read_to_end, read_until, request, request_13, serving

CLIENT = Address("192.0.2.7")
OF_CLIENT = {"X-Forwarded-For": "203.0.113.9, 192.0.2.7", "X-Forwarded-Proto": "https"}
OF_CLIENT_13 = request_13(X_Forwarded_For="203.0.113.9, 192.0.2.7", X_Forwarded_Proto="https")
FULL_FOR_HOST = b"This server has reached its limit of connections from your address.\n"


async def ask(server: Any, asked: bytes, enough: int = 0) -> bytes:
    """Sends a request; returns the head of the answer, and so many bytes behind it."""
    async with await dial(server) as stream:
        await stream.send_all(asked)
        return await read_until(
            stream, lambda said: b"\r\n\r\n" in said[: max(len(said) - enough, 0)]
        )


@each_row(
    "trusted",
    [
        ["127.0.0.1"],
        ["::1", "127.0.0.0/8"],
        [ipaddress.ip_address("127.0.0.1")],
        (ipaddress.ip_network("127.0.0.0/24"),),
        iter(["::ffff:127.0.0.1"]),
        {"::ffff:127.0.0.0/104", "unix"},
    ],
)
async def test_everything_names_the_client(trusted: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The request and the connection, their URLs, the log and the instruments."""
    caplog.set_level(logging.INFO, "trio_draftws")
    caplog.clear()
    seen = Seen()
    peers: list[str] = []

    class Told(Instrument):
        def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
            peers.append(peer)

    async def fail(connection: Connection, state: object) -> None:
        await seen.handler(connection, state)
        raise RuntimeError("on purpose")

    async with serving(
        {"/": fail},
        trusted_proxies=trusted,
        conn_headers=seen.conn_headers,
        instruments=[Told()],
    ) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, headers=OF_CLIENT, draft="rfc6455") as client:
            await client.send("hello")
            assert await client.receive() == "hello"
        with pytest.raises(Rejected):
            async with open_websocket(f"{url}other", headers=OF_CLIENT, draft="rfc6455"):
                raise AssertionError("there is no such path")
    [connection] = seen.connections
    assert connection.remote == CLIENT
    assert connection.local == Address("127.0.0.1", server.port)
    assert connection.url == f"wss://127.0.0.1:{server.port}/"
    for asked in seen.requests:
        assert (asked.remote, asked.local) == (CLIENT, connection.local)
        assert asked.secure
        assert asked.location == connection.url
        # It is not our TLS
        assert asked.ssl_object is asked.peer_certificate is None
    assert peers == ["192.0.2.7"]
    assert [record.__dict__["peer"] for record in caplog.records] == ["192.0.2.7"] * 2
    assert all("192.0.2.7" in record.message for record in caplog.records)


@each_row("trusted", [(), ["192.0.2.7", "10.0.0.0/8", "::1", "unix"]])
async def test_what_others_forge_means_nothing(trusted: Any) -> None:
    """By default nobody is trusted; and it does not matter who is in the fields, but who sends."""
    seen = Seen()
    forged = {**OF_CLIENT, "Forwarded": "for=192.0.2.7;proto=https"}
    async with serving(
        seen.handler,
        trusted_proxies=trusted,
        conn_headers=seen.conn_headers,
        max_connections_per_host=1,
    ) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        for draft in ("rfc6455", "hixie-76"):
            async with open_websocket(url, headers=forged, draft=draft) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
                for asked in seen.requests:
                    assert asked.remote is not None
                    assert asked.remote.host == "127.0.0.1"
                assert seen.connections[-1].remote == client.local
                assert not any(asked.secure for asked in seen.requests)
                assert seen.connections[-1].url == url
                other = {"X-Forwarded-For": "192.0.2.8"}
                with pytest.raises(Rejected) as caught:
                    async with open_websocket(url, headers=other, draft=draft):
                        raise AssertionError("it came in")
                assert caught.value.body == FULL_FOR_HOST
            while server.connections:
                await trio.lowlevel.checkpoint()


async def test_the_url_that_old_drafts_repeat() -> None:
    """It is that of the client, so nobody has to set it."""
    async with serving(trusted_proxies=["127.0.0.1"]) as server:
        for proto, scheme in (("https", b"wss"), ("http", b"ws")):
            asked = request(X_Forwarded_For="192.0.2.7", X_Forwarded_Proto=proto)
            answer = await ask(server, asked + b"12345678", 16)
            assert b"Sec-WebSocket-Location: %s://example.com/\r\n" % scheme in answer


async def test_pages_of_its_own() -> None:
    """`same_host` knows the scheme that the client uses; so does what answers with a page."""
    seen: list[Request] = []

    async def page(asked: Request) -> HTTPResponse:
        seen.append(asked)
        return HTTPResponse(body="a page")

    async with serving(
        trusted_proxies=["127.0.0.1"], origins=same_host, http_handler=page
    ) as server:
        for scheme, status in (("https", b"101"), ("http", b"403")):
            asked = request_13(Origin=f"{scheme}://example.com", Forwarded="for=_a;proto=https")
            assert (await ask(server, asked))[9:12] == status
        async with await dial(server) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=192.0.2.7\r\n\r\n")
            assert Answer.parse(await read_to_end(stream)).text == "a page"
    assert [asked.remote for asked in seen] == [CLIENT]
    assert not seen[0].secure


async def test_fields_that_disagree(caplog: pytest.LogCaptureFixture) -> None:
    """One of them may be the client's own, so it gets no connection, in any draft."""
    caplog.set_level(logging.INFO, "trio_draftws")
    async with serving(trusted_proxies=["127.0.0.1"]) as server:
        changes = {"Forwarded": "for=203.0.113.9", "X_Forwarded_For": "192.0.2.7"}
        for asked in (request_13(**changes), request(**changes)):
            async with await dial(server) as stream:
                await stream.send_all(asked)
                answer = Answer.parse(await read_to_end(stream))
            assert answer.line == b"HTTP/1.1 400 Bad Request"
            assert answer.text == "Forwarded and X-Forwarded-For name different clients\n"
    # Nobody knows who it is, but the proxy.
    assert all("127.0.0.1 port" in record.message for record in caplog.records)
    assert len(caplog.records) == 2


@each_row("draft", ["rfc6455", "hixie-76"])
async def test_each_client_has_its_own_places(draft: str) -> None:
    """It is counted when its request was read, and until it has gone; nobody else is affected."""
    async with serving(trusted_proxies=["127.0.0.1"], max_connections_per_host=1) as server:
        url = f"ws://127.0.0.1:{server.port}/"

        def of(client: str | None) -> Any:
            headers = {} if client is None else {"X-Forwarded-For": client}
            return open_websocket(url, headers=headers, draft=draft)

        # None is the proxy itself.
        for client in ("192.0.2.7", "2001:db8::1", None):
            async with AsyncExitStack() as stack:
                # Those who have not said who they are take no place of anybody's.
                for _ in range(3):
                    await stack.enter_async_context(await dial(server))
                inside = await stack.enter_async_context(of(client))
                another = {"2001:db8::1": "2001:db8::2"}.get(client or "", client)
                with pytest.raises(Rejected) as caught:
                    async with of(another):
                        raise AssertionError("it came in")
                assert (caught.value.status, caught.value.body) == (503, FULL_FOR_HOST)
                async with of("192.0.2.8"):
                    await inside.send("still here?")
                    assert await inside.receive() == "still here?"
            while server.connections:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()


async def test_openings_that_fail_give_their_place_back() -> None:
    """Those that are refused, and those that are counted and fail later."""

    async def fail(asked: Request) -> Any:
        raise RuntimeError("on purpose")

    async with serving(
        trusted_proxies=["127.0.0.1"],
        max_connections_per_host=1,
        max_connections=2,
        conn_headers=fail,
    ) as server:
        for _ in range(5):
            async with await dial(server) as stream:
                await stream.send_all(OF_CLIENT_13)
                assert (await read_to_end(stream)).startswith(b"HTTP/1.1 500 ")


@each_row("cap", ["max_connections", "max_connections_per_host"])
async def test_refusals_say_whom_they_concern(cap: str) -> None:
    """`max_connections` holds at once, before anybody has said who it is."""
    told: list[tuple[Address | None, str]] = []

    class Refused(Instrument):
        def opening_refused(self, request: Request | None, status: int, peer: str) -> None:
            assert request is not None
            told.append((request.remote, peer))

    caps: dict[str, Any] = {cap: 1, "instruments": [Refused()]}
    async with serving(trusted_proxies=["127.0.0.1"], **caps) as server:
        async with await dial(server) as inside, await dial(server) as stream:
            await trio.testing.wait_all_tasks_blocked()
            if cap == "max_connections_per_host":
                await inside.send_all(OF_CLIENT_13)
                await inside.receive_some()
            await stream.send_all(OF_CLIENT_13)
            answer = Answer.parse(await read_to_end(stream))
            assert answer.line == b"HTTP/1.1 503 Service Unavailable"
            assert answer.text.startswith("This server has reached its limit of connections")
    assert told[:1] == [(CLIENT, "192.0.2.7")]


async def test_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for trusted, remote in ((["unix"], CLIENT), (["127.0.0.1"], Address("unix:"))):
        seen = Seen()
        listener = await open_unix_listener(path)
        async with serving(seen.handler, listeners=[listener], trusted_proxies=trusted):
            async with open_websocket(
                "ws://localhost/", unix_socket=path, headers=OF_CLIENT, draft="rfc6455"
            ) as client:
                await client.send("hello")
                assert await client.receive() == "hello"
        [connection] = seen.connections
        assert (connection.remote, connection.local) == (remote, Address(f"unix:{path}"))
        assert connection.request.remote == remote


@each_row("transport", ["tcp", "tls", "memory"])
async def test_accept(transport: str) -> None:
    """A stream in memory has no address that could be trusted."""
    client, stream = await stream_pair(transport)
    await client.send_all(OF_CLIENT_13)
    async with client, trio.open_nursery() as nursery:
        async with accept(stream, trusted_proxies=["127.0.0.1"]) as connection:
            assert connection.remote == (None if transport == "memory" else CLIENT)
            assert connection.request.secure is (transport != "memory")
            nursery.start_soon(read_to_end, client)
            await client.send_all(b"\x88\x80abcd")
            await echo(connection)
