"""What the fuzzer tries passes, and what is broken it finds; it runs in `fuzzing/run`, not here."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from fuzzing import frames, growth, openings, with_wsproto, with_zlib
from fuzzing.__main__ import why
from fuzzing.decoding import check_decoding, outcome
from fuzzing.growth import MEASURES, check_repeated
from fuzzing.oracle import Choices, Finding, at_random, bytewise
from fuzzing.report import Report, Result, as_rst, as_text
from fuzzing.targets import TARGETS, names, target_named
from fuzzing.with_wsproto import RULES, agree, wsproto_outcome
from trio_draftws._transport import head_reader as _handshake
from trio_draftws.drafts import (
    DRAFTS,
    Buffer,
    Close,
    Codec,
    Compression,
    Event,
    Fragment,
    NegotiatedParameters,
    Request,
    Role,
    WebSocketProtocol,
    draft_named,
    find_head_end,
)
from trio_draftws.drafts._framing import payload as _payload
from trio_draftws.drafts._framing import short_io as _short_io
from trio_draftws.drafts._framing.deflate import Deflater, Inflater
from trio_draftws.drafts._framing.header import HeaderFormat
from trio_draftws.drafts._handshake import extensions as _extensions
from trio_draftws.drafts._handshake import hybi as _opening_hybi
from trio_draftws.drafts._handshake.hybi import _settled
from trio_draftws.drafts._handshake.subprotocols import SubprotocolSyntax
from trio_draftws.drafts._http import url as _url

from .rows import each_row

ROOT = Path(__file__).resolve().parent.parent
TOTALS = ROOT / "docs" / "fuzzing.json"
each_target = pytest.mark.parametrize("target", TARGETS, ids=names())


# The targets

# What was found with them, each of which has a test of its own beside what was mended
FOUND = [
    # What was compressed is bad UTF-8, and too long.
    ("deflate", bytes.fromhex("03000307000000030000 00 c109 4a4c4afe9f48040600")),
    # An origin of nothing but white space
    ("openings", bytes.fromhex("010101ffff3a0a09")),
    # A method that begins with a digit
    ("head-reader", bytes([2, 7]) + b"101GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
]


@each_target
def test_seeds(target: Any) -> None:
    seeds = list(target.seeds())
    assert seeds
    assert all(len(seed) > 1 for seed in seeds)
    for seed in seeds:
        target.check(seed)


@each_target
def test_seeds_that_are_grown(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "ONE_IN", 1)
    seeds = list(target.seeds())
    for seed in random.Random(7).sample(seeds, min(4, len(seeds))):
        target.check(seed)


@each_target
def test_no_input_is_too_short(target: Any) -> None:
    for size in range(16):
        target.check(bytes(size))


@pytest.mark.parametrize(("name", "data"), FOUND, ids=[name for name, _ in FOUND])
def test_what_was_found(name: str, data: bytes) -> None:
    target_named(name).check(data)


def test_names() -> None:
    assert len(set(names())) == len(TARGETS)
    with pytest.raises(ValueError, match="no target is named 'x'; there are: hixie, "):
        target_named("x")


def test_every_draft_is_fuzzed() -> None:
    families = (
        *(frames.SENTINEL, frames.LENGTH64, frames.HYBI_01, frames.HYBI_04),
        frames.RFC6455,
    )
    assert [draft for family in families for draft in family.drafts] == list(DRAFTS)
    assert frames.DEFLATE.drafts == tuple(draft for draft in DRAFTS if draft.compression)


# How inputs are read


def test_choices() -> None:
    choices = Choices(b"\x04ab\x07more")
    assert (choices.pick("xyz"), choices.take(2), choices.byte()) == ("y", b"ab", 7)
    assert choices.rest == b"more"
    assert (choices.take(9), choices.byte(), choices.pick("xyz")) == (b"more", 0, "x")


@pytest.mark.parametrize("data", [b"", b"a", b"abcdef"])
def test_cuts(data: bytes) -> None:
    assert b"".join(bytewise(data)) == data
    assert max(map(len, bytewise(data))) <= 1
    for seed in range(20):
        assert b"".join(at_random(data, seed)) == data


@each_row("wire", [b"\x81\x02ab\x88\x00", b"\x81", b"\x82\x7e\x00\x7eab", b""])
@pytest.mark.parametrize("name", ["hybi-02", "hybi-04", "hybi-05", "rfc6455"])
def test_clear_frames_are_made_a_clients(name: str, wire: bytes) -> None:
    """What a client would have said is decoded to the same."""
    draft = draft_named(name)
    said: list[Event] = ["text", b"\x00" * 130, Close()]
    codec = frames.new_codec(draft, "server")
    clear = frames.encoded(codec, said)
    client = frames.new_codec(draft, "client")
    heard = frames.new_codec(draft, "server").decode(frames.as_client(draft, clear))
    assert client.decode(clear)[:-1] == heard[:-1] == said[:-1]
    # What is cut is cut there too.
    assert frames.as_client(draft, wire).startswith(frames.as_client(draft, wire[:2])[:2])


# Growth


def test_more_than_linear_calls_are_found() -> None:
    def work(data: bytes) -> None:
        for _ in range(len(data) // 4):
            data.count(b"x")

    with pytest.raises(Finding, match=r"4 times as often: .* calls"):
        check_repeated(work, b"before", b"abc", b"behind")


def test_more_than_linear_time_within_a_call_is_found() -> None:
    """As with a regular expression that begins again at each place."""
    calls, seconds = MEASURES
    quick = attrs.evolve(seconds, smallest=512, little=1e-6)
    with pytest.raises(Finding, match=r"4 times as often: .* s"):
        check_repeated(re.compile(rb" +$").search, b"before", b" ", b"x", (calls, quick))


@pytest.mark.parametrize(
    "work",
    [
        bytes.split,
        bytewise,
        lambda data: None,
        # A part is skipped, and what follows costs something.
        lambda data: [bytes(data[:1]) for _ in range(max(0, len(data) - 1000) * 2)],
    ],
    ids=["one call", "many", "none", "later"],
)
def test_linear_work_is_not(work: Callable[[bytes], object]) -> None:
    check_repeated(work, b"before", b"a ", b"behind")


# What is broken

RFC6455 = draft_named("rfc6455")
LIMIT = 32_000
# Cuts within the messages, and puts most chunks where they will stay, if there is a place
SEED = 0xFE


class Broken:
    """A codec in which something is wrong; all else is done by one that is right."""

    def __init__(self, codec: Codec) -> None:
        self.codec = codec

    @classmethod
    def made(cls) -> Any:
        return cls(RFC6455.codec("client", LIMIT))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.codec, name)

    def decode(self, data: Buffer) -> list[Event]:
        return self.codec.decode(data)


class LosesBytes(Broken):
    """The third byte of what comes at once is lost."""

    def decode(self, data: Buffer) -> list[Event]:
        return self.codec.decode(bytes(data[:2]) + bytes(data[3:]))


class Raises(Broken):
    def decode(self, data: Buffer) -> list[Event]:
        return self.codec.decode(data) if data[0] else []


class ForgetsToMask(Broken):
    """What is put where it will stay stays as it was."""

    def buffer_updated(self, size: int) -> list[Event]:
        buffer = self.codec.get_buffer()
        assert buffer is not None
        buffer[:1] = b"?"
        return self.codec.buffer_updated(size)


class Keeps(Broken):
    __slots__ = ("kept",)

    def __init__(self, codec: Codec) -> None:
        super().__init__(codec)
        self.kept: list[bytes] = []

    def decode(self, data: Buffer) -> list[Event]:
        self.kept.append(bytes(data))
        return self.codec.decode(data)


class GoesOn(Broken):
    """Something comes after a close."""

    def decode(self, data: Buffer) -> list[Event]:
        events = self.codec.decode(data)
        return [*events, "more"] if events and isinstance(events[-1], Close) else events


class GivesBytearrays(Broken):
    def decode(self, data: Buffer) -> list[Event]:
        events = self.codec.decode(data)
        return [bytearray(e) if isinstance(e, bytes) else e for e in events]  # type: ignore[misc]


class Forgives(Broken):
    """A violation is raised once."""

    def decode(self, data: Buffer) -> list[Event]:
        owed = self.codec.has_more_output
        return [] if owed and data else self.codec.decode(data)


class StreamsLess(Broken):
    def stream(self) -> Fragment | None:
        begun = self.codec.stream()
        return begun and attrs.evolve(begun, data=begun.data[1:])


GOOD = b"\x81\x03abc\x82\x03abc\x01\x03abc\x00\x03def\x80\x03ghi\x88\x02\x03\xe8"
BAD = b"\x81\x03abc\x83\x00"


@pytest.mark.parametrize(
    ("kind", "wire", "found"),
    [
        (LosesBytes, GOOD, "another split gives something else"),
        (ForgetsToMask, b"\x82\x7e\x7d\x00" + bytes(32_000), "another split gives something else"),
        (Keeps, b"\x81\x02aa" * 9999, "it holds more than a message"),
        (GoesOn, GOOD, "something comes after a close"),
        (GivesBytearrays, GOOD, "an event is of another type"),
        (Forgives, BAD, "a violation is forgotten"),
        (StreamsLess, GOOD, "part by part gives something else"),
    ],
)
def test_a_broken_codec_is_found(kind: type[Broken], wire: bytes, found: str) -> None:
    check_decoding(lambda: RFC6455.codec("client", LIMIT), wire, limit=LIMIT, seed=SEED)
    with pytest.raises(Finding, match=found):
        check_decoding(kind.made, wire, limit=LIMIT, seed=SEED)


def test_another_error_is_found() -> None:
    with pytest.raises(IndexError):
        check_decoding(Raises.made, GOOD)


def test_a_message_over_the_limit_is_found() -> None:
    with pytest.raises(Finding, match="a message is over the limit"):
        check_decoding(lambda: RFC6455.codec("client", 3), GOOD[:5], limit=2)


def test_a_codec_with_quadratic_work_is_found() -> None:
    def work(data: bytes) -> None:
        codec, come = RFC6455.codec("client", 1 << 20), b""
        for byte in bytewise(data):
            come += byte
            codec.decode(come[-1:] if come.count(b"\x81") else b"")

    with pytest.raises(Finding, match="times as often"):
        check_repeated(work, b"", b"\x81\x01a", b"")


def broken_new_codec(*arguments: Any, **named: Any) -> Any:
    return LosesBytes(NEW_CODEC(*arguments, **named))


NEW_CODEC = frames.new_codec


def fail(*arguments: Any, **named: Any) -> Any:
    raise KeyError("broken")


def another_window(
    subprotocol: str | None, offered: tuple[str, ...], wanted: Compression | None
) -> tuple[bytes, NegotiatedParameters]:
    said, agreed = _settled(subprotocol, offered, wanted)
    deflate = agreed.deflate
    if deflate is not None:
        deflate = attrs.evolve(deflate, client=attrs.evolve(deflate.client, bits=8))
    return said, attrs.evolve(agreed, deflate=deflate)


def another_code(header_format: HeaderFormat, body: bytes) -> Close:
    return Close(int.from_bytes(body[:2], "big") + 1)


CODECS = ("hixie", "whatwg_2010", "hybi-01", "hybi-04", "rfc6455", "deflate", "round-trip")
BREAKS: dict[str, tuple[object, str, object]] = {
    **dict.fromkeys(CODECS, (frames, "new_codec", broken_new_codec)),
    "requests": (openings, "identify", fail),
    "answers": (SubprotocolSyntax, "verify", fail),
    "openings": (_opening_hybi, "_settle", another_window),
    "head-reader": (
        _handshake,
        "find_head_end",
        lambda buffer, searched: find_head_end(buffer, 0),
    ),
    "extensions": (_extensions, "_check_known", fail),
    "urls": (_url, "quote", lambda target, safe: target),
    "cookies": (Request, "cookies", property(lambda request: {})),
    "closes": (HeaderFormat, "decode_close", another_code),
    "wsproto": (with_wsproto, "new_codec", broken_new_codec),
    "h11": (Request, "raw_target", b"/"),
    "inflate": (Inflater, "_remember", fail),
    "compress": (Deflater, "deflate", lambda deflater, payload, ends: bytes(payload)),
    "masks": (with_zlib, "apply_mask", lambda payload, key, offset: bytes(payload)),
    "short-io": (_short_io, "send_short_message", lambda *arguments: None),
    "payloads": (_payload, "utf8_of", lambda text: b""),
    "life": (WebSocketProtocol, "on_deadline", lambda protocol, now, full, just_read=False: False),
}


@each_target
def test_what_is_broken_is_found(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of its parts broken, at least one of its seeds finds it."""
    monkeypatch.setattr(*BREAKS[target.name])
    found = []
    for seed in target.seeds():
        try:
            target.check(seed)
        except (Finding, KeyError, AssertionError) as error:
            found.append(error)
    assert found


# Beside others


@pytest.mark.parametrize(
    ("role", "wire", "rule"),
    [
        ("client", b"\x80\x7e", "fails_later"),
        ("client", b"\x01\x02\xed\xa0", "fails_later"),
        ("client", b"\x88\x05\x03\xf6abc", "code_1014"),
    ],
)
def test_rules_for_wsproto(role: Role, wire: bytes, rule: str) -> None:
    """Each is needed, and none explains what it is not about."""
    ours = outcome(frames.new_codec(RFC6455, role), [wire])
    theirs = wsproto_outcome(role, [wire])
    assert not agree(ours, theirs)
    assert [each.__name__ for each in RULES if each(role, wire, ours, theirs)] == [rule]
    for same in (b"\x81\x01a", b"\x83\x00", b"\x88\x02\x03\xe8"):
        ours = outcome(frames.new_codec(RFC6455, role), [same])
        theirs = wsproto_outcome(role, [same])
        assert agree(ours, theirs)


# What a run says

LOG = """
#2\tINITED cov: 12 ft: 20 corp: 1/2b exec/s: 0 rss: 58Mb
#512\tNEW    cov: 89 ft: 486 corp: 114/3b lim: 9 exec/s: 0 rss: 59Mb L: 297/297 MS: 1 CopyPart-
#900\tDONE   cov: 90 ft: 487 corp: 115/3Kb lim: 9 exec/s: 0 rss: 59Mb
stat::number_of_executed_units: 901
"""


def test_figures_are_read() -> None:
    result = Result.read("a", "b", 12.34, LOG)
    assert result == Result("a", "b", 12.3, 901, 90, 487, 115)
    report = Report({"Day": "today"}, [result, attrs.evolve(result, finding="run it again")])
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report
    text = as_text(report).splitlines()
    assert text[-3].split() == ["all", "25", "1,802"]
    assert text[-2:] == ["a: FOUND: run it again", "1 findings"]
    assert "   * - all" in list(as_rst(report))


def test_a_run_without_figures() -> None:
    with pytest.raises(ValueError, match="a was not fuzzed: it broke"):
        Result.read("a", "b", 1, "it broke")
    assert Result.read("a", "b", 1, "it broke", "look").finding == "look"


def test_what_python_said_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(" === Uncaught Python exception: ===\nFinding: x\n\nmore\n")
    assert why(log) == "=== Uncaught Python exception: ===\nFinding: x\n\n"
    log.write_text("it was killed")
    assert why(log) == "it was killed"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuzzing", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_one_input_again(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(next(iter(target_named("cookies").seeds())))
    done = command("--again", "cookies", str(path))
    assert (done.returncode, done.stdout) == (0, "cookies: nothing is found\n")


@pytest.mark.parametrize("arguments", [["--targets", "x"], ["--seconds", "0"], ["--jobs", "no"]])
def test_wrong_arguments(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert f"argument {arguments[0]}" in done.stderr


def test_the_totals_shown() -> None:
    """They are of every target, half an hour or more in all, and of a run that found nothing."""
    report = Report.from_json(json.loads(TOTALS.read_text("utf-8")))
    assert [(each.name, each.about) for each in report.results] == [
        (target.name, target.about) for target in TARGETS
    ]
    assert not report.findings
    assert sum(result.seconds for result in report.results) >= 1800
    assert all(result.executions > 1000 for result in report.results)
