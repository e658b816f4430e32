"""The interface of an opening handshake, for either side.

A handshake does no I/O. It writes a request or an answer and checks one, and says how many bytes
behind a head belong to it.
"""

from __future__ import annotations

from typing import Protocol

import attrs

from trio_draftws.drafts._framing.codec import NegotiatedParameters
from trio_draftws.drafts._framing.compression import Compression
from trio_draftws.drafts._http.headers import Headers, checked_fields
from trio_draftws.drafts._http.response import Response
from trio_draftws.drafts._http.url import WebSocketURL

from .subprotocols import SubprotocolSyntax


def _check_origin(instance: object, attribute: object, origin: str | None) -> None:
    if origin is not None:
        if not isinstance(origin, str):
            raise TypeError(f"origin is a str, as 'https://example.com', not {origin!r}")
        checked_fields({"Origin": origin})
        if origin != origin.strip(" \t"):
            # A server would repeat it without them: another origin.
            raise ValueError(f"an origin has no white space around it: {origin!r}")


@attrs.frozen
class HandshakeRequest:
    """What a client asks for.

    Raises:
        ValueError: the origin cannot be sent.
    """

    url: WebSocketURL
    headers: Headers = attrs.field(factory=Headers, repr=False)
    """The caller's fields, checked; some may hold passwords."""
    origin: str | None = attrs.field(default=None, validator=_check_origin)
    subprotocols: tuple[str, ...] = ()
    compression: Compression | None = None
    """What to offer, in drafts that have compression."""


class ReceivedRequest(Protocol):
    """What the server's side of a handshake reads of a request; `drafts.Request` is one."""

    @property
    def line(self) -> bytes:
        """The request line, without its line end."""
        ...

    @property
    def headers(self) -> Headers:
        """Its fields."""
        ...

    @property
    def origin(self) -> str | None:
        """The origin of the page, if the client names one."""
        ...

    @property
    def location(self) -> str:
        """The URL that the client asks for."""
        ...


class ClientOpening(Protocol):
    """The client's side of one opening handshake."""

    @property
    def response_body(self) -> int:
        """How many bytes after the response's head belong to the handshake."""
        ...

    def request(self) -> bytes:
        """Returns the head, and the bytes after it that belong to the handshake."""
        ...

    def verify(self, response: Response, body: bytes) -> NegotiatedParameters:
        """Checks a 101 answer, and returns what both sides agreed on.

        Raises:
            InvalidAnswer: the answer is not what the draft demands.
        """
        ...


class ServerOpening(Protocol):
    """The server's side of one opening handshake, made from a valid request."""

    @property
    def request_body(self) -> int:
        """How many bytes after the request's head belong to the handshake."""
        ...

    def accept(
        self, fields: Headers, subprotocol: str | None, compression: Compression | None = None
    ) -> tuple[bytes, NegotiatedParameters]:
        """Returns the 101 head, with the application's `fields`, and what both sides agreed on.

        `compression` is what to agree to, if the draft has compression.
        """
        ...

    def prove(self, body: bytes) -> bytes:
        """Returns the bytes that follow the head, made from those that followed the request's."""
        ...


class OpeningFamily(Protocol):
    """Both sides of an opening handshake; `Draft.opening` is one."""

    @property
    def request_body(self) -> int:
        """Like `ServerOpening.request_body`."""
        ...

    @property
    def written_fields(self) -> tuple[str, ...]:
        """The fields that no caller may add to a request, because the handshake writes them."""
        ...

    def ask(self, wanted: HandshakeRequest, syntax: SubprotocolSyntax) -> ClientOpening:
        """Begins a client's opening.

        Raises:
            ValueError: the draft cannot express what is wanted.
        """
        ...

    def answer(self, request: ReceivedRequest) -> ServerOpening:
        """Checks a request and begins a server's opening.

        Raises:
            Reject: the request is not valid.
        """
        ...
