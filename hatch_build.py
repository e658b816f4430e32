"""Builds what is written in C too into a wheel, if a compiler is there; else the wheel has none."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

MODULES = ("trio_draftws.drafts._framing.speedups", "trio_draftws.drafts._http.speedups")


class WrittenInC(BuildHookInterface[Any]):
    """Compiles beside the source, where an editable installation looks for it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds what was built to the files of the wheel, and to its name what that is built for."""
        if platform.python_implementation() != "CPython":
            return
        for module in MODULES:
            self._build(module, build_data)

    def _build(self, module: str, build_data: dict[str, Any]) -> None:
        source = Path(self.root, *module.split(".")).with_suffix(".c")
        # Optional: a build that fails says so, and is no error.
        extension = Extension(module, [str(source)], optional=True)
        with tempfile.TemporaryDirectory() as scratch:
            command = build_ext(Distribution({"ext_modules": [extension]}))
            command.build_lib = command.build_temp = scratch
            command.ensure_finalized()
            name = command.get_ext_filename(module)
            built = Path(self.root, name)
            built.unlink(missing_ok=True)
            command.run()
            if not Path(scratch, name).exists():
                return
            built.write_bytes(Path(scratch, name).read_bytes())
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"][str(built)] = name
