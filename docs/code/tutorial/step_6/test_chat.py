"""The chat, with real connections."""

import pytest
import trio
from chat import serve

from trio_draftws import PeerClosed, Rejected, Server, open_websocket

pytestmark = pytest.mark.trio


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    server: Server = await nursery.start(serve, 0)
    return server


async def test_what_one_says_all_hear(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/?name="
    with trio.fail_after(5):
        async with open_websocket(f"{url}Ada", draft="rfc6455") as ada:
            assert await ada.receive() == "Ada is here"
            async with open_websocket(f"{url}Bob", draft="old") as bob:
                assert await ada.receive() == await bob.receive() == "Bob is here"
                await bob.send("hello")
                assert await ada.receive() == await bob.receive() == "Bob: hello"
            assert await ada.receive() == "Bob has left"


async def test_nobody_is_let_in_without_a_name(server: Server) -> None:
    with pytest.raises(Rejected, match="Say who you are"):
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="rfc6455"):
            pass


async def test_the_end_is_told(server: Server) -> None:
    url = f"ws://127.0.0.1:{server.port}/?name=Ada"
    async with open_websocket(url, draft="rfc6455") as ada:
        await ada.receive()
        await server.aclose()
        with pytest.raises(PeerClosed) as told:
            await ada.receive()
    assert told.value.code == 1001
