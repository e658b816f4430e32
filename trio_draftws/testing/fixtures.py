"""Fixtures of pytest, for tests that pytest-trio runs.

Import those you use into your `conftest.py`, or name this module in its `pytest_plugins`. Nothing
else needs pytest, and pytest loads none of it by itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

# Who runs them; without it pytest would only say that it cannot.
import pytest_trio  # noqa: F401

from trio_draftws._connection.connection import Connection

from ._pair import connected_pair
from ._served import echo, served_on_port

__all__ = ["echo_server", "websocket_pair"]


@pytest.fixture
async def websocket_pair(
    request: pytest.FixtureRequest,
) -> AsyncGenerator[tuple[Connection, Connection], None]:
    """`(client, server)`: both sides of one connection, joined in memory.

    They speak RFC 6455, or the drafts that the test names:
    `@pytest.mark.parametrize("websocket_pair", ["old", "rfc6455"], indirect=True)`.
    """
    async with connected_pair(getattr(request, "param", "rfc6455")) as pair:
        yield pair


@pytest.fixture
async def echo_server() -> AsyncGenerator[str, None]:
    """The URL of an echo server at 127.0.0.1, which speaks every draft."""
    async with served_on_port(echo) as server:
        yield f"ws://127.0.0.1:{server.port}/"
