"""Uses the fixtures. In a project, import them in `conftest.py`."""

import pytest

from trio_draftws import Connection, open_websocket
from trio_draftws.testing.fixtures import echo_server, websocket_pair

__all__ = ["echo_server", "websocket_pair"]


async def test_a_pair(websocket_pair: tuple[Connection, Connection]) -> None:
    client, server = websocket_pair
    await client.send("hello")
    assert await server.receive() == "hello"


@pytest.mark.parametrize("websocket_pair", ["old", "hybi-05", "rfc6455"], indirect=True)
async def test_other_drafts(websocket_pair: tuple[Connection, Connection]) -> None:
    client, server = websocket_pair
    assert client.draft is server.draft


async def test_a_program_that_wants_a_url(echo_server: str) -> None:
    async with open_websocket(echo_server, draft="rfc6455") as connection:
        await connection.send("hello")
        assert await connection.receive() == "hello"
