"""Parses the head of a response, and writes whole responses in plain HTTP."""

from __future__ import annotations

import json
import re
from http import HTTPStatus

import attrs

from .cookies import cookies_set
from .escaping import shown
from .head import BadHead, parse_fields, split_head, write_head
from .headers import HeaderFields, Headers, checked_fields, kind_of
from .url import NOT_IN_URL

# RFC 9110 section 15: 100 to 599 are statuses; section 7.8: HTTP/1.0 has no upgrade
_STATUS_LINE = re.compile(rb"(?!HTTP/1\.0 101)HTTP/1\.\d [1-5]\d\d(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
# RFC 9112 section 5.2: the end of a line that the next one continues
_FOLD = re.compile(rb"\r\n[ \t]+")

# What `write_response` writes itself
FIELDS_OF_A_REFUSAL = ("Content-Length", "Transfer-Encoding", "Connection")
TEXT_PLAIN = b"text/plain; charset=utf-8"
# RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5
STATUSES_WITHOUT_BODY = (204, 205, 304)
# RFC 9110 section 15.4; 300 offers a choice, which is left to the user.
REDIRECT_STATUSES = (301, 302, 303, 307, 308)

REASON_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# RFC 9110 section 15.5.15; Python had an older phrase until 3.13.
REASON_PHRASES[414] = "URI Too Long"


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """Joins lines that continue the field of the line before."""
    return _FOLD.sub(b" ", b"\r\n".join(lines)).split(b"\r\n") if lines else lines


@attrs.frozen
class Response:
    """The head that a server answers with."""

    line: bytes
    """The status line as it came, without its line end."""
    headers: Headers
    """Its fields."""

    @classmethod
    def parse(cls, head: bytes) -> Response:
        """Parses a whole head, its blank line included. The lines of a folded field are joined.

        Raises:
            BadHead: it is not an HTTP/1 response, or it is a 101 of HTTP/1.0.
        """
        line, fields = split_head(head)
        headers = parse_fields(_unfolded(fields))
        if not _STATUS_LINE.fullmatch(line):
            raise BadHead(f"expected a status line as `HTTP/1.1 101 ...`, got {shown(line)}")
        return cls(line, headers)

    @property
    def status(self) -> int:
        """The three-digit code."""
        return int(self.line[9:12])

    @property
    def reason(self) -> str:
        """The phrase after the code; it may be empty."""
        return self.line[13:].decode("latin-1")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the server sets, by name, each value as it was sent.

        If a name occurs several times, its last value counts. How long to keep a cookie, and where
        to send it, is in `headers.get_all("Set-Cookie")`.
        """
        return cookies_set(self.headers.get_all("Set-Cookie"))


def checked_answer(status: object, headers: HeaderFields, body: object) -> tuple[Headers, bytes]:
    """Checks an answer in plain HTTP, and returns its fields and its body as they are sent.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: a field cannot be sent, or a redirect does not say where to.
    """
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError(f"status is a number, not {status!r}; a text is body='...'")
    given: object = headers
    if isinstance(given, (str, bytes)):
        raise TypeError(
            f"headers is a mapping from names to values, not {kind_of(given)}; a text is body='...'"
        )
    if not isinstance(body, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"body is a str or bytes, not {body!r}")
    checked = checked_fields(headers, forbidden=FIELDS_OF_A_REFUSAL)
    if 300 <= status <= 399:
        _check_locations(status, checked.get_all("Location"))
    return checked, body.encode() if isinstance(body, str) else bytes(body)


def _check_locations(status: int, locations: list[str]) -> None:
    """Checks where an answer sends the client (RFC 9110 section 10.2.2).

    Raises:
        ValueError: it does not say where, or what it says is no URL.
    """
    if status in REDIRECT_STATUSES and len(locations) != 1:
        raise ValueError(
            f"an answer with status {status} has one Location, as headers={{'Location': '/new'}}, "
            f"not {len(locations)}"
        )
    for location in locations:
        bad = NOT_IN_URL.search(location)
        if not location or bad or not location.isascii():
            why = f"holds {bad[0]!r}" if bad else "is not ASCII" if location else "is empty"
            raise ValueError(
                f"the Location {location!r} {why}: a URL has escapes, as urllib.parse.quote writes"
            )


def redirect_fields(status: object, location: object, headers: HeaderFields) -> Headers:
    """Returns the fields of a redirect: the caller's, after the Location.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the status is that of no redirect, or a field cannot be sent.
    """
    if not isinstance(location, str):
        raise TypeError(f"location is a URL as a str, as '/new', not {location!r}")
    if status not in REDIRECT_STATUSES:
        *most, last = REDIRECT_STATUSES
        raise ValueError(
            f"a redirect's status is {', '.join(map(str, most))} or {last}, not {status!r}"
        )
    fields = checked_fields(headers)
    # One that Latin-1 has not would be refused as a field's value, which need not be ASCII.
    raw = location.encode("utf-8", "surrogatepass")
    return Headers([(b"Location", raw), *fields.raw])


@attrs.frozen(init=False)
class HTTPResponse:
    """What an `http_handler` answers with: a page, or any other answer in plain HTTP.

    Args:
        status: the HTTP status code, 200 to 599.
        headers: further fields of the answer; Content-Length and Connection are added to them. A
            301, 302, 303, 307 or 308 has a `Location`; see also `redirect`.
        body: a str is sent as UTF-8. Without a Content-Type in `headers`, a str is sent as
            `text/plain; charset=utf-8`, and bytes as `application/octet-stream`.

    Raises:
        ValueError: the status or a header field cannot be sent, that status has no body, or a
            redirect has no `Location`, several, or one that is no URL.
        TypeError: an argument has the wrong type.
    """

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def html(
        cls, page: bytes | str, *, status: int = 200, headers: HeaderFields = ()
    ) -> HTTPResponse:
        """Returns a page of HTML, in UTF-8.

        Raises:
            ValueError: as above.
        """
        return cls(status, _with_type(headers, b"text/html; charset=utf-8"), page)

    @classmethod
    def json(cls, value: object, *, status: int = 200, headers: HeaderFields = ()) -> HTTPResponse:
        """Returns a value as JSON.

        Raises:
            TypeError: JSON cannot express the value.
            ValueError: as above; or the value contains itself.
        """
        return cls(status, _with_type(headers, b"application/json"), json.dumps(value))

    @classmethod
    def redirect(
        cls, location: str, *, status: int = 307, headers: HeaderFields = ()
    ) -> HTTPResponse:
        """Returns an answer that sends the client to another page (RFC 9110 section 15.4).

        Args:
            location: its URL, which may be relative, as `"/new"`; ASCII, with escapes.
            status: 301 or 308 if the page is there for good, or 302, 303 or 307.
            headers: further fields of the answer.

        Raises:
            ValueError: as above; or the status is none of these.
            TypeError: an argument has the wrong type.
        """
        return cls(status, redirect_fields(status, location, headers))

    def __init__(
        self, status: int = 200, headers: HeaderFields = (), body: bytes | str = b""
    ) -> None:
        checked, raw_body = checked_answer(status, headers, body)
        if not 200 <= status <= 599:
            raise ValueError(f"the status of an answer is 200 to 599, not {status}")
        if body and status in STATUSES_WITHOUT_BODY:
            raise ValueError(f"an answer with status {status} has no body")
        if body:
            what = TEXT_PLAIN if isinstance(body, str) else b"application/octet-stream"
            checked = _with_type(checked, what)
        self.__attrs_init__(status, checked, raw_body)


def _with_type(fields: HeaderFields, content_type: bytes) -> Headers:
    """Returns the fields, with a Content-Type if they have none."""
    checked = checked_fields(fields)
    if "Content-Type" in checked:
        return checked
    return Headers([(b"Content-Type", content_type), *checked.raw])


def write_response(
    status: int, fields: HeaderFields = (), body: bytes = b"", *, head_only: bool = False
) -> bytes:
    """Returns a whole answer in plain HTTP, or only its head, as for a HEAD request.

    Its Connection field says that the connection ends with it.
    """
    reason = REASON_PHRASES.get(status, "")
    checked = checked_fields(fields, forbidden=FIELDS_OF_A_REFUSAL)
    all_fields = list(checked.raw)
    if body and "Content-Type" not in checked:
        all_fields.insert(0, (b"Content-Type", TEXT_PLAIN))
    # RFC 9110 section 8.6: none in a 204; in a 304 it would be the length of the page
    if status not in (204, 304):
        all_fields.append((b"Content-Length", b"%d" % len(body)))
    # RFC 9110 section 7.8: an Upgrade field is named here too
    all_fields.append((b"Connection", b"Upgrade, close" if "Upgrade" in checked else b"close"))
    head = write_head(b"HTTP/1.1 %d %b" % (status, reason.encode()), all_fields)
    return head if head_only else head + body
