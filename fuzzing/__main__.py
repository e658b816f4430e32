"""The command: each target in a process of its own, for as long as told.

fuzzing/run --seconds 10
fuzzing/run --seconds 600 --targets rfc6455,deflate --jobs 1 --json totals.json
fuzzing/run --again rfc6455 fuzzing/.found/rfc6455/crash-0123
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import trio

from docs.one_line_each import one_line_each
from trio_draftws import HAS_SPEEDUPS

from .oracle import Target
from .report import Report, Result, as_text
from .targets import TARGETS, names, target_named

HERE = Path(__file__).parent
# What libFuzzer found worth keeping, run after run; what it begins with; what went wrong
CORPUS, SEEDS, FOUND = HERE / ".corpus", HERE / ".seeds", HERE / ".found"
# One input that takes so long has not ended, whatever else the machine does.
SECONDS_FOR_ONE = 60
MEGABYTES = 2048


def prepared(target: Target) -> tuple[Path, Path, Path]:
    """The folders of a target: its corpus, its seeds, and what is found."""
    corpus, seeds, found = (folder / target.name for folder in (CORPUS, SEEDS, FOUND))
    for folder in (seeds, found):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (corpus, seeds, found):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / f"{number:04}").write_bytes(seed)
    words = [f'"{"".join(f"{chr(92)}x{byte:02x}" for byte in word)}"' for word in target.words]
    (found / "words").write_text("\n".join(words) + "\n")
    return corpus, seeds, found


async def fuzz(target: Target, seconds: int) -> Result:
    """Runs a target for so long, or up to what it finds."""
    corpus, seeds, found = prepared(target)
    started = time.monotonic()
    done = await trio.run_process(
        [
            *(sys.executable, "-m", "fuzzing.one", target.name),
            *(str(corpus), str(seeds)),
            f"-dict={found / 'words'}",
            f"-artifact_prefix={found}/",
            f"-max_total_time={seconds}",
            f"-max_len={target.max_size}",
            f"-timeout={SECONDS_FOR_ONE}",
            f"-rss_limit_mb={MEGABYTES}",
            "-print_final_stats=1",
            # Comparisons tell how near they are.
            "-use_value_profile=1",
        ],
        cwd=HERE.parent,
        check=False,
        capture_stdout=True,
        capture_stderr=True,
    )
    log = (done.stdout + done.stderr).decode("utf-8", "replace")
    (found / "log").write_text(log)
    finding = None
    if done.returncode:
        inputs = sorted(
            path for kind in ("crash", "timeout", "oom") for path in found.glob(f"{kind}-*")
        )
        again = [f"fuzzing/run --again {target.name} {shown(path)}" for path in inputs]
        finding = "; ".join(again) or f"it ended with {done.returncode}: {shown(found / 'log')}"
    seconds_taken = time.monotonic() - started
    return Result.read(target.name, target.about, seconds_taken, log, finding)


def why(log: Path) -> str:
    """What Python has said, or else the last that libFuzzer has."""
    text = log.read_text()
    raised = re.search(r"=== Uncaught Python exception: ===.*?\n\n", text, re.DOTALL)
    return raised[0] if raised else text[-2000:]


def shown(path: Path) -> str:
    return str(path.relative_to(HERE.parent))


async def fuzz_all(targets: list[Target], seconds: int, jobs: int) -> list[Result]:
    """Runs all of them, some side by side."""
    results: dict[str, Result] = {}
    waiting = iter(targets)

    async def work() -> None:
        for target in waiting:
            take_note(target, await fuzz(target, seconds))

    def take_note(target: Target, result: Result) -> None:
        results[target.name] = result
        tell(f"{result.name}: {result.executions:,} executions, {result.edges} edges")
        if result.finding is not None:
            tell(why(FOUND / target.name / "log"))
            tell(f"{result.name}: FOUND: {result.finding}")

    async with trio.open_nursery() as nursery:
        for _ in range(jobs):
            nursery.start_soon(work)
    return [results[target.name] for target in targets]


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def about(seconds: int) -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        "Atheris": version("atheris"),
        "wsproto": version("wsproto"),
        "h11": version("h11"),
        "Masks": "in C" if HAS_SPEEDUPS else "in Python",
        "Seconds for each": str(seconds),
        "Day": dt.datetime.now(dt.timezone.utc).date().isoformat(),
    }


def chosen(text: str) -> list[Target]:
    try:
        return [target_named(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fuzzing/run",
        description="Feeds the library with whatever libFuzzer comes up with.",
        epilog=f"The targets are {', '.join(names())}.",
    )
    parser.add_argument(
        "--seconds", type=positive, default=60, metavar="N", help="for each target: by default 60"
    )
    parser.add_argument(
        "--targets", type=chosen, default=list(TARGETS), metavar="A,B", help="these only"
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="how many at a time: by default as many as there are processors",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the totals there")
    parser.add_argument(
        "--again", nargs=2, metavar=("TARGET", "FILE"), help="try one input, without libFuzzer"
    )
    options = parser.parse_args()
    if options.again:
        name, path = options.again
        target_named(name).check(Path(path).read_bytes())
        print(f"{name}: nothing is found")
        return
    results = trio.run(fuzz_all, options.targets, options.seconds, options.jobs)
    report = Report(about(options.seconds), results)
    print(as_text(report))
    if options.json:
        options.json.write_text(one_line_each(report.to_json(), "results"), "utf-8")
    sys.exit(bool(report.findings))


if __name__ == "__main__":
    main()
