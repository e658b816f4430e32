"""Trio's errors, with the facts attached; and those of the opening handshake.

Their attributes hold what the peer said, as it said it. Their text, which ends in logs and on
terminals, has it escaped.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator

import trio

from .drafts import BadHead, CloseCode, HandshakeError, Headers, Request, escaped, shown_line

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup


# What a server that is overloaded, or just being started, answers; also through its proxies
LATER = (408, 425, 429, 500, 502, 503, 504)


class PeerClosed(trio.EndOfChannel):
    """The peer ended the connection as its draft says: there is nothing more to receive.

    `code` is None where the peer gave none, as it always is in drafts before hybi-06.
    """

    def __init__(self, code: int | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        told = " ".join(str(fact) for fact in (self.code, escaped(self.reason)) if fact)
        return (
            f"the peer closed the connection: {told}" if told else "the peer closed the connection"
        )


class ConnectionLost(trio.BrokenResourceError):
    """The connection ended without the draft's goodbye; `reason` says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PeerViolation(trio.BrokenResourceError):
    """The peer broke its draft and was cut off; `reason` says how.

    `close_code` is what it was told where the draft has codes, as 1002 for a broken frame.
    """

    def __init__(self, reason: str, close_code: int | None) -> None:
        close_code = None if close_code is None else int(close_code)
        super().__init__(reason, close_code)
        self.reason = reason
        self.close_code = close_code

    def __str__(self) -> str:
        return f"the peer broke its draft: {self.reason}"


class MessageTooBig(PeerViolation):
    """A message is longer than the `max_message_size` that this side was opened with.

    That breaks no draft; the peer was cut off all the same, and told 1009, or before RFC 6455 1004,
    where the draft has codes.
    """

    def __str__(self) -> str:
        return f"{self.reason}, the max_message_size of this side"


class Rejected(HandshakeError):
    """The server's answer was not 101.

    `body` is what came of its body, without the chunks it may have come in: at most 64 KiB. It is
    read to its end, if no more than half a second passes without a byte, and all of it takes no
    more than `close_timeout`; where nothing but the end of the stream tells where it ends, it has
    half a second. With `draft="auto"`, and before a redirect is followed, it is what came with the
    head.
    """

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(status, headers, body)
        self.status = status
        self.headers = headers
        self.body = body

    def _told(self) -> str:
        text = self.body[:200].decode("utf-8", "replace").strip()
        said = f": {text!r}" if text else ""
        return f"the server refused with status {self.status}{said}"


class RedirectRefused(Rejected):
    """The server said where else to go, and that was not followed; `reason` says why."""

    def __init__(self, status: int, headers: Headers, body: bytes, reason: str) -> None:
        super().__init__(status, headers, body)
        self.args: tuple[object, ...] = (status, headers, body, reason)
        self.reason = reason

    def _told(self) -> str:
        return f"a redirect with status {self.status} was not followed: {self.reason}"


class RequestRefused(HandshakeError):
    """A server of ours refused the request that a client opened with, and told it so.

    `status` is what it answered, `request` what it was asked, None where that could not be read.
    """

    def __init__(self, status: int, reason: str, request: Request | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.request = request

    def _told(self) -> str:
        return f"the request was refused with status {self.status}: {escaped(self.reason)}"


class PageServed(HandshakeError):
    """A server of ours answered what was no WebSocket request: there is no connection.

    `line` is the request line, `status` what `http_handler` answered.
    """

    def __init__(self, line: bytes, status: int) -> None:
        super().__init__(line, status)
        self.line = line
        self.status = status

    def _told(self) -> str:
        return f"{shown_line(self.line)} was answered with a page, status {self.status}"


class FlashPolicyServed(HandshakeError):
    """A server of ours told a Flash player its `flash_policy`: there is no connection."""

    def __str__(self) -> str:
        return "a Flash player was told the policy"


class DialFailed(HandshakeError):
    """No TCP connection came about; the OSError is its cause."""


class ProxyFailed(DialFailed):
    """The proxy could not be reached, or made no tunnel to the server.

    `status` is what it refused with: HTTP's, such as 407; None where it did not get so far.
    """

    def __init__(self, reason: str, status: int | None = None, *, advice: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.advice = advice


class TLSFailed(HandshakeError):
    """TLS did not come about, as with a certificate that is not trusted; the cause says why."""


class HandshakeTimeout(HandshakeError, trio.TooSlowError):
    """The opening handshake was not done within `handshake_timeout`."""


class InternalError(Exception):
    """A fault of this library; what happened is its cause. Please report it."""


def code_after(error: BaseException) -> int:
    """The code with which a connection closes whose block or handler was left by `error`."""
    if isinstance(error, GeneratorExit):
        # Somebody left the loop over a generator that has the block in it.
        return CloseCode.NORMAL_CLOSURE
    if isinstance(error, BaseExceptionGroup):
        _, others = error.split(trio.Cancelled)
        return CloseCode.GOING_AWAY if others is None else CloseCode.INTERNAL_ERROR
    # RFC 6455 section 7.4.1: going away, or met by what it did not expect
    return CloseCode.GOING_AWAY if isinstance(error, trio.Cancelled) else CloseCode.INTERNAL_ERROR


def why_not_dialled(error: OSError) -> str:
    """What went wrong at each address, each reason once."""
    return ", ".join(dict.fromkeys(map(str, _attempts(error))))


def _attempts(error: BaseException) -> Iterator[BaseException]:
    """Trio's error holds what went wrong at each address as its cause."""
    if isinstance(error, BaseExceptionGroup):
        for attempt in error.exceptions:
            yield from _attempts(attempt)
    elif error.__cause__ is not None:
        yield from _attempts(error.__cause__)
    else:
        yield error


def is_transient(error: HandshakeError) -> bool:
    """Whether it may help to try again: nobody answered, or the server said "later".

    Not where it refused (401, 403, 404 and so on), speaks another draft, or has a certificate
    that is not trusted.
    """
    if isinstance(error, Rejected):
        return error.status in LATER
    if isinstance(error, TLSFailed):
        cause = error.__cause__
        return not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError)
    if isinstance(error, ProxyFailed) and error.status is not None:
        return error.status in LATER
    if isinstance(error, ProxyFailed) and isinstance(error.__cause__, TLSFailed):
        return is_transient(error.__cause__)
    if isinstance(error, (DialFailed, HandshakeTimeout)):
        return True
    # The server went within the opening handshake, unless it spoke something else than HTTP.
    return type(error) is HandshakeError and not isinstance(error.__cause__, BadHead)
