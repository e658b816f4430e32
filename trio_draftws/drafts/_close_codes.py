"""The codes that a closing frame can carry (RFC 6455 section 7.4)."""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Why a connection was closed, as a number (RFC 6455 section 7.4.1 and IANA's registry).

    Each member is an `int`, and prints as its number. Codes from 3000 to 3999 are registered by
    libraries and frameworks, and those from 4000 to 4999 are the application's own: they have no
    member here.
    """

    NORMAL_CLOSURE = 1000
    """The connection has done what it was opened for."""
    GOING_AWAY = 1001
    """The server is shutting down, or the client has left the page."""
    PROTOCOL_ERROR = 1002
    """The peer broke the rules of its draft."""
    UNSUPPORTED_DATA = 1003
    """A message was of a type that this side does not take, such as binary instead of text."""
    NO_STATUS_RECEIVED = 1005
    """The closing frame carried no code. Never sent."""
    ABNORMAL_CLOSURE = 1006
    """The connection ended without a closing frame. Never sent."""
    INVALID_PAYLOAD = 1007
    """A message does not fit its type: mostly a text that is not UTF-8."""
    POLICY_VIOLATION = 1008
    """A message is against this side's rules, and no other code fits better."""
    MESSAGE_TOO_BIG = 1009
    """A message is longer than this side takes."""
    MANDATORY_EXTENSION = 1010
    """The client needs an extension that the server did not agree to. Only clients send it."""
    INTERNAL_ERROR = 1011
    """Something unexpected failed on this side, such as a handler that raised."""
    SERVICE_RESTART = 1012
    """The server restarts; clients should reconnect after a random delay."""
    TRY_AGAIN_LATER = 1013
    """The server is overloaded; clients should come back later, or go to another server."""
    BAD_GATEWAY = 1014
    """A gateway got an invalid answer from the server behind it."""
    TLS_HANDSHAKE = 1015
    """The TLS handshake failed, so there was no connection. Never sent."""

    # A number in every text: before Python 3.11, str() of an IntEnum was its name.
    def __str__(self) -> str:
        return int.__repr__(self)

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec)


EARLY_MESSAGE_TOO_BIG = 1004
"""What hybi-06 to hybi-12 have in place of `CloseCode.MESSAGE_TOO_BIG`; reserved since."""


def plain_code(code: int | None) -> int | None:
    """`code` as a plain int where it is a `CloseCode`; anything else as it is."""
    return int(code) if isinstance(code, CloseCode) else code
