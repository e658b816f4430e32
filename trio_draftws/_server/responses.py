"""How a server answers a client that gets no connection: plain HTTP, then an orderly close.

Closing a socket while bytes are unread makes the kernel send a reset, and the client may then
lose the answer. So what the client still sends is read first.
"""

from __future__ import annotations

import logging

import trio

from trio_draftws._exceptions import RequestRefused
from trio_draftws._settings.checks import check_sync_result
from trio_draftws._transport.sockets import DirectStream, take_over
from trio_draftws.drafts import (
    Headers,
    HTTPResponse,
    Reject,
    Request,
    Response,
    refusal_text,
    write_response,
)

from .options import ServerOptions

logger = logging.getLogger("trio_draftws")


def show_answer(options: ServerOptions, request: Request | None, answer: bytes) -> None:
    """Calls `on_answer`, if there is one, with an answer that is about to be written."""
    if options.on_answer is None:
        return
    head = answer[: answer.index(b"\r\n\r\n") + 4]
    try:
        returned = options.on_answer(request, Response.parse(head))
        check_sync_result("on_answer", returned)
    except Exception:
        logger.exception("on_answer failed; the answer is sent all the same")


def serialize_response(response: HTTPResponse | Reject, *, head_only: bool) -> bytes:
    """Returns the response as bytes, with a Date field; without the body if `head_only`."""
    fields = response.headers
    if "Date" not in fields:
        # Only those that refuse need it, and it takes long to import.
        from email.utils import formatdate

        # RFC 9110 section 6.6.1: a server with a clock sends it
        fields = Headers([*fields.raw, (b"Date", formatdate(usegmt=True).encode())])
    return write_response(response.status, fields, response.body, head_only=head_only)


async def send_and_close(stream: trio.abc.Stream, data: bytes, close_timeout: float) -> None:
    """Sends the last bytes on a stream and closes it, so that the client gets all of them.

    A client that has gone is no error.
    """
    try:
        await stream.send_all(data)
        if isinstance(stream, trio.abc.HalfCloseableStream):
            await stream.send_eof()
            await drain_before_close(stream, close_timeout)
    except trio.BrokenResourceError:
        pass  # the caller still has to report why there is no connection
    await stream.aclose()


async def drain_before_close(stream: trio.abc.Stream, close_timeout: float) -> None:
    """Reads until the client has closed too, for at most `close_timeout` seconds."""
    # Less than what is left of the handshake: a client that does not close must not turn the
    # reason why it was refused into a timeout.
    left = trio.current_effective_deadline() - trio.current_time()
    with trio.move_on_after(min(close_timeout, left / 2)):
        while await stream.receive_some():
            await trio.lowlevel.checkpoint()


async def reject_now(stream: trio.abc.Stream, options: ServerOptions, refusal: Reject) -> None:
    """Refuses a client without reading its request. The answer is sent only if that takes no
    waiting and no TLS.

    Raises:
        RequestRefused: always.
    """
    stream = take_over(stream)
    if isinstance(stream, DirectStream) and options.stream_factory is None:
        try:
            stream.receive_nowait()
            answer = write_response(refusal.status, refusal.headers, refusal.body)
            show_answer(options, None, answer)
            stream.send_nowait([answer])
        except trio.BrokenResourceError:
            pass
    await trio.aclose_forcefully(stream)
    raise request_refused(refusal)


def request_refused(reject: Reject, request: Request | None = None) -> RequestRefused:
    """Returns the error that reports a refusal to our own side, with the cause of `reject`, which
    the client does not see.
    """
    reason = refusal_text(reject)
    cause = reject.__cause__
    if cause is not None and str(cause) not in reason:
        reason = f"{reason} ({cause})"
    return RequestRefused(reject.status, reason, request)
