"""The command: runs Autobahn|Testsuite and compares its verdicts with `expected.json`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import attrs
import trio

from .autobahn import Failed, all_cases, run_round
from .verdicts import ROLES, Outcome, Role, faults, in_order, load, save, select, tally

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected.json"
REPORTS = HERE / ".reports"

# A thousand messages of 8 KiB and more in each: nine tenths of the time that all cases take. Kept
# are those of 8 KiB in fragments, since the shorter ones have none.
LONG = ("12.*.[6-9]", "12.*.10", "12.*.1[2-8]", "13.*.[6-9]", "13.*.10", "13.*.1[2-8]")

# As shells have it for a command that Ctrl-C ended
INTERRUPTED = 130


@attrs.define
class Check:
    """Some cases in one role, and what is expected of them."""

    role: Role
    cases: list[str]
    expected: Outcome | None
    """The verdicts to demand; None to demand any good ones."""
    found: Outcome = attrs.field(factory=dict, init=False)

    async def passes(self) -> bool:
        """Runs the cases once, and says what came of it."""
        reports = REPORTS / self.role
        started = trio.current_time()
        try:
            self.found = await run_round(self.role, self.cases, reports)
        except Failed as failure:
            self._say(str(failure))
            return False
        seconds = trio.current_time() - started
        self._say(f"{len(self.found)} cases in {seconds:.0f} s: {tally(self.found)}")
        wrong = list(faults(self.cases, self.expected, self.found))
        if wrong:
            self._say(*wrong, f"Autobahn's reports: {reports / 'index.html'}")
        return not wrong

    def _say(self, *lines: str) -> None:
        for line in lines:
            print(f"{self.role}: {line}", flush=True)


async def run_checks(options: argparse.Namespace) -> int:
    """Does what the options say; the exit status."""
    excluded = [*options.exclude, *(LONG if options.fast else ())]
    cases = in_order(select(await all_cases(), options.cases, excluded))
    if not cases:
        print("there are no such cases", file=sys.stderr)
        return 2
    expected = load(EXPECTED)
    checks = []
    for role in ROLES if options.role == "both" else (options.role,):
        meant = select(expected[role], options.cases, excluded)
        verdicts = {case: expected[role].pop(case) for case in meant}
        checks.append(Check(role, cases, None if options.update else verdicts))
    for number in range(1, options.repeat + 1):
        if options.repeat > 1:
            print(f"round {number} of {options.repeat}", flush=True)
        if not await all_pass(checks):
            return 1
    if options.update:
        for check in checks:
            expected[check.role].update(check.found)
        save(EXPECTED, expected)
    return 0


async def all_pass(checks: list[Check]) -> bool:
    """Whether all do, run side by side: each keeps one processor busy at most."""
    passed: list[bool] = []

    async def run(check: Check) -> None:
        passed.append(await check.passes())

    async with trio.open_nursery() as nursery:
        for check in checks:
            nursery.start_soon(run, check)
    return all(passed)


async def until_interrupted(options: argparse.Namespace) -> int:
    """As `run_checks`; but a signal ends it, and all that it started."""
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await anext(signals)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            status = await run_checks(options)
            nursery.cancel_scope.cancel()
    return status


def patterns(text: str) -> list[str]:
    return [pattern.strip() for pattern in text.split(",")]


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="compliance/run",
        description="Runs Autobahn|Testsuite and compares its verdicts with those expected.",
    )
    parser.add_argument(
        "--role", choices=[*ROLES, "both"], default="both", help="what is tested: by default both"
    )
    parser.add_argument(
        "--cases", type=patterns, default="*", metavar="PATTERNS", help="as '1.*,7.1.6'"
    )
    parser.add_argument(
        "--exclude", type=patterns, default="", metavar="PATTERNS", help="cases to leave out"
    )
    parser.add_argument(
        "--fast", action="store_true", help="leave out the long ones of sections 12 and 13"
    )
    parser.add_argument(
        "--repeat", type=positive, default=1, metavar="N", help="run N rounds, up to one that fails"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="rewrite what is expected, unless a verdict is a fault",
    )
    sys.exit(trio.run(until_interrupted, parser.parse_args()))


if __name__ == "__main__":
    main()
