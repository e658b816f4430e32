"""`RawClient`, `RawServer`: peers by hand, which can send what no well-behaved peer would."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

import attrs
import trio

from trio_draftws._connection.block import BlockNursery, block
from trio_draftws._settings.checks import (
    check_address,
    check_async_function,
    check_awaitable,
    check_compression,
    check_subprotocols,
    needs_trio,
)
from trio_draftws._settings.framing_mode import framing_mode
from trio_draftws.drafts import (
    DRAFTS,
    BadHead,
    ClientOpening,
    Compression,
    Draft,
    DraftName,
    HandshakeError,
    HandshakeRequest,
    HeaderFields,
    Reject,
    Request,
    Response,
    Role,
    WebSocketURL,
    checked_answer_fields,
    checked_fields,
    draft_named,
    identify,
    write_response,
)

from ._nursery import plain_nursery
from ._pair import URL
from ._raw_peer import RawPeer


@attrs.define(eq=False)
class RawClient(RawPeer):
    """A client by hand, for tests of a server: `async with RawClient(stream) as client`.

    The stream may come from `ServerUnderTest.dial` or from `trio.open_tcp_stream`. Leaving the
    block closes it.
    """

    response: Response | None = attrs.field(default=None, init=False)
    """The head of the server's answer; None before it was received."""
    _role: Role = attrs.field(default="client", init=False, repr=False)
    _request: tuple[Draft, ClientOpening] | None = attrs.field(default=None, init=False, repr=False)

    async def open(
        self,
        draft: DraftName | str | Draft = "rfc6455",
        url: str = URL,
        *,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        compression: Compression | None = None,
    ) -> Response:
        """Performs a correct opening handshake; returns the server's answer.

        Args:
            draft: the draft to speak, by name or as a `Draft`; by default `"rfc6455"`.
            url: the URL to ask for, a str; by default `"ws://localhost/"`.
            headers: additional header fields for the request; by default none.
            origin: the Origin to send, a str; by default none is sent.
            subprotocols: the subprotocols to ask for, in order of preference; by default none.
            compression: the `Compression` to offer; by default None.

        Raises:
            AssertionError: the server's answer is not that of the draft.
            ValueError: no draft has that name, or it cannot express the request.
            TypeError: an argument has the wrong type.
            trio.BrokenResourceError: the stream is broken.
        """
        await self.send(
            self.request(
                draft,
                url,
                headers=headers,
                origin=origin,
                subprotocols=subprotocols,
                compression=compression,
            )
        )
        return await self.expect_opened()

    def request(
        self,
        draft: DraftName | str | Draft = "rfc6455",
        url: str = URL,
        *,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        compression: Compression | None = None,
    ) -> bytes:
        """Returns the bytes that `open` would send, with new keys in each call.

        Args:
            draft: as for `open`, like the other arguments.

        Raises:
            ValueError: no draft has that name, or it cannot express the request.
            TypeError: an argument has the wrong type.
        """
        check_compression("compression", compression)
        spoken = draft_named(draft)
        handshake_request = HandshakeRequest(
            url=WebSocketURL.parse(url),
            headers=checked_fields(headers, forbidden=spoken.opening.written_fields),
            origin=origin,
            subprotocols=check_subprotocols(subprotocols),
            compression=compression,
        )
        opening = spoken.opening.ask(handshake_request, spoken.subprotocols)
        self._request = spoken, opening
        return opening.request()

    async def expect_response(self, status: int | None = None) -> Response:
        """Expects the head of an answer, with this status unless that is None; returns it.

        What follows the head is left for the next call, such as `receive_rest`.
        """
        head = await self._read_head("an answer" if status is None else f"an answer {status}")
        try:
            self.response = Response.parse(head)
        except BadHead as error:
            raise AssertionError(f"expected an answer, got {head!r}: {error}") from error
        if status not in (None, self.response.status):
            raise AssertionError(f"expected status {status}, got {self.response.line!r}")
        return self.response

    async def expect_opened(self) -> Response:
        """Expects a correct answer to the last `request`, and returns it.

        Raises:
            RuntimeError: `request` was not called.
        """
        if self._request is None:
            raise RuntimeError("nothing was asked for with request() yet")
        draft, opening = self._request
        response = await self.expect_response(101)
        proof = await self.receive_exactly(opening.response_body)
        try:
            agreement = opening.verify(response, proof)
        except HandshakeError as error:
            raise AssertionError(str(error)) from error
        self.speak(draft, agreement=agreement)
        return response


@attrs.define(eq=False)
class RawServer(RawPeer):
    """A server by hand, for tests of a client; `serve_raw` makes one for each client."""

    head: bytes = attrs.field(default=b"", init=False)
    """The head of the client's request, as bytes; empty before it was received."""
    _role: Role = attrs.field(default="server", init=False, repr=False)

    async def expect_request(self) -> Request:
        """Expects the head of a request, and returns it. What follows it is left."""
        self.head = await self._read_head("a request")
        try:
            return Request.parse(self.head)
        except BadHead as error:
            raise AssertionError(f"expected a request, got {self.head!r}: {error}") from error

    async def open(
        self,
        draft: DraftName | str | Draft | None = None,
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
        compression: Compression | None = None,
    ) -> Request:
        """Performs a correct opening handshake; returns the client's request.

        Args:
            draft: the draft to speak if the request does not settle it, by name or as a `Draft`; by
                default that of `framing_mode`.
            headers: additional header fields for the answer; by default none.
            subprotocol: the subprotocol to agree to, a str; by default None.
            compression: the `Compression` for `send_frame`, if the client offers it; by default
                None.

        Raises:
            AssertionError: the client's request is not that of any draft.
            ValueError: no draft has that name, or a header field cannot be sent.
            trio.BrokenResourceError: the stream is broken.
        """
        request = await self.expect_request()
        await self.send(
            await self.answer(
                draft, headers=headers, subprotocol=subprotocol, compression=compression
            )
        )
        return request

    async def answer(
        self,
        draft: DraftName | str | Draft | None = None,
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
        compression: Compression | None = None,
    ) -> bytes:
        """Returns the bytes that `open` would answer to the request that was received.

        It receives the bytes that follow the request's head in some drafts, and sets the draft of
        the frames from now on.

        Args:
            draft: as for `open`, like the other arguments.

        Raises:
            AssertionError: the client's request is not that of any draft.
            ValueError: no draft has that name, or a header field cannot be sent.
        """
        mode = framing_mode.get() if draft is None else draft_named(draft).name
        try:
            spoken = identify(Request.parse(self.head), lambda request: mode, DRAFTS)
            opening = spoken.opening.answer(Request.parse(self.head))
        except Reject as reject:
            raise AssertionError(f"expected a request to open, got {self.head!r}") from reject
        answer, agreement = opening.accept(
            checked_answer_fields(headers),
            subprotocol,
            compression if spoken.compression else None,
        )
        answer += opening.prove(await self.receive_exactly(opening.request_body))
        self.speak(spoken, agreement=agreement)
        return answer

    async def refuse(
        self, status: int, headers: HeaderFields = (), body: bytes | str = b""
    ) -> None:
        """Answers in plain HTTP, like a server that refuses; the stream stays open.

        Args:
            status: the HTTP status code, an int.
            headers: header fields for the answer; by default none.
            body: the body, as bytes or str; by default empty.

        Raises:
            ValueError: a header field cannot be sent.
            trio.BrokenResourceError: the stream is broken.
        """
        data = body.encode() if isinstance(body, str) else body
        await self.send(write_response(status, checked_fields(headers), data))


@block("url")
async def serve_raw(
    behave: Callable[[RawServer], Awaitable[object]], *, host: str = "127.0.0.1"
) -> AsyncGenerator[str, None]:
    """Calls `behave` for each client on a free port: `async with serve_raw(behave) as url`.

    When `behave` returns, the client's stream is closed. Leaving the block stops listening and
    waits until every `behave` has returned. An exception from `behave` cancels the block, and is
    raised in place of the block's own exception. Entering and leaving are checkpoints; cancelling
    the block cancels every `behave`.

    Args:
        behave: `async def behave(server)`, called with a `RawServer` for each client.
        host: the address or name to listen on, a str; by default `"127.0.0.1"`.

    Returns:
        An async context manager, which gives the URL, a str.

    Raises:
        OSError: it cannot listen there.
        TypeError: `behave` is not an async function, or `host` is not a str.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("serve_raw")
    check_async_function("behave", behave, "server")
    check_address(0, host, None)
    failures: list[Exception] = []
    # Not the nurseries' own, since these have the caller's task in them
    listening, behaving = trio.CancelScope(), set[trio.CancelScope]()
    try:
        async with plain_nursery() as clients:

            async def serve_client(stream: trio.SocketStream) -> None:
                with trio.CancelScope() as scope:
                    behaving.add(scope)
                    async with RawServer(stream) as server:
                        try:
                            await check_awaitable("behave", behave(server))
                        except Exception as error:  # noqa: BLE001
                            failures.append(error)
                            clients.cancel_scope.cancel()
                behaving.discard(scope)

            async def listen(task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
                with listening:
                    await trio.serve_tcp(
                        serve_client, 0, host=host, handler_nursery=clients, task_status=task_status
                    )

            async with BlockNursery() as nursery:
                listeners = await nursery.start(listen)
                port = listeners[0].socket.getsockname()[1]
                try:
                    yield f"ws://[{host}]:{port}/" if ":" in host else f"ws://{host}:{port}/"
                except BaseException:
                    for scope in behaving:
                        scope.cancel()
                    raise
                finally:
                    listening.cancel()
    except Exception as error:
        if failures:
            raise failures[0] from error
        raise
    if failures:
        raise failures[0]
