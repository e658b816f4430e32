"""The server's side of one opening handshake on a stream: read the request, answer it.

There are two ways. What today's clients send, on a socket of ours, is answered at sight: nothing is
made for it but the connection, and a request that is seen by nobody is not even parsed. Whatever is
unusual in the request or the stream is read by the one parser, within a scope of its own. Where the
first way fails, for whatever reason, the second tells the client.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate
from typing import Any, TypeVar

import attrs
import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.scope import Scope
from trio_draftws._exceptions import FlashPolicyServed, PageServed, RequestRefused
from trio_draftws._settings.checks import check_awaitable, fields_and_state
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.head_reader import HeadReader
from trio_draftws._transport.opening import (
    apply_stream_factory,
    handshake_deadline,
    handshake_timed_out,
)
from trio_draftws._transport.sockets import DirectStream, StreamFactory, TCPStream, take_over
from trio_draftws._transport.tls import is_secure
from trio_draftws.drafts import (
    BadHead,
    Compression,
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
    spoken_today,
    write_response,
)

from .admission import PeerInfo
from .flash_policy import POLICY_REQUEST, PolicyFile
from .origins import OriginCheck
from .routing import Routes
from .settings import ConnHeaders, FramingModeSelector, HTTPHandler, SubprotocolSelector

T = TypeVar("T")

# RFC 9112 section 2.2: one that stands before a request is skipped
EMPTY_LINE = b"\r\n"
NO_FIELDS = Headers()

logger = logging.getLogger("trio_draftws")


@attrs.frozen
class ServerOptions:
    """What a server demands and offers; made once, used for every connection."""

    limits: Limits
    drafts: tuple[Draft, ...]
    origins: OriginCheck
    conn_headers: ConnHeaders | None
    http_handler: HTTPHandler | Routes[HTTPHandler | HTTPResponse] | None
    framing_mode: FramingModeSelector
    subprotocols: Sequence[str] | SubprotocolSelector
    compression: Compression | None
    stream_factory: StreamFactory | None
    routes: Routes[Callable[..., Awaitable[object]]] | None = None
    """Which handler a path leads to; None where one serves all."""
    flash_policy: PolicyFile | None = None
    today: Draft | None = attrs.field(init=False)
    """The draft of requests that are answered at sight; None where none is."""
    wants_request: bool = attrs.field(init=False)
    """Whether somebody looks at such a request."""

    @today.default
    def _spoken_today(self) -> Draft | None:
        return spoken_today(self.drafts) if self.stream_factory is None else None

    @wants_request.default
    def _is_request_wanted(self) -> bool:
        hooks = (self.conn_headers, self.routes)
        return not self.origins.lets_all or any(hook is not None for hook in hooks)

    def choose_subprotocol(self, asked: Sequence[str]) -> str | None:
        """One of those asked for, or None."""
        if callable(self.subprotocols):
            chosen = self.subprotocols(asked) if asked else None
            if chosen is not None and chosen not in asked:
                raise ValueError(f"subprotocol {chosen!r} was chosen, but asked for: {list(asked)}")
            return chosen
        return next((name for name in self.subprotocols if name in asked), None)

    def only_connects(self, request: Request) -> bool:
        """Whether the routes say that there are connections at this path, and no page."""
        return (
            self.routes is not None
            and isinstance(self.http_handler, Routes)
            and self.http_handler.find(request) is None
            and self.routes.find(request) is not None
        )


async def turn_away(stream: trio.abc.Stream, terms: ServerOptions, refusal: Reject) -> None:
    """Refuses a client at once, whatever it wants; tells it so where nobody has to wait for that.

    Raises:
        RequestRefused: always.
    """
    stream = take_over(stream)
    if isinstance(stream, DirectStream) and terms.stream_factory is None:
        try:
            # To close while bytes are unread would make the kernel throw the answer away.
            stream.receive_nowait()
            stream.send_nowait([write_response(refusal.status, refusal.headers, refusal.body)])
        except trio.BrokenResourceError:
            pass
    await trio.aclose_forcefully(stream)
    raise refused(refusal)


def refused(reject: Reject, request: Request | None = None) -> RequestRefused:
    """What says that a request was refused so; with the cause, which the client was not told."""
    said = reject.body.decode("utf-8", "replace").strip()
    cause = reject.__cause__
    if cause is not None and str(cause) not in said:
        said = f"{said} ({cause})"
    return RequestRefused(reject.status, said, request)


async def answer(
    stream: trio.abc.Stream,
    terms: ServerOptions,
    scope: Scope,
    caller: PeerInfo,
    refusal: Reject | None = None,
) -> Connection:
    """Opens as a server: takes the stream over, reads a request, answers it: with `refusal`, if
    there is one. `caller` is told the draft, and the handler that its path leads to.

    On any failure the peer is told what HTTP can tell, and the stream is closed.

    Raises:
        RequestRefused: the request was refused, by us or by the application.
        PageServed: it was no WebSocket request, and `http_handler` answered it.
        FlashPolicyServed: it was a Flash player's, and was told the policy.
        HandshakeError: the stream broke or ended, or TLS failed, or time ran out.
        Exception: whatever else of the application's raised; the peer was told 500.
    """
    begun = trio.current_time()
    stream = take_over(stream)
    timeout = terms.limits.handshake_timeout
    visit = ServerHandshake(stream, terms, scope, refusal, caller, begun + timeout)
    connection: Connection | None = None
    failure: BaseException | None = None
    if visit.may_be_usual:
        try:
            connection = await visit.answer_at_sight()
        except BaseException as error:  # noqa: BLE001
            failure = error
        else:
            if connection is not None:
                return connection
    async with handshake_deadline(stream, timeout, begun) as deadline:
        try:
            if failure is not None:
                raise failure
            visit.stream = await apply_stream_factory(stream, terms.stream_factory)
            connection = await visit.answer()
            return connection
        except Reject as reject:
            await visit.reply(reject)
            raise refused(reject, visit.request) from reject
        except trio.Cancelled:
            if not deadline.cancel_called:
                await visit.say_goodbye()
            raise
        except Exception:
            if visit.asking:
                # What is the application's has failed; the peer is not told why.
                await visit.reply(Reject(500, body="The server made a mistake.\n"))
            raise
        finally:
            # It knows this frame.
            failure = None
            if connection is None:
                await visit.give_back()
    raise AssertionError("unreachable")  # pragma: no cover


@attrs.define
class ServerHandshake:
    """One client at the door."""

    stream: trio.abc.Stream
    terms: ServerOptions
    scope: Scope
    refusal: Reject | None
    """Why it may not come in, whatever it wants."""
    caller: PeerInfo
    deadline: float
    """When its opening has to be done."""
    state: Any = None
    """What `conn_headers` returned beside the fields."""
    head_only: bool = False
    """Whether what is answered in plain HTTP answers a HEAD."""
    asking: bool = False
    """Whether the application is being asked, so that what is raised is its own."""
    answered: bool = False
    request: Request | None = None
    """What it wants, once that is known, and somebody wants to know."""
    begin: bytes = b""
    """What was read of it already."""

    @property
    def may_be_usual(self) -> bool:
        """Whether it may be answered at sight."""
        usual = self.terms.today is not None and self.refusal is None
        return usual and type(self.stream) is TCPStream

    # At sight

    async def answer_at_sight(self) -> Connection | None:
        """Answers what today's clients send; returns None for all else, which `answer` has to read.

        Raises:
            BaseException: it has failed, and the client was not told.
        """
        terms, stream, draft = self.terms, self.stream, self.terms.today
        assert isinstance(stream, DirectStream)
        assert draft is not None
        self.begin = begin = await self.first_bytes(stream)
        found = scan_opening(begin)
        if found is None or found[0] > terms.limits.max_head_size:
            return None
        size, _, protocols, _, has_cookies = found
        head = begin[:size]
        self.caller.draft = draft
        fields, wildcard = NO_FIELDS, ""
        self.asking = True
        if terms.wants_request:
            parsed = Request.parse(head)
            self.request = Request(parsed.line, parsed.headers, draft, remote=self.caller.remote)
            request = self.admit(self.request)
            if terms.conn_headers is not None:
                fields = await self.in_time(self.ask(terms.conn_headers, request))
            wildcard = request.wildcard
        asked = () if protocols is None else draft.subprotocols.asked((protocols,))
        subprotocol = terms.choose_subprotocol(asked)
        self.asking = False
        compression = terms.compression if draft.compression else None
        response, agreement = begin_answer(found).accept(fields, subprotocol, compression)
        self.answered = True
        if has_cookies:
            terms.origins.warn_of_cookies()
        sent = stream.send_nowait([response])
        if sent < len(response):
            await self.in_time(stream.send_all(response[sent:]))
        return self.connection(draft, agreement, head, begin[size:], wildcard)

    async def first_bytes(self, stream: DirectStream) -> bytes:
        """What the client sends first; waits for that as long as an opening may take.

        Raises:
            HandshakeTimeout: nothing came.
            trio.BrokenResourceError: the stream broke.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while (data := stream.receive_nowait()) is None:
            if not await self.scope.wait_for_first_bytes(stream, self.deadline):
                raise handshake_timed_out(self.terms.limits.handshake_timeout)
        return data

    async def in_time(self, done: Awaitable[T]) -> T:
        """Waits for what is not done at once.

        Raises:
            HandshakeTimeout: time ran out.
        """
        with trio.move_on_at(self.deadline):
            return await done
        raise handshake_timed_out(self.terms.limits.handshake_timeout)

    # All else

    async def answer(self) -> Connection:
        limits = self.terms.limits
        reader = HeadReader(self.stream, bytearray(self.begin))
        policy = self.terms.flash_policy
        if policy is not None and await reader.begins_with(POLICY_REQUEST):
            if self.refusal is None:
                await self.say(policy.answer(self.stream))
                raise FlashPolicyServed
            raise self.refusal
        try:
            if await reader.begins_with(EMPTY_LINE):
                await reader.read_body(len(EMPTY_LINE))
            head = await reader.read_head(limits.max_head_size)
            self.head_only = head.startswith(b"HEAD ")
            parsed = self.request = Request.parse(head)
        except BadHead as error:
            raise Reject(error.status, body=f"{error}\n") from error
        if self.refusal is not None:
            raise self.refusal
        line, headers = parsed.line, parsed.headers
        secure, remote = is_secure(self.stream), self.caller.remote
        request = self.request = Request(line, headers, None, secure, remote=remote)
        http_handler = self.terms.http_handler
        if http_handler is not None and is_plain(request) and not self.terms.only_connects(request):
            raise await self.serve_page(http_handler, request)
        fields = NO_FIELDS
        self.asking = True
        draft = identify(request, self.terms.framing_mode, self.terms.drafts)
        self.caller.draft = draft
        self.request = Request(line, headers, draft, secure, remote=remote)
        request = self.admit(self.request)
        server = draft.opening.answer(request)
        if self.terms.conn_headers is not None:
            fields = await self.ask(self.terms.conn_headers, request)
        subprotocol = self.terms.choose_subprotocol(request.subprotocols)
        self.asking = False
        compression = self.terms.compression if draft.compression else None
        response, agreement = server.accept(fields, subprotocol, compression)
        reader.read_nowait()
        self.answered = True
        if "Cookie" in headers:
            self.terms.origins.warn_of_cookies()
        if len(reader.buffer) < server.request_body:
            # A proxy may hold the body back until it sees the head.
            await self.stream.send_all(response)
            response = b""
        proof = server.prove(await reader.read_body(server.request_body))
        await self.stream.send_all(response + proof)
        return self.connection(draft, agreement, head, reader.rest(), request.wildcard)

    # What both do

    def admit(self, request: Request) -> Request:
        """Whether its page may connect, and where its path leads; that is its `wildcard`.

        Raises:
            Reject: it may not, or leads nowhere.
        """
        self.terms.origins.check(request)
        if self.terms.routes is not None:
            self.caller.handler, request = self.terms.routes.follow(request)
        return request

    async def ask(self, conn_headers: ConnHeaders, request: Request) -> Headers:
        """The fields that `conn_headers` wants in the answer; its state is kept.

        Raises:
            Exception: whatever `conn_headers` raises.
        """
        made = check_awaitable("conn_headers", conn_headers(request))
        fields, self.state = fields_and_state(await made)
        return checked_answer_fields(fields)

    def connection(
        self, draft: Draft, agreement: NegotiatedParameters, head: bytes, rest: bytes, wildcard: str
    ) -> Connection:
        """What came of it."""
        return Connection(
            draft=draft,
            role="server",
            stream=self.stream,
            agreement=agreement,
            scope=self.scope,
            limits=self.terms.limits,
            head=head,
            rest=rest,
            state=self.state,
            wildcard=wildcard,
        )

    async def give_back(self) -> None:
        """Leaves what `conn_headers` opened for a handler that will not run."""
        state = self.state
        if not isinstance(state, AbstractAsyncContextManager):
            return
        assert self.request is not None
        path = escaped(self.request.path)
        seconds = self.terms.limits.close_timeout
        with trio.move_on_after(seconds, shield=True) as scope:
            try:
                await state.__aexit__(*sys.exc_info())
            except Exception:
                # Why there is no connection is to be told all the same.
                logger.exception("what conn_headers opened for %s was not given back", path)
        if scope.cancelled_caught:
            why = "what conn_headers opened for %s was not given back within %s s"
            logger.error(why, path, seconds)

    async def serve_page(
        self,
        http_handler: HTTPHandler | Routes[HTTPHandler | HTTPResponse],
        request: Request,
    ) -> PageServed:
        """Answers what is no WebSocket request; returns what to raise, there being no connection.

        Raises:
            Reject: by `http_handler`, or because the request cannot be answered with a page.
        """
        check_plain(request)
        page: HTTPHandler | HTTPResponse
        if isinstance(http_handler, Routes):
            page, request = http_handler.follow(request)
        else:
            page = http_handler
        self.asking = True
        response = (
            page
            if isinstance(page, HTTPResponse)
            else await check_awaitable("http_handler", page(request))
        )
        if not isinstance(response, HTTPResponse):
            raise TypeError(f"http_handler returned {response!r}, which is no HTTPResponse")
        self.asking = False
        await self.reply(response)
        return PageServed(request.line, response.status)

    async def reply(self, response: HTTPResponse | Reject) -> None:
        """Answers in plain HTTP and closes in order."""
        await self.say(self.written(response))

    async def say(self, data: bytes) -> None:
        """Answers so and closes in order."""
        self.answered = True
        try:
            await self.stream.send_all(data)
            if isinstance(self.stream, trio.abc.HalfCloseableStream):
                await self.stream.send_eof()
                await self.linger(self.stream)
        except trio.BrokenResourceError:
            pass  # whoever asked has gone; why it was answered so is still to be told
        await self.stream.aclose()

    async def linger(self, stream: trio.abc.Stream) -> None:
        """Reads until the peer has closed, or for `close_timeout`.

        To close while bytes are unread would make the kernel throw the answer away.
        """
        # Less than what is left: a peer that does not close must not hide what happened.
        left = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(min(self.terms.limits.close_timeout, left / 2)):
            while await stream.receive_some():
                await trio.lowlevel.checkpoint()

    def written(self, response: HTTPResponse | Reject) -> bytes:
        fields = response.headers
        if "Date" not in fields:
            # RFC 9110 section 6.6.1: whoever has a clock says what time it is
            fields = Headers([*fields.raw, (b"Date", formatdate(usegmt=True).encode())])
        return write_response(response.status, fields, response.body, head_only=self.head_only)

    async def say_goodbye(self) -> None:
        """Tells a client whose opening is not done that the server is going."""
        if self.answered:
            return
        gone = Reject(503, body="The server is shutting down.\n")
        with trio.move_on_after(self.terms.limits.close_timeout, shield=True):
            await self.stream.send_all(self.written(gone))
            await self.stream.aclose()
