"""A server that sends its client elsewhere: nobody goes there, and no credentials do."""

from __future__ import annotations

import pytest
import trio

from tests.wire import raw_server, read_request
from trio_draftws import Draft, Rejected, open_websocket

SECRETS = {"Authorization": "Bearer secret", "Cookie": "session=secret"}


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_a_refusal(status: int, draft: Draft) -> None:
    """Its address is told, and not dialled; also where it is of the same host."""
    dialled: list[str] = []

    async def elsewhere(stream: trio.SocketStream) -> None:
        dialled.append("elsewhere")

    async with raw_server(elsewhere) as other:
        location = f"ws://127.0.0.1:{other}/"

        async def here(stream: trio.SocketStream) -> None:
            dialled.append("here")
            await read_request(stream, draft.opening.request_body)
            await stream.send_all(
                b"HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
                % (status, location.encode())
            )

        async with raw_server(here) as port:
            url = f"ws://127.0.0.1:{port}/"
            with pytest.raises(Rejected) as caught:
                async with open_websocket(url, draft=draft, headers=SECRETS):
                    raise AssertionError("there is no connection")
    assert caught.value.status == status
    assert caught.value.headers["Location"] == location
    assert dialled == ["here"]


async def test_climbing_down_is_no_way_round_it() -> None:
    asked = 0

    async def here(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 302 Found\r\nLocation: ws://evil.example/\r\n\r\n")

    async with raw_server(here) as port:
        with pytest.raises(Rejected, match="302"):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="auto", headers=SECRETS):
                raise AssertionError("there is no connection")
    assert asked == 1
