"""The opening of hixie-75 and before: no proof, a fixed order of fields, exact first lines."""

from __future__ import annotations

import attrs

from trio_draftws.drafts._framing.codec import NegotiatedParameters
from trio_draftws.drafts._framing.compression import Compression
from trio_draftws.drafts._http.head import write_head
from trio_draftws.drafts._http.headers import Headers
from trio_draftws.drafts._http.response import Response

from .base import HandshakeRequest, ReceivedRequest
from .fields import check_repeated, check_request_fields, check_upgrade, repeated_fields
from .subprotocols import SubprotocolSyntax

# hixie-75 section 4.1: compared byte for byte by clients, "Web Socket" in two words
STATUS_LINE = b"HTTP/1.1 101 Web Socket Protocol Handshake"
UPGRADE_FIELDS = [(b"Upgrade", b"WebSocket"), (b"Connection", b"Upgrade")]
PROTOCOL_FIELD = "WebSocket-Protocol"
ORIGIN_FIELD = "WebSocket-Origin"
LOCATION_FIELD = "WebSocket-Location"


@attrs.frozen(kw_only=True)
class Hixie75Client:
    """The client's side (hixie-75 section 4.1)."""

    wanted: HandshakeRequest
    syntax: SubprotocolSyntax
    response_body: int = 0

    @property
    def origin(self) -> str:
        """The origin to send, in lower case: the draft has no request without one."""
        return (self.wanted.origin or self.wanted.url.page_origin).lower()

    def request(self) -> bytes:
        # hixie-75 section 4.1 fixes this order, so the caller's fields come last
        fields = [
            *UPGRADE_FIELDS,
            (b"Host", self.wanted.url.host_field.encode()),
            (b"Origin", self.origin.encode("latin-1")),
        ]
        if self.wanted.subprotocols:
            value = self.syntax.write(self.wanted.subprotocols)
            fields.append((PROTOCOL_FIELD.encode(), value.encode()))
        line = b"GET %b HTTP/1.1" % self.wanted.url.resource.encode()
        return write_head(line, [*fields, *self.wanted.headers.raw])

    def verify(self, response: Response, body: bytes) -> NegotiatedParameters:
        del body
        headers = response.headers
        check_upgrade(headers)
        check_repeated(headers, ORIGIN_FIELD, self.origin)
        check_repeated(headers, LOCATION_FIELD, self.wanted.url.location)
        received = headers.get_all(PROTOCOL_FIELD)
        return NegotiatedParameters(self.syntax.verify(self.wanted.subprotocols, received))


@attrs.frozen
class Hixie75Server:
    """The server's side (hixie-75 section 5.2)."""

    request: ReceivedRequest
    request_body: int = 0

    def accept(
        self, fields: Headers, subprotocol: str | None, compression: Compression | None = None
    ) -> tuple[bytes, NegotiatedParameters]:
        del compression
        # hixie-75 section 5.2: origin, location, protocol, in this order
        written = repeated_fields(
            self.request, fields, origin=ORIGIN_FIELD, location=LOCATION_FIELD
        )
        if subprotocol is not None:
            written.append((PROTOCOL_FIELD.encode(), subprotocol.encode("latin-1")))
        head = write_head(STATUS_LINE, [*UPGRADE_FIELDS, *written, *fields.raw])
        return head, NegotiatedParameters(subprotocol)

    def prove(self, body: bytes) -> bytes:
        return body


class Hixie75Opening:
    """Both sides of the opening of hixie-75."""

    request_body = 0
    written_fields = ("Upgrade", "Connection", "Host", "Origin", PROTOCOL_FIELD)

    def ask(self, wanted: HandshakeRequest, syntax: SubprotocolSyntax) -> Hixie75Client:
        if wanted.subprotocols:
            syntax.write(wanted.subprotocols)
        return Hixie75Client(wanted=wanted, syntax=syntax)

    def answer(self, request: ReceivedRequest) -> Hixie75Server:
        check_request_fields(request)
        return Hixie75Server(request)
