"""The body of a response that is not a 101."""

from __future__ import annotations

import math
import re

import attrs

from .head import MAX_LINE
from .headers import Headers
from .response import Response

# RFC 9112 section 7.1: a size, which extensions may follow
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?")
_BEGIN_OF_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]*[ \t]*(?:;.*)?\r?")
# RFC 9112 section 6.3; for answers to a GET, the only method that a client sends
_WITHOUT_BODY = (204, 304)


@attrs.define(eq=False)
class ResponseBody:
    """Collects the body of a response from what follows its head (RFC 9112 section 6.3).

    Call `feed` until it is `done`, or until the stream ends. Chunks are decoded. From a broken
    chunk on, everything is kept as it came.
    """

    most: int
    """How many bytes of it are kept at most, from its beginning."""
    _left: float
    """How much of the body or of a chunk is missing; inf if only the end of the stream ends it."""
    _chunked: bool = False
    content: bytearray = attrs.field(factory=bytearray, init=False)
    """What has come of the body so far."""
    _unread: bytearray = attrs.field(factory=bytearray, init=False)
    _searched: int = attrs.field(default=0, init=False)
    """How many bytes of `_unread` were searched for the end of a line."""
    _behind_chunk: bool = attrs.field(default=False, init=False)

    @classmethod
    def of(cls, response: Response, most: int) -> ResponseBody:
        """Returns the empty body that belongs to a head."""
        if response.status in _WITHOUT_BODY:
            return cls(most, 0)
        codings = _transfer_codings(response.headers)
        if not codings:
            return cls(most, _content_length(response.headers))
        if codings[-1] == "chunked":
            return cls(most, 0, chunked=True)
        return cls(most, math.inf)

    @property
    def done(self) -> bool:
        """Whether the body is complete, or has reached `most` bytes."""
        return (not self._left and not self._chunked) or len(self.content) >= self.most

    @property
    def has_end(self) -> bool:
        """Whether it ends at a known place, and not only with the stream."""
        return self._chunked or self._left < math.inf

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes of the stream."""
        self._unread += data
        while self._unread and not self.done:
            if self._left:
                self._take_content()
            elif not self._take_chunk_line():
                break

    def _take_content(self) -> None:
        size = int(min(self._left, len(self._unread), self.most - len(self.content)))
        self.content += self._unread[:size]
        del self._unread[:size]
        self._left -= size

    def _take_chunk_line(self) -> bool:
        """Reads the line that begins a chunk; returns False if it is incomplete."""
        # The content of the chunk before ends with a line end, too.
        begin = 2 if self._behind_chunk else 0
        end = self._unread.find(b"\r\n", max(begin, self._searched - 1))
        line: re.Match[bytes] | None = None
        if end >= 0:
            line = _CHUNK_LINE.fullmatch(self._unread, begin, end)
        elif self._may_be_chunk_line(begin):
            self._searched = len(self._unread)
            return False
        if line is None or (begin and not self._unread.startswith(b"\r\n")):
            self._chunked, self._left = False, math.inf
            return True
        self._left = int(line[1], 16)
        # The trailer behind the last chunk does not matter here (RFC 9112 section 7.1.2).
        self._chunked = self._behind_chunk = self._left > 0
        self._searched = 0
        del self._unread[: end + 2]
        return True

    def _may_be_chunk_line(self, begin: int) -> bool:
        # Its beginning is enough, so each byte that trickles in costs the same.
        line = self._unread[begin : begin + 20]
        return (
            len(self._unread) <= MAX_LINE
            and b"\r\n".startswith(self._unread[:begin])
            and _BEGIN_OF_CHUNK_LINE.fullmatch(line) is not None
        )


def _transfer_codings(headers: Headers) -> list[str]:
    codings = ",".join(headers.get_all("Transfer-Encoding")).lower().split(",")
    # RFC 2616 section 4.4: `identity` is the same as nothing
    return [coding for coding in map(str.strip, codings) if coding not in ("", "identity")]


def _content_length(headers: Headers) -> float:
    """Returns the announced length; inf if there is none, or if several differ."""
    numbers = set()
    for value in ",".join(headers.get_all("Content-Length")).split(","):
        number = value.strip(" \t")
        if not (number.isascii() and number.isdigit()):
            return math.inf
        # A length may have any number of digits, but Python limits how many it parses.
        numbers.add(number.lstrip("0")[:19] or "0")
    return int(numbers.pop()) if len(numbers) == 1 else math.inf
