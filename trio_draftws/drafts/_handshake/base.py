"""What an opening handshake is, for either side, and what all of them share."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from trio_draftws.drafts._framing.codec import NegotiatedParameters
from trio_draftws.drafts._framing.compression import Compression
from trio_draftws.drafts._http.http1 import (
    HeaderFields,
    Headers,
    Response,
    checked_answer,
    checked_fields,
    escaped,
)
from trio_draftws.drafts._http.url import WebSocketURL

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


class HandshakeError(Exception):
    """The opening handshake failed: there is no connection.

    `advice` says what to do about it, where that can be guessed; the text ends with it.
    """

    advice: str = ""

    def __str__(self) -> str:
        told = self._told()
        return f"{told} ({self.advice})" if self.advice else told

    def _told(self) -> str:
        return super().__str__()


class InvalidAnswer(HandshakeError):
    """The server said 101, but its answer is not the one that the draft demands.

    `expected` and `received` are the two values that differ.
    """

    def __init__(self, what: str, expected: object, received: object) -> None:
        super().__init__(what, expected, received)
        self.what = what
        self.expected = expected
        self.received = received

    def _told(self) -> str:
        return f"{self.what}: expected {self.expected!r}, received {self.received!r}"


class Reject(Exception):
    """Raise it in `conn_headers` to refuse a request with a plain HTTP answer.

    Args:
        status: the HTTP status code, 400 to 599.
        headers: further fields of the answer.
        body: what to tell the client; str is sent as UTF-8.

    Raises:
        ValueError: the status or a header field cannot be sent.
        TypeError: one of them is of another kind.
    """

    def __init__(self, status: int, headers: HeaderFields = (), body: bytes | str = b"") -> None:
        self.headers: Headers
        self.body: bytes
        self.headers, self.body = checked_answer(status, headers, body)
        if not 400 <= status <= 599:
            raise ValueError(f"a refusal's status is 400 to 599, not {status}")
        self.status = status
        super().__init__(status, self.headers, self.body)

    def __str__(self) -> str:
        text = escaped(self.body.decode("utf-8", "replace").strip())
        return f"{self.status}: {text}" if text else str(self.status)


def _check_origin(instance: object, attribute: object, origin: str | None) -> None:
    if origin is not None:
        if not isinstance(origin, str):
            raise TypeError(f"origin is a str, as 'https://example.com', not {origin!r}")
        checked_fields({"Origin": origin})
        if origin != origin.strip(" \t"):
            # A server would repeat it without, which is another one.
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
    """What to offer, in drafts that know of it."""


class ReceivedRequest(Protocol):
    """What a server's side of a handshake reads of a request; `drafts.Request` has all of it."""

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
        """How many bytes follow the response's head and belong to the handshake."""
        ...

    def request(self) -> bytes:
        """The head, and the bytes behind it that belong to the handshake."""
        ...

    def verify(self, response: Response, body: bytes) -> NegotiatedParameters:
        """Checks a 101 answer and returns what it settles.

        Raises:
            InvalidAnswer: it is not what the draft demands.
        """
        ...


class ServerOpening(Protocol):
    """The server's side of one opening handshake, made from a request that is in order."""

    @property
    def request_body(self) -> int:
        """How many bytes follow the request's head and belong to the handshake."""
        ...

    def accept(
        self, fields: Headers, subprotocol: str | None, compression: Compression | None = None
    ) -> tuple[bytes, NegotiatedParameters]:
        """The 101 head, with the application's fields, and what it settles.

        `compression` is what to agree to, where the draft knows of it.
        """
        ...

    def prove(self, body: bytes) -> bytes:
        """The bytes that follow the head, made from those that followed the request's."""
        ...


class OpeningFamily(Protocol):
    """Both sides of an opening handshake; `Draft.opening` is one."""

    @property
    def request_body(self) -> int:
        """As `ServerOpening.request_body`."""
        ...

    @property
    def written_fields(self) -> tuple[str, ...]:
        """The fields that no client may give, since the handshake writes them."""
        ...

    def ask(self, ask: HandshakeRequest, syntax: SubprotocolSyntax) -> ClientOpening:
        """Begins a client's opening.

        Raises:
            ValueError: the draft cannot ask for that.
        """
        ...

    def answer(self, request: ReceivedRequest) -> ServerOpening:
        """Checks a request and begins a server's opening.

        Raises:
            Reject: the request is not in order.
        """
        ...


@attrs.frozen
class SubprotocolSyntax:
    """How a draft writes the subprotocols that a client asks for."""

    description: str
    split: Callable[[str], Sequence[str]]
    separator: str | None
    """None where only one can be asked for."""
    allowed: str
    """The characters a name may have."""
    must_be_answered: bool
    """Whether a server that was asked has to name one."""

    def asked(self, values: Sequence[str]) -> tuple[str, ...]:
        """What the fields of a request ask for, each name once, in order."""
        names = [name for value in values for name in self.split(value)]
        return tuple(dict.fromkeys(filter(None, names)))

    def write(self, subprotocols: Sequence[str]) -> str:
        """The field's value.

        Raises:
            ValueError: a name cannot be said in this draft, or there are too many.
        """
        for name in subprotocols:
            # A name with spaces at its ends could not be told from the same without.
            if not name or name != name.strip(" ") or not set(name) <= set(self.allowed):
                raise ValueError(f"{name!r} is no subprotocol in this draft: {self.description}")
        if self.separator is None:
            if len(subprotocols) > 1:
                raise ValueError(f"asked for {list(subprotocols)}: {self.description}")
            return subprotocols[0]
        return self.separator.join(subprotocols)

    def verify(self, asked: Sequence[str], received: Sequence[str]) -> str | None:
        """The subprotocol agreed on, from the values of the answer's field.

        Raises:
            InvalidAnswer: the server named another, or several, or none where it must.
        """
        if not asked:
            # hixie-76 section 4.1: the field is ignored where none was asked for
            return None
        if not received and not self.must_be_answered:
            return None
        if len(received) != 1 or received[0] not in asked:
            raise InvalidAnswer("the subprotocol", " or ".join(asked), ", ".join(received) or None)
        return received[0]


_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def _one_string(value: str) -> list[str]:
    # Clients of the time disagreed on lists, so the whole string comes first, then its parts.
    parts = [*value.split(" "), *(item.strip(" ") for item in value.split(","))]
    return [value, *parts]


ONE_SUBPROTOCOL = SubprotocolSyntax(
    description="it can ask for one, of the characters U+0020 to U+007E",  # hixie-76 section 4.1
    split=_one_string,
    separator=None,
    allowed=_PRINTABLE,
    must_be_answered=True,
)
SPACE_SEPARATED = SubprotocolSyntax(
    description="names are separated by spaces, of the characters U+0021 to U+007E",  # r5173
    split=lambda value: value.split(" "),
    separator=" ",
    allowed=_PRINTABLE.replace(" ", ""),
    must_be_answered=False,
)
COMMA_SEPARATED = SubprotocolSyntax(
    description="names are separated by commas, and tokens",  # RFC 6455 section 4.1
    split=lambda value: [item.strip(" \t") for item in value.split(",")],
    separator=", ",
    # RFC 9110 section 5.6.2
    allowed="!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters,
    must_be_answered=False,
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
