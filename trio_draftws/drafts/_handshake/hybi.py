"""The opening of hybi-04 to RFC 6455: a random key, and the SHA-1 that proves it was read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from functools import lru_cache

import attrs

from trio_draftws.drafts._framing.codec import NOTHING_NEGOTIATED, NegotiatedParameters
from trio_draftws.drafts._framing.compression import Compression
from trio_draftws.drafts._http.escaping import shown
from trio_draftws.drafts._http.head import write_head
from trio_draftws.drafts._http.headers import Headers
from trio_draftws.drafts._http.response import Response

from .base import HandshakeRequest, ReceivedRequest
from .errors import InvalidAnswer, Reject
from .extensions import EXTENSIONS_FIELD, accept_offer, settle_answer, write_offers
from .fields import check_request_fields, check_upgrade
from .subprotocols import SubprotocolSyntax

STATUS_LINE = b"HTTP/1.1 101 Switching Protocols"
# In lower case, unlike the drafts to hybi-03
UPGRADE_FIELDS = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
KEY_FIELD = "Sec-WebSocket-Key"
VERSION_FIELD = "Sec-WebSocket-Version"
ACCEPT_FIELD = "Sec-WebSocket-Accept"
NONCE_FIELD = "Sec-WebSocket-Nonce"
PROTOCOL_FIELD = "Sec-WebSocket-Protocol"

# The beginning of every answer
_BEFORE_PROOF = write_head(STATUS_LINE, UPGRADE_FIELDS)[:-2] + b"%b: " % ACCEPT_FIELD.encode()
# Answers are cached for offers of up to so many characters, so that the cache stays small.
_LONGEST_CACHED = 256

# RFC 6455 section 1.3
_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# hybi-04 only: what makes a key and a nonce the connection's masking key
_MASKING_GUID = b"61AC5F19-FBBA-4540-B96F-6561F1AB40A8"
# RFC 4648 section 4, except that the unused bits of the last character need not be zero: in RFC
# 6455's own example, AQIDBAUGBwgJCgsMDQ4PEC==, they are not.
_BASE64 = re.compile(
    r"(?:[A-Za-z0-9+/]{4})*"
    r"(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)"
)


def make_key() -> str:
    """Returns sixteen random bytes in base64, for a key or a nonce (RFC 6455 section 4.1)."""
    return base64.b64encode(secrets.token_bytes(16)).decode()


def accept_of(key: str) -> str:
    """Returns what proves that a server has read `key`.

    It is made from the key's text. The overview of hybi-04 shows one made from the key's bytes,
    which no implementation ever sent.
    """
    digest = hashlib.sha1(key.encode() + _ACCEPT_GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def masking_key_of(key: str, nonce: str) -> bytes:
    """Returns hybi-04's masking key, made from the client's key and the server's nonce."""
    text = key.encode() + nonce.encode("latin-1") + _MASKING_GUID
    return hashlib.sha1(text, usedforsecurity=False).digest()


def connection_masking_key(request: Headers, response: Headers) -> bytes:
    """Returns the connection's masking key in hybi-04, from the fields of the opening's two heads.

    It is b"" in every other draft, since its servers send no nonce.
    """
    nonce = response.get(NONCE_FIELD)
    return b"" if nonce is None else masking_key_of(request[KEY_FIELD], nonce)


def bytes_in(key: str) -> int | None:
    """Returns how many bytes a key encodes; None if it is not base64."""
    if not _BASE64.fullmatch(key):
        return None
    return len(key) // 4 * 3 - key.count("=")


@attrs.frozen(kw_only=True)
class HybiClient:
    """The client's side (RFC 6455 section 4.1)."""

    family: HybiOpening
    wanted: HandshakeRequest
    syntax: SubprotocolSyntax
    key: str = attrs.field(factory=make_key)
    response_body: int = 0

    def request(self) -> bytes:
        fields = [
            (b"Host", self.wanted.url.host_field.encode()),
            *UPGRADE_FIELDS,
            (KEY_FIELD.encode(), self.key.encode()),
            (VERSION_FIELD.encode(), b"%d" % self.family.version),
        ]
        if self.wanted.origin is not None:
            # RFC 6455 section 4.2.2: in lower case
            origin = self.wanted.origin.lower().encode("latin-1")
            fields.append((self.family.origin_field.encode(), origin))
        if self.wanted.subprotocols:
            # RFC 6455 section 4.1: each name once
            value = self.syntax.write(list(dict.fromkeys(self.wanted.subprotocols)))
            fields.append((PROTOCOL_FIELD.encode(), value.encode()))
        if self.wanted.compression is not None:
            offers = write_offers(self.wanted.compression)
            fields.append((EXTENSIONS_FIELD.encode(), offers.encode()))
        fields.extend(self.wanted.headers.raw)
        return write_head(b"GET %b HTTP/1.1" % self.wanted.url.resource.encode(), fields)

    def verify(self, response: Response, body: bytes) -> NegotiatedParameters:
        headers = response.headers
        # RFC 6455 section 4.1: unlike Connection, this is not a list
        if [value.lower() for value in headers.get_all("Upgrade")] != ["websocket"]:
            raise InvalidAnswer("the Upgrade field", "websocket", headers.get("Upgrade"))
        check_upgrade(headers)
        self._check_accept(headers.get_all(ACCEPT_FIELD))
        extensions = headers.get_all(EXTENSIONS_FIELD)
        try:
            deflate = settle_answer(extensions, self.wanted.compression)
        except ValueError as error:
            offered = self.wanted.compression and write_offers(self.wanted.compression)
            what = f"the {EXTENSIONS_FIELD} field: {error}"
            raise InvalidAnswer(what, offered, ", ".join(filter(None, extensions))) from error
        masking_key = b""
        if self.family.nonce:
            masking_key = masking_key_of(self.key, _nonce_in(headers))
        return NegotiatedParameters(self._subprotocol_in(headers), masking_key, deflate)

    def _check_accept(self, received: list[str]) -> None:
        expected = accept_of(self.key)
        if len(received) != 1 or not hmac.compare_digest(
            expected.encode(), received[0].encode("latin-1")
        ):
            raise InvalidAnswer(f"the {ACCEPT_FIELD} field", expected, ", ".join(received) or None)

    def _subprotocol_in(self, headers: Headers) -> str | None:
        received = headers.get_all(PROTOCOL_FIELD)
        if received and not self.wanted.subprotocols:
            # RFC 6455 section 4.1: unlike in older drafts, a server may not name one unasked
            raise InvalidAnswer("the subprotocol", None, ", ".join(received))
        return self.syntax.verify(self.wanted.subprotocols, received)


def _nonce_in(headers: Headers) -> str:
    received = headers.get_all(NONCE_FIELD)
    if len(received) != 1 or not received[0]:
        raise InvalidAnswer(f"the {NONCE_FIELD} field", "one value", ", ".join(received) or None)
    return received[0]


def _settle(
    subprotocol: str | None, offered: tuple[str, ...], compression: Compression | None
) -> tuple[bytes, NegotiatedParameters]:
    """Returns what both sides agree on, after the answer's lines that say it."""
    if compression is None:
        offered = ()
    if len(subprotocol or "") + sum(map(len, offered)) > _LONGEST_CACHED:
        return _settled(subprotocol, offered, compression)
    return _settled_before(subprotocol, offered, compression)


def _settled(
    subprotocol: str | None, offered: tuple[str, ...], compression: Compression | None
) -> tuple[bytes, NegotiatedParameters]:
    written: list[tuple[str, str]] = []
    if subprotocol is not None:
        written.append((PROTOCOL_FIELD, subprotocol))
    deflate = None
    if compression is not None:
        deflate = accept_offer(offered, compression)
    if deflate is not None:
        # Without an extension the field is left out: Safari refuses an empty one.
        written.append((EXTENSIONS_FIELD, deflate.field))
    lines = "".join(f"{name}: {value}\r\n" for name, value in written).encode("latin-1")
    return lines, NegotiatedParameters(
        subprotocol, deflate=deflate
    ) if written else NOTHING_NEGOTIATED


# All Chromes make the same offers, and so do all clients of one library.
_settled_before = lru_cache(maxsize=64)(_settled)


@attrs.frozen
class HybiServer:
    """The server's side (RFC 6455 section 4.2)."""

    key: str
    nonce: str | None
    """What hybi-04 makes the masking key from, with the key; None in the other drafts."""
    offered: tuple[str, ...] = ()
    """The extensions that the client offers."""
    request_body: int = 0

    def accept(
        self, fields: Headers, subprotocol: str | None, compression: Compression | None = None
    ) -> tuple[bytes, NegotiatedParameters]:
        lines, negotiated = _settle(subprotocol, self.offered, compression)
        if self.nonce is not None:
            lines = b"%b: %b\r\n%b" % (NONCE_FIELD.encode(), self.nonce.encode(), lines)
            masking_key = masking_key_of(self.key, self.nonce)
            negotiated = NegotiatedParameters(
                negotiated.subprotocol, masking_key, negotiated.deflate
            )
        for field in fields.raw:
            lines += b"%b: %b\r\n" % field
        return b"%b%b\r\n%b\r\n" % (_BEFORE_PROOF, accept_of(self.key).encode(), lines), negotiated

    def prove(self, body: bytes) -> bytes:
        # The proof is in the head.
        return b""


@attrs.frozen(kw_only=True)
class HybiOpening:
    """Both sides of the opening of hybi-04 to RFC 6455."""

    version: int
    """The value of Sec-WebSocket-Version."""
    origin_field: str
    """The request's field that names the origin of the page."""
    nonce: bool = False
    """Whether the server sends a nonce, for a masking key: only in hybi-04."""
    key_length: int | None = None
    """How many bytes a key must encode; None if clients of the time sent other keys."""
    request_body: int = attrs.field(default=0, init=False)

    @property
    def written_fields(self) -> tuple[str, ...]:
        return (
            "Upgrade",
            "Connection",
            "Host",
            KEY_FIELD,
            VERSION_FIELD,
            ACCEPT_FIELD,
            NONCE_FIELD,
            PROTOCOL_FIELD,
            EXTENSIONS_FIELD,
            self.origin_field,
        )

    def ask(self, wanted: HandshakeRequest, syntax: SubprotocolSyntax) -> HybiClient:
        if wanted.subprotocols:
            syntax.write(wanted.subprotocols)
        return HybiClient(family=self, wanted=wanted, syntax=syntax)

    def answer(self, request: ReceivedRequest) -> HybiServer:
        # RFC 6455 section 4.2.1: HTTP/1.1 or higher; HTTP/1.0 has no upgrade
        if request.line.endswith(b" HTTP/1.0"):
            raise Reject(400, body="Expected HTTP/1.1, got HTTP/1.0.\n")
        check_request_fields(request)
        keys = request.headers.get_all(KEY_FIELD)
        if len(keys) != 1:
            raise Reject(400, body=f"Expected one {KEY_FIELD}, got {len(keys)}.\n")
        length = bytes_in(keys[0])
        what = f"{KEY_FIELD} {shown(keys[0].encode('latin-1'))}"
        if length is None:
            raise Reject(400, body=f"{what}: it is no base64.\n")
        if self.key_length not in (None, length):
            raise Reject(400, body=f"{what}: it has {length} bytes, not {self.key_length}.\n")
        offered = tuple(request.headers.get_all(EXTENSIONS_FIELD))
        return HybiServer(keys[0], make_key() if self.nonce else None, offered)
