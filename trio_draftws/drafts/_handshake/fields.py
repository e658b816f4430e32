"""Checks and writes the header fields that the handshakes of several drafts share."""

from __future__ import annotations

from trio_draftws.drafts._http.headers import HeaderFields, Headers, checked_fields

from .base import ReceivedRequest
from .errors import InvalidAnswer, Reject

# What no application may add to a 101, because the handshake writes it
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
_ABOUT_A_BODY = ("Content-Length", "Transfer-Encoding")
# What an application may set in place of the handshake. Clients refuse these if repeated.
_AT_MOST_ONCE = (
    "WebSocket-Origin",
    "WebSocket-Location",
    "Sec-WebSocket-Origin",
    "Sec-WebSocket-Location",
)


def checked_answer_fields(fields: HeaderFields) -> Headers:
    """Checks the fields that a caller adds to a 101, and returns them as they are sent.

    Raises:
        ValueError: a field cannot be sent, or would contradict the handshake.
        TypeError: they are not header fields.
    """
    checked = checked_fields(fields, forbidden=_WRITTEN_BY_US)
    for name in _ABOUT_A_BODY:
        if name in checked:
            raise ValueError(f"a 101 has no body, so it cannot have the header field {name}")
    for name in _AT_MOST_ONCE:
        if len(checked.get_raw(name)) > 1:
            raise ValueError(f"the header field {name} can be said once")
    return checked


def check_upgrade(headers: Headers) -> None:
    """Checks the two fields that the answer has in every draft: lists, in any case.

    Raises:
        InvalidAnswer: one is missing, or lacks the token.
    """
    for name, token in (("Upgrade", "websocket"), ("Connection", "upgrade")):
        if not headers.has_token(name, token):
            raise InvalidAnswer(f"the {name} field", token, headers.get(name))


def check_repeated(headers: Headers, name: str, expected: str) -> None:
    """Checks a field that repeats what the client sent.

    The drafts demand it, but it may be missing, since Racket's server leaves it out.

    Raises:
        InvalidAnswer: it occurs several times, or differs.
    """
    received = headers.get_all(name)
    if received and received != [expected]:
        raise InvalidAnswer(f"the {name} field", expected, ", ".join(received))


def check_request_fields(request: ReceivedRequest) -> None:
    """Checks the fields that the request must have in every draft.

    Raises:
        Reject: 400; the body says which is missing.
    """
    for name, token in (("Upgrade", "WebSocket"), ("Connection", "Upgrade")):
        if not request.headers.has_token(name, token):
            raise Reject(400, body=f"The field `{name}: {token}` is missing.\n")
    if len(request.headers.get_all("Host")) != 1:
        raise Reject(400, body="Expected one Host field.\n")


def repeated_fields(
    request: ReceivedRequest, fields: Headers, *, origin: str, location: str
) -> list[tuple[bytes, bytes]]:
    """Returns the fields for origin and location that browsers of the time demand in the answer.

    A field that the application set is left out. The origin is repeated only if the client sent
    one.

    Args:
        request: the client's request.
        fields: those of the application.
        origin: the name of the field for the origin.
        location: the name of the field for the location.
    """
    repeated: list[tuple[bytes, bytes]] = []
    if origin not in fields and request.origin is not None:
        repeated.append((origin.encode(), request.origin.encode("latin-1")))
    if location not in fields:
        repeated.append((location.encode(), request.location.encode("latin-1")))
    return repeated
