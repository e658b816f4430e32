"""The opening of hixie-76 to hybi-03: two numbers hidden in keys, eight bytes, and their MD5."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import attrs

from trio_draftws.drafts._framing.codec import NegotiatedParameters
from trio_draftws.drafts._framing.compression import Compression
from trio_draftws.drafts._http.escaping import shown
from trio_draftws.drafts._http.head import write_head
from trio_draftws.drafts._http.headers import Headers
from trio_draftws.drafts._http.response import Response

from .base import HandshakeRequest, ReceivedRequest
from .errors import InvalidAnswer, Reject
from .fields import check_repeated, check_request_fields, check_upgrade, repeated_fields
from .subprotocols import SubprotocolSyntax

# hixie-76 section 5.2: "WebSocket" in one word, unlike hixie-75
STATUS_LINE = b"HTTP/1.1 101 WebSocket Protocol Handshake"
UPGRADE_FIELDS = [(b"Upgrade", b"WebSocket"), (b"Connection", b"Upgrade")]
KEY_FIELDS = ("Sec-WebSocket-Key1", "Sec-WebSocket-Key2")
PROTOCOL_FIELD = "Sec-WebSocket-Protocol"
DRAFT_FIELD = "Sec-WebSocket-Draft"
ORIGIN_FIELD = "Sec-WebSocket-Origin"
LOCATION_FIELD = "Sec-WebSocket-Location"

MAX_NUMBER = 2**32 - 1
# hixie-76 section 4.1: U+0021 to U+002F and U+003A to U+007E
_LETTERS = [*range(0x21, 0x30), *range(0x3A, 0x7F)]
_random = secrets.SystemRandom()


def make_key() -> bytes:
    """Returns a key that hides a random number (hixie-76 section 4.1, steps 16 to 22)."""
    spaces = _random.randint(1, 12)
    number = _random.randint(0, MAX_NUMBER // spaces)
    key = list(b"%d" % (number * spaces))
    for _ in range(_random.randint(1, 12)):
        key.insert(_random.randint(0, len(key)), _random.choice(_LETTERS))
    for _ in range(spaces):
        # never first or last
        key.insert(_random.randint(1, len(key) - 1), 0x20)
    return bytes(key)


def number_in(key: bytes) -> int:
    """Returns the number that a key hides (hixie-76 section 5.2, steps 4 to 8).

    Raises:
        ValueError: the key hides none; the message says why.
    """
    digits = bytes(byte for byte in key if 0x30 <= byte <= 0x39)
    spaces = key.count(b" ")
    if not digits:
        raise ValueError("it has no digits")
    if not spaces:
        raise ValueError("it has no spaces")
    significant = digits.lstrip(b"0") or b"0"
    # By its length first: parsing thousands of digits takes quadratic time.
    if len(significant) > len(str(MAX_NUMBER * spaces)):
        raise ValueError(f"{shown(significant)} / {spaces} spaces is past 32 bits")
    number, rest = divmod(int(significant), spaces)
    if rest:
        raise ValueError(f"its digits, {int(significant)}, are no multiple of its {spaces} spaces")
    if number > MAX_NUMBER:
        raise ValueError(f"{int(significant)} / {spaces} spaces is past 32 bits")
    return number


def answer_to(number1: int, number2: int, key3: bytes) -> bytes:
    """Returns the 16 bytes that prove the server (hixie-76 section 5.2, steps 9 and 10)."""
    challenge = number1.to_bytes(4, "big") + number2.to_bytes(4, "big") + key3
    return hashlib.md5(challenge, usedforsecurity=False).digest()


@attrs.frozen(kw_only=True)
class Hixie76Client:
    """The client's side (hixie-76 section 4.1)."""

    wanted: HandshakeRequest
    syntax: SubprotocolSyntax
    key1: bytes = attrs.field(factory=make_key)
    key2: bytes = attrs.field(factory=make_key)
    key3: bytes = attrs.field(factory=lambda: secrets.token_bytes(8))
    draft_number: str | None = None
    response_body: int = 16

    def request(self) -> bytes:
        fields = [
            *UPGRADE_FIELDS,
            (b"Host", self.wanted.url.host_field.encode()),
            (KEY_FIELDS[0].encode(), self.key1),
            (KEY_FIELDS[1].encode(), self.key2),
        ]
        if self.draft_number is not None:
            fields.append((DRAFT_FIELD.encode(), self.draft_number.encode()))
        if self.wanted.origin is not None:
            fields.append((b"Origin", self.wanted.origin.lower().encode("latin-1")))
        if self.wanted.subprotocols:
            value = self.syntax.write(self.wanted.subprotocols)
            fields.append((PROTOCOL_FIELD.encode(), value.encode()))
        # hixie-76 section 4.1, step 28: in random order, so that no server depends on one. The
        # caller's fields keep theirs, which matters if a name is repeated.
        _random.shuffle(fields)
        fields.extend(self.wanted.headers.raw)
        line = b"GET %b HTTP/1.1" % self.wanted.url.resource.encode()
        return write_head(line, fields) + self.key3

    def verify(self, response: Response, body: bytes) -> NegotiatedParameters:
        headers = response.headers
        check_upgrade(headers)
        if self.wanted.origin is not None:
            check_repeated(headers, ORIGIN_FIELD, self.wanted.origin.lower())
        check_repeated(headers, LOCATION_FIELD, self.wanted.url.location)
        expected = answer_to(number_in(self.key1), number_in(self.key2), self.key3)
        if not hmac.compare_digest(expected, body):
            raise InvalidAnswer("the 16 bytes that prove the server", expected, body)
        received = headers.get_all(PROTOCOL_FIELD)
        return NegotiatedParameters(self.syntax.verify(self.wanted.subprotocols, received))


@attrs.frozen
class Hixie76Server:
    """The server's side (hixie-76 section 5.2)."""

    request: ReceivedRequest
    number1: int
    number2: int
    request_body: int = 8

    def accept(
        self, fields: Headers, subprotocol: str | None, compression: Compression | None = None
    ) -> tuple[bytes, NegotiatedParameters]:
        del compression
        written = repeated_fields(
            self.request, fields, origin=ORIGIN_FIELD, location=LOCATION_FIELD
        )
        if subprotocol is not None:
            written.append((PROTOCOL_FIELD.encode(), subprotocol.encode("latin-1")))
        head = write_head(STATUS_LINE, [*UPGRADE_FIELDS, *written, *fields.raw])
        return head, NegotiatedParameters(subprotocol)

    def prove(self, body: bytes) -> bytes:
        return answer_to(self.number1, self.number2, body)


@attrs.frozen
class Hixie76Opening:
    """Both sides of the opening of hixie-76 to hybi-03."""

    draft_number: str | None = None
    """What a client sends as Sec-WebSocket-Draft (hybi-02 on)."""
    request_body: int = 8
    written_fields: tuple[str, ...] = (
        "Upgrade",
        "Connection",
        "Host",
        "Origin",
        *KEY_FIELDS,
        PROTOCOL_FIELD,
        DRAFT_FIELD,
    )

    def ask(self, wanted: HandshakeRequest, syntax: SubprotocolSyntax) -> Hixie76Client:
        if wanted.subprotocols:
            syntax.write(wanted.subprotocols)
        return Hixie76Client(wanted=wanted, syntax=syntax, draft_number=self.draft_number)

    def answer(self, request: ReceivedRequest) -> Hixie76Server:
        check_request_fields(request)
        numbers = []
        for name in KEY_FIELDS:
            # Raw, since a key may end in a space that counts: Racket's client sends such keys
            values = request.headers.get_raw(name)
            if len(values) != 1:
                raise Reject(400, body=f"Expected one {name}, got {len(values)}.\n")
            try:
                numbers.append(number_in(values[0]))
            except ValueError as error:
                raise Reject(400, body=f"{name} {shown(values[0])}: {error}.\n") from None
        return Hixie76Server(request, *numbers)
