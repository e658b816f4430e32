"""The client's side of one opening handshake on a stream."""

from __future__ import annotations

import attrs
import trio

from ._connection.connection import Connection
from ._connection.scope import Scope
from ._exceptions import Rejected
from ._handshake import HeadReader
from ._limits import Limits
from .drafts import (
    Ask,
    BadHead,
    Draft,
    HandshakeError,
    InvalidAnswer,
    Response,
)

MAX_REFUSAL_BODY = 65536
# hybi-04 section 5.2.2: what no draft before it has
ACCEPT_FIELD = "Sec-WebSocket-Accept"


async def ask(
    stream: trio.abc.Stream, draft: Draft, wish: Ask, limits: Limits, scope: Scope
) -> Connection:
    """Opens as a client on a stream that is connected.

    Raises:
        Rejected: the answer was not 101.
        InvalidAnswer: it was, but not what the draft demands.
        HandshakeError: the stream broke or ended.
    """
    if not draft.compression:
        wish = attrs.evolve(wish, compression=None)
    client = draft.opening.ask(wish, draft.subprotocols)
    reader = HeadReader(stream)
    # One write for head and body: several servers of the time want them in one read.
    await stream.send_all(client.request())
    try:
        head = await reader.read_head(limits.max_head_size)
        response = Response.parse(head)
    except BadHead as error:
        raise HandshakeError(f"the server's answer is no HTTP: {error}") from error
    if response.status != 101:
        # Less than what is left: a body that does not end must not hide the status.
        left = trio.current_effective_deadline() - trio.current_time()
        body = await _read_refusal(reader, response, min(limits.close_timeout, left / 2))
        raise Rejected(response.status, response.headers, body)
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


async def _read_refusal(reader: HeadReader, response: Response, timeout: float) -> bytes:
    """The body of an answer that is not 101: as long as it says, or to the stream's end, or what
    came of it within `timeout` seconds.
    """
    length = response.headers.get("Content-Length", "")
    size = MAX_REFUSAL_BODY
    if length.isascii() and length.isdigit() and len(length) < 9:
        size = min(int(length), MAX_REFUSAL_BODY)
    with trio.move_on_after(timeout):
        try:
            await reader.read_more(size)
        except (HandshakeError, trio.BrokenResourceError):
            pass
    return reader.rest()[:size]
