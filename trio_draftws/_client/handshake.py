"""The client's side of one opening handshake on a stream."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import attrs
import trio

from trio_draftws._connection.connection import Connection
from trio_draftws._connection.scope import Scope
from trio_draftws._exceptions import Rejected
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.addresses import NO_ENDS, PackedEnds
from trio_draftws._transport.head_reader import HeadReader
from trio_draftws.drafts import (
    BadHead,
    Draft,
    HandshakeError,
    HandshakeRequest,
    InvalidAnswer,
    Response,
    ResponseBody,
)

from .hints import advice_on_web_page

MAX_REFUSAL_BODY = 65536
# Seconds without a byte after which no more of a body is expected. A body that only the end of the
# stream ends has this many in all, since a server may keep its connections open behind its answer.
BODY_TIMEOUT = 0.5
# hybi-04 section 5.2.2; no earlier draft has this field.
ACCEPT_FIELD = "Sec-WebSocket-Accept"

waits_for_refusal_bodies: ContextVar[bool] = ContextVar("waits_for_refusal_bodies", default=True)
"""Whether to wait for the body of a refusal. `probe`, which opens many connections, does not."""


async def client_handshake(
    stream: trio.abc.Stream,
    draft: Draft,
    request: HandshakeRequest,
    limits: Limits,
    scope: Scope,
    may_retry: Callable[[Response], bool],
    *,
    ends: PackedEnds = NO_ENDS,
    secure: bool = False,
) -> Connection:
    """Performs the client's opening handshake on a connected stream.

    Args:
        stream: what to speak on, TLS included.
        draft: the draft to speak.
        request: what to ask for.
        limits: those of the connection.
        scope: keeps the connection.
        may_retry: returns whether another attempt may follow an answer that is not 101. If so,
            only as much of its body is kept as arrived with the head.
        ends: the addresses of both sides.
        secure: whether the stream is TLS with the server.

    Raises:
        Rejected: the answer was not 101.
        InvalidAnswer: the answer was 101, but not what the draft requires.
        HandshakeError: the stream broke or ended.
    """
    if not draft.compression:
        request = attrs.evolve(request, compression=None)
    opening = draft.opening.ask(request, draft.subprotocols)
    reader = HeadReader(stream)
    try:
        # Head and body in one write: several servers of 2010 expect both in one read.
        head, response = await reader.exchange(opening.request(), limits.max_head_size)
    except BadHead as error:
        raise HandshakeError(f"the server's answer is no HTTP: {error}") from error
    if response.status != 101:
        raise await _read_rejection(reader, response, limits, may_retry)
    if draft.version is None and ACCEPT_FIELD in response.headers:
        # The server took the request for one of a later draft. Without this check the client would
        # wait for bytes that such an answer does not have.
        raise InvalidAnswer("the draft of the answer", draft.name, "a later one")
    body = await reader.read_body(opening.response_body)
    agreement = opening.verify(response, body)
    return Connection(
        draft=draft,
        role="client",
        stream=stream,
        agreement=agreement,
        scope=scope,
        limits=limits,
        head=head,
        rest=reader.rest(),
        url=request.url,
        ends=ends,
        secure=secure,
    )


async def _read_rejection(
    reader: HeadReader, response: Response, limits: Limits, may_retry: Callable[[Response], bool]
) -> Rejected:
    """Reads the body of an answer that is not 101, and returns the exception to raise."""
    body = ResponseBody.of(response, MAX_REFUSAL_BODY)
    reader.read_nowait()
    body.feed(reader.rest())
    if waits_for_refusal_bodies.get() and not may_retry(response):
        # Half of the time left: a body that never ends must not turn the status into a timeout.
        left = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(min(limits.close_timeout, left / 2)):
            await _read_body(reader.stream, body)
    rejected = Rejected(response.status, response.headers, bytes(body.content))
    rejected.add_advice(advice_on_web_page(rejected))
    return rejected


async def _read_body(stream: trio.abc.Stream, body: ResponseBody) -> None:
    """Reads until the body or the stream ends, or nothing has come for a while."""
    started = trio.current_time()
    while not body.done:
        begin = trio.current_time() if body.has_end else started
        with trio.move_on_at(begin + BODY_TIMEOUT) as timeout:
            try:
                data = await stream.receive_some()
            except trio.BrokenResourceError:
                return
            body.feed(data)
        if timeout.cancelled_caught or not data:
            return
