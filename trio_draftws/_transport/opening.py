"""What surrounds an opening handshake on either side: TLS, its deadline, and how it fails."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trio_draftws._exceptions import HandshakeTimeout, TLSFailed
from trio_draftws._settings.checks import check_awaitable, check_kind
from trio_draftws.drafts import HandshakeError

from .sockets import StreamFactory

# By OpenSSL's name of an error, what the two sides may have meant
_TLS_ADVICE = {
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS there: ws in place of wss?",
    "HTTP_REQUEST": "a request came without TLS: its URL should begin with wss",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server demands a certificate of its client",
}


def tls_failed(error: BaseException) -> TLSFailed | None:
    """Returns what to raise instead of `error` if TLS failed after its handshake, else None.

    In TLS 1.3 a client's handshake is done before the server has looked at the client's
    certificate, so a refusal arrives as an alert in place of the first response (RFC 8446 section
    4.4.2.4).
    """
    cause = error.__cause__
    # An end of TCP without close_notify is an end of the stream, not a fault of TLS.
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return _tls_failed(cause)
    return None


def _tls_failed(cause: BaseException) -> TLSFailed:
    failed = TLSFailed(f"TLS failed: {cause}")
    failed.add_advice(_TLS_ADVICE.get(getattr(cause, "reason", None) or "", ""))
    failed.__cause__ = cause
    return failed


async def apply_stream_factory(
    stream: trio.abc.Stream, factory: StreamFactory | None
) -> trio.abc.Stream:
    """Returns the stream to speak on: what `factory` makes of `stream`, or `stream` itself.

    Raises:
        TLSFailed: the factory's TLS handshake failed; the cause says why.
        TypeError: the factory is not an async function, or did not return a stream.
    """
    if factory is None:
        return stream
    try:
        made = await check_awaitable("stream_factory", factory(stream))
    except (trio.BrokenResourceError, OSError) as error:
        cause = error.__cause__ or error
        raise _tls_failed(cause) from cause
    check_kind("what stream_factory returned", made, trio.abc.Stream, "a trio.abc.Stream")
    return made


@asynccontextmanager
async def close_on_failure(stream: trio.abc.Stream) -> AsyncIterator[None]:
    """Runs one opening handshake in its block, and closes the stream if the block raises.

    Raises:
        TLSFailed: TLS failed, for example because our certificate was refused; the cause says why.
        HandshakeError: the stream broke, which is the cause.
    """
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        await trio.aclose_forcefully(stream)
        failed = tls_failed(error)
        if failed is not None:
            raise failed from failed.__cause__
        raise HandshakeError(
            f"the connection broke within the opening handshake: {str(error) or repr(error)}"
        ) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


@asynccontextmanager
async def handshake_deadline(
    stream: trio.abc.Stream, timeout: float, started: float
) -> AsyncIterator[trio.CancelScope]:
    """Runs one opening handshake in its block, like `close_on_failure`, for `timeout` seconds from
    the time `started`.

    Raises:
        HandshakeTimeout: it took too long.
        TLSFailed, HandshakeError: as `close_on_failure`.
    """
    with trio.move_on_at(started + timeout) as scope:
        async with close_on_failure(stream):
            yield scope
    if scope.cancelled_caught:
        raise handshake_timed_out(timeout)


def handshake_timed_out(timeout: float) -> HandshakeTimeout:
    """Returns the error for an opening handshake that took longer than `timeout` seconds."""
    return HandshakeTimeout(f"the opening handshake was not done within {timeout} s")
