"""Where the body of a refusal ends, and what is in it; held against h11 where that can say."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_draftws.drafts import MAX_LINE, Response, ResponseBody

from .helpers import bytewise, head, in_turn

MOST = 1000
CHUNKED = ["Transfer-Encoding: chunked"]


def body_of(
    fields: list[str], *pieces: bytes, status: int = 401, most: int = MOST
) -> tuple[bytes, bool]:
    """What is in it, and whether it is over."""
    body = ResponseBody.of(Response.parse(head(f"HTTP/1.1 {status} No", *fields)), most)
    for piece in pieces:
        body.feed(piece)
    return bytes(body.content), body.done


ENDS: dict[str, tuple[list[str], bytes, bytes]] = {
    "length": (["Content-Length: 2"], b"no", b"no"),
    "length and more": (["Content-Length: 2"], b"no more", b"no"),
    "no length": (["Content-Length: 0"], b"", b""),
    "length twice": (["Content-Length: 2", "Content-Length: 2"], b"no", b"no"),
    "length listed": (["Content-Length: 2,2 , 2"], b"no", b"no"),
    "length in other digits": (["Content-Length: 2, 02"], b"no", b"no"),
    "length of many digits": (["Content-Length: " + "0" * 5000 + "2"], b"no", b"no"),
    "chunks": (CHUNKED, b"2\r\nno\r\n0\r\n\r\n", b"no"),
    "several chunks": (CHUNKED, b"2\r\nno\r\n0a\r\nbody knows\r\n0\r\n\r\n", b"nobody knows"),
    "chunks with line ends": (CHUNKED, b"4\r\n\r\n0\r\r\n1\r\n\n\r\n0\r\n\r\n", b"\r\n0\r\n"),
    "no chunk": (CHUNKED, b"0\r\n\r\n", b""),
    "several noughts": (CHUNKED, b"0002\r\nno\r\n000\r\n\r\n", b"no"),
    "extensions": (CHUNKED, b'2;a=b;c="d e"\r\nno\r\n0 ; e\r\n\r\n', b"no"),
    "trailers": (CHUNKED, b"2 \r\nno\r\n0\r\nDigest: x\r\nA: b\r\n\r\n", b"no"),
    "more after chunks": (CHUNKED, b"2\r\nno\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"no"),
    "chunks and a length": (["Content-Length: 1", *CHUNKED], b"2\r\nno\r\n0\r\n\r\n", b"no"),
    "chunks in capitals": (["Transfer-Encoding: Chunked"], b"2\r\nno\r\n0\r\n\r\n", b"no"),
    "chunks last": (["Transfer-Encoding: x, chunked"], b"2\r\nno\r\n0\r\n\r\n", b"no"),
    "identity": (["Transfer-Encoding: identity", "Content-Length: 2"], b"no", b"no"),
}


@pytest.mark.parametrize(("fields", "sent", "content"), ENDS.values(), ids=ENDS)
def test_it_ends(fields: list[str], sent: bytes, content: bytes) -> None:
    """At the same place however it comes."""
    assert body_of(fields, sent) == (content, True)
    assert body_of(fields, *bytewise(sent)) == (content, True)
    told = ResponseBody.of(Response.parse(head("HTTP/1.1 401 No", *fields)), MOST)
    assert told.has_end


@in_turn("fields", [[], ["Content-Length: 9"], CHUNKED])
@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body(status: int, fields: list[str]) -> None:
    """Whatever its fields say: those of a 304 are about the page that it does not send."""
    assert body_of(fields, status=status) == (b"", True)
    assert body_of(fields, b"more", status=status) == (b"", True)


@in_turn(
    "fields",
    [
        [],
        ["Content-Length: many"],
        ["Content-Length: -2"],
        ["Content-Length: +2"],
        ["Content-Length: \xb2"],
        ["Content-Length: 2, 3"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Content-Length: 2,"],
        ["Content-Length:"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: gzip", "Content-Length: 2"],
        ["Transfer-Encoding: chunked, gzip"],
    ],
)
def test_only_the_end_of_the_stream_tells(fields: list[str]) -> None:
    """Where nothing does, or nothing that makes sense (RFC 9112 section 6.3)."""
    body = ResponseBody.of(Response.parse(head("HTTP/1.1 401 No", *fields)), MOST)
    body.feed(b"2\r\nno")
    assert (bytes(body.content), body.done, body.has_end) == (b"2\r\nno", False, False)


@in_turn(
    ("sent", "content"),
    [
        (b"Unauthorized", b"Unauthorized"),
        (b"face it\r\nor not", b"face it\r\nor not"),
        (b"\r\n", b"\r\n"),
        (b"-2\r\nno\r\n0\r\n\r\n", b"-2\r\nno\r\n0\r\n\r\n"),
        (b"0x2\r\nno\r\n", b"0x2\r\nno\r\n"),
        (b"2\nno\n", b"2\nno\n"),
        (b"2\r\nnothing", b"nothing"),
        (b"2\r\nno\n0\n\n", b"no\n0\n\n"),
        (b"2\r\nno\rx", b"no\rx"),
        (b"2\r\nno\r\nx", b"no\r\nx"),
        (b"2\r\nnoXX3\r\nyes\r\n0\r\n\r\n", b"noXX3\r\nyes\r\n0\r\n\r\n"),
        (b"1;" + b"x" * MAX_LINE, (b"1;" + b"x" * MAX_LINE)[:MOST]),
    ],
)
def test_what_is_no_chunk(sent: bytes, content: bytes) -> None:
    """It is kept as it came, with all behind it."""
    over = len(content) == MOST
    assert body_of(CHUNKED, sent) == (content, over)
    assert body_of(CHUNKED, *bytewise(sent)) == (content, over)


@in_turn("sent", [b"", b"2", b"2;a", b"2\r", b"2\r\nno", b"2\r\nno\r\n0", b"f\r\nn"])
def test_chunks_that_are_not_over(sent: bytes) -> None:
    """Nothing of what is around them is taken for the body."""
    content, over = body_of(CHUNKED, sent)
    assert not over
    assert content == (b"no" if b"no" in sent else b"n" if b"n" in sent else b"")


@in_turn(
    ("fields", "sent"),
    [
        ([], b"x" * 9),
        (["Content-Length: 9"], b"x" * 9),
        (["Content-Length: " + "9" * 5000], b"x" * 9),
        (CHUNKED, b"9\r\n" + b"x" * 9),
        (CHUNKED, b"1\r\nx\r\n" * 9),
        (CHUNKED, b"f" * 5000 + b"\r\nxxxxxxxxx"),
    ],
)
def test_a_long_one(fields: list[str], sent: bytes) -> None:
    """No more is taken than is wanted."""
    assert body_of(fields, sent, most=7) == (b"x" * 7, True)
    assert body_of(fields, *bytewise(sent), most=7) == (b"x" * 7, True)


class Searched(bytearray):
    """A buffer that counts how many of its bytes are searched."""

    searched = 0

    def find(self, what: object, begin: object = 0, end: object = None) -> int:
        assert isinstance(begin, int)
        self.searched += len(self) - begin
        return super().find(b"\r\n", begin)


def test_a_line_that_trickles() -> None:
    """No byte of it is searched again and again."""
    body = ResponseBody.of(Response.parse(head("HTTP/1.1 401 No", *CHUNKED)), MOST)
    body._unread = unread = Searched()
    for byte in bytewise(b"2;" + b"x" * 1000 + b"\r\nno"):
        body.feed(byte)
    assert bytes(body.content) == b"no"
    assert unread.searched < 2500


# Against h11


@st.composite
def bodies(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """The fields that frame a body, and the body, framed so; with something behind it, maybe."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
    content = b"".join(parts)
    more = draw(st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n\r\n"]))
    if draw(st.booleans()):
        size = str(len(content))
        fields = draw(
            st.sampled_from([[size], [size, size], [f"{size}, {size}"], [f"{size},{size}", size]])
        )
        return [f"Content-Length: {value}" for value in fields], content + more
    extension = draw(st.sampled_from([b"", b";a=b", b';a="b c";d']))
    trailers = draw(st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n"]))
    framed = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts]
    return CHUNKED, b"".join(framed) + b"0%b\r\n%b\r\n" % (extension, trailers) + more


def h11_body(raw: bytes) -> tuple[bytes, bool]:
    """What h11 makes of it."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(raw)
    content = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Data):
            content += event.data
        elif event is h11.NEED_DATA or isinstance(event, h11.EndOfMessage):
            return content, event is not h11.NEED_DATA


@given(
    bodies(),
    st.sampled_from([200, 204, 205, 304, 401, 599]),
    st.none() | st.integers(0, 150),
    st.lists(st.integers(0, 150), max_size=4),
)
def test_as_h11(
    body: tuple[list[str], bytes], status: int, size: int | None, cuts: list[int]
) -> None:
    """The same content and the same end, of all of it or of as much as has come."""
    fields, sent = body
    whole = size is None
    sent = sent[:size]
    edges = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    pieces = [sent[begin:end] for begin, end in pairwise(edges)]
    ours = body_of(fields, *pieces, status=status)
    theirs = h11_body(head(f"HTTP/1.1 {status} No", *fields) + sent)
    if not whole and fields is CHUNKED and ours[1]:
        # h11 reads the trailers too before it is through.
        theirs = theirs[0], True
    assert ours == theirs
