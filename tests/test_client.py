"""What `open_websocket` sends, and how it fails."""

from __future__ import annotations

import errno
import math
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Close,
    Connection,
    DialFailed,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    PeerClosed,
    Rejected,
    Request,
    framing_mode,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

from .rows import each_row, in_turn
from .wire import (
    dial,
    echo,
    raw_server,
    read_request,
    read_to_end,
    serving,
    take_up,
)

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup


@asynccontextmanager
async def listening(host: str = "127.0.0.1", **settings: Any) -> AsyncIterator[tuple[str, Any]]:
    """A server of ours that keeps the requests it gets; gives its URL and those."""
    asked: list[Request] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        asked.append(request)
        return (), None

    async with serving(conn_headers=conn_headers, host=host, **settings) as server:
        shown = f"[{host}]" if ":" in host else host
        yield f"ws://{shown}:{server.port}", asked


async def request_for(url_tail: str = "/", **settings: Any) -> Request:
    """What a server of ours sees of a client that opens with these."""
    speaks = draft_named(settings.get("draft") or framing_mode.get())
    with use_framing_mode(speaks.name):
        async with listening(subprotocols=["chat"]) as (url, asked):
            async with open_websocket(url + url_tail, **settings):
                pass
    [request] = asked
    assert isinstance(request, Request)
    return request


class TestRequest:
    @each_row(
        "tail, target, path, query",
        [
            ("", "/", "/", ""),
            ("/", "/", "/", ""),
            ("?", "/?", "/", ""),
            ("/a/b?c=d&e", "/a/b?c=d&e", "/a/b", "c=d&e"),
            ("/a b/é?ü", "/a%20b/%C3%A9?%C3%BC", "/a b/é", "%C3%BC"),
            ("/%2F%zz?a=%26", "/%2F%zz?a=%26", "//%zz", "a=%26"),
            ("//double/../dots", "//double/../dots", "//double/../dots", ""),
        ],
    )
    async def test_path_and_query(
        self, draft: Draft, tail: str, target: str, path: str, query: str
    ) -> None:
        request = await request_for(tail, draft=draft)
        assert request.line.decode() == f"GET {target} HTTP/1.1"
        assert (request.target, request.path, request.query) == (target, path, query)

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-One": "1", "X-Two": "2 and \xe9"},
            [("X-One", "1"), ("X-Two", "2 and \xe9")],
            [(b"X-One", b"1"), (b"X-Two", b"2 and \xe9")],
            (pair for pair in [("X-One", b"1"), (b"X-Two", "2 and \xe9")]),
        ],
        ids=["mapping", "pairs", "bytes", "generator"],
    )
    async def test_headers(self, headers: HeaderFields) -> None:
        request = await request_for(headers=headers)
        ours = sorted(pair for pair in request.headers.raw if pair[0].startswith(b"X-"))
        assert ours == [(b"X-One", b"1"), (b"X-Two", b"2 and \xe9")]

    async def test_a_field_may_come_twice(self, draft: Draft) -> None:
        cookies = [("Cookie", "a=1"), ("Cookie", "b=2")]
        request = await request_for(headers=cookies, draft=draft)
        assert sorted(request.headers.get_all("cookie")) == ["a=1", "b=2"]

    async def test_fields_taken_from_another_head(self, draft: Draft) -> None:
        """As when a request is passed on: repeated fields stay apart, names as they were."""
        cookies = [("X-Cookie", "a=1"), ("X-Cookie", "b=2")]
        first = await request_for(headers=cookies, draft="hixie-75")
        passed_on = [pair for pair in first.headers.raw if pair[0] == b"X-Cookie"]
        second = await request_for(headers=type(first.headers)(passed_on), draft=draft)
        again = [pair for pair in second.headers.raw if pair[0].lower() == b"x-cookie"]
        # hixie-76 sends its fields in random order.
        assert sorted(again) == passed_on

    async def test_no_origin_but_where_the_draft_demands_one(self, draft: Draft) -> None:
        request = await request_for(draft=draft)
        expected = f"http://{request.host}" if draft.name == "hixie-75" else None
        assert request.origin == expected

    async def test_the_origin_asked_for(self, draft: Draft) -> None:
        """It is sent, and compared, in lower case."""
        request = await request_for(draft=draft, origin="http://Example.COM")
        assert request.origin == "http://example.com"

    async def test_the_request_says_which_draft(self, draft: Draft) -> None:
        """By its name, by its row, or by the framing mode."""
        with use_framing_mode(draft.name):
            by_mode = await request_for()
            by_name = await request_for(draft=draft.name)
            by_row = await request_for(draft=draft)
        assert [by_mode.draft, by_name.draft, by_row.draft] == [draft] * 3

    async def test_draft_goes_before_the_mode(self) -> None:
        with use_framing_mode("new"):
            async with listening() as (url, asked):
                async with open_websocket(url, draft="hixie-75") as client:
                    assert client.draft is draft_named("hixie-75")
        assert asked[0].draft is draft_named("hixie-75")

    async def test_hixie_75_in_its_fixed_order(self) -> None:
        request = await request_for(
            draft="hixie-75", headers={"Cookie": "a=b"}, subprotocols=["chat"]
        )
        names = [name for name, value in request.headers.raw]
        expected = ["Upgrade", "Connection", "Host", "Origin", "WebSocket-Protocol", "Cookie"]
        assert names == [name.encode() for name in expected]


class TestHost:
    async def test_with_its_port(self, draft: Draft) -> None:
        with use_framing_mode(draft.name):
            async with listening() as (url, asked):
                async with open_websocket(url):
                    pass
        assert f"ws://{asked[0].host}" == url

    @in_turn(default=(("ws", 80), ("wss", 443)))
    async def test_without_the_default_port(
        self, draft: Draft, default: tuple[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody may listen there on a test machine, so another port is dialled in its place."""
        scheme, port = default
        heads: list[bytes] = []

        async def note(stream: trio.SocketStream) -> None:
            heads.append((await read_request(stream, draft.opening.request_body))[0])

        async def undressed(stream: trio.abc.Stream) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return stream

        async with raw_server(note) as real_port:
            dial = trio.open_tcp_stream

            async def dial_elsewhere(host: str, named: int) -> trio.SocketStream:
                assert (host, named) == ("localhost", port)
                return await dial("127.0.0.1", real_port)

            monkeypatch.setattr(trio, "open_tcp_stream", dial_elsewhere)
            with pytest.raises(HandshakeError, match="the peer ended the stream"):
                async with open_websocket(
                    f"{scheme}://localhost:{port}/", draft=draft, stream_factory=undressed
                ):
                    raise AssertionError("there is no connection")
        assert b"\r\nHost: localhost\r\n" in heads[0]

    async def test_an_ipv6_address(self, draft: Draft) -> None:
        try:
            with use_framing_mode(draft.name):
                async with listening("::1") as (url, asked):
                    async with open_websocket(f"{url}/") as client:
                        await client.send("hello")
                        assert await client.receive() == "hello"
                    assert asked[0].location == f"{url}/"
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
            pytest.skip("this machine has no IPv6")


class TestSubprotocols:
    async def test_agreed(self, draft: Draft) -> None:
        seen: list[tuple[tuple[str, ...], str | None]] = []

        async def handler(connection: Connection, state: object) -> None:
            seen.append((connection.request.subprotocols, connection.subprotocol))

        with use_framing_mode(draft.name):
            async with listening(handler=handler, subprotocols=["news", "chat"]) as (url, _):
                async with open_websocket(url, subprotocols=["chat"]) as client:
                    assert client.subprotocol == "chat"
                    with pytest.raises(PeerClosed):
                        await client.receive()
        assert seen == [(("chat",), "chat")]

    async def test_the_favourite_of_the_server(self) -> None:
        with use_framing_mode("new"):
            async with listening(subprotocols=["news", "chat"]) as (url, asked):
                async with open_websocket(url, subprotocols=["chat", "x", "news"]) as client:
                    assert client.subprotocol == "news"
        assert asked[0].subprotocols == ("chat", "x", "news")

    async def test_a_function_chooses(self) -> None:
        with use_framing_mode("new"):
            async with listening(subprotocols=lambda asked: asked.subprotocols[-1]) as (url, _):
                async with open_websocket(url, subprotocols=["chat", "news"]) as client:
                    assert client.subprotocol == "news"

    async def test_none_in_common(self) -> None:
        """The draft of August 2010 goes on without one."""
        with use_framing_mode("new"):
            async with listening(subprotocols=["mail"]) as (url, _):
                async with open_websocket(url, subprotocols=["chat", "news"]) as client:
                    assert client.subprotocol is None

    async def test_none_asked_for(self, draft: Draft) -> None:
        with use_framing_mode(draft.name):
            async with listening(subprotocols=["mail"]) as (url, asked):
                async with open_websocket(url) as client:
                    assert client.subprotocol is None
        assert asked[0].subprotocols == ()

    @pytest.mark.parametrize("name", ["hixie-75", "hixie-76"])
    async def test_two_where_one_can_be_asked_for(self, name: str) -> None:
        why = r"asked for \['chat', 'news'\]: it can ask for one"
        with pytest.raises(ValueError, match=why):
            async with open_websocket(
                "ws://127.0.0.1:9/", draft=name, subprotocols=["chat", "news"]
            ):
                raise AssertionError("there is no connection")


class TestFailure:
    async def test_nobody_listens(self, draft: Draft) -> None:
        # Bound, so that nobody else takes the port, but not listening.
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            with pytest.raises(DialFailed) as caught:
                async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                    raise AssertionError("there is no connection")
        assert isinstance(caught.value, HandshakeError)
        assert f"no TCP connection to 127.0.0.1 port {port}: " in str(caught.value)
        assert "Connection refused" in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)

    async def test_what_went_wrong_at_each_address(self) -> None:
        """Each reason once, though many addresses were tried."""
        with socket.socket() as bound, socket.socket() as other:
            bound.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            bound_address, other_address = bound.getsockname(), other.getsockname()
            addresses = [bound_address, bound_address, other_address]
            trio.socket.set_custom_hostname_resolver(Resolver(addresses))
            with pytest.raises(DialFailed) as caught:
                async with open_websocket(f"ws://example.org:{port}/"):
                    raise AssertionError("there is no connection")
        assert f"no TCP connection to example.org port {port}: " in str(caught.value)
        assert str(caught.value).count(f"{bound_address}: Connection refused") == 1
        assert str(caught.value).count(f"{other_address}: Connection refused") == 1

    async def test_a_name_that_nobody_knows(self) -> None:
        unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        trio.socket.set_custom_hostname_resolver(Resolver(unknown))
        with pytest.raises(DialFailed, match="Name or service not known") as caught:
            async with open_websocket("ws://nowhere.example/"):
                raise AssertionError("there is no connection")
        assert caught.value.__cause__ is unknown

    async def test_a_resolver_that_never_answers(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        trio.socket.set_custom_hostname_resolver(Resolver(None))
        with pytest.raises(
            HandshakeTimeout,
            match=r"no TCP connection to nowhere\.example port 80 within 7 s",
        ):
            async with open_websocket("ws://nowhere.example/", handshake_timeout=7):
                raise AssertionError("there is no connection")
        assert trio.current_time() == 7

    async def test_a_server_that_never_answers(
        self, draft: Draft, autojump_clock: trio.testing.MockClock
    ) -> None:
        autojump_clock.autojump_threshold = 0.05
        ended: list[bytes] = []

        async def never_answer(stream: trio.SocketStream) -> None:
            ended.append(await read_to_end(stream))

        async with raw_server(never_answer) as port:
            with pytest.raises(HandshakeTimeout, match="not done within 7 s") as caught:
                async with open_websocket(
                    f"ws://127.0.0.1:{port}/", draft=draft, handshake_timeout=7
                ):
                    raise AssertionError("there is no connection")
        assert isinstance(caught.value, trio.TooSlowError)
        assert trio.current_time() == pytest.approx(7)
        # The client has closed its stream.
        assert ended[0].startswith(b"GET / HTTP/1.1\r\n")

    async def test_dial_and_handshake_share_one_deadline(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        autojump_clock.autojump_threshold = 0.05
        async with raw_server(read_to_end) as port:
            trio.socket.set_custom_hostname_resolver(Resolver([("127.0.0.1", port)], delay=5))
            with pytest.raises(HandshakeTimeout):
                async with open_websocket(f"ws://example.org:{port}/", handshake_timeout=7):
                    raise AssertionError("there is no connection")
        assert trio.current_time() == pytest.approx(7)

    async def test_half_an_answer(self, autojump_clock: trio.testing.MockClock) -> None:
        """A head without its 16 bytes."""
        autojump_clock.autojump_threshold = 0.05

        async def behave(stream: trio.SocketStream) -> None:
            await read_request(stream)
            await stream.send_all(
                b"HTTP/1.1 101 a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n0123456789"
            )
            await read_to_end(stream)

        async with raw_server(behave) as port:
            with pytest.raises(HandshakeTimeout):
                async with open_websocket(f"ws://127.0.0.1:{port}/", handshake_timeout=7):
                    raise AssertionError("there is no connection")

    async def test_the_answer_is_shown_but_not_all_of_it(self) -> None:
        error = Rejected(503, Request.parse(b"GET / HTTP/1.1\r\n\r\n").headers, b"\xff" * 500)
        assert str(error) == f"the server refused with status 503: {'�' * 200!r}"
        assert str(Rejected(503, error.headers, b"\r\n")) == "the server refused with status 503"


class Resolver(trio.abc.HostnameResolver):
    """A resolver that finds these addresses, fails, or never answers."""

    def __init__(self, found: list[tuple[str, int]] | OSError | None, delay: float = 0) -> None:
        self.found = found
        self.delay = delay

    async def getaddrinfo(self, host: Any, port: Any, *args: Any, **settings: Any) -> Any:
        await trio.sleep(math.inf if self.found is None else self.delay)
        if isinstance(self.found, OSError):
            raise self.found
        assert self.found is not None
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address)
            for address in self.found
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


class Stop(BaseException):
    """Not an Exception, as KeyboardInterrupt is not."""


class TestTheBlock:
    @in_turn(error=(ValueError, KeyboardInterrupt, SystemExit, Stop))
    async def test_what_it_raises_comes_out(self, draft: Draft, error: type[BaseException]) -> None:
        """As it is, in no group; and the connection is closed in order."""
        raised = error("mine")
        ends: list[BaseException] = []

        async def handler(connection: Connection, state: object) -> None:
            with pytest.raises(PeerClosed) as caught:
                await connection.receive()
            ends.append(caught.value)

        with use_framing_mode(draft.name):
            async with listening(handler=handler) as (url, _):
                with pytest.raises(error) as caught:
                    async with open_websocket(url) as client:
                        raise raised
                assert caught.value is raised
                assert client.closed
        assert len(ends) == 1

    async def test_a_group_stays_the_group_it_was(self) -> None:
        async def fail() -> None:
            raise ValueError("mine")

        async def fail_in_a_nursery(url: str) -> None:
            async with open_websocket(url), trio.open_nursery() as nursery:
                nursery.start_soon(fail)

        async with listening() as (url, _):
            with pytest.raises(ExceptionGroup) as caught:
                await fail_in_a_nursery(url)
        assert [str(error) for error in caught.value.exceptions] == ["mine"]

    async def test_cancelled(self, draft: Draft) -> None:
        """The close is still said, and answered."""
        with use_framing_mode(draft.name):
            async with listening() as (url, _):
                with trio.CancelScope() as scope:
                    async with open_websocket(url) as client:
                        scope.cancel()
                        await client.receive()
                assert scope.cancelled_caught
                assert client.closed
                assert (client.close_received is not None) is draft.closing_handshake

    async def test_cancelled_while_it_opens(self, draft: Draft) -> None:
        opened = trio.Event()
        ended: list[bytes] = []

        async def never_answer(stream: trio.SocketStream) -> None:
            await read_request(stream, draft.opening.request_body)
            opened.set()
            ended.append(await read_to_end(stream))

        async with raw_server(never_answer) as port:
            with trio.CancelScope() as scope:

                async def cancel() -> None:
                    await opened.wait()
                    scope.cancel()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel)
                    async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft):
                        raise AssertionError("there is no connection")
            assert scope.cancelled_caught
        assert ended == [b""]

    async def test_its_end_closes(self, draft: Draft) -> None:
        said: list[bytes] = []

        async def behave(stream: trio.SocketStream) -> None:
            request = await read_request(stream, draft.opening.request_body)
            answer, agreement = take_up(draft, *request)
            head, _, proof = answer.partition(b"\r\n\r\n")
            # No more than a server must say: what proves it, but no location
            proofs = (b"Sec-WebSocket-Accept:", b"Sec-WebSocket-Nonce:")
            await stream.send_all(
                b"HTTP/1.1 101 a\r\nUpgrade: websocket\r\nConnection: keep-alive, upgrade\r\n"
                + b"".join(
                    b"%b\r\n" % line for line in head.split(b"\r\n") if line.startswith(proofs)
                )
                + b"\r\n"
                + proof
            )
            if draft.closing_handshake:
                codec = draft.codec("server", 0, agreement)
                [close] = codec.decode(await stream.receive_some())
                assert isinstance(close, Close)
                assert (close.code, close.reason) == (1000 if draft.close_status else None, "")
                await stream.send_all(b"".join(codec.encode(close)))
            said.append(await read_to_end(stream))

        async with raw_server(behave) as port:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft=draft) as client:
                assert repr(client).endswith(" open>")
            assert client.closed
        assert said == [b""]

    async def test_a_connection_closed_within_it(self, draft: Draft) -> None:
        with use_framing_mode(draft.name):
            async with listening() as (url, _):
                async with open_websocket(url) as client:
                    await client.aclose()
                    with pytest.raises(trio.ClosedResourceError):
                        await client.receive()


LIMITS = (
    "handshake_timeout",
    "close_timeout",
    "idle_timeout",
    "max_message_size",
    "max_head_size",
)


@pytest.mark.parametrize("name", LIMITS)
class TestLimits:
    @each_row("value", [0, -1, -0.5, math.nan, -math.inf])
    async def test_out_of_range(self, name: str, value: float) -> None:
        for entered in both_sides(name, value):
            with pytest.raises(ValueError, match=f"{name} must be above 0, not "):
                async with entered:
                    raise AssertionError("there is nothing to enter")

    @each_row("value", [True, "10", None, b"1"])
    async def test_no_number(self, name: str, value: Any) -> None:
        why = f"{name} must be a number, not {type(value).__name__}"
        for entered in both_sides(name, value):
            with pytest.raises(TypeError, match=why):
                async with entered:
                    raise AssertionError("there is nothing to enter")

    async def test_none_at_all(self, name: str) -> None:
        """`math.inf` is a limit, too."""
        endless: dict[str, Any] = {name: math.inf}
        async with listening(**endless) as (url, _):
            async with open_websocket(url, **endless) as client:
                await client.send("hello")
                assert await client.receive() == "hello"


def both_sides(name: str, value: Any) -> list[Any]:
    """A client and a server with this limit, not yet entered."""
    limit: dict[str, Any] = {name: value}
    return [open_websocket("ws://127.0.0.1:9/", **limit), serving(echo, **limit)]


async def test_a_head_as_long_as_the_limit() -> None:
    """One byte less, and it is too long: on a client an error that says so, on a server 431."""
    async with listening() as (url, asked):
        async with open_websocket(url, draft="hixie-75") as client:
            answer = len(client._head)
            request = asked[0]
        async with open_websocket(url, draft="hixie-75", max_head_size=answer):
            pass
        with pytest.raises(HandshakeError, match=f"longer than {answer - 1} bytes"):
            async with open_websocket(url, draft="hixie-75", max_head_size=answer - 1):
                raise AssertionError("there is no connection")
    whole = b"%b\r\n%b\r\n" % (
        request.line,
        b"".join(b"%b: %b\r\n" % field for field in request.headers.raw),
    )
    for limit, taken in ((len(whole), True), (len(whole) - 1, False)):
        async with serving(max_head_size=limit) as server, await dial(server) as stream:
            await stream.send_all(whole)
            await stream.send_eof()
            said = await read_to_end(stream)
        assert said.startswith(b"HTTP/1.1 101 " if taken else b"HTTP/1.1 431 ")
