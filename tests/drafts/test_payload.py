"""Payloads that come in pieces, and texts as bytes and back: in C and in Python alike."""

from __future__ import annotations

import os
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from tests.rows import each_row
from trio_draftws.drafts import LocalProtocolError, draft_named, encode_long_text
from trio_draftws.drafts._framing import payload as _payload
from trio_draftws.drafts._framing.masking import apply_mask_in_python
from trio_draftws.drafts._framing.payload import (
    LONG,
    Payload,
    PayloadInPython,
    decode_utf8_in_python,
    unchecked_utf8_in_python,
    utf8_of_in_python,
)

from .masks import IS_BUILT, needs_c

RANDOM = os.urandom(4096)
KEYS = [b"", b"\x01\x80\xff\x7f", bytes(range(100, 120))]
# Of one to four bytes, the first and the last of each, and what narrows them
CHARACTERS = "a\x7f\x80\xe4\xff\u0100ж\u07ff\u0800日\ud7ff\ue000\uffff\U00010000🙂\U0010ffff"
# RFC 3629 sections 3 and 4: no lead, no beginning, too long a form, a surrogate, and too much
WRONG = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xc3\xc3", b"\xc3a",
    b"\xe6\x97a", b"\xe6a", b"\xf0\x9f\x99a", b"\xc3\xa4\x80", b"\xe6\x97\xa5\x80",
]  # fmt: skip


def payload_in_c(is_text: bool, is_lenient: bool) -> Payload:
    from trio_draftws.drafts._framing.speedups import Payload

    return Payload(is_text, is_lenient)


def utf8_of_in_c(text: str) -> Any:
    from trio_draftws.drafts._framing.speedups import utf8_of

    return utf8_of(text)


def decode_utf8_in_c(data: Any, errors: str) -> str:
    from trio_draftws.drafts._framing.speedups import decode_utf8

    return decode_utf8(data, errors)


def unchecked_utf8_in_c(before: bytes, part: Any) -> bytes | None:
    from trio_draftws.drafts._framing.speedups import unchecked_utf8

    return unchecked_utf8(before, part)


def both(name: str, in_python: Any, in_c: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        name,
        [
            pytest.param(in_python, id="in Python"),
            pytest.param(in_c, id="in C", marks=needs_c),
        ],
    )


New = Callable[[bool, bool], Payload]
both_payloads = both("new", PayloadInPython, payload_in_c)
both_encoders = both("utf8_of", utf8_of_in_python, utf8_of_in_c)
both_checks = both("unchecked_utf8", unchecked_utf8_in_python, unchecked_utf8_in_c)
both_decoders = both("decode_utf8", decode_utf8_in_python, decode_utf8_in_c)


def put(payload: Payload, data: bytes, key: bytes = b"", offset: int = 0) -> bool:
    with payload.reserve(len(data)) as place:
        place[:] = data
    return payload.take(len(data), key, offset)


@both_payloads
@pytest.mark.parametrize("key", KEYS, ids=len)
@pytest.mark.parametrize("is_text", [True, False])
def test_of_every_length_at_every_offset(new: New, key: bytes, is_text: bool) -> None:
    """Put or added, masked or not, and from each place in the key on."""
    for size in range(70):
        data = ("ä" * size).encode()[:size] if is_text else RANDOM[:size]
        if is_text and size % 2:
            data = b"x" + data[:-1]
        for offset in range(len(key) + 2):
            masked = apply_mask_in_python(data, key, offset) if key else data
            for add in (False, True):
                payload = new(is_text, False)
                cut = size // 3
                for begin, part in ((0, masked[:cut]), (cut, masked[cut:])):
                    if add:
                        assert payload.add(part, key, offset + begin)
                    else:
                        assert put(payload, bytes(part), key, offset + begin)
                assert len(payload) == size
                assert payload.finish() == (data.decode() if is_text else data)
                assert len(payload) == 0


@both_payloads
def test_a_place_that_is_filled_bit_by_bit(new: New) -> None:
    payload = new(True, False)
    with payload.reserve(10) as place:
        place[:4] = b"abcd"
        assert payload.take(4, b"", 0)
        with place[4:] as rest:
            rest[:2] = b"ef"
            assert payload.take(2, b"", 0)
    assert payload.add(b"gh")
    assert payload.finish() == "abcdefgh"


@both_payloads
@pytest.mark.parametrize("width", [1, 3, 7, 8, 9, 31, 127, 128, 129])
def test_text_in_pieces_of_every_size(new: New, width: int) -> None:
    """Whatever characters stand beside each other, and wherever they are cut."""
    for first in CHARACTERS:
        for second in CHARACTERS[::3]:
            text = first * 70 + second + first * 9 + "ab" * 40 + second * 20
            data = text.encode()
            payload = new(True, False)
            for begin in range(0, len(data), width):
                assert payload.add(data[begin : begin + width])
            assert payload.finish() == text


@both_payloads
@pytest.mark.parametrize("before", [b"", b"x" * 200, "ä".encode() * 100, "日".encode() * 90])
def test_bad_utf8_is_found_at_its_byte(new: New, before: bytes) -> None:
    """Not later, and not where something may still come of it."""
    for wrong in WRONG:
        payload = new(True, False)
        assert payload.add(before)
        told = [payload.check(wrong[:size]) for size in range(1, len(wrong) + 1)]
        assert told == [may_go_on(before + wrong[:size]) for size in range(1, len(wrong) + 1)], (
            wrong
        )
        for byte, good in zip(wrong, told, strict=True):
            assert payload.add(bytes((byte,))) is good
            if not good:
                break
        whole = new(True, False)
        assert whole.add(before + wrong) is False


def may_go_on(data: bytes) -> bool:
    """Whether further bytes can make UTF-8 of it."""
    rests = [b"", *(bytes((byte,)) + b"\x80\x80" for byte in (0x80, 0x90, 0xA0))]
    for rest in rests:
        for size in range(len(rest) + 1):
            try:
                (data + rest[:size]).decode()
            except UnicodeDecodeError:
                continue
            return True
    return False


@both_checks
@each_row("before", [b"", b"x" * 200, "日ä".encode() * 90])
def test_what_is_left_to_be_checked(unchecked_utf8: Any, before: bytes) -> None:
    """Of each character in pieces of each size, and of what is none, at its byte."""
    for character in [*CHARACTERS, "a"]:
        data = character.encode()
        for cut in range(len(data)):
            rest = unchecked_utf8(b"", bytearray(before + data[:cut]))
            assert rest == data[:cut]
            for next_cut in range(cut, len(data) + 1):
                left = unchecked_utf8(rest, memoryview(data)[cut:next_cut])
                assert left == (b"" if next_cut == len(data) else data[:next_cut])
            assert unchecked_utf8(rest, data[cut:] + before) == b""
            if cut:
                for begun in (b"", b"a", b"\xc3"):
                    assert unchecked_utf8(rest, b"a" + begun) is None
    for wrong in WRONG:
        for size in range(1, len(wrong) + 1):
            may = may_go_on(before + wrong[:size])
            assert (unchecked_utf8(b"", before + wrong[:size]) is not None) is may
            if may:
                told = unchecked_utf8(wrong[:size], wrong[size:])
                assert (told is not None) is may_go_on(wrong)


@needs_c
def test_checks_in_c_take_what_they_should() -> None:
    before: Any
    for before in ("", b"abcd"):
        with pytest.raises(TypeError, match="at most 3 bytes of a character"):
            unchecked_utf8_in_c(before, b"")
    with pytest.raises(TypeError):
        unchecked_utf8_in_c(b"", "text")


@both_payloads
def test_what_is_lenient_replaces(new: New) -> None:
    for wrong in WRONG:
        data = "ä".encode() * 20 + wrong + b"x" * 20
        for cut in range(38, 46):
            payload = new(True, True)
            assert payload.add(data[:cut])
            assert put(payload, data[cut:])
            assert payload.check(b"\xff")
            assert payload.finish() == data.decode("utf-8", "replace")


@both_payloads
@pytest.mark.parametrize("is_lenient", [True, False])
def test_part_by_part(new: New, is_lenient: bool) -> None:
    """A character that has begun stays for the next part."""
    data = CHARACTERS.encode() * 3
    payload = new(True, is_lenient)
    parts: list[Any] = []
    for begin in range(len(data)):
        assert payload.add(data[begin : begin + 1])
        parts.append(payload.pop(False))
    parts.append(payload.pop(True))
    assert "".join(parts) == CHARACTERS * 3
    assert payload.add(b"\xc3")
    if is_lenient:
        assert payload.pop(True) == "\ufffd"
    else:
        with pytest.raises(UnicodeDecodeError):
            payload.pop(True)


@both_payloads
def test_bytes_part_by_part(new: New) -> None:
    payload = new(False, False)
    assert payload.pop(False) == b""
    assert payload.add(b"\xff\xc3")
    assert payload.pop(False) == b"\xff\xc3"
    assert payload.pop(True) == b""
    assert payload.finish() == b""


@both_payloads
def test_a_character_that_has_not_ended(new: New) -> None:
    for begun in (b"\xc3", b"\xe6\x97", b"\xf0\x9f\x99"):
        payload = new(True, False)
        assert payload.add(b"x" * 100 + begun)
        with pytest.raises(UnicodeDecodeError):
            payload.finish()


@needs_c
@pytest.mark.parametrize("is_text", [True, False])
def test_it_is_handed_out_as_it_lies(is_text: bool) -> None:
    """No second one of its size is ever made."""
    size = 1 << 20
    tracemalloc.start()
    try:
        payload = payload_in_c(is_text, False)
        for _ in range(2):
            with payload.reserve(size // 2) as place:
                place[:] = b"x" * (size // 2)
                assert payload.take(size // 2, b"", 0)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        message = payload.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(message) == size
    # As many as of any other that only a variable holds: from Python 3.14 on one less than before.
    alone = object()
    assert sys.getrefcount(message) == sys.getrefcount(alone)
    assert peak - before < 1000


@needs_c
@pytest.mark.parametrize("is_text", [True, False])
def test_what_was_reserved_too_much_is_given_back(is_text: bool) -> None:
    tracemalloc.start()
    try:
        payload = payload_in_c(is_text, False)
        with payload.reserve(1 << 20) as place:
            place[:5000] = b"x" * 5000
            assert payload.take(5000, b"", 0)
        message = payload.finish()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert message == ("x" * 5000 if is_text else b"x" * 5000)
    assert after < 20_000


@needs_c
def test_nobody_can_write_to_what_was_handed_out() -> None:
    """Who still could gets none of it."""
    for is_text in (True, False):
        payload = payload_in_c(is_text, False)
        place = payload.reserve(100)
        place[:] = b"a" * 100
        assert payload.take(100, b"", 0)
        message = payload.finish()
        place[:] = b"b" * 100
        assert message == ("a" * 100 if is_text else b"a" * 100)
        with pytest.raises(BufferError):
            payload.reserve(1000)
        place.release()
        assert payload.add(b"c" * 1000)
        assert len(payload.finish()) == 1000


@needs_c
@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (TypeError, "reserve", ()),
        (TypeError, "reserve", ("1",)),
        (ValueError, "reserve", (-1,)),
        (OverflowError, "reserve", (1 << 64,)),
        (MemoryError, "reserve", (sys.maxsize,)),
        (TypeError, "take", (1,)),
        (TypeError, "take", ("1", b"", 0)),
        (TypeError, "take", (1, "", 0)),
        (TypeError, "take", (1, b"", "0")),
        (ValueError, "take", (-1, b"", 0)),
        (ValueError, "take", (9, b"", 0)),
        (ValueError, "take", (1, b"abcd", -1)),
        (OverflowError, "take", (1 << 64, b"", 0)),
        (TypeError, "add", ()),
        (TypeError, "add", ("x",)),
        (TypeError, "add", (b"x", b"abcd")),
        (TypeError, "add", ("x", b"abcd", 0)),
        (ValueError, "add", (b"x", b"abcd", -1)),
        (TypeError, "check", ("x",)),
    ],
)
def test_wrong_arguments(error: type[Exception], name: str, arguments: tuple[Any, ...]) -> None:
    """Each is refused, and changes nothing."""
    payload = payload_in_c(True, False)
    with payload.reserve(8) as place:
        place[:] = b"abcdefgh"
        assert payload.take(2, b"", 0)
        with pytest.raises(error):
            getattr(payload, name)(*arguments)
        assert payload.take(6, b"", 0)
    assert payload.finish() == "abcdefgh"


@needs_c
def test_how_one_is_made() -> None:
    from trio_draftws.drafts._framing.speedups import Payload, Text

    for wrong in ((), (True,), (True, False, 1)):
        with pytest.raises(TypeError):
            Payload(*wrong)
    with pytest.raises(TypeError):
        Payload(is_text=True, is_lenient=False)  # type: ignore[call-arg]
    with pytest.raises(BufferError):
        memoryview(Payload(True, False))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Text()


@needs_c
def test_nothing_leaks() -> None:
    def use() -> None:
        for _ in range(300):
            for is_text in (True, False):
                payload = payload_in_c(is_text, True)
                with payload.reserve(1000) as place:
                    payload.take(500, b"abcd", 1)
                    del place
                payload.add(b"\xff" * 100)
                payload.pop(False)
                payload.add("ä".encode() * 100)
                payload.finish()
                payload.add(b"left")
            utf8_of_in_c("x" * 100)
            utf8_of_in_c("ä" * 100)
            decode_utf8_in_c("ж".encode() * 100, "strict")

    use()
    tracemalloc.start()
    try:
        use()
        before = tracemalloc.get_traced_memory()[0]
        use()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 1000


# Texts as bytes and back


@both_encoders
@both_decoders
def test_every_character(utf8_of: Any, decode_utf8: Any) -> None:
    """Alone, many times, and between others."""
    for character in [*CHARACTERS, *map(chr, range(0x70, 0x900, 7))]:
        for text in (character, character * 33, f"ab{character * 5}c" * 9, "ж" * 9 + character):
            found = utf8_of(text)
            assert found == text.encode()
            assert decode_utf8(found, "strict") == text
            assert decode_utf8(text.encode(), "replace") == text


@both_decoders
def test_bytes_that_are_no_text(decode_utf8: Any) -> None:
    for wrong in WRONG:
        for data in (wrong, b"x" * 30 + wrong, "ä".encode() * 30 + wrong + b"y" * 9):
            with pytest.raises(UnicodeDecodeError):
                decode_utf8(data, "strict")
            assert decode_utf8(data, "replace") == data.decode("utf-8", "replace")


@both_encoders
def test_a_lone_surrogate(utf8_of: Any) -> None:
    for text in ("\ud800", "ab\udfff", "ж" * 200 + "\udc00", "🙂\ud800"):
        with pytest.raises(UnicodeEncodeError):
            utf8_of(text)


@needs_c
def test_what_is_no_text() -> None:
    for wrong in (b"x", None, 1):
        with pytest.raises(TypeError):
            utf8_of_in_c(wrong)  # type: ignore[arg-type]
    for arguments in ((b"x",), (b"x", b"strict"), ("x", "strict"), (b"x", "strict", 1)):
        with pytest.raises(TypeError):
            decode_utf8_in_c(*arguments)
    with pytest.raises(LookupError):
        decode_utf8_in_c(b"\xff", "nonsense")


@needs_c
def test_ascii_is_a_view_that_keeps_its_text() -> None:
    text = "x" * 100_000
    references = sys.getrefcount(text)
    view = utf8_of_in_c(text)
    assert isinstance(view, memoryview)
    assert view.readonly
    assert sys.getrefcount(text) == references + 1
    with view[5:] as rest:
        del view
        assert rest == text[5:].encode()
        with pytest.raises(TypeError):
            rest[0] = 1
    assert sys.getrefcount(text) == references


@pytest.mark.parametrize("role", ["client", "server"])
@pytest.mark.parametrize("name", ["hixie-76", "whatwg-2010-08", "hybi-04", "rfc6455"])
def test_a_long_text_is_not_copied_to_be_framed(name: str, role: Any) -> None:
    """But where it is masked, and then once."""
    draft = draft_named(name)
    text = "x" * (1 << 20)
    codec = draft.codec(role, 0)
    codec.encode(text)
    tracemalloc.start()
    try:
        wire = codec.encode(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    masked = role == "client" and name in ("hybi-04", "rfc6455")
    if IS_BUILT and os.environ.get("TRIO_DRAFTWS_PURE_PYTHON") != "1":
        assert peak < (1 << 20) * masked + 10_000
    other = draft.codec("server" if role == "client" else "client", 1 << 20)
    assert other.decode(b"".join(wire)) == [text]


@pytest.mark.parametrize("size", [LONG - 1, LONG, 100_000])
def test_long_texts(size: int) -> None:
    for character in "xäж日🙂":
        assert encode_long_text(character * size) == (character * size).encode()
    with pytest.raises(LocalProtocolError, match="lone surrogate U\\+D800"):
        encode_long_text("x" * (size - 1) + "\ud800")


def test_what_is_chosen() -> None:
    in_c = _payload.new_payload is not PayloadInPython
    assert (_payload.utf8_of is not utf8_of_in_python) is in_c
    assert (_payload.decode_utf8 is not decode_utf8_in_python) is in_c
    assert bytes in _payload.IMMUTABLE_BUFFERS
