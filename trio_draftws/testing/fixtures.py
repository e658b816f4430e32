"""Fixtures for pytest, in tests that pytest-trio runs.

Import the ones you need in your `conftest.py`, or name this module in its `pytest_plugins`. No
other module here needs pytest, and pytest does not load this one by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

try:
    import pytest

    # It runs the fixtures.
    import pytest_trio  # noqa: F401
except ImportError as _missing:
    raise ImportError(
        f"trio_draftws.testing.fixtures needs {_missing.name}, which is not installed: "
        "pip install pytest-trio",
        name=_missing.name,
    ) from _missing

from trio_draftws._connection.connection import Connection

from ._pair import connected_pair
from ._served import echo, served_on_port

__all__ = ["echo_server", "websocket_pair"]


@pytest.fixture
async def websocket_pair(
    request: pytest.FixtureRequest,
) -> AsyncGenerator[tuple[Connection, Connection], None]:
    """Both sides of one connection, joined in memory: `(client, server)`, two `Connection`s.

    They speak RFC 6455, or the drafts that the test gives as parameters:
    `@pytest.mark.parametrize("websocket_pair", ["old", "rfc6455"], indirect=True)`. After the test
    both are closed.
    """
    async with connected_pair(getattr(request, "param", "rfc6455")) as pair:
        yield pair


@pytest.fixture
async def echo_server() -> AsyncGenerator[str, None]:
    """The URL, a str, of an echo server on 127.0.0.1 that speaks every draft; closed afterwards."""
    async with served_on_port(echo) as server:
        yield f"ws://127.0.0.1:{server.port}/"
