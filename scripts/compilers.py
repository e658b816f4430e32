#!/usr/bin/env python3
"""Compiles the code in C with every compiler that is found; a warning is an error.

Those are gcc and clang, each for this machine, and zig, if its package `ziglang` is installed where
this runs: it knows the headers of other systems, so that it compiles for those too. Python's own
headers are those of this Python, with the sizes and the byte order of the other system put over
them: this finds what does not compile there, and links and runs nothing.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

DRAFTS = Path(__file__).parent.parent / "trio_draftws" / "drafts"
SOURCES = (DRAFTS / "_framing" / "speedups.c", DRAFTS / "_http" / "speedups.c")
HEADERS = Path(sysconfig.get_paths()["include"])
# Not -Wpedantic: Python's lists of slots hold functions as `void *`.
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Werror")

UNIX_64: dict[str, object] = {}
# Some systems of 32 bits count their files and seconds in 64.
BITS_32: dict[str, object] = {
    "SIZEOF_LONG": 4,
    "SIZEOF_SIZE_T": 4,
    "SIZEOF_VOID_P": 4,
    "SIZEOF_UINTPTR_T": 4,
}
BIG_ENDIAN: dict[str, object] = {"WORDS_BIGENDIAN": 1}
MACOS: dict[str, object] = {"SIZEOF_WCHAR_T": 4, "HAVE_CRYPT_H": None, "HAVE_ENDIAN_H": None}
# A long has 32 bits in a process of 64.
WINDOWS: dict[str, object] = {
    "MS_WINDOWS": 1,
    "MS_WIN64": 1,
    "SIZEOF_LONG": 4,
    "SIZEOF_WCHAR_T": 2,
    "SIZEOF_PID_T": 4,
    "HAVE_CRYPT_H": None,
    "HAVE_SYS_SELECT_H": None,
}
TARGETS: dict[str, dict[str, object]] = {
    "x86_64-linux-gnu": UNIX_64,
    "x86_64-linux-musl": UNIX_64,
    "aarch64-linux-musl": UNIX_64,
    "arm-linux-gnueabihf": BITS_32,
    "s390x-linux-gnu": BIG_ENDIAN,
    "powerpc-linux-musleabihf": BITS_32 | BIG_ENDIAN,
    "x86_64-macos": MACOS,
    "aarch64-macos": MACOS,
    "x86_64-windows-gnu": WINDOWS,
    "aarch64-windows-gnu": WINDOWS,
}


def put_over(settings: dict[str, object], folder: Path) -> None:
    """Writes Python's configuration for another system, which stands before that of this one."""
    lines = [f'#include "{HEADERS / "pyconfig.h"}"']
    for name, value in settings.items():
        lines.append(f"#undef {name}")
        if value is not None:
            lines.append(f"#define {name} {value}")
    (folder / "pyconfig.h").write_text("\n".join(lines) + "\n")


def compiles(name: str, command: list[str], settings: dict[str, object]) -> bool:
    """Prints whether all of it compiles without a word."""
    with tempfile.TemporaryDirectory() as folder:
        put_over(settings, Path(folder))
        # Python.h includes "pyconfig.h", which would be the one beside it.
        for header in HEADERS.iterdir():
            if header.name != "pyconfig.h":
                Path(folder, header.name).symlink_to(header)
        flags = ["-std=c11", "-O3", "-fPIC", "-isystem", folder, *WARNINGS]
        if "windows" in name:
            flags.remove("-fPIC")
        for source in SOURCES:
            out = str(Path(folder, "out.o"))
            done = subprocess.run([*command, *flags, "-c", "-o", out, str(source)], check=False)
            if done.returncode:
                print(f"{name}: failed on {source.parent.name}/{source.name}")
                return False
    print(f"{name}: no warnings")
    return True


def main() -> int:
    """Fails if one complains, or if there is none."""
    results = [compiles(cc, [cc], UNIX_64) for cc in ("gcc", "clang") if shutil.which(cc)]
    if importlib.util.find_spec("ziglang"):
        zig = [sys.executable, "-m", "ziglang", "cc", "-target"]
        results += [compiles(f"zig for {t}", [*zig, t], TARGETS[t]) for t in TARGETS]
    else:
        print("zig is not here: `pip install ziglang` to compile for other systems")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
