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

from .hints import advice_on_page

MAX_REFUSAL_BODY = 65536
# How many seconds of silence end a body; and how many there are for one that only the end of the
# stream ends, which a server that keeps its connections may not mean to be one.
BODY_PATIENCE = 0.5
# hybi-04 section 5.2.2: what no draft before it has
ACCEPT_FIELD = "Sec-WebSocket-Accept"

waits_for_bodies: ContextVar[bool] = ContextVar("waits_for_bodies", default=True)
"""Whether openings wait for the body of a refusal; `probe`, which makes many, needs none."""


async def ask(
    stream: trio.abc.Stream,
    draft: Draft,
    wish: HandshakeRequest,
    limits: Limits,
    scope: Scope,
    goes_on: Callable[[Response], bool],
) -> Connection:
    """Opens as a client on a stream that is connected.

    `goes_on` says of an answer that is not 101 whether another attempt may follow it. Then its
    body is not waited for, and what came with the head is kept.

    Raises:
        Rejected: the answer was not 101.
        InvalidAnswer: it was, but not what the draft demands.
        HandshakeError: the stream broke or ended.
    """
    if not draft.compression:
        wish = attrs.evolve(wish, compression=None)
    client = draft.opening.ask(wish, draft.subprotocols)
    reader = HeadReader(stream)
    try:
        # One write for head and body: several servers of the time want them in one read.
        head, response = await reader.exchange(client.request(), limits.max_head_size)
    except BadHead as error:
        raise HandshakeError(f"the server's answer is no HTTP: {error}") from error
    if response.status != 101:
        raise await _refused(reader, response, limits, goes_on)
    if draft.version is None and ACCEPT_FIELD in response.headers:
        # It does not ask which draft it is, and would leave a client waiting for what proves it.
        raise InvalidAnswer("the draft of the answer", draft.name, "a later one")
    body = await reader.read_body(client.response_body)
    agreement = client.verify(response, body)
    return Connection(
        draft=draft,
        role="client",
        stream=stream,
        agreement=agreement,
        scope=scope,
        limits=limits,
        head=head,
        rest=reader.rest(),
        url=wish.url,
    )


async def _refused(
    reader: HeadReader, response: Response, limits: Limits, goes_on: Callable[[Response], bool]
) -> Rejected:
    """What to raise for an answer that is not 101."""
    body = ResponseBody.of(response, MAX_REFUSAL_BODY)
    reader.read_nowait()
    body.feed(reader.rest())
    if waits_for_bodies.get() and not goes_on(response):
        # Less than what is left: a body that does not end must not hide the status.
        left = trio.current_effective_deadline() - trio.current_time()
        with trio.move_on_after(min(limits.close_timeout, left / 2)):
            await _read_body(reader.stream, body)
    rejected = Rejected(response.status, response.headers, bytes(body.content))
    rejected.advice = advice_on_page(rejected)
    return rejected


async def _read_body(stream: trio.abc.Stream, body: ResponseBody) -> None:
    """Reads until it ends, or nothing comes any more."""
    started = trio.current_time()
    while not body.done:
        begin = trio.current_time() if body.has_end else started
        with trio.move_on_at(begin + BODY_PATIENCE) as patience:
            try:
                data = await stream.receive_some()
            except trio.BrokenResourceError:
                return
            body.feed(data)
        if patience.cancelled_caught or not data:
            return
