"""A task that notes how long the other tasks of its program kept it waiting."""

from __future__ import annotations

import json
import os
import signal
import statistics
import time

import attrs
import trio

BEAT = 0.001
# Seconds; a program that nobody ends, ends by itself.
LIFETIME = 300


@attrs.define(eq=False)
class Heartbeat:
    """Sleeps for one millisecond at a time, and notes how long that took.

    SIGUSR1 discards what was noted so far. SIGTERM prints a summary as one JSON object and ends the
    program. Python runs both signal handlers even while one task is hogging the event loop.
    """

    gaps: list[float] = attrs.field(factory=list, init=False)
    """Seconds between two beats."""
    cpu_gaps: list[float] = attrs.field(factory=list, init=False)
    """Seconds of processor time that the program used between two beats."""
    last_beat: float = attrs.field(factory=time.perf_counter, init=False)
    last_cpu: float = attrs.field(factory=time.process_time, init=False)

    def __attrs_post_init__(self) -> None:
        signal.signal(signal.SIGUSR1, self.restart)
        signal.signal(signal.SIGTERM, self.report)
        signal.alarm(LIFETIME)

    async def run(self) -> None:
        """Beats until it is cancelled."""
        while True:
            await trio.sleep(BEAT)
            self.note()

    def note(self) -> None:
        """Notes the time since the last beat."""
        now, cpu = time.perf_counter(), time.process_time()
        self.gaps.append(now - self.last_beat)
        self.cpu_gaps.append(cpu - self.last_cpu)
        self.last_beat, self.last_cpu = now, cpu

    def restart(self, *of_signal: object) -> None:
        """Discards what was noted."""
        self.note()
        self.gaps.clear()
        self.cpu_gaps.clear()

    def report(self, *of_signal: object) -> None:
        """Prints the summary and ends the program."""
        # A gap that has not ended yet counts too.
        self.note()
        summary = {
            "longest": max(self.gaps),
            "longest_cpu": max(self.cpu_gaps),
            "median": statistics.median(self.gaps),
        }
        print(json.dumps(summary), flush=True)
        os._exit(0)
