"""What compression costs: time and what is left, by setting and payload; and memory.

    python -m benchmarks.compressing [--quick] [--csv FOLDER]

The tables of docs/compression.rst are from here: `--csv docs` writes them anew. isal is measured
where it is installed. Times are processor time, the least of several rounds, in which the settings
take turns.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from trio_draftws import Compression
from trio_draftws.drafts._framing.compression import Backend, Window, library_of
from trio_draftws.drafts._framing.deflate import Deflater, Inflater

from .command import tell

ROUNDS = 9
# Of each payload, so many bytes in all, in different messages
TOGETHER = 2**19
# How many compressors or inflaters are kept to see what memory they take, and what each is given
KEPT = 30
GIVEN = 2**18
WINDOWS = (9, 12, 13, 14, 15)
READ = 2**14

Table: TypeAlias = list[list[str]]

TEXT = """a after again all and any are as at be before but by can come could day do each find for
from get go had have he her how I if in into is it know like long look make many may more my no not
now number of oil on one or other out people said see she so some than that the their them then
there they this time to two up use was water way we were what when which who will with word would"""
WORDS = TEXT.split()
NAMES = ("Ada", "Alan", "Barbara", "Dennis", "Donald", "Edsger", "Frances", "Grace", "Jean", "Tony")


# Payloads: each of these draws text without end.


def records(drawn: random.Random) -> Iterator[str]:
    """What an API of today sends."""
    while True:
        record = {
            "id": f"{drawn.getrandbits(64):016x}",
            "name": f"{drawn.choice(NAMES)} {drawn.choice(WORDS)}",
            "email": f"{drawn.choice(NAMES).lower()}{drawn.randrange(1000)}@example.org",
            "price": round(drawn.uniform(1, 500), 2),
            "active": drawn.random() < 0.5,
            "tags": drawn.sample(WORDS, 3),
            "seen": f"2026-{drawn.randrange(1, 13):02}-{drawn.randrange(1, 29):02}T"
            f"{drawn.randrange(24):02}:{drawn.randrange(60):02}:{drawn.randrange(60):02}Z",
        }
        yield json.dumps(record) + ", "


def lines(drawn: random.Random) -> Iterator[str]:
    """What people say in a chat."""
    while True:
        yield " ".join(drawn.choices(WORDS, k=drawn.randrange(4, 16))).capitalize() + ". "


def items(drawn: random.Random) -> Iterator[str]:
    """A list in HTML."""
    while True:
        words = " ".join(drawn.choices(WORDS, k=6))
        yield (
            f'<li class="item {drawn.choice(("new", "old"))}">'
            f'<a href="/articles/{drawn.randrange(10**5)}">{words}</a>'
            f' <span class="by">{drawn.choice(NAMES)}</span></li>\n'
        )


Draw: TypeAlias = Callable[[random.Random], Iterator[str]]


def messages(draw: Draw, size: int, count: int) -> list[bytes]:
    parts = draw(random.Random(size))
    found = []
    for _ in range(count):
        text = ""
        while len(text) < size:
            text += next(parts)
        found.append(text[:size].encode())
    return found


def payloads(together: int) -> dict[str, list[bytes]]:
    """Messages by kind."""

    def of(draw: Draw, size: int) -> list[bytes]:
        return messages(draw, size, max(4, min(400, together // size)))

    noise = random.Random(1)
    return {
        "JSON, 100 B": of(records, 100),
        "JSON, 1 KiB": of(records, 2**10),
        "JSON, 64 KiB": of(records, 2**16),
        "the same 1 KiB again": messages(records, 2**10, 1) * 200,
        "chat, 300 B": of(lines, 300),
        "HTML, 16 KiB": of(items, 2**14),
        "random bytes, 16 KiB": [noise.randbytes(2**14) for _ in range(8)],
    }


# Settings


@attrs.frozen
class Setting:
    """How a compressor is made."""

    bits: int
    level: int
    backend: Backend = "zlib"
    mem_level: int = 5
    strategy: int = zlib.Z_DEFAULT_STRATEGY

    @property
    def name(self) -> str:
        """What is shown of it."""
        found = f"{self.backend} {self.level}, window {self.bits}"
        if self.backend == "zlib" and self.mem_level != 5:
            found += f", mem_level {self.mem_level}"
        return found + {zlib.Z_DEFAULT_STRATEGY: "", zlib.Z_FIXED: ", fixed codes"}[self.strategy]

    def make(self) -> Any:
        """A compressor."""
        library = library_of(self.backend)
        return library.compressobj(
            self.level, zlib.DEFLATED, -self.bits, self.mem_level, self.strategy
        )


def settings(backends: Sequence[Backend]) -> list[Setting]:
    """Those to compare; the first is what others are compared with."""
    found = [Setting(12, 6), Setting(12, 2), *(Setting(13, level) for level in (1, 2, 3, 6))]
    found += [Setting(13, 2, mem_level=8), Setting(13, 2, strategy=zlib.Z_FIXED)]
    found += [Setting(14, 2), Setting(15, 2), Setting(15, 6)]
    if "isal" in backends:
        found += [Setting(15, level, "isal", 3) for level in (1, 2, 3)]
    return found


# Measuring


def timed(do: Callable[[], object]) -> float:
    begin = time.process_time()
    do()
    return time.process_time() - begin


def compressed(setting: Setting, given: list[bytes]) -> list[bytes]:
    """With context takeover."""
    compressor = setting.make()
    return [compressor.compress(each) + compressor.flush(zlib.Z_SYNC_FLUSH) for each in given]


def compressing(kinds: dict[str, list[bytes]], compared: list[Setting], rounds: int) -> Table:
    """Microseconds for a message, and how many percent of it are left."""
    table = [["", *kinds], *([setting.name] for setting in compared)]
    for kind, given in kinds.items():
        tell(kind)
        least = [math.inf] * len(compared)
        for _ in range(rounds):
            for number, setting in enumerate(compared):
                least[number] = min(least[number], timed(partial(compressed, setting, given)))
        for row, taken, setting in zip(table[1:], least, compared, strict=True):
            # Four bytes of each flush stay off the wire.
            left = sum(len(each) - 4 for each in compressed(setting, given))
            row.append(f"{shown(taken / len(given))}, {left / sum(map(len, given)) * 100:.0f} %")
    return table


def inflated(backend: Backend, wire: list[bytes]) -> list[bytes]:
    inflater = library_of(backend).decompressobj(-12)
    return [inflater.decompress(each, 2**20) for each in wire]


def inflating(kinds: dict[str, list[bytes]], backends: Sequence[Backend], rounds: int) -> Table:
    """Microseconds for a message that was compressed as browsers do."""
    table: Table = [["", *kinds], *([str(backend)] for backend in backends)]
    for given in kinds.values():
        wire = compressed(Setting(12, 6, mem_level=8), given)
        least = dict.fromkeys(backends, math.inf)
        for _ in range(rounds):
            for backend in backends:
                least[backend] = min(least[backend], timed(partial(inflated, backend, wire)))
        for row, backend in zip(table[1:], backends, strict=True):
            row.append(shown(least[backend] / len(given)))
    return table


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:.{1 if seconds < 1e-5 else 0}f} µs"


def memory_now() -> int:
    """KiB that this process takes."""
    rollup = Path("/proc/self/smaps_rollup").read_text("ascii")
    (line,) = (line for line in rollup.splitlines() if line.startswith("Rss:"))
    return int(line.split()[1])


def a_deflater(bits: int, given: bytes, **chosen: Any) -> Deflater:
    deflater = Deflater(Window(bits, takeover=True), Compression(**chosen))
    deflater.deflate(given, ends=True)
    return deflater


def an_inflater(bits: int, given: bytes, backend: Backend) -> Inflater:
    window = Window(bits, takeover=True)
    inflater = Inflater(window, backend)
    wire = Deflater(window, Compression()).deflate(given, ends=True)
    for begin in range(0, len(wire), READ):
        inflater.inflate(wire[begin : begin + READ], 2**20, ends=begin + READ >= len(wire))
    return inflater


def memory(backends: Sequence[Backend], kept: int) -> Table:
    """KiB that a compressor and an inflater take for a connection, once they have seen much."""
    given = messages(records, GIVEN, 1)[0]
    rows: dict[str, Callable[[int], object]] = {
        "zlib compresses": partial(a_deflater, given=given),
        "zlib compresses, mem_level=8": partial(a_deflater, given=given, mem_level=8),
    }
    if "isal" in backends:
        isal = partial(a_deflater, given=given, backend="isal")
        rows["isal compresses"] = isal
        rows["isal compresses, mem_level=1"] = partial(isal, mem_level=1)
        rows["isal compresses, level=2"] = partial(isal, level=2)
    for backend in backends:
        rows[f"{backend} inflates"] = partial(an_inflater, given=given, backend=backend)
    table: Table = [["window", *map(str, WINDOWS)]]
    # All of them are kept, so that nothing that was given back is taken again; the first take what
    # was given back before.
    keep: list[object] = [a_deflater(15, given) for _ in range(kept)]
    for name, make in rows.items():
        tell(name)
        row = [name]
        for bits in WINDOWS:
            keep.append(make(bits))
            before = memory_now()
            keep.extend(make(bits) for _ in range(kept))
            row.append(f"{(memory_now() - before) / kept:.0f} KiB")
        table.append(row)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compressing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="does it work here at all?")
    parser.add_argument("--csv", type=Path, metavar="FOLDER", help="write the tables there too")
    options = parser.parse_args(arguments)
    backends: list[Backend] = ["zlib"]
    if find_spec("isal") is not None:
        backends.append("isal")
    rounds, together, kept = (1, 2**10, 2) if options.quick else (ROUNDS, TOGETHER, KEPT)
    # Before anything else, as memory is given back to nobody
    tables = {"compression-memory": memory(backends, kept)}
    kinds = payloads(together)
    tables["compression-time"] = compressing(kinds, settings(backends), rounds)
    tables["inflating-time"] = inflating(kinds, backends, rounds)
    for name, table in tables.items():
        print(f"\n{name}")
        for row in table:
            print(f"{row[0]:30}", *(f"{cell:>18}" for cell in row[1:]))
        if options.csv is not None:
            with (options.csv / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(table)


if __name__ == "__main__":
    main()
