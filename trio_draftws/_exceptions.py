"""The exceptions: subclasses of Trio's that add facts, and those of the opening handshake.

Attributes hold what the peer sent, unchanged. `str(error)`, which ends up in logs and on terminals,
has it escaped.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator

import trio

from .drafts import BadHead, CloseCode, HandshakeError, Headers, Request, escaped, shown_line

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup


# The answers of a server that is overloaded or still starting, or of a proxy in front of one
TRY_LATER_STATUSES = (408, 425, 429, 500, 502, 503, 504)


class PeerClosed(trio.EndOfChannel):
    """The peer closed the connection as its draft defines: there is nothing more to receive.

    Raised by `Connection.receive`; an `async for` loop ends instead.

    Attributes:
        code: the peer's close code, an int; None if it sent none, as in every draft before hybi-06.
        reason: the peer's close reason, a str; empty if it sent none.
    """

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        facts = " ".join(str(fact) for fact in (self.code, escaped(self.reason)) if fact)
        text = "the peer closed the connection"
        return f"{text}: {facts}" if facts else text


class ConnectionLost(trio.BrokenResourceError):
    """The connection ended without a closing handshake: the stream ended, broke or timed out.

    Raised by `send` and `receive`.

    Attributes:
        reason: how it ended, a str. If there is an underlying error, it is the `__cause__`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PeerViolation(trio.BrokenResourceError):
    """The peer violated its draft, and the connection was closed for it.

    Raised by `send` and `receive`.

    Attributes:
        reason: what the peer did, a str.
        close_code: the close code that the peer was sent, such as 1002 for a malformed frame (RFC
            6455 section 7.4.1), if the draft has codes.
    """

    def __init__(self, reason: str, close_code: int | None) -> None:
        close_code = None if close_code is None else int(close_code)
        super().__init__(reason, close_code)
        self.reason = reason
        self.close_code = close_code

    def __str__(self) -> str:
        return f"the peer broke its draft: {self.reason}"


class MessageTooBig(PeerViolation):
    """The peer sent a message longer than this side's `max_message_size`.

    No draft forbids that, but the connection was closed for it: with code 1009, or with 1004 in the
    earlier drafts that have codes. The attributes are those of `PeerViolation`.
    """

    def __str__(self) -> str:
        return f"{self.reason}, the max_message_size of this side"


class Rejected(HandshakeError):
    """The server answered the opening handshake with another status than 101.

    Attributes:
        status: the HTTP status code, an int.
        headers: the header fields of the answer, a `Headers`.
        body: the body, as bytes, with any chunked coding removed: at most 64 KiB. Reading it stops
            at its end, after half a second without a byte, or after `close_timeout` seconds; if
            only the end of the stream marks its end, after half a second in all. With
            `draft="auto"`, and before a redirect is followed, it is only what arrived together
            with the head.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body

    def _describe(self) -> str:
        text = self.body[:200].decode("utf-8", "replace").strip()
        said = f": {text!r}" if text else ""
        return f"the server refused with status {self.status}{said}"


class RedirectRefused(Rejected):
    """The server answered with a redirect that was not followed.

    Attributes:
        reason: why it was not followed, a str. The other attributes are those of `Rejected`.
    """

    def __init__(self, status: int, headers: Headers, body: bytes, reason: str) -> None:
        super().__init__(status, headers, body)
        self.args: tuple[object, ...] = (status, headers, body, reason)
        self.reason = reason

    def _describe(self) -> str:
        return f"a redirect with status {self.status} was not followed: {self.reason}"


class RequestRefused(HandshakeError):
    """This side, the server, refused the client's request, and answered it.

    Raised by `accept`, and passed to instruments.

    Attributes:
        status: the HTTP status code of the answer, an int.
        reason: why the request was refused, a str.
        request: the client's `Request`; None if it could not be parsed.
    """

    def __init__(self, status: int, reason: str, request: Request | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.request = request

    def _describe(self) -> str:
        return f"the request was refused with status {self.status}: {escaped(self.reason)}"


class PageServed(HandshakeError):
    """The request was plain HTTP, and this side, the server, answered it: there is no connection.

    Raised by `accept`.

    Attributes:
        line: the request line, as bytes.
        status: the HTTP status code that `http_handler` answered with, an int.
    """

    def __init__(self, line: bytes, status: int) -> None:
        super().__init__(line, status)
        self.line = line
        self.status = status

    def _describe(self) -> str:
        return f"{shown_line(self.line)} was answered with a page, status {self.status}"


class FlashPolicyServed(HandshakeError):
    """A Flash player asked this side, the server, for its `flash_policy`: there is no connection.

    Raised by `accept`, when the policy was sent.
    """

    def __str__(self) -> str:
        return "a Flash player was sent the policy"


class DialFailed(HandshakeError):
    """No connection to the server could be made; the `OSError` is the `__cause__`."""


class ProxyFailed(DialFailed):
    """The proxy could not be reached, or did not open a tunnel to the server.

    Attributes:
        status: the HTTP status code that the proxy refused with, an int such as 407; None if it
            sent none.
    """

    def __init__(self, reason: str, status: int | None = None, *, advice: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.add_advice(advice)


class TLSFailed(HandshakeError):
    """The TLS handshake failed, for example because a certificate is not trusted.

    The `__cause__` says why.
    """


class HandshakeTimeout(HandshakeError, trio.TooSlowError):
    """The opening handshake took longer than `handshake_timeout` seconds."""


class InternalError(Exception):
    """A bug in this library; what happened is the `__cause__`. Please report it."""


def close_code_after(error: BaseException) -> int:
    """Returns the code to close a connection with whose block or handler ended with `error`."""
    if isinstance(error, GeneratorExit):
        # Somebody left the loop over a generator that has the block in it.
        return CloseCode.NORMAL_CLOSURE
    if isinstance(error, BaseExceptionGroup):
        _, others = error.split(trio.Cancelled)
        return CloseCode.GOING_AWAY if others is None else CloseCode.INTERNAL_ERROR
    # RFC 6455 section 7.4.1: going away, or met by what it did not expect
    return CloseCode.GOING_AWAY if isinstance(error, trio.Cancelled) else CloseCode.INTERNAL_ERROR


def dial_failure_reason(error: OSError) -> str:
    """Returns what went wrong at each address that was tried, each reason once."""
    return ", ".join(dict.fromkeys(map(str, _causes(error))))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields the error of each address: Trio's own error has them as its cause."""
    if isinstance(error, BaseExceptionGroup):
        for attempt in error.exceptions:
            yield from _causes(attempt)
    elif error.__cause__ is not None:
        yield from _causes(error.__cause__)
    else:
        yield error


def is_transient(error: HandshakeError) -> bool:
    """Returns whether it may help to try again, judging by why an opening handshake failed.

    True if nobody answered, the connection broke or the handshake timed out, and if the server or a
    proxy answered 408, 425, 429, 500, 502, 503 or 504. False if the server refused in another way
    (401, 403, 404 and so on), speaks another draft, or has a certificate that is not trusted.

    Args:
        error: what `open_websocket` raised.
    """
    if isinstance(error, Rejected):
        return error.status in TRY_LATER_STATUSES
    if isinstance(error, TLSFailed):
        cause = error.__cause__
        return not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError)
    if isinstance(error, ProxyFailed) and error.status is not None:
        return error.status in TRY_LATER_STATUSES
    if isinstance(error, ProxyFailed) and isinstance(error.__cause__, TLSFailed):
        return is_transient(error.__cause__)
    if isinstance(error, (DialFailed, HandshakeTimeout)):
        return True
    # The stream ended within the handshake. After a BadHead the server does not speak HTTP at all.
    return type(error) is HandshakeError and not isinstance(error.__cause__, BadHead)
