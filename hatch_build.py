"""Builds what is written in C into a wheel, if a C compiler is available; else the wheel is pure.

TRIO_DRAFTWS_SPEEDUPS in the environment decides it instead: 0 builds a pure wheel, and with 1 it
is an error if the C cannot be built.
"""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

MODULES = ("trio_draftws.drafts._framing.speedups", "trio_draftws.drafts._http.speedups")
SWITCH = "TRIO_DRAFTWS_SPEEDUPS"
SLOWER = "masks, UTF-8, short messages and opening handshakes take several times as long"


class BuildC(build_ext):
    """Asks for vectors, which most of the C is written for; other compilers make them unasked."""

    def build_extensions(self) -> None:
        """Many a Python was built with -O2, and would build this so: half as fast."""
        if self.compiler.compiler_type in {"unix", "mingw32"}:
            for extension in self.extensions:
                extension.extra_compile_args.append("-O3")
        super().build_extensions()


class WrittenInC(BuildHookInterface[Any]):
    """Adds the modules in C to a wheel, and to its name the Python and the system it is for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds them; an editable installation looks for them beside the source."""
        wanted = os.environ.get(SWITCH, "")
        if wanted not in {"", "0", "1"}:
            raise ValueError(f"{SWITCH} is 0 or 1, or not set; it is {wanted!r}")
        self._scratch = tempfile.TemporaryDirectory()
        command = self._command(self._scratch.name)
        built = {
            Path(self._scratch.name, name): name for name in map(command.get_ext_filename, MODULES)
        }
        try:
            is_built = wanted != "0" and self._run(command)
            if version == "editable" and is_built:
                self._put_beside_the_source(built)
        # The last two: no such compiler, a folder that cannot be written, CC with half a quotation
        except (BaseError, CCompilerError, NotImplementedError, OSError, ValueError) as error:
            if wanted == "1":
                raise RuntimeError(f"{SWITCH}=1, but the C was not built: {error}") from error
            self.app.display_warning(f"Without the code in C, {SLOWER}: {error}")
            is_built = False
        if version == "editable" and not is_built:
            self._remove_from_beside_the_source(built)
        if is_built:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            build_data["force_include"].update({str(path): name for path, name in built.items()})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """What was built is in the wheel now."""
        self._scratch.cleanup()

    def _command(self, folder: str) -> BuildC:
        extensions = [
            Extension(module, [str(Path(self.root, *module.split(".")).with_suffix(".c"))])
            for module in MODULES
        ]
        command = BuildC(Distribution({"ext_modules": extensions}))
        command.build_lib = folder
        command.build_temp = str(Path(folder, "temporary"))
        command.ensure_finalized()
        return command

    def _run(self, command: BuildC) -> bool:
        if platform.python_implementation() != "CPython":
            raise NotImplementedError("it is for CPython")
        command.run()
        for name in map(command.get_ext_filename, MODULES):
            path = Path(command.build_lib, name)
            if not path.is_file() or not path.stat().st_size:
                raise CCompilerError(f"the compiler left no {path.name}")
        return True

    def _put_beside_the_source(self, built: dict[Path, str]) -> None:
        for path, name in built.items():
            # A file that is mapped into a process is not to be written to.
            Path(self.root, name).unlink(missing_ok=True)
            Path(self.root, name).write_bytes(path.read_bytes())

    def _remove_from_beside_the_source(self, built: dict[Path, str]) -> None:
        """What an earlier build left there for this Python would be imported."""
        for name in built.values():
            if Path(self.root, name).exists():
                Path(self.root, name).unlink()
