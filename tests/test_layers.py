"""The map of rooms in the package's docstring is true: imports point down, and never in circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import trio_draftws

from .rows import each_row

PACKAGE = Path(trio_draftws.__file__).parent
# What is written in C has its imports in its types.
FILES = sorted(path for suffix in ("py", "pyi") for path in PACKAGE.rglob(f"*.{suffix}"))
ABOVE_DRAFTS = [path for path in FILES if path.relative_to(PACKAGE).parts[0] != "drafts"]
IN_DRAFTS = [path for path in FILES if path not in ABOVE_DRAFTS]


def rooms_on_the_map(docstring: str) -> list[str]:
    """From the top down; a room inside of another stands behind that, as `drafts._http`."""
    rooms: list[str] = []
    outer = ""
    for line in docstring.splitlines():
        if match := re.match(r" {4}( {2})?(\w+) {2,}\S", line):
            inner, name = match.groups()
            outer = outer if inner else name
            rooms.append(f"{outer}.{name}" if inner else name)
    return rooms


ROOMS = rooms_on_the_map(trio_draftws.__doc__ or "")


def module_of(path: Path) -> str:
    """Its dotted name inside the package; the package itself is `__init__`."""
    parts = [*path.relative_to(PACKAGE).with_suffix("").parts]
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str:
    """The innermost room on the map that it is in."""
    parts = module.split(".")
    inside = ".".join(parts[:2])
    return inside if inside in ROOMS else parts[0]


def imports(path: Path, source: str | None = None) -> Iterator[str]:
    """The names that a file imports, dotted and absolute; what is for types alone counts."""
    package = ["trio_draftws", *path.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text() if source is None else source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules_used(path: Path, source: str | None = None) -> list[str]:
    """The modules of the package that a file imports."""
    used = []
    for name in imports(path, source):
        package, _, inside = name.partition(".")
        if package != "trio_draftws":
            continue
        while inside and inside not in MODULES:
            inside = inside.rpartition(".")[0]
        used.append(inside or "__init__")
    return used


def test_every_room_is_on_the_map() -> None:
    assert {room_of(module) for module in MODULES} == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))
    assert len([room for room in ROOMS if "." not in room]) <= 14


@each_row("module", MODULES)
def test_a_module_imports_from_its_room_and_those_below(module: str) -> None:
    allowed = ROOMS[ROOMS.index(room_of(module)) :]
    for used in modules_used(MODULES[module]):
        assert room_of(used) in allowed or module == "drafts", f"{module} imports {used}"


def test_there_is_no_circle() -> None:
    graph = {module: set(modules_used(path)) - {module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@each_row("path", ABOVE_DRAFTS)
def test_drafts_are_used_by_their_public_names(path: Path) -> None:
    for used in modules_used(path):
        assert not used.startswith("drafts."), f"{module_of(path)} imports {used}"


@each_row("path", IN_DRAFTS)
def test_drafts_import_no_trio_and_nothing_from_above(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] not in ("trio", "socket", "ssl", "asyncio"), name
    assert all(used.startswith("drafts") for used in modules_used(path))


def private_names_of_trio(source: str) -> set[str]:
    """Those that it imports, or reaches from `trio`, as `trio.lowlevel._x`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        found |= {name for name in names if re.match(r"trio\b.*\._", name)}
    return found


def test_no_private_name_of_trio_is_used() -> None:
    assert [path for path in ABOVE_DRAFTS if private_names_of_trio(path.read_text())] == []
    source = "import trio._core\nfrom trio.lowlevel import _x\ntrio._y.z\nself._trio._a\ntrio.b.c"
    assert private_names_of_trio(source) == {
        "trio._core",
        "trio.lowlevel._x",
        "trio._y",
        "trio._y.z",
    }


def test_the_checks_see_what_they_look_for() -> None:
    """So that a map or an import which they cannot read does not pass unseen."""
    assert ROOMS[0] == "__main__"
    assert ROOMS[-1] == "drafts._close_codes"
    for place, source, used in [
        ("_client/open.py", "from .._connection import connection", "_connection.connection"),
        ("_client/open.py", "from .._exceptions import DialFailed", "_exceptions"),
        ("cli/__init__.py", "from trio_draftws import Draft", "__init__"),
        ("drafts/_identify.py", "from ._http import body", "drafts._http.body"),
        ("_client/open.py", "if TYPE_CHECKING:\n    from ..drafts import Draft", "drafts"),
    ]:
        assert modules_used(PACKAGE / place, source) == [used]
    assert list(imports(PACKAGE / "_client/open.py", "import trio.abc")) == ["trio.abc"]
