"""The server's side of one opening handshake: read the request, answer it.

There are two ways. The requests that today's clients send, on a socket of ours, are answered fast:
no cancel scope is made, and a request that nobody looks at is not even parsed. Everything that is
unusual about a request or a stream goes through the full parser, within a cancel scope. If the fast
way fails, for whatever reason, the other one answers the client.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import attrs
import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.info import PathPattern
from trio_draftws._connection.scope import Scope
from trio_draftws._exceptions import FlashPolicyServed, PageServed
from trio_draftws._settings.checks import check_awaitable, check_headers_and_state
from trio_draftws._transport.head_reader import HeadReader
from trio_draftws._transport.opening import (
    apply_stream_factory,
    handshake_deadline,
    handshake_timed_out,
)
from trio_draftws._transport.sockets import DirectStream, TCPStream, take_over
from trio_draftws.drafts import (
    Address,
    BadHead,
    Draft,
    Headers,
    HTTPResponse,
    NegotiatedParameters,
    Reject,
    Request,
    begin_answer,
    check_plain,
    checked_answer_fields,
    escaped,
    identify,
    is_plain,
    scan_opening,
)

from .flash_policy import POLICY_REQUEST
from .options import ServerOptions
from .peer import PeerInfo
from .responses import request_refused, send_and_close, serialize_response, show_answer
from .routing import Routes, follow_route
from .settings import ConnHeaders, Handler, HTTPHandler

T = TypeVar("T")

# RFC 9112 section 2.2: an empty line before the request line is skipped
EMPTY_LINE = b"\r\n"
NO_FIELDS = Headers()

logger = logging.getLogger("trio_draftws")


@attrs.define(eq=False, kw_only=True)
class ServerHandshake:
    """The opening handshake with one client."""

    stream: trio.abc.Stream
    peer: PeerInfo
    """The client, as far as it is known: at first whoever has connected, which may be a proxy."""
    options: ServerOptions
    scope: Scope
    refusal: Reject | None = None
    """Why the client may not connect, whatever it asks for."""
    count_client: Callable[[Address | None], None] | None = None
    """If a proxy has connected: called with the client's address, and may raise `Reject`."""
    request: Request | None = attrs.field(default=None, init=False)
    """What it asked for; None until that is known, or if nobody needs to know."""
    draft: Draft | None = attrs.field(default=None, init=False)
    """The draft that it speaks, once that is known."""
    is_programs_mistake: bool = attrs.field(default=False, init=False)
    """Whether it failed because of what a function of the application raised."""
    handler: Handler | None = None
    """What serves it. If there are routes, the one that its path leads to, once that is known."""
    _deadline: float = attrs.field(init=False)
    """When the handshake has to be done."""
    _pattern: PathPattern | None = attrs.field(default=None, init=False)
    """The path of its route, unless that is one path."""
    _state: Any = attrs.field(default=None, init=False)
    """What `conn_headers` returned beside the header fields."""
    _received: bytes = attrs.field(default=b"", init=False)
    """What the fast way read before it gave up."""
    _head_only: bool = attrs.field(default=False, init=False)
    """Whether a plain HTTP response answers a HEAD request, and so has no body."""
    _in_application: bool = attrs.field(default=False, init=False)
    """Whether a function of the application is running, so that what is raised is its fault."""
    _speaks_http: bool = attrs.field(default=True, init=False)
    """Whether an answer can be written on the stream: not while its TLS handshake is under way."""
    _has_responded: bool = attrs.field(default=False, init=False)
    """Whether a response was sent, or at least begun."""

    async def open(self) -> Connection:
        """Takes the stream over, reads the request and answers it: with `refusal`, if there is one.

        On any failure the client gets an answer in plain HTTP, if that is still possible, and the
        stream is closed. A checkpoint, with one deadline, `handshake_timeout`; cancelled, it
        answers 503.

        Raises:
            RequestRefused: the request was refused, by us or by the application.
            PageServed: it was not a WebSocket request, and `http_handler` answered it.
            FlashPolicyServed: it was a Flash player's request for the policy.
            HandshakeError: the stream broke or ended, or TLS failed, or time ran out.
            Exception: whatever a function of the application raised; the client got 500.
        """
        started = trio.current_time()
        self.stream = stream = take_over(self.stream)
        timeout = self.options.limits.handshake_timeout
        self._deadline = started + timeout
        connection: Connection | None = None
        failure: BaseException | None = None
        mistake: Exception | None = None
        if self._may_answer_fast:
            try:
                connection = await self._answer_fast()
            except BaseException as error:  # noqa: BLE001
                failure = error
            else:
                if connection is not None:
                    return connection
        async with handshake_deadline(stream, timeout, started) as scope:
            try:
                if failure is not None:
                    raise failure
                self._speaks_http = self.options.stream_factory is None
                self.stream = await apply_stream_factory(stream, self.options.stream_factory)
                self._speaks_http = True
                self.peer = self.peer.through(self.stream)
                connection = await self._answer()
                return connection
            except Reject as reject:
                await self._respond(reject)
                raise request_refused(reject, self.request) from reject
            except trio.Cancelled:
                if not scope.cancel_called:
                    await self._respond_shutting_down()
                raise
            except Exception as error:
                if not self._in_application:
                    raise
                # Raised below: here it might be taken for a fault of the stream. The client is not
                # told why.
                mistake = error
                self.is_programs_mistake = True
                await self._respond(Reject(500, body="The server made a mistake.\n"))
                await self._discard_state()
            finally:
                # Its traceback refers to this frame, which would refer to it.
                failure = None
                if connection is None and mistake is None:
                    await self._discard_state()
        try:
            assert mistake is not None
            raise mistake
        finally:
            mistake = None

    # The fast way

    @property
    def _may_answer_fast(self) -> bool:
        """Whether to try the fast way, as far as that can be known before the request."""
        possible = self.options.fast_draft is not None and self.refusal is None
        return possible and type(self.stream) is TCPStream

    async def _answer_fast(self) -> Connection | None:
        """Answers what today's clients send; returns None for anything else, which `_answer` then
        has to read.

        Raises:
            BaseException: it failed, and the client was not answered.
        """
        options, stream, draft = self.options, self.stream, self.options.fast_draft
        assert isinstance(stream, DirectStream)
        assert draft is not None
        self._received = received = await self._first_bytes(stream)
        found = scan_opening(received)
        if found is None or found[0] > options.limits.max_head_size:
            return None
        size, _, protocols, _, has_cookies = found
        head = received[:size]
        self.draft = draft
        fields = NO_FIELDS
        if options.needs_request:
            request = self._find_client(Request.parse(head), draft)
            self._in_application = True
            request = self.request = self._check_and_route(request)
            if options.conn_headers is not None:
                fields = await self._in_time(self._call(options.conn_headers, request))
            subprotocol = options.choose_subprotocol(request)
        else:
            offered = () if protocols is None else draft.subprotocols.asked((protocols,))
            subprotocol = options.first_subprotocol(offered)
        self._in_application = False
        compression = options.compression if draft.compression else None
        response, agreement = begin_answer(found).accept(fields, subprotocol, compression)
        self._has_responded = True
        if has_cookies:
            options.origins.warn_of_cookies()
        show_answer(options, self.request, response)
        sent = stream.send_nowait([response])
        if sent < len(response):
            await self._in_time(stream.send_all(response[sent:]))
        return self._make_connection(draft, agreement, head, received[size:])

    async def _first_bytes(self, stream: DirectStream) -> bytes:
        """Waits until the client has sent something, and returns it.

        Raises:
            HandshakeTimeout: nothing came in time.
            trio.BrokenResourceError: the stream broke.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while (data := stream.receive_nowait()) is None:
            if not await self.scope.wait_for_first_bytes(stream, self._deadline):
                raise handshake_timed_out(self.options.limits.handshake_timeout)
        return data

    async def _in_time(self, result: Awaitable[T]) -> T:
        """Awaits something within the deadline of the handshake.

        Raises:
            HandshakeTimeout: time ran out.
        """
        with trio.move_on_at(self._deadline):
            return await result
        self._in_application = False
        raise handshake_timed_out(self.options.limits.handshake_timeout)

    # The full parser

    async def _answer(self) -> Connection:
        """Reads any request, and accepts it.

        Raises:
            Reject: what to answer instead.
            PageServed, FlashPolicyServed: it was answered in another way.
            Exception: whatever the stream or a function of the application raised.
        """
        options = self.options
        reader = HeadReader(self.stream, bytearray(self._received))
        policy = options.flash_policy
        if policy is not None and await reader.begins_with(POLICY_REQUEST):
            if self.refusal is None:
                await self._send_last(policy.answer(self.stream))
                raise FlashPolicyServed
            raise self.refusal
        try:
            if await reader.begins_with(EMPTY_LINE):
                await reader.read_body(len(EMPTY_LINE))
            head = await reader.read_head(options.limits.max_head_size)
            self._head_only = head.startswith(b"HEAD ")
            parsed = Request.parse(head)
        except BadHead as error:
            raise Reject(error.status, body=f"{error}\n") from error
        request = self._find_client(parsed, None)
        if self.refusal is not None:
            raise self.refusal
        pages = options.http_handler
        if pages is not None and is_plain(request) and not options.is_websocket_only(request):
            raise await self._serve_page(pages, request)
        fields = NO_FIELDS
        self._in_application = True
        self.draft = draft = identify(request, options.framing_mode, options.drafts)
        self.request = attrs.evolve(request, draft=draft)
        request = self.request = self._check_and_route(self.request)
        server = draft.opening.answer(request)
        if options.conn_headers is not None:
            fields = await self._call(options.conn_headers, request)
        subprotocol = options.choose_subprotocol(request)
        self._in_application = False
        compression = options.compression if draft.compression else None
        response, agreement = server.accept(fields, subprotocol, compression)
        reader.read_nowait()
        self._has_responded = True
        if "Cookie" in parsed.headers:
            options.origins.warn_of_cookies()
        show_answer(options, request, response)
        if len(reader.buffer) < server.request_body:
            # A proxy may hold the body back until it sees the head of the response.
            await self.stream.send_all(response)
            response = b""
        proof = server.prove(await reader.read_body(server.request_body))
        await self.stream.send_all(response + proof)
        return self._make_connection(draft, agreement, head, reader.rest())

    async def _serve_page(
        self, pages: HTTPHandler | Routes[HTTPHandler | HTTPResponse], request: Request
    ) -> PageServed:
        """Answers a plain HTTP request; returns what to raise, since there is no connection.

        Raises:
            Reject: by `http_handler`, or because the request cannot be answered with a page.
        """
        check_plain(request)
        page: HTTPHandler | HTTPResponse
        if isinstance(pages, Routes):
            page, request = pages.follow(request)
            self.request = request
        else:
            page = pages
        self._in_application = True
        response = (
            page
            if isinstance(page, HTTPResponse)
            else await check_awaitable("http_handler", page(request))
        )
        if not isinstance(response, HTTPResponse):
            raise TypeError(f"http_handler returned {response!r}, which is no HTTPResponse")
        self._in_application = False
        await self._respond(response)
        return PageServed(request.line, response.status)

    # Both ways

    def _find_client(self, parsed: Request, draft: Draft | None) -> Request:
        """Finds out for whom a proxy speaks, and has the client counted; returns the request with
        what is known of the client.

        Raises:
            Reject: the proxies contradict each other, or the client may not connect.
        """
        self.request = self.peer.request(parsed, draft, self.stream)
        proxies = self.options.trusted_proxies
        if proxies:
            try:
                self.peer = self.peer.behind(parsed.headers, proxies.trusts)
            except BadHead as error:
                raise Reject(error.status, body=f"{error}\n") from error
        request = self.request = self.peer.request(parsed, draft, self.stream)
        if self.count_client is not None:
            self.count_client(self.peer.remote)
        return request

    def _check_and_route(self, request: Request) -> Request:
        """Checks the origin and finds the handler; returns the request with what its path says.

        Raises:
            Reject: the origin may not connect, or the path leads nowhere.
        """
        self.options.origins.check(request)
        if self.options.routes is not None:
            handler, self._pattern, request = follow_route(self.options.routes, request)
            self.handler = handler
        return request

    async def _call(self, conn_headers: ConnHeaders, request: Request) -> Headers:
        """Calls `conn_headers`; returns its header fields, and keeps its state.

        Raises:
            Exception: whatever `conn_headers` raises.
        """
        returned = check_awaitable("conn_headers", conn_headers(request))
        fields, self._state = check_headers_and_state(await returned)
        return checked_answer_fields(fields)

    def _make_connection(
        self, draft: Draft, agreement: NegotiatedParameters, head: bytes, rest: bytes
    ) -> Connection:
        return Connection(
            draft=draft,
            role="server",
            stream=self.stream,
            agreement=agreement,
            scope=self.scope,
            limits=self.options.limits,
            head=head,
            rest=rest,
            state=self._state,
            pattern=self._pattern,
            ends=self.peer.ends,
            secure=self.peer.secure,
        )

    # Failures

    async def _discard_state(self) -> None:
        """Leaves the context manager that `conn_headers` returned, since no handler will."""
        state = self._state
        if not isinstance(state, AbstractAsyncContextManager):
            return
        assert self.request is not None
        path = escaped(self.request.path)
        seconds = self.options.limits.close_timeout
        with trio.move_on_after(seconds, shield=True) as scope:
            try:
                await state.__aexit__(*sys.exc_info())
            except Exception:
                # Only logged, so that the caller still gets the reason of the failed handshake.
                logger.exception("the state that conn_headers returned for %s was not closed", path)
        if scope.cancelled_caught:
            why = "the state that conn_headers returned for %s was not closed within %s s"
            logger.error(why, path, seconds)

    async def _respond(self, response: HTTPResponse | Reject) -> None:
        """Answers in plain HTTP and closes the stream."""
        answer = serialize_response(response, head_only=self._head_only)
        show_answer(self.options, self.request, answer)
        await self._send_last(answer)

    async def _send_last(self, data: bytes) -> None:
        self._has_responded = True
        await send_and_close(self.stream, data, self.options.limits.close_timeout)

    async def _respond_shutting_down(self) -> None:
        """Answers a client whose handshake was cancelled with 503, unless it has an answer."""
        if self._has_responded or not self._speaks_http:
            return
        response = Reject(503, body="The server is shutting down.\n")
        answer = serialize_response(response, head_only=self._head_only)
        show_answer(self.options, self.request, answer)
        with trio.move_on_after(self.options.limits.close_timeout, shield=True):
            await self.stream.send_all(answer)
            await self.stream.aclose()
