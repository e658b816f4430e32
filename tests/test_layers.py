"""Arrows point down only, and `drafts/` imports no trio."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import trio_draftws

PACKAGE = Path(trio_draftws.__file__).parent

# From the bottom up; a module may import from its own floor's left and from all floors below.
FLOORS = [
    ["drafts"],
    ["_framing_mode", "_checks", "_keywords", "_limits", "_exceptions"],
    ["_transport"],
    ["_listeners", "_basic_auth"],
    ["_connection"],
    ["_door", "_origins", "_routes", "_flash_policy", "_redirects", "_advice"],
    ["_bridge", "_handshake"],
    ["_server_settings", "_ask", "_answer", "_proxy", "_dial", "_client_settings"],
    ["_call"],
    ["_client", "_reconnecting", "_server"],
    ["_gateway"],
    ["__init__"],
    ["testing"],
    ["cli"],
    ["__main__"],
]
ROOMS = [room for floor in FLOORS for room in floor]

# The same inside drafts/
DRAFT_FLOORS = [
    ["_compression", "_cookies", "_host", "_url"],
    ["_codec"],
    ["_cmask", "_cheads"],
    ["_masking", "_deflate", "_extensions"],
    ["_payload"],
    ["_messages"],
    ["_long_payloads"],
    ["_short_messages"],
    ["_short_io"],
    ["_dialect"],
    ["_frames"],
    ["_http", "_sentinel", "_length64", "_hybi_early", "_rfc6455"],
    ["_body", "_opening"],
    ["_opening_hixie75", "_opening_hixie76", "_opening_hybi"],
    ["_rows"],
    ["_protocol"],
    ["_identify"],
    ["_heads"],
    ["__init__"],
]
# And inside the two folders between
FOLDERS = {
    "_transport": [["dialling", "sockets"], ["tls"], ["__init__"]],
    "_connection": [
        ["checkpoints", "timers", "observers", "instrument", "statistics"],
        ["sender", "watch", "poller", "settings"],
        ["receiver"],
        ["scope", "message_stream", "info"],
        ["connection"],
        ["wait_any", "broadcast"],
        ["__init__"],
    ],
}
IN_FOLDERS = sorted(path for folder in FOLDERS for path in (PACKAGE / folder).glob("*.py"))
DRAFT_ROOMS = [room for floor in DRAFT_FLOORS for room in floor]


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, as dotted names; relative ones begin in a dot."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ABOVE_DRAFTS = sorted(path for path in PACKAGE.rglob("*.py") if room_of(path) != "drafts")
# What is written in C has its imports in its types.
IN_DRAFTS = sorted(
    path for suffix in ("py", "pyi") for path in (PACKAGE / "drafts").glob(f"*.{suffix}")
)


def test_every_module_has_its_floor() -> None:
    assert sorted({room_of(path) for path in PACKAGE.rglob("*.py")}) == sorted(ROOMS)
    assert sorted(path.stem for path in IN_DRAFTS) == sorted(DRAFT_ROOMS)
    for folder, floors in FOLDERS.items():
        rooms = {room for floor in floors for room in floor}
        assert {path.stem for path in IN_FOLDERS if path.parent.name == folder} == rooms


@pytest.mark.parametrize("path", ABOVE_DRAFTS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    room = room_of(path)
    below = set(ROOMS[: ROOMS.index(room)])
    depth = len(path.relative_to(PACKAGE).parts)
    for name in imports(path):
        if name.startswith("." * depth):
            target = name.lstrip(".").split(".")[0] or "__init__"
        elif name.startswith("trio_draftws"):
            target = [*name.split("."), "__init__"][1]
        else:
            continue
        assert target in below, f"{room} imports {target}, which is not below it"


@pytest.mark.parametrize("path", IN_DRAFTS, ids=lambda path: path.stem)
def test_drafts_import_no_trio_and_nothing_from_above(path: Path) -> None:
    below = set(DRAFT_ROOMS[: DRAFT_ROOMS.index(path.stem)])
    for name in imports(path):
        assert name.split(".")[0] not in ("trio", "trio_draftws", "socket", "ssl", "asyncio")
        assert not name.startswith("..")
        if name.startswith("."):
            assert name.lstrip(".") in below


@pytest.mark.parametrize("path", IN_FOLDERS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_inside_a_folder_arrows_point_down_too(path: Path) -> None:
    rooms = [room for floor in FOLDERS[path.parent.name] for room in floor]
    below = set(rooms[: rooms.index(path.stem)])
    for name in imports(path):
        if name.startswith(".") and not name.startswith(".."):
            assert name.lstrip(".") in below


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


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    """So that an import which it cannot read does not pass unseen."""
    source = "import trio.abc\nfrom . import x\nfrom ._y import z\nfrom .._up import w\n"
    (tmp_path / "module.py").write_text(source)
    found = list(imports(tmp_path / "module.py"))
    assert found == ["trio.abc", ".", "._y", ".._up"]
