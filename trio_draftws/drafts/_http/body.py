"""The body of an answer that is no 101: where it ends, and what is in it."""

from __future__ import annotations

import math
import re

import attrs

from trio_draftws.drafts._events import Buffer

from .http1 import MAX_LINE, Headers, Response

# RFC 9112 section 7.1: a size, which extensions may follow
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?")
_BEGIN_OF_CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]*[ \t]*(?:;.*)?\r?")
# RFC 9112 section 6.3; to a GET, which is all that a client asks
_WITHOUT_BODY = (204, 304)


@attrs.define(eq=False)
class ResponseBody:
    """Takes the body of an answer out of what follows its head (RFC 9112 section 6.3).

    It is fed what comes until it is `done`, or nothing comes any more. Chunks are decoded; what is
    no chunk is kept as it came, with all behind it.
    """

    most: int
    """How many bytes of it are taken: of a longer one, the first."""
    _left: float
    """What is to come of the body, or of a chunk; inf where only the end of the stream tells."""
    _chunked: bool = False
    content: bytearray = attrs.field(factory=bytearray, init=False)
    """What has come of it."""
    _unread: bytearray = attrs.field(factory=bytearray, init=False)
    _searched: int = attrs.field(default=0, init=False)
    """How much of `_unread` holds no end of a line."""
    _behind_chunk: bool = attrs.field(default=False, init=False)

    @classmethod
    def of(cls, response: Response, most: int) -> ResponseBody:
        """The body that follows that head."""
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
        return (not self._left and not self._chunked) or len(self.content) >= self.most

    @property
    def has_end(self) -> bool:
        """Whether something else than the end of the stream tells where it ends."""
        return self._chunked or self._left < math.inf

    def feed(self, data: Buffer) -> None:
        """Takes what has come."""
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
        """Reads the line that begins a chunk; says whether there is more to do."""
        # What was content ends in a line end, too.
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
        # What may follow the last chunk says nothing of the body (RFC 9112 section 7.1.2).
        self._chunked = self._behind_chunk = self._left > 0
        self._searched = 0
        del self._unread[: end + 2]
        return True

    def _may_be_chunk_line(self, begin: int) -> bool:
        # A look at its beginning is enough, and costs the same for each byte that trickles in.
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
    """The length that is told, several times maybe; inf where none is, or several are."""
    numbers = set()
    for value in ",".join(headers.get_all("Content-Length")).split(","):
        number = value.strip(" \t")
        if not (number.isascii() and number.isdigit()):
            return math.inf
        # Any number of digits is a length; Python does not read so many.
        numbers.add(number.lstrip("0")[:19] or "0")
    return int(numbers.pop()) if len(numbers) == 1 else math.inf
