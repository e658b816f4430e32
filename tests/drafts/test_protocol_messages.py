"""What comes in: messages, whole and in parts, pings and pongs; rules 6 and 7."""

from __future__ import annotations

from trio_draftws.drafts import DRAFTS, Close, Draft, Fragment, Role

from .helpers import ROLES, bytewise, in_turn
from .protocol.sides import Side, each_draft, side_of

each_role = in_turn("role", ROLES)
with_fragments = in_turn("draft", [draft for draft in DRAFTS if draft.fragments])
#: So long that codecs say where its bytes may be put
LONG = "x" * 60_000


# Messages


@each_role
@each_draft
def test_messages_come_in_order(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    data = side.encoded("one", "two") + side.encoded("three")
    for piece in bytewise(data):
        side.protocol.feed(piece, 3)
    assert side.protocol.handed_out == 0
    assert [side.receive(3), side.receive(3)] == ["one", "two"]
    assert side.protocol.take_all(3) == ["three"]
    assert side.protocol.handed_out == side.protocol.messages_received == 3
    assert side.protocol.bytes_received == len(data)
    assert side.protocol.last_received_at == 3


@each_draft
def test_messages_that_were_decoded_as_they_were_read(draft: Draft) -> None:
    side = side_of(draft)
    side.protocol.add_messages([], 1, 1)
    side.protocol.add_messages(["one"], 4, 2)
    side.protocol.add_messages(["two", "three"], 8, 3)
    assert side.protocol.take_all(3) == ["one", "two", "three"]
    assert side.protocol.messages_received == 3
    assert side.protocol.bytes_received == 13
    assert side.protocol.last_received_at == 3


@each_draft
def test_more_than_a_codec_takes_at_once(draft: Draft) -> None:
    side = side_of(draft)
    side.hear(0, *(str(number) for number in range(600)))
    assert side.protocol.messages_received < 600
    received = side.protocol.take_all(0)
    side.hear_rest(1)
    received += side.protocol.take_all(1)
    assert received == [str(number) for number in range(600)]
    assert side.protocol.last_received_at == 0


def put_where_it_stays(side: Side, data: bytes) -> None:
    """Feeds bytes as a receiver does, into the codec's place where there is one."""
    view = memoryview(data)
    while view:
        buffer = side.protocol.codec.get_buffer()
        if buffer is None:
            side.protocol.feed(bytes(view[:20_000]), 1)
            view = view[20_000:]
        else:
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            side.protocol.buffer_updated(size, 2)
            view = view[size:]


@with_fragments
@each_role
def test_a_long_message_is_put_where_it_stays(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    data = side.encoded(LONG, "next")
    put_where_it_stays(side, data)
    assert side.protocol.take_all(2) == [LONG, "next"]
    assert side.protocol.bytes_received == len(data)
    assert side.protocol.messages_received == 2


def test_a_violation_where_it_stays() -> None:
    side = side_of(DRAFTS[-1], "client")
    data = side.encoded(LONG)
    put_where_it_stays(side, data[:30_000] + b"\xff" + data[30_001:])
    assert side.end.kind.name == "VIOLATION"
    assert side.codes == [1007]


def test_the_stream_ends_where_it_stays() -> None:
    side = side_of(DRAFTS[-1], "client")
    put_where_it_stays(side, side.encoded(LONG)[:-1])
    assert side.protocol.codec.get_buffer() is not None
    side.protocol.buffer_updated(0, 3)
    assert side.end.kind.name == "STREAM"
    assert side.protocol.last_received_at == 2


def test_the_end_of_tcp_is_a_close_between_two_messages() -> None:
    """Where there is no other; and none in a message."""
    for cut, kind in ((b"", "CLOSE"), (b"\0cut", "STREAM")):
        side = side_of(DRAFTS[0])
        side.protocol.feed(b"\0whole\xff" + cut, 1)
        side.protocol.feed(b"", 1)
        assert side.end.kind.name == kind
        assert side.protocol.unread == ["whole"]


@each_draft
def test_closing_drops_messages(draft: Draft) -> None:
    """Those that are unread, and those that still come"""
    side = side_of(draft)
    side.hear(0, "unread")
    side.protocol.start_closing(Close(1000), 1)
    side.protocol.add_messages(["one"], 4, 2)
    side.hear(2, "two", "three")
    side.hear_close(2)
    assert side.protocol.unread == []
    assert side.protocol.messages_received == 4
    assert side.protocol.end_applied


# In parts


@with_fragments
@each_role
def test_a_message_in_parts(draft: Draft, role: Role) -> None:
    side = side_of(draft, role)
    side.protocol.begin_parts()
    assert side.protocol.unread == []
    side.hear(0, Fragment("one "))
    assert side.protocol.unread == []
    side.protocol.begin_parts()
    assert side.receive(0) == Fragment("one ")
    side.hear(0, Fragment("two "))
    assert side.protocol.messages_received == 0
    side.hear(0, Fragment("three", final=True), "next")
    assert side.protocol.messages_received == 2
    parts = [Fragment("two "), Fragment("three", final=True), "next"]
    assert side.protocol.take_all(0) == parts
    assert side.protocol.handed_out == 4


def test_a_message_in_parts_without_fragments() -> None:
    """What has come of it is a part too."""
    side = side_of(DRAFTS[0])
    side.protocol.feed(b"\0one ", 0)
    side.protocol.begin_parts()
    side.protocol.feed(b"two\xff\0next\xff", 0)
    parts = [Fragment("one "), Fragment("two", final=True), "next"]
    assert side.protocol.take_all(0) == parts


def begun(draft: Draft) -> Side:
    """A side that has received the first part of a message."""
    side = side_of(draft)
    side.hear(0, Fragment("one "))
    side.protocol.begin_parts()
    side.receive(0)
    return side


@with_fragments
def test_the_rest_of_a_message_that_has_come_is_skipped(draft: Draft) -> None:
    side = begun(draft)
    side.hear(0, Fragment("two "))
    side.hear(0, Fragment("three", final=True), "next")
    side.protocol.skip_parts(0)
    assert side.protocol.take_all(0) == ["next"]


@with_fragments
def test_the_rest_of_a_message_that_comes_later_is_skipped(draft: Draft) -> None:
    side = begun(draft)
    side.hear(0, Fragment("two "))
    side.protocol.skip_parts(0)
    # Nobody can begin with what is left of it.
    side.protocol.begin_parts()
    side.hear(0, Fragment("three "))
    side.protocol.begin_parts()
    assert side.protocol.unread == []
    side.hear(0, Fragment("four", final=True), "next")
    assert side.protocol.take_all(0) == ["next"]
    assert side.protocol.messages_received == 2
    side.hear(0, Fragment("another "))
    side.protocol.begin_parts()
    assert side.receive(0) == Fragment("another ")


@with_fragments
def test_a_skipped_message_ends_with_the_connection(draft: Draft) -> None:
    side = begun(draft)
    side.protocol.skip_parts(0)
    side.hear(0, Fragment("two "), Close(1000))
    assert side.protocol.unread == []
    assert side.end.kind.name == "CLOSE"


@with_fragments
def test_what_is_skipped_behind_an_end_is_taken(draft: Draft) -> None:
    """So whoever skipped it has a grace."""
    side = begun(draft)
    side.hear(0, Fragment("two "))
    side.hear_close(10)
    side.protocol.begin_parts()
    side.protocol.skip_parts(11.5)
    assert side.protocol.unread == []
    side.ask(13)
    assert not side.protocol.end_applied
    side.protocol.note_nobody_receives(13)
    side.ask(15)
    assert side.protocol.end_applied


@with_fragments
def test_the_end_of_what_is_skipped_is_nobodys_doing(draft: Draft) -> None:
    """Whoever left it was found doing something else since."""
    side = begun(draft)
    side.protocol.skip_parts(0)
    side.protocol.note_nobody_receives(1)
    side.hear(10, Fragment("two", final=True))
    side.hear_close(11)
    assert side.protocol.end_applied
