"""Peers that are told byte by byte what to say, for what no well-behaved peer would."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import trio

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

    The stream may be of `ServerUnderTest.dial`, or of `trio.open_tcp_stream`.
    """

    response: Response | None = attrs.field(default=None, init=False)
    """The head that the server answered with."""
    _role: Role = attrs.field(default="client", init=False)
    _asked: tuple[Draft, ClientOpening] | None = attrs.field(default=None, init=False)

    async def open(
        self,
        draft: str | Draft = "rfc6455",
        url: str = URL,
        *,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        compression: Compression | None = None,
    ) -> Response:
        """Opens the connection without a fault; returns the server's answer.

        Raises:
            AssertionError: the server's answer is not that of the draft.
            ValueError: no draft has that name, or it cannot ask for that.
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
        draft: str | Draft = "rfc6455",
        url: str = URL,
        *,
        headers: HeaderFields = (),
        origin: str | None = None,
        subprotocols: Sequence[str] = (),
        compression: Compression | None = None,
    ) -> bytes:
        """What `open` would send, to be sent otherwise; the keys are new at each call.

        Raises:
            ValueError: no draft has that name, or it cannot ask for that.
            TypeError: an argument is nothing of its kind.
        """
        check_compression("compression", compression)
        row = draft_named(draft)
        ask = HandshakeRequest(
            url=WebSocketURL.parse(url),
            headers=checked_fields(headers, forbidden=row.opening.written_fields),
            origin=origin,
            subprotocols=check_subprotocols(subprotocols),
            compression=compression,
        )
        opening = row.opening.ask(ask, row.subprotocols)
        self._asked = row, opening
        return opening.request()

    async def expect_response(self, status: int | None = None) -> Response:
        """Expects the head of an answer, with that status if one is given.

        What follows it is left for `receive_rest`, or whatever comes next.
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
        """Expects the answer that opens what was last asked for with `request`; returns it."""
        if self._asked is None:
            raise RuntimeError("nothing was asked for with request() yet")
        draft, opening = self._asked
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
    """A server's side by hand, for tests of a client; `serve_raw` makes one for each that comes."""

    head: bytes = attrs.field(default=b"", init=False)
    """What the client opened with, byte by byte."""
    _role: Role = attrs.field(default="server", init=False)

    async def expect_request(self) -> Request:
        """Expects the head of a request, and leaves what follows it."""
        self.head = await self._read_head("a request")
        try:
            return Request.parse(self.head)
        except BadHead as error:
            raise AssertionError(f"expected a request, got {self.head!r}: {error}") from error

    async def open(
        self,
        draft: str | Draft | None = None,
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
        compression: Compression | None = None,
    ) -> Request:
        """Opens the connection without a fault; returns the client's request.

        Args:
            draft: the one to speak where the request does not settle it; by default what
                `framing_mode` says.
            headers: further fields for the answer.
            subprotocol: the one to agree to.
            compression: how to compress what `send_frame` says, where the client offers it.

        Raises:
            AssertionError: the client's request is not that of any draft.
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
        draft: str | Draft | None = None,
        *,
        headers: HeaderFields = (),
        subprotocol: str | None = None,
        compression: Compression | None = None,
    ) -> bytes:
        """What `open` would answer to the request that was expected, to be sent otherwise.

        It takes the bytes that stand behind the request's head in some drafts; frames are of that
        draft from then on.
        """
        mode = framing_mode.get() if draft is None else draft_named(draft).name
        try:
            row = identify(Request.parse(self.head), lambda request: mode, DRAFTS)
            opening = row.opening.answer(Request.parse(self.head))
        except Reject as reject:
            raise AssertionError(f"expected a request to open, got {self.head!r}") from reject
        answer, agreement = opening.accept(
            checked_answer_fields(headers),
            subprotocol,
            compression if row.compression else None,
        )
        answer += opening.prove(await self.receive_exactly(opening.request_body))
        self.speak(row, agreement=agreement)
        return answer

    async def refuse(
        self, status: int, headers: HeaderFields = (), body: bytes | str = b""
    ) -> None:
        """Answers in plain HTTP, as one that refuses does; the stream is left open."""
        data = body.encode() if isinstance(body, str) else body
        await self.send(write_response(status, checked_fields(headers), data))


@asynccontextmanager
async def serve_raw(
    behave: Callable[[RawServer], Awaitable[object]], *, host: str = "127.0.0.1"
) -> AsyncGenerator[str, None]:
    """A server on a free port that treats each client as `behave` says, and then closes.

    `async with serve_raw(behave) as url`. The block ends when every client was seen off. What
    `behave` raises ends the block, and comes out in preference to what the block raised for it.
    Entering is a checkpoint; cancelling the block cancels `behave` too.

    Args:
        behave: `async def behave(server)`, with a `RawServer` for each client.
        host: the interface to listen on.

    Raises:
        TypeError: `behave` is no async function, or the host no str.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("serve_raw")
    check_async_function("behave", behave, "server")
    check_address(0, host, None)
    failures: list[Exception] = []
    try:
        async with plain_nursery() as visits:

            async def visit(stream: trio.SocketStream) -> None:
                async with RawServer(stream) as server:
                    try:
                        await check_awaitable("behave", behave(server))
                    except Exception as error:  # noqa: BLE001
                        failures.append(error)
                        visits.cancel_scope.cancel()

            async with trio.open_nursery() as nursery:
                serve = partial(trio.serve_tcp, visit, 0, host=host, handler_nursery=visits)
                listeners = await nursery.start(serve)
                port = listeners[0].socket.getsockname()[1]
                yield f"ws://[{host}]:{port}/" if ":" in host else f"ws://{host}:{port}/"
                nursery.cancel_scope.cancel()
    except Exception as error:
        if failures:
            raise failures[0] from error
        raise
    if failures:
        raise failures[0]
