"""The header fields that the handshakes of all drafts have in common, checked and written."""

from __future__ import annotations

from trio_draftws.drafts._http.headers import HeaderFields, Headers, checked_fields

from .base import ReceivedRequest
from .errors import InvalidAnswer, Reject

# What no application may add to a 101, since the handshake writes it
_WRITTEN_BY_US = (
    "Upgrade",
    "Connection",
    "WebSocket-Protocol",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Nonce",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Version",
)
# RFC 9110 section 8.6, RFC 9112 section 6.1: no 1xx has a body, and what follows it is frames
_OF_A_BODY = ("Content-Length", "Transfer-Encoding")
# What it may say in place of the handshake; a client refuses what is said twice.
_SAID_ONCE = (
    "WebSocket-Origin",
    "WebSocket-Location",
    "Sec-WebSocket-Origin",
    "Sec-WebSocket-Location",
)


def checked_answer_fields(fields: HeaderFields) -> Headers:
    """A caller's fields, fit to be added to a 101.

    Raises:
        ValueError: a field cannot be sent, or would be a second answer of the handshake.
    """
    checked = checked_fields(fields, forbidden=_WRITTEN_BY_US)
    for name in _OF_A_BODY:
        if name in checked:
            raise ValueError(f"a 101 has no body, so it cannot have the header field {name}")
    for name in _SAID_ONCE:
        if len(checked.get_raw(name)) > 1:
            raise ValueError(f"the header field {name} can be said once")
    return checked


def check_upgrade(headers: Headers) -> None:
    """The two fields that every draft's answer has; neither case nor company matters.

    Raises:
        InvalidAnswer: one is missing or says something else.
    """
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if not headers.has_token(name, token):
            raise InvalidAnswer(f"the {name} field", token, headers.get(name))


def check_repeated(headers: Headers, name: str, expected: str) -> None:
    """A field that repeats what the client said: where it is there, it is there once and equal.

    The drafts demand it; its absence is accepted, since Racket's server leaves it out.

    Raises:
        InvalidAnswer: it is there several times, or differs.
    """
    received = headers.get_all(name)
    if received and received != [expected]:
        raise InvalidAnswer(f"the {name} field", expected, ", ".join(received))


def check_request_fields(request: ReceivedRequest) -> None:
    """The fields that the request of every draft must have.

    Raises:
        Reject: 400, saying which is missing.
    """
    for name, token in (("Upgrade", "WebSocket"), ("Connection", "Upgrade")):
        if not request.headers.has_token(name, token):
            raise Reject(400, body=f"The field `{name}: {token}` is missing.\n")
    if len(request.headers.get_all("Host")) != 1:
        raise Reject(400, body="Expected one Host field.\n")


def repeated_fields(
    request: ReceivedRequest, fields: Headers, *, origin: str, location: str
) -> list[tuple[bytes, bytes]]:
    """Origin and location for the answer, as browsers of the time demand them.

    What the application gave goes first; where it gave none, the location is sent, and the origin
    where the client sent one.
    """
    repeated: list[tuple[bytes, bytes]] = []
    if origin not in fields and request.origin is not None:
        repeated.append((origin.encode(), request.origin.encode("latin-1")))
    if location not in fields:
        repeated.append((location.encode(), request.location.encode("latin-1")))
    return repeated
