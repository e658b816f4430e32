"""What a process has used: of the processor, of memory."""

from __future__ import annotations

from pathlib import Path


def cpu_nanoseconds(pid: int) -> int:
    """The time on a processor of all threads that the process has now.

    The scheduler counts it to the nanosecond; /proc/PID/stat tells hundredths of a second.
    """
    used = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        used += int((thread / "schedstat").read_bytes().split()[0])
    return used


def resident_bytes(pid: int) -> int:
    """The memory that the process has."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")
