"""What a client does when the server misbehaves."""

import trio

from trio_draftws import Close, HandshakeError, open_websocket
from trio_draftws.testing import RawServer, serve_raw


async def fetch(url: str) -> str:
    """The code under test: asks, and returns the outcome."""
    try:
        async with open_websocket(
            url, draft="rfc6455", handshake_timeout=5
        ) as connection:
            await connection.send("the news, please")
            return str(await connection.receive())
    except HandshakeError as error:
        return f"not today: {type(error).__name__}"
    except (trio.EndOfChannel, trio.BrokenResourceError) as error:
        return f"cut off: {error}"


async def good(server: RawServer) -> None:
    await server.open()
    await server.expect_message("the news, please")
    await server.send_frame("no news")
    await server.expect_close(1000)


async def busy(server: RawServer) -> None:
    await server.expect_request()
    await server.refuse(503, {"Retry-After": "120"}, "come back later")


async def wrong(server: RawServer) -> None:
    await server.expect_request()
    await server.send((await server.answer()).replace(b"Accept: ", b"Accept: x"))


async def rude(server: RawServer) -> None:
    await server.open()
    await server.expect_message("the news, please")
    await server.send(b"\x81\x7fno new")


async def polite(server: RawServer) -> None:
    await server.open()
    await server.expect_message("the news, please")
    await server.send_frame(Close(1013, "too many of you"))
    await server.expect_close(1013)


async def main() -> None:
    for behave in (good, busy, wrong, rude, polite):
        async with serve_raw(behave) as url:
            print(f"{behave.__name__}: {await fetch(url)}")


trio.run(main)
