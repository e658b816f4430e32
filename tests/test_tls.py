"""wss over real sockets: names, certificates, and what is no TLS at all."""

from __future__ import annotations

import datetime as dt
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from trio_draftws import (
    Connection,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    Reject,
    Rejected,
    Request,
    Server,
    TLSFailed,
    accept,
    is_transient,
    open_websocket,
    reconnecting,
    serve_websocket,
    ssl_stream_factory,
    use_framing_mode,
)

from .rows import drafts_that_differ_most
from .wire import (
    dial,
    echo,
    raw_server,
    read_to_end,
    read_until,
    request,
    reset_when_closed,
    serving,
)

draft = drafts_that_differ_most()

YEARS_AGO = dt.datetime(2010, 5, 6, tzinfo=dt.timezone.utc)


def server_context(authority: trustme.CA, *names: str, **settings: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **settings).configure_cert(context)
    return context


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and all that caused it."""
    while error is not None:
        yield error
        error = error.__cause__


async def echo_once(url: str, **settings: Any) -> Connection:
    async with open_websocket(url, **settings) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
    return client


def locations_in(client: Connection) -> list[str]:
    """Where the server says that it is, which it does in the drafts that have no number."""
    headers = client.headers
    return [headers[name] for name in headers if name.endswith("websocket-location")]


@asynccontextmanager
async def still_serving(client_ssl: ssl.SSLContext, **settings: Any) -> AsyncIterator[Server]:
    """A TLS server, and a client of it that must not notice what the block does."""
    async with serving(**settings) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, ssl_context=client_ssl) as healthy:
            yield server
            await healthy.send("still here")
            assert await healthy.receive() == "still here"
        await echo_once(url, ssl_context=client_ssl)


async def test_echo(draft: Draft, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """Both sides know that the URL was a wss one."""
    locations: list[str] = []

    async def handler(connection: Connection, state: object) -> None:
        locations.append(connection.request.location)
        await echo(connection)

    with use_framing_mode(draft.name):
        async with serving(handler, ssl_context=server_ssl) as server:
            url = f"wss://localhost:{server.port}/path?q"
            client = await echo_once(url, ssl_context=client_ssl)
    assert client.draft is draft
    assert locations == [url]
    assert locations_in(client) == ([] if draft.version else [url])


@pytest.mark.parametrize(("host", "told"), [("localhost", "localhost"), ("127.0.0.1", None)])
async def test_the_server_sees_the_name_asked_for(
    host: str, told: str | None, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """RFC 6066 section 3: addresses are no names, so they are not sent; they are checked."""
    seen: list[str | None] = []

    def note(connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        seen.append(name)

    server_ssl.sni_callback = note
    async with serving(ssl_context=server_ssl) as server:
        await echo_once(f"wss://{host}:{server.port}/", ssl_context=client_ssl)
    assert seen == [told]


async def test_an_ipv6_address(authority: trustme.CA, client_ssl: ssl.SSLContext) -> None:
    try:
        listeners = await trio.open_tcp_listeners(0, host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    context = server_context(authority, "::1")
    async with serving(ssl_context=context, listeners=listeners) as server:
        await echo_once(f"wss://[::1]:{server.port}/", ssl_context=client_ssl)


# Certificates that are not to be trusted


def self_signed() -> ssl.SSLContext:
    """An authority's own certificate, signed by itself and by nobody else."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with (
        authority.cert_pem.tempfile() as certificate,
        authority.private_key_pem.tempfile() as key,
    ):
        context.load_cert_chain(certificate, key)
    return context


BAD: dict[str, tuple[Callable[[trustme.CA], ssl.SSLContext], str]] = {
    "another host": (lambda authority: server_context(authority, "example.org"), "mismatch"),
    "another address": (lambda authority: server_context(authority, "127.0.0.2"), "mismatch"),
    "unknown authority": (
        lambda authority: server_context(trustme.CA(), "127.0.0.1"),
        "unable to get local issuer certificate",
    ),
    "expired": (
        lambda authority: server_context(
            authority,
            "127.0.0.1",
            not_before=YEARS_AGO,
            not_after=YEARS_AGO + dt.timedelta(days=1),
        ),
        "certificate has expired",
    ),
    "self-signed": (lambda authority: self_signed(), "self.signed certificate"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_certificate(
    bad: str,
    authority: trustme.CA,
    client_ssl: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    mock_clock: trio.testing.MockClock,
) -> None:
    """Its own error, at once: this clock stands still, so no timeout could ever end a wait."""
    make, why = BAD[bad]
    async with serving(ssl_context=make(authority)) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(TLSFailed, match=f"TLS failed: .*{why}") as caught:
                await echo_once(f"wss://127.0.0.1:{server.port}/", ssl_context=client_ssl)
            await trio.testing.wait_all_tasks_blocked()
        assert isinstance(caught.value, HandshakeError)
        assert any(isinstance(error, ssl.SSLCertVerificationError) for error in chain(caught.value))
        # The server goes on for whoever trusts it.
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        await echo_once(f"wss://127.0.0.1:{server.port}/", ssl_context=trusting)
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert ": TLS failed: " in record.message


async def test_nobody_is_trusted_by_default(server_ssl: ssl.SSLContext) -> None:
    """Without `ssl_context`, the machine's authorities count, and ours is none of them."""
    async with serving(ssl_context=server_ssl) as server:
        with pytest.raises(TLSFailed, match="certificate verify failed"):
            await echo_once(f"wss://127.0.0.1:{server.port}/")


async def test_accept_says_why(server_ssl: ssl.SSLContext) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request())
    with pytest.raises(TLSFailed, match="TLS failed") as caught:
        async with accept(stream, ssl_context=server_ssl):
            raise AssertionError("there is no connection")
    assert any(isinstance(error, ssl.SSLError) for error in chain(caught.value))


# Client certificates


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def demanding(authority: trustme.CA, version: ssl.TLSVersion = VERSIONS[-1]) -> ssl.SSLContext:
    """A server's context that demands a certificate of its clients."""
    context = server_context(authority, "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    return context


async def test_a_client_certificate(authority: trustme.CA, client_ssl: ssl.SSLContext) -> None:
    context = demanding(authority)
    subjects: list[Any] = []

    async def handler(connection: Connection, state: object) -> None:
        for it in (connection, connection.request):
            assert it.peer_certificate is not None
            subjects.append(it.peer_certificate["subjectAltName"])
        await echo(connection)

    authority.issue_cert("me@example.org").configure_cert(client_ssl)
    async with serving(handler, ssl_context=context) as server:
        await echo_once(f"wss://127.0.0.1:{server.port}/", ssl_context=client_ssl)
    assert subjects == [(("email", "me@example.org"),)] * 2


@pytest.mark.parametrize("draft", [None, "auto", "rfc6455"])
async def test_no_client_certificate_where_one_is_demanded(
    draft: str | None,
    authority: trustme.CA,
    client_ssl: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    mock_clock: trio.testing.MockClock,
) -> None:
    """In TLS 1.3 that shows behind the client's own handshake. It is no question of drafts: nobody
    asks again.
    """
    context = demanding(authority)
    async with serving(ssl_context=context) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(TLSFailed, match="certificate required") as caught:
                await echo_once(url, ssl_context=client_ssl, draft=draft)
        await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert "peer did not return a certificate" in record.message
    assert caught.value.advice == "the server demands a certificate of its client"


async def fail_handshake(stream: trio.abc.Stream, context: ssl.SSLContext) -> None:
    """A server's handshake, to the alert with which it fails; `trio.SSLStream` says none."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    failed = False
    while not failed:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            failed = True
        if outgoing.pending:
            await stream.send_all(outgoing.read())
        if not failed:
            incoming.write(await stream.receive_some())


@asynccontextmanager
async def refusing(context: ssl.SSLContext, how: str) -> AsyncIterator[tuple[Any, list[int]]]:
    """A server whose TLS fails, with an alert; which then closes, or resets the connection.

    Gives arguments for a client that asks when the server has gone, and what counts its clients.
    """
    came: list[int] = []
    gone = [trio.Event() for _ in range(20)]

    async def behave(stream: trio.SocketStream) -> None:
        came.append(len(came))
        visit = came[-1]
        await fail_handshake(stream, context)
        if how == "reset":
            reset_when_closed(stream)
        await stream.aclose()
        gone[visit].set()

    async with raw_server(behave) as port:

        def ask(client_ssl: ssl.SSLContext) -> dict[str, Any]:
            tls = ssl_stream_factory(client_ssl, server_hostname="127.0.0.1")

            async def late(stream: trio.abc.Stream) -> trio.abc.Stream:
                secure = await tls(stream)
                await gone[len(came) - 1].wait()
                return secure

            return {"url": f"wss://127.0.0.1:{port}/", "stream_factory": late}

        yield ask, came


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("certificate", ["none", "of somebody else"])
@pytest.mark.parametrize("version", VERSIONS, ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("draft", ["rfc6455", "hixie-76", "auto"])
async def test_a_client_certificate_that_is_refused(
    draft: str,
    version: ssl.TLSVersion,
    certificate: str,
    how: str,
    authority: trustme.CA,
    client_ssl: ssl.SSLContext,
) -> None:
    """In TLS 1.3 that shows at the first read, and behind a reset only there. It is no question of
    drafts, and trying again does not help.
    """
    if certificate != "none":
        trustme.CA().issue_cert("me@example.org").configure_cert(client_ssl)
    async with refusing(demanding(authority, version), how) as (ask, came):
        with pytest.raises(TLSFailed, match="TLS failed: ") as caught:
            await echo_once(draft=draft, **ask(client_ssl))
        assert len(came) == 1
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert "alert" in str(caught.value)
        assert "draft=" not in str(caught.value)
        assert not is_transient(caught.value)
        with pytest.raises(TLSFailed):
            async with reconnecting(draft=draft, **ask(client_ssl)) as connections:
                await connections.__anext__()
        assert len(came) == 2


@pytest.mark.parametrize("certificate", ["none", "of somebody else"])
async def test_a_client_certificate_that_is_refused_over_other_streams(
    certificate: str, authority: trustme.CA, client_ssl: ssl.SSLContext
) -> None:
    """There, TLS is Trio's."""
    if certificate != "none":
        trustme.CA().issue_cert("me@example.org").configure_cert(client_ssl)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_handshake, theirs, demanding(authority))
        with pytest.raises(TLSFailed, match="alert"):
            await echo_once("wss://127.0.0.1/", stream=ours, ssl_context=client_ssl)


@pytest.mark.parametrize("compatible", [True, False])
async def test_tls_that_ends_without_its_goodbye(
    compatible: bool, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """Is a stream that ends, as servers end it that do not know the draft."""

    async def leave(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, server_ssl, server_side=True)
        await secure.do_handshake()
        await secure.receive_some()

    async def tls(stream: trio.abc.Stream) -> trio.abc.Stream:
        secure = trio.SSLStream(
            stream, client_ssl, server_hostname="127.0.0.1", https_compatible=compatible
        )
        await secure.do_handshake()
        return secure

    async with raw_server(leave) as port:
        with pytest.raises(HandshakeError) as caught:
            await echo_once(f"wss://127.0.0.1:{port}/", draft="rfc6455", stream_factory=tls)
    assert not isinstance(caught.value, TLSFailed)
    assert is_transient(caught.value)


# What is no TLS


async def test_a_plain_client_on_a_tls_port(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with still_serving(client_ssl, ssl_context=server_ssl) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(HandshakeError) as caught:
                await echo_once(f"ws://127.0.0.1:{server.port}/", draft="old")
        assert not isinstance(caught.value, (HandshakeTimeout, TLSFailed))
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert "TLS failed" in record.message
    assert "http request" in record.message.lower()


async def test_a_tls_client_on_a_plain_port(client_ssl: ssl.SSLContext) -> None:
    """Told at once, since its first byte can begin no request."""
    async with serving() as server:
        with pytest.raises(TLSFailed, match=r"(?i)wrong.version.number"):
            await echo_once(f"wss://127.0.0.1:{server.port}/", ssl_context=client_ssl)


async def test_a_tls_client_on_a_port_that_answers_in_plain_text(
    client_ssl: ssl.SSLContext, mock_clock: trio.testing.MockClock
) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"220 mail.example.org ESMTP\r\n")
        await read_to_end(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, behave, listeners)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(TLSFailed, match=r"(?i)wrong.version.number"):
            await echo_once(f"wss://127.0.0.1:{port}/", ssl_context=client_ssl)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"], ids=["nothing", "half a record"])
async def test_the_deadline_covers_tls_on_a_server(
    said: bytes,
    server_ssl: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.testing.MockClock,
) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with serving(ssl_context=server_ssl, handshake_timeout=7) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(said)
                assert await read_to_end(stream) == b""
            assert trio.current_time() == pytest.approx(7)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert record.message.endswith("the opening handshake was not done within 7 s")


async def test_the_deadline_covers_tls_on_a_client(
    client_ssl: ssl.SSLContext, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.05
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with listeners[0]:
        with pytest.raises(HandshakeTimeout, match="not done within 7 s"):
            await echo_once(f"wss://127.0.0.1:{port}/", ssl_context=client_ssl, handshake_timeout=7)
    assert trio.current_time() == pytest.approx(7)


async def test_a_client_that_vanishes_within_tls(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with still_serving(client_ssl, ssl_context=server_ssl) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(b"\x16\x03\x01")
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert "TLS failed" in record.message


async def test_a_refusal_arrives(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """Also where the client had more to say than the server read."""

    async def refuse(request: Request) -> tuple[HeaderFields, Any]:
        raise Reject(403, body="Bring a friend.")

    async with serving(ssl_context=server_ssl, conn_headers=refuse) as server:
        with pytest.raises(Rejected) as caught:
            await echo_once(f"wss://127.0.0.1:{server.port}/", ssl_context=client_ssl)
        assert (caught.value.status, caught.value.body) == (403, b"Bring a friend.")
        factory = ssl_stream_factory(client_ssl, server_hostname="127.0.0.1")
        stream = await factory(await dial(server))
        async with stream, trio.open_nursery() as nursery:

            async def say_too_much() -> None:
                try:
                    await stream.send_all(request() + b"x" * 1_000_000)
                except trio.BrokenResourceError:
                    pass  # by then the answer is there

            nursery.start_soon(say_too_much)
            answer = await read_until(stream, lambda received: b"friend." in received)
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")


# stream_factory


async def test_factories_in_place_of_contexts(
    draft: Draft, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    with use_framing_mode(draft.name):
        async with serving(stream_factory=ssl_stream_factory(server_ssl)) as server:
            factory = ssl_stream_factory(client_ssl, server_hostname="localhost")
            url = f"wss://127.0.0.1:{server.port}/"
            client = await echo_once(url, stream_factory=factory)
            assert not isinstance(client._endpoint.stream, trio.SSLStream)
            # The name that the factory was given counts, and not the URL's.
            factory = ssl_stream_factory(client_ssl, server_hostname="example.org")
            with pytest.raises(TLSFailed, match="mismatch"):
                await echo_once(url, stream_factory=factory)


class Inverted(trio.abc.Stream):
    """A tunnel of someone's own, which sends each byte with its bits inverted."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self.inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.inner.send_all(bytes(byte ^ 0xFF for byte in data))

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(byte ^ 0xFF for byte in await self.inner.receive_some(max_bytes))

    async def aclose(self) -> None:
        await self.inner.aclose()


async def inverting(stream: trio.abc.Stream) -> trio.abc.Stream:
    return Inverted(stream)


async def test_a_factory_of_ones_own(draft: Draft) -> None:
    """It stands in the place of TLS; what it gives is not taken for secure."""
    with use_framing_mode(draft.name):
        async with serving(stream_factory=inverting) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            client = await echo_once(url, stream_factory=inverting)
            assert isinstance(client._endpoint.stream, Inverted)


async def test_a_factory_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """On a client its error comes out; on a server it is logged, as what it is."""

    async def fail(stream: trio.abc.Stream) -> trio.abc.Stream:
        raise RuntimeError("no tunnel today")

    async with serving() as server:
        with pytest.raises(RuntimeError, match="no tunnel today"):
            await echo_once(f"ws://127.0.0.1:{server.port}/", stream_factory=fail)
    caplog.clear()
    async with serving(stream_factory=fail) as server:
        with pytest.raises(HandshakeError):
            await echo_once(f"ws://127.0.0.1:{server.port}/", draft="old")
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no tunnel today"
    assert "conn_headers" not in record.message


ONE_TOO_MANY = "ssl_context or stream_factory, not both"


async def test_context_and_factory_of_a_server(server_ssl: ssl.SSLContext) -> None:
    factory = ssl_stream_factory(server_ssl)
    with pytest.raises(ValueError, match=ONE_TOO_MANY):
        await serve_websocket(echo, 0, ssl_context=server_ssl, stream_factory=factory)
    _, stream = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match=ONE_TOO_MANY):
        async with accept(stream, ssl_context=server_ssl, stream_factory=factory):
            raise AssertionError("there is no connection")


async def test_context_and_factory_of_a_client(client_ssl: ssl.SSLContext) -> None:
    """Else one of them would be dropped in silence, and with it perhaps a client certificate."""
    factory = ssl_stream_factory(client_ssl, server_hostname="localhost")
    with pytest.raises(ValueError, match=ONE_TOO_MANY):
        async with open_websocket(
            "wss://127.0.0.1:9/", ssl_context=client_ssl, stream_factory=factory
        ):
            raise AssertionError("there is no connection")


async def test_listeners_with_tls_of_their_own(
    draft: Draft, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """As `trio.open_ssl_over_tcp_listeners` makes them; such a stream is secure, too."""
    listeners = await trio.open_ssl_over_tcp_listeners(
        0, server_ssl, host="127.0.0.1", https_compatible=True
    )
    with use_framing_mode(draft.name):
        async with serving(listeners=listeners) as server:
            url = f"wss://127.0.0.1:{server.port}/"
            client = await echo_once(url, ssl_context=client_ssl)
    assert locations_in(client) == ([] if draft.version else [url])


async def test_a_bad_certificate_of_a_listener_with_tls_of_its_own(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Its handshake runs with the first read, and fails there; the server goes on."""
    listeners = await trio.open_ssl_over_tcp_listeners(
        0, server_ssl, host="127.0.0.1", https_compatible=True
    )
    async with still_serving(client_ssl, listeners=listeners) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            with pytest.raises(TLSFailed):
                await echo_once(f"wss://127.0.0.1:{server.port}/")
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert "no connection" in record.message
