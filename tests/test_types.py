"""What type checkers, editors and `typing` know of the public names."""

from __future__ import annotations

import inspect
import subprocess
import sys
import typing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trio

import trio_draftws
import trio_draftws.testing
from trio_draftws import (
    DRAFTS,
    Connection,
    ConnHeaders,
    Draft,
    DraftName,
    Handler,
    Request,
    TextChannel,
    open_websocket,
)
from trio_draftws.testing import ServerUnderTest, connected_pair, served

from .rows import each_row

ROOT = Path(__file__).parent.parent
PROGRAMS = ROOT / "tests" / "types"
CHECKERS = {
    "mypy": [str(PROGRAMS)],
    "pyright": ["--pythonpath", sys.executable, "--project", str(PROGRAMS)],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_programs_that_are_right_and_wrong(checker: str) -> None:
    """`tests/types/right.py` is accepted, and says what types are; `wrong.py` is rejected."""
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", checker, *CHECKERS[checker]],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_names_of_drafts_are_those_of_the_registry() -> None:
    """In their order, so that an editor shows them like `DRAFTS`."""
    names = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]
    assert list(typing.get_args(DraftName)) == names


def public_functions() -> list[Any]:
    """Functions, classes and methods, with names to tell them apart."""
    found = []
    for module in (trio_draftws, trio_draftws.testing):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                found.append((f"{module.__name__}.{name}", value))
            if inspect.isclass(value):
                for key, member in vars(value).items():
                    function = member.fget if isinstance(member, property) else member
                    if not key.startswith("_") and inspect.isfunction(function):
                        found.append((f"{module.__name__}.{name}.{key}", function))
    assert len(found) > 100
    return found


@each_row("name, function", public_functions())
def test_type_hints_can_be_asked_for(name: str, function: Any) -> None:
    """As by `typing.get_type_hints`, and what stands on that; without typing_extensions."""
    assert typing.get_type_hints(function) is not None


def test_type_hints_of_settings() -> None:
    """Each keyword has its type, as in the signature."""
    hints = typing.get_type_hints(open_websocket)
    assert hints.keys() - {"return"} == inspect.signature(open_websocket).parameters.keys()
    assert hints["close_timeout"] is float
    assert hints["url"] is str
    assert {*typing.get_args(hints["draft"])} >= {DraftName, str, Draft, type(None)}
    method = ServerUnderTest.open_websocket
    assert typing.get_type_hints(method)["subprotocols"] == hints["subprotocols"]
    assert "subprotocols" in inspect.signature(method).parameters


def test_no_run_time_dependency_on_typing_extensions() -> None:
    program = (
        "import sys, trio.testing\n"  # which may need it
        "sys.modules['typing_extensions'] = None\n"
        "import typing, trio_draftws.testing\n"
        "typing.get_type_hints(trio_draftws.serve_websocket)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


async def test_the_type_of_the_state_at_run_time() -> None:
    """`Connection[int]` is for type checkers; the connection is the same, and so is its memory."""
    numbered: Any = Connection[int]
    assert typing.get_origin(numbered) is Connection
    handlers, functions = typing.cast("Any", (Handler, ConnHeaders))
    assert typing.get_args(handlers[int])[0] == [numbered, int]
    assert typing.get_args(functions[int])[0] == [Request]
    async with connected_pair(state=5) as (client, server):
        assert isinstance(server, Connection)
        assert server.state == 5
        assert isinstance(server, trio.abc.Channel)
        assert isinstance(client.text, TextChannel)
        with pytest.raises(AttributeError):
            server.__dict__  # noqa: B018
        own = {name for kind in Connection.__mro__ for name in getattr(kind, "__slots__", ())}
        assert "__orig_class__" not in own

        async def handler(connection: Connection[int], state: int) -> None:
            assert connection.state == state == 5

        async def conn_headers(request: Request) -> tuple[trio_draftws.HeaderFields, int]:
            return (), 5

        async with served(handler, conn_headers=conn_headers) as under:
            async with under.open_websocket() as other:
                with pytest.raises(trio.EndOfChannel):
                    await other.receive()
        assert under.errors == []
