"""Request and response heads: find the end, parse, write.

A parser of our own, because hixie-75 fixes the order of fields, and hixie-76 keys may begin or end
in spaces that count, and has bodies that no Content-Length announces. A head is kept as the bytes
that came and parsed on demand.

What today's clients send is parsed in C (`speedups.c`), if that was built, unless the environment
has TRIO_DRAFTWS_PURE_PYTHON=1. Whatever is unusual is parsed here, where errors are explained.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import TypeAlias

import attrs

from .cookies import cookies_set

MAX_FIELDS = 100
# RFC 9112 section 3: at least 8000 bytes
MAX_LINE = 8192

HeaderFields: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Header fields as a caller gives them: a mapping, or pairs of name and value."""

# RFC 9110 section 5.6.2
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# What ends a name, also one that is misspelt
_NO_NAME = re.compile(rb"[:= \t]")
# RFC 9110 section 5.5: what no value may hold; tabs and bytes from 0x80 are legal
_NOT_IN_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_IN_TARGET = re.compile(rb"[\x00-\x1f\x7f]")
# RFC 9110 section 15: 100 to 599 are statuses; section 7.8: HTTP/1.0 has no upgrade
_STATUS_LINE = re.compile(rb"(?!HTTP/1\.0 101)HTTP/1\.\d [1-5]\d\d(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
# RFC 9112 section 5.2: a line that goes on in the next one
_FOLD = re.compile(rb"\r\n[ \t]+")
_VERSION = re.compile(rb"HTTP/1\.\d")

# What `write_response` writes itself
FIELDS_OF_A_REFUSAL = ("Content-Length", "Transfer-Encoding", "Connection")
TEXT_PLAIN = b"text/plain; charset=utf-8"
# RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5
STATUSES_WITHOUT_BODY = (204, 205, 304)

REASON_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# RFC 9110 section 15.5.15; Python had an older phrase until 3.13.
REASON_PHRASES[414] = "URI Too Long"


class BadHead(Exception):
    """A head that is not HTTP as the drafts know it; `status` is what a server answers."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason, status)
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return self.reason


class Headers(Mapping[str, str]):
    """The fields of a head; names compare without case.

    `headers["Name"]` is the value without white space around it, and where the field came several
    times, all of them joined by `", "`. Bytes are read as Latin-1, so nothing is lost.
    `raw` holds the pairs as they came.
    """

    __slots__ = ("_values", "raw")

    def __init__(
        self,
        raw: Iterable[tuple[bytes, bytes]] = (),
        _values: dict[str, list[bytes]] | None = None,
    ) -> None:
        #: Name and value of each field, in order; of a value's spaces only the one after the
        #: colon is gone (hixie-76 section 4.1: the others belong to the value).
        self.raw: tuple[tuple[bytes, bytes], ...] = tuple(raw)
        if _values is None:
            _values = {}
            for name, value in self.raw:
                _values.setdefault(name.decode("latin-1").lower(), []).append(value)
        # By name, in lower case
        self._values = _values

    def __getitem__(self, name: str) -> str:
        return ", ".join(self.get_all(name)) if name in self else self._missing(name)

    def _missing(self, name: str) -> str:
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({list(self.raw)!r})"

    def get_all(self, name: str) -> list[str]:
        """Every value of the field, in order; an empty list where there is none."""
        values = self._values.get(name.lower(), ())
        return [value.strip(b" \t").decode("latin-1") for value in values]

    def get_raw(self, name: str) -> list[bytes]:
        """Every value of the field as it came, spaces included."""
        return list(self._values.get(name.lower(), ()))

    def has_token(self, name: str, token: str) -> bool:
        """Whether the field's comma-separated list holds `token`, without regard to case."""
        items = ",".join(self.get_all(name)).split(",")
        return token.lower() in (item.strip(" \t").lower() for item in items)


def find_head_end(buffer: bytearray, searched: int) -> int:
    """Where the head in `buffer` ends (behind its blank line), or -1.

    `searched` bytes were looked at before; they are not searched again, so that a head that
    trickles in costs no more than one that comes at once.
    """
    found = buffer.find(b"\r\n\r\n", max(0, searched - 3))
    return found + 4 if found >= 0 else -1


def line_too_long(limit: float) -> BadHead:
    """What says that the first line has more bytes than `limit`."""
    return BadHead(f"the first line is longer than {limit} bytes", 414)


def may_begin_head(buffer: bytearray) -> bool:
    """Whether a head may begin so: a method does, or an answer, with a character of a token."""
    return _TOKEN.match(buffer, 0, 1) is not None


def _parse_fields(lines: list[bytes]) -> Headers:
    if len(lines) > MAX_FIELDS:
        raise BadHead(f"the head has {len(lines)} fields, more than {MAX_FIELDS}", 431)
    fields: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line.startswith((b" ", b"\t")):
            # RFC 9112 section 5.2: a server refuses it; a client's parser joins it beforehand.
            raise BadHead("a field goes on in a further line, which HTTP no longer has")
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name):
            # What came may be a password all the same, so only what could be a name is shown.
            begin = _NO_NAME.split(line, maxsplit=1)[0]
            raise BadHead(f"expected a field as `Name: value`, got {shown(begin)}")
        # hixie-76 section 4.1: at most one space goes, all others belong to the value
        if value.startswith(b" "):
            value = value[1:]
        if _NOT_IN_VALUE.search(value):
            raise BadHead(f"the field {shown(name)} has a control character in its value")
        fields.append((name, value))
    return Headers(fields)


def split_request_in_python(
    head: bytes, /
) -> tuple[bytes, tuple[tuple[bytes, bytes], ...], dict[str, list[bytes]]] | None:
    """Line, fields, and the values of each name; None if it must be parsed in Python."""
    return None


split_request = split_request_in_python
if os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":  # pragma: no branch
    try:
        from .speedups import split_request as split_request
    except ImportError:  # pragma: no cover
        pass  # not built


def _split_head(head: bytes) -> tuple[bytes, list[bytes]]:
    line, *rest = head[:-4].split(b"\r\n")
    return line, rest


def _unfolded(lines: list[bytes]) -> list[bytes]:
    """The lines of fields, each of which is one."""
    return _FOLD.sub(b" ", b"\r\n".join(lines)).split(b"\r\n") if lines else lines


def parse_request_head(head: bytes) -> tuple[bytes, Headers]:
    """The line and the fields of a request's whole head, its blank line included.

    Raises:
        BadHead: it is not an HTTP/1 request.
    """
    split = split_request(head)
    if split is not None:
        line, raw, values = split
        return line, Headers(raw, values)
    return parse_request_head_in_python(head)


def parse_request_head_in_python(head: bytes) -> tuple[bytes, Headers]:
    """Like `parse_request_head`, for every head, and never in C."""
    line, fields = _split_head(head)
    headers = _parse_fields(fields)
    if len(line) > MAX_LINE:
        raise line_too_long(MAX_LINE)
    parts = line.split(b" ")
    if (
        len(parts) < 3
        or not any(parts[1:-1])
        or not _TOKEN.fullmatch(parts[0])
        or _NOT_IN_TARGET.search(line)
    ):
        raise BadHead(f"expected a request line as `GET /path HTTP/1.1`, got {shown_line(line)}")
    if not _VERSION.fullmatch(parts[-1]):
        raise BadHead(f"expected HTTP/1.1, got {shown_line(parts[-1])}", 505)
    return line, headers


@attrs.frozen
class Response:
    """The head that a server answers with."""

    line: bytes
    """The status line as it came, without its line end."""
    headers: Headers
    """Its fields."""

    @classmethod
    def parse(cls, head: bytes) -> Response:
        """Reads a whole head, its blank line included. A folded field is read as with spaces.

        Raises:
            BadHead: it is not an HTTP/1 response, or it is a 101 of HTTP/1.0.
        """
        line, fields = _split_head(head)
        headers = _parse_fields(_unfolded(fields))
        if not _STATUS_LINE.fullmatch(line):
            raise BadHead(f"expected a status line as `HTTP/1.1 101 ...`, got {shown(line)}")
        return cls(line, headers)

    @property
    def status(self) -> int:
        """The three-digit code."""
        return int(self.line[9:12])

    @property
    def reason(self) -> str:
        """The phrase behind the code; it may be empty."""
        return self.line[13:].decode("latin-1")

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that the server sets, each value as it is written there.

        Of several with one name it is the last. How long each is to be kept, and where to be
        sent, stands in `headers.get_all("Set-Cookie")`.
        """
        return cookies_set(self.headers.get_all("Set-Cookie"))


def shown(raw: bytes) -> str:
    """`raw` for a message: escaped, and short."""
    text = raw.decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"`{text}`" if len(text) <= 80 else f"`{text[:77]}...`"


def shown_line(line: bytes) -> str:
    """A request line for a message: without its query, since that may hold a password."""
    before, mark, query = line.partition(b"?")
    behind = query[query.rfind(b" ") :] if b" " in query else b""
    return shown(before + mark + b"..." + behind if mark else line)


def escaped(text: str) -> str:
    """`text` for a message, with all in it that could move a terminal or end a line as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def checked_fields(fields: HeaderFields, *, forbidden: Iterable[str] = ()) -> Headers:
    """A caller's fields, fit to be sent.

    Raises:
        TypeError: they are no fields. The message shows no value, which may be a password.
        ValueError: a name is no token, a value holds a control character, or the field is one
            of `forbidden`, which the handshake writes itself.
    """
    if isinstance(fields, Headers):
        fields = fields.raw
    banned = _in_lower_case(tuple(forbidden))
    checked: list[tuple[bytes, bytes]] = []
    for name, value in _pairs_of(fields):
        raw_name = name if isinstance(name, bytes) else _latin1(name, "name")
        raw_value = value if isinstance(value, bytes) else _latin1(value, "value")
        if not _TOKEN.fullmatch(raw_name):
            raise ValueError(f"a header field's name must be a token, got {shown(raw_name)}")
        if bad := _NOT_IN_VALUE.search(raw_value):
            # Not the value, which may be a password with the line end of its file
            raise ValueError(
                f"the header field {raw_name.decode()} has a control character in its value: "
                f"{shown(bad[0])} at {bad.start()}"
            )
        if raw_name.decode().lower() in banned:
            raise ValueError(f"the header field {raw_name.decode()} is written by the handshake")
        checked.append((raw_name, raw_value))
    return Headers(checked)


@lru_cache
def _in_lower_case(names: tuple[str, ...]) -> frozenset[str]:
    # There are few lists of such names, and none of a peer's making.
    return frozenset(name.lower() for name in names)


def _pairs_of(fields: object) -> Iterator[tuple[str | bytes, str | bytes]]:
    """Name and value of each of a caller's fields.

    Raises:
        TypeError: they are no fields. The message shows no value.
    """
    if isinstance(fields, (str, bytes)) or not isinstance(fields, Iterable):
        raise TypeError(
            "headers is a mapping from names to values, or a list of pairs of name and value, "
            f"not {_kind(fields)}"
        )
    for pair in fields.items() if isinstance(fields, Mapping) else fields:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(
                "headers is a list of pairs of name and value, as [('X-Name', 'value')], "
                f"and {_kind(pair)} in it is none"
            )
        name, value = pair
        if not isinstance(name, (str, bytes)):
            raise TypeError(f"a header field's name is a str or bytes, not {_kind(name)}")
        if not isinstance(value, (str, bytes)):
            raise TypeError(
                f"the value of the header field {name!r} is a str or bytes, not {_kind(value)}"
            )
        yield name, value


def _kind(given: object) -> str:
    return "None" if given is None else f"one {type(given).__name__}"


def _latin1(text: str, what: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a header field's {what} given as str must be Latin-1 (give bytes for others), "
            f"got {text[error.start]!r} at {error.start}"
        ) from None


def write_head(line: bytes, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A head: `line`, each field on a line of its own, and the blank line."""
    lines = [line, *(b"%b: %b" % field for field in fields), b"", b""]
    return b"\r\n".join(lines)


def checked_answer(status: object, headers: HeaderFields, body: object) -> tuple[Headers, bytes]:
    """The fields and the body of an answer in plain HTTP, fit to be sent.

    Raises:
        TypeError: one of the three is of another kind.
        ValueError: a field cannot be sent.
    """
    if isinstance(status, bool) or not isinstance(status, int):
        raise TypeError(f"status is a number, not {status!r}; a text is body='...'")
    given: object = headers
    if isinstance(given, (str, bytes)):
        raise TypeError(
            f"headers is a mapping from names to values, not {_kind(given)}; a text is body='...'"
        )
    if not isinstance(body, (str, bytes, bytearray, memoryview)):
        raise TypeError(f"body is a str or bytes, not {body!r}")
    checked = checked_fields(headers, forbidden=FIELDS_OF_A_REFUSAL)
    return checked, body.encode() if isinstance(body, str) else bytes(body)


@attrs.frozen(init=False)
class HTTPResponse:
    """What an `http_handler` answers with: a page, or whatever else plain HTTP can say.

    Args:
        status: the HTTP status code, 200 to 599.
        headers: further fields of the answer; the length and the connection's end are told
            without them.
        body: str is sent as UTF-8. Where `headers` do not say what it is, a str is
            `text/plain; charset=utf-8`, and bytes are `application/octet-stream`.

    Raises:
        ValueError: the status or a header field cannot be sent, or that status has no body.
        TypeError: one of them is of another kind.
    """

    status: int
    headers: Headers
    body: bytes

    @classmethod
    def html(
        cls, page: bytes | str, *, status: int = 200, headers: HeaderFields = ()
    ) -> HTTPResponse:
        """A page of HTML, in UTF-8.

        Raises:
            ValueError: as above.
        """
        return cls(status, _with_type(headers, b"text/html; charset=utf-8"), page)

    @classmethod
    def json(cls, value: object, *, status: int = 200, headers: HeaderFields = ()) -> HTTPResponse:
        """A value as JSON.

        Raises:
            TypeError: it is nothing that JSON knows.
            ValueError: as above; or the value holds itself.
        """
        return cls(status, _with_type(headers, b"application/json"), json.dumps(value))

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


def _with_type(fields: HeaderFields, what: bytes) -> Headers:
    """The fields, and what the body is, if they do not say that themselves."""
    checked = checked_fields(fields)
    if "Content-Type" in checked:
        return checked
    return Headers([(b"Content-Type", what), *checked.raw])


def write_response(
    status: int, fields: HeaderFields = (), body: bytes = b"", *, head_only: bool = False
) -> bytes:
    """A whole plain HTTP answer, or what answers a HEAD; the connection ends with it."""
    reason = REASON_PHRASES.get(status, "")
    checked = checked_fields(fields, forbidden=FIELDS_OF_A_REFUSAL)
    all_fields = list(checked.raw)
    if body and "Content-Type" not in checked:
        all_fields.insert(0, (b"Content-Type", TEXT_PLAIN))
    # RFC 9110 section 8.6: none in a 204; in a 304 it would be that of the page
    if status not in (204, 304):
        all_fields.append((b"Content-Length", b"%d" % len(body)))
    # RFC 9110 section 7.8: an Upgrade field is named here too
    all_fields.append((b"Connection", b"Upgrade, close" if "Upgrade" in checked else b"close"))
    head = write_head(b"HTTP/1.1 %d %b" % (status, reason.encode()), all_fields)
    return head if head_only else head + body
