"""What an import loads: the package alone nearly nothing, a client no server, and neither the rest.

Modules are counted, not seconds, which vary with whatever else the machine does.
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import trio_draftws

ROOT = Path(__file__).parent.parent
SOURCE = ast.parse(Path(trio_draftws.__file__).read_text(encoding="utf-8"))


def loaded_by(program: str) -> set[str]:
    """The modules that it loads beyond those that Trio does."""
    whole = (
        f"import sys, trio\nbefore = set(sys.modules)\n{program}\nprint(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", whole], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_the_package_alone() -> None:
    assert loaded_by("import trio_draftws") == {"trio_draftws"}


CLIENT = "from trio_draftws import open_websocket"
SERVER = "from trio_draftws import serve_websocket"
# What no connection needs until it is asked for
RARE = {"email", "uuid", "calendar", "asyncio", "python_socks", "isal", "http.client"}


@pytest.mark.parametrize(
    ("program", "most", "without"),
    [
        ("from trio_draftws import is_ws_url, Headers", 75, {"_settings", "_exceptions"}),
        (CLIENT, 130, {"_server", "_relay", "testing", "cli"}),
        (SERVER, 145, {"_client", "_relay", "testing", "cli"}),
    ],
)
def test_what_is_not_used_is_not_loaded(program: str, most: int, without: set[str]) -> None:
    loaded = loaded_by(program)
    assert len(loaded) <= most
    assert not loaded & ({f"trio_draftws.{room}" for room in without} | RARE)


def imported_for_types() -> dict[str, str]:
    """The public names as type checkers see them, with the modules that they come from."""
    found = {}
    for node in ast.walk(SOURCE):
        if isinstance(node, ast.ImportFrom) and node.level:
            found.update({alias.name: node.module or "" for alias in node.names})
    return found


def test_type_checkers_see_what_programs_get() -> None:
    assert imported_for_types() == trio_draftws._MODULES  # type: ignore[attr-defined]
    assert sorted(imported_for_types()) == sorted(trio_draftws.__all__)


def test_names_that_nobody_has_used_are_listed() -> None:
    listed = loaded_by(
        "import trio_draftws\n"
        "names = {name for name in dir(trio_draftws) if not name.startswith('_')}\n"
        "assert names == {*trio_draftws.__all__, 'drafts', 'testing'}, names"
    )
    assert listed == {"trio_draftws"}


def test_all_of_them_at_once() -> None:
    loaded_by(
        "from trio_draftws import *\n"
        "import trio_draftws\n"
        "assert all(name in globals() for name in trio_draftws.__all__)\n"
        "assert trio_draftws.serve_websocket is serve_websocket\n"
        "assert 'serve_websocket' in vars(trio_draftws)\n"
    )


def test_the_rooms_that_are_public() -> None:
    loaded_by("import trio_draftws\nassert trio_draftws.drafts.DRAFTS is trio_draftws.DRAFTS")
    loaded_by("import trio_draftws\nassert trio_draftws.testing.connected_pair")


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="'trio_draftws' has no attribute 'serve'"):
        trio_draftws.serve  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'serve'"):
        from trio_draftws import serve  # type: ignore[attr-defined]  # noqa: F401


def test_what_it_was_is_what_it_is() -> None:
    """Each name is loaded once, and introspection sees the same."""
    members = dict(inspect.getmembers(trio_draftws))
    assert members["Connection"] is trio_draftws.Connection
    hints = typing.get_type_hints(trio_draftws.serve_websocket)
    assert hints["return"] is type(None)
