"""Deliberate breaks of the package, each of which its tests have to find.

    python -m tests.mutants                        every break, with all tests
    python -m tests.mutants --tests tests/drafts   with these alone
    python -m tests.mutants -k length              only the breaks with that in their name

Each break is made in a copy of the package. A break is a text that stands in the package once, in
whichever file, and what stands there instead; where it does not stand there once any more, it has
to be written anew. It exits with 1 unless all are found. Those of a connection's life are in
tests/drafts/protocol/mutants.py, beside the lives by chance that find them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import attrs
import pytest

PROJECT = Path(__file__).parent.parent
PACKAGE = "trio_draftws"
#: What is copied; all else is linked, since a few tests look at it: but for the examples that other
#: runs of hypothesis have found.
COPIED = (PACKAGE, "tests", "pyproject.toml")
REMEMBERED = ".hypothesis"
#: Breaks of its own would find ours, but only because their texts are gone.
LEFT_OUT = "tests/drafts/test_protocol_mutants.py"


@attrs.frozen
class Break:
    """A text of the package, and what stands there instead."""

    name: str
    old: str
    new: str
    near: str = ""
    """The tests that are the likeliest to find it, which go first to save time: a file without its
    `test_`, and perhaps what pytest is to choose of it by `-k`."""


BREAKS = [
    # Frames with a header of two bytes
    Break(
        "the top bit of a length",
        "if length >> 63:",
        "if length >> 64:",
        "frame_codec top_bit",
    ),
    Break(
        "the shortest form of a length",
        "(126 if len(field) == 2 else 1 << 16)",
        "(126 if len(field) == 2 else 1 << 15)",
        "frame_codec shortest_form",
    ),
    Break(
        "a message begins within another, if it is empty",
        "elif opcode and self._messages.kind:",
        "elif opcode and self._messages.kind and length:",
        "frame_codec message_within",
    ),
    Break(
        "a close in a message leaves it begun",
        "self._closed = True\n        self._work = 0\n        self._messages.forget()",
        "self._closed = True\n        self._work = 0",
        "frame_codec after_close",
    ),
    Break(
        "one empty fragment more",
        "if self._empty_fragments > MAX_EMPTY_FRAGMENTS:",
        "if self._empty_fragments > MAX_EMPTY_FRAGMENTS + 1:",
        "frame_codec empty_fragments",
    ),
    Break(
        "the mask of the third piece",
        "        self._key_offset += came\n        with memoryview",
        "        self._key_offset = came\n        with memoryview",
        "frame_codec vector_is_decoded",
    ),
    Break(
        "the codes of version 13",
        "code not in _NEVER_SENT_NOW",
        "code not in (1005, 1006)",
        "frame_codec close_codes",
    ),
    Break(
        "the letter of hybi-05",
        'return b"S" if role == "server" else b"C"',
        'return b"S"',
        "frame_codec letter",
    ),
    Break(
        "masks of hybi-04 begin anew behind the header",
        "payload = apply_mask(payload, key, len(header))",
        "payload = apply_mask(payload, key)",
        "frame_codec vector_is_encoded",
    ),
    Break(
        "the beginning of a surrogate",
        'rest[1:] >= b"\\xa0"',
        'rest[1:] > b"\\xa0"',
        "frame_codec every_beginning",
    ),
    Break(
        "control frames are no work",
        "        self._work -= 1\n        start, head, key",
        "        start, head, key",
        "bounded_decoder so_many",
    ),
    Break(
        "what came of a message is not put where the rest goes",
        "        data[: self._used] = self._data[: self._used]\n",
        "",
        "payload",
    ),
    # Frames before those
    Break(
        "a digit more in a length",
        "if self._length_digits == LENGTH_DIGITS:",
        "if self._length_digits > LENGTH_DIGITS:",
        "limits length_bytes_ends",
    ),
    Break(
        "any frame without bytes closes hixie-76",
        "elif self._type == 0xFF and self._closing_frame:",
        "elif self._closing_frame:",
        "bounded_decoder so_many",
    ),
    Break(
        "a frame of type 0x80 is skipped to a sentinel",
        "elif self._type < 0x80:",
        "elif self._type <= 0x80:",
        "limits consumed",
    ),
    Break(
        "one byte less in the draft of August 2010",
        "            if length > self._max_message_size:",
        "            if length >= self._max_message_size:",
        "limits at_the_limit",
    ),
    Break(
        "any small type closes the draft of August 2010",
        "elif frame_type == 0x00:  # r5241",
        "elif frame_type < 0x80:  # r5241",
        "limits empty_frames",
    ),
    # Short messages and masks, in Python
    Break(
        "a mask that begins far into its key",
        "        offset %= period\n",
        "        offset = min(offset, period)\n",
        "masking",
    ),
    Break(
        "a child has its parent's keys",
        "after_in_child=_new_keys.clear",
        "after_in_child=_new_keys.copy",
        "masking fork",
    ),
    Break(
        "the longest short message",
        "if not 0 <= length <= longest or end > size:",
        "if not 0 <= length < longest or end > size:",
        "fast_path every_length",
    ),
    Break(
        "the last short text of a read",
        "or stop > len(data):",
        "or stop >= len(data):",
        "fast_path texts_of_every",
    ),
    Break(
        "what was not taken of a read",
        "(len(data), data[position:])",
        "(len(data), data)",
        "fast_path given_back",
    ),
    # Compression
    Break(
        "a window of eight bits",
        "library, bits = zlib, 9\n",
        "library, bits = zlib, 10\n",
        "compressor windows",
    ),
    Break(
        "no context is let go",
        "        elif not self._window.takeover:\n            self._compressor = None\n",
        "",
        "deflate memory",
    ),
    Break(
        "what blocks behind a final one may refer to",
        "del self._history[:-size]",
        "del self._history[: -size // 2]",
        "compressor kept_short",
    ),
    Break(
        "what a server asks a client for counts for itself",
        "(wanted.client_max_window_bits or ASKED_BITS) if may_ask else MOST_BITS",
        "wanted.client_max_window_bits or ASKED_BITS",
        "extensions offer",
    ),
    Break(
        "a parameter that comes twice",
        "parameters if sound and len(parameters) == len(pairs) else None",
        "parameters if sound else None",
        "extensions offers_are_read",
    ),
    Break(
        "a final block that says nothing",
        'if tail and rest in (tail, b"\\x00" + tail):',
        "if tail and rest == tail:",
        "compressor final_blocks",
    ),
    # Heads
    Break(
        "all spaces before a value are gone",
        '        if value.startswith(b" "):\n            value = value[1:]\n',
        '        value = value.lstrip(b" ")\n',
        "http value",
    ),
    Break(
        "the end of a head that comes byte by byte",
        "max(0, searched - 3)",
        "max(0, searched - 2)",
        "http head_end",
    ),
    Break(
        "the host of a whole URL",
        'target.partition(b"?")[0].partition(b"://")',
        'target.partition(b"://")',
        "http url",
    ),
    Break(
        "a chunk that ends in no line end",
        'if line is None or (begin and not self._unread.startswith(b"\\r\\n")):',
        "if line is None:",
        "body",
    ),
    # URLs and hosts
    Break(
        "a query with nothing in it",
        '"?" + parts.query if "?" in url',
        '"?" + parts.query if parts.query',
        "url parts",
    ),
    Break(
        "the port of a URL with TLS",
        "return 443 if secure else 80",
        "return 80",
        "url parts",
    ),
    Break(
        "octal numbers in an address",
        'int(text, 8 if text.startswith("0") else 10)',
        "int(text, 10)",
        "host",
    ),
    Break(
        "a joiner that joins nothing",
        "if letter in _JOINERS and not",
        "if False and not",
        "host host",
    ),
    # Which draft
    Break(
        "a draft's number with a plus",
        "text.isascii() and text.isdigit() and len(text) <= 9",
        "len(text.strip('+')) <= 9 and text.strip('+').isdigit()",
        "identify no_number",
    ),
    Break(
        "the mode decides between all of a number",
        "    fitting = fitting or candidates\n",
        "    fitting = candidates\n",
        "identify version_8",
    ),
    Break(
        "a body that is announced twice",
        "not set(announced) <= set(lengths)",
        "not {*announced[:1]} <= set(lengths)",
        "identify content_length",
    ),
    Break(
        "hosts are not counted where a number is told",
        "_check_host(request, at_least=1)\n        for",
        "_check_host(request, at_least=0)\n        for",
        "identify several_hosts",
    ),
    # Openings
    Break(
        "the largest number in a key",
        "    if number > MAX_NUMBER:",
        "    if number >= MAX_NUMBER:",
        "opening number",
    ),
    Break(
        "the last byte of the proof",
        "if not hmac.compare_digest(expected, body):",
        "if not hmac.compare_digest(expected[:15], body[:15]):",
        "vectors wrong_byte",
    ),
    Break(
        "an origin that is repeated twice",
        "if received and received != [expected]:",
        "if received and expected not in received:",
        "opening repeats_wrongly",
    ),
    Break(
        "a key of any length in version 13",
        'version=13, origin_field="Origin", key_length=16',
        'version=13, origin_field="Origin"',
        "opening_hybi length_of_a_key",
    ),
    Break(
        "an answer that is a list",
        '!= ["websocket"]:',
        '[-1:] != ["websocket"]:',
        "opening_hybi not_in_order",
    ),
    Break(
        "the nonce of hybi-04 may be empty",
        "if len(received) != 1 or not received[0]:",
        "if len(received) != 1:",
        "opening_hybi nonce",
    ),
    Break(
        "a subprotocol that nobody asked for",
        "if received and not self.wanted.subprotocols:",
        "if False:",
        "opening_hybi not_in_order",
    ),
    # The life of a connection
    Break(
        "a server of the draft of August 2010 ends no stream",
        'close_ends_stream=("server",),\n    ),\n    Draft(\n        name="hybi-01"',
        '),\n    Draft(\n        name="hybi-01"',
        "protocol_tables whose_close",
    ),
    Break(
        "a violation says who closed",
        "elif end.answer is not None:\n            self.closed_by = self.closed_by or self.role",
        "else:\n            self.closed_by = self.closed_by or self.role",
        "protocol_tables streams_end",
    ),
    Break(
        "a hold is forgotten at once",
        "* 3 / 4",
        "/ 4",
        "protocol_answers three_quarters",
    ),
    Break(
        "the time to write is looked at too seldom",
        "min(self.due, now + self._timeouts.write_timeout / 20)",
        "min(self.due, now + self._timeouts.write_timeout / 2)",
        "protocol_deadlines hasten",
    ),
    Break(
        "what hung up is excused from pings alone",
        "        self._handed_out_at_look = handed_out\n        self._pong_due_since = now\n",
        "        self._pong_due_since = now\n",
        "protocol_times hung_up",
    ),
    Break(
        "skipped parts are counted",
        "                self.messages_received += 1\n                self._parts_received -= 1\n",
        "                self.messages_received += 1\n",
        "protocol_messages skipped",
    ),
    Break(
        "an answer to another's ping",
        "(i for i in positions if sent_pings[i].payload == pong.payload)",
        "iter(positions)",
        "protocol_pings pong",
    ),
]


def apply(broken: Break, project: Path) -> None:
    """Makes the break in a copy of the project.

    Raises:
        LookupError: its text does not stand there once.
    """
    files = [
        path
        for path in sorted((project / PACKAGE).rglob("*.py"))
        for _ in range(path.read_text("utf-8").count(broken.old))
    ]
    if len(files) != 1:
        raise LookupError(f"to be written anew: its text stands there {len(files)} times")
    text = files[0].read_text("utf-8")
    files[0].write_text(text.replace(broken.old, broken.new), "utf-8")


def copy(project: Path) -> None:
    """Puts a project into an empty folder whose package can be broken."""
    for path in PROJECT.iterdir():
        target = project / path.name
        if path.name == REMEMBERED:
            continue
        if path.name not in COPIED:
            target.symlink_to(path)
        elif path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy2(path, target)


def finder(broken: Break, tests: Sequence[str]) -> str | None:
    """The first test that finds it; None if none does.

    Raises:
        LookupError: its text does not stand there once, or pytest did not run.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy(project)
        apply(broken, project)
        name, _, keyword = broken.near.partition(" ")
        files = [
            str(path.relative_to(project))
            for each in tests
            for path in sorted((project / each).rglob(f"test_{name}.py"))
        ]
        if files and (found := failing(project, files, "-k", keyword)) is not None:
            return found
        return failing(project, tests)


def failing(project: Path, tests: Sequence[str], *options: str) -> str | None:
    """The first of these tests that fails there; None if none does.

    Raises:
        LookupError: pytest did not run.
    """
    quietly = ["-qx", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:cov"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quietly, f"--ignore={LEFT_OUT}", *tests, *options],
        cwd=project,
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return None
    lines = done.stdout.splitlines()
    told = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    if not told:
        raise LookupError("\n".join([*lines, done.stderr]))
    return told[0].partition(" - ")[0].partition(" ")[2]


def attempt(tests: Sequence[str], broken: Break) -> bool:
    """Says what finds a break; returns whether anything does."""
    begin = time.monotonic()
    try:
        found = finder(broken, tests)
    except LookupError as error:
        found, told = None, str(error)
    else:
        told = "NOTHING FINDS IT" if found is None else found
    print(f"{broken.name}: {told} ({time.monotonic() - begin:.0f} s)", flush=True)
    return found is not None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", nargs="+", default=["tests"], help="what pytest is to run")
    parser.add_argument("-k", default="", metavar="TEXT", help="breaks with that in their name")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="how many at a time")
    options = parser.parse_args()
    chosen = [broken for broken in BREAKS if options.k in broken.name]
    with ThreadPoolExecutor(options.jobs) as pool:
        found = list(pool.map(partial(attempt, options.tests), chosen))
    print(f"{sum(found)} of {len(chosen)} are found")
    return 0 if chosen and all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
