"""One process, one port, at the same time: a client of each draft, and a page in a browser."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import attrs
import trio

from examples.browser import page
from trio_draftws import DRAFTS, Connection, Draft, Request, open_websocket

from .wire import serving

if TYPE_CHECKING:
    from .peers.chromium import Browser

ROUNDS = 5
# Far above what it takes
LIMIT = 60
ALIKE = ("hixie-76", "whatwg-2010-08", "hybi-01")


@attrs.frozen
class OurClient:
    """A client of ours: it says what its draft can."""

    connection: Connection

    @property
    def draft(self) -> Draft:
        return self.connection.draft

    def message(self, number: int) -> str | bytes:
        text = f"{self.draft.name}, round {number}: " + "häß€漢😀" * number**4
        return text.encode() if self.draft.binary and number % 2 else text

    async def send(self, number: int) -> None:
        await self.connection.send(self.message(number))

    async def receive(self, number: int) -> None:
        assert await self.connection.receive() == self.message(number)
        if self.draft.ping:
            await self.connection.ping()


@attrs.frozen
class Page:
    """The page of the example, used as a person would."""

    browser: Browser
    draft: Draft = DRAFTS[-1]

    def message(self, number: int) -> str:
        return f"a page, round {number}: häß€漢"

    async def send(self, number: int) -> None:
        await self.browser.type("#message", self.message(number))
        await self.browser.click("#text button")

    async def receive(self, number: int) -> None:
        echoes = "[...document.querySelectorAll('#log .received')].map((line) => line.textContent)"
        expected = [self.message(before) for before in range(number + 1)]
        await self.browser.until(f"{echoes}.length > {number}")
        assert await self.browser.run(f"return {echoes}") == expected


async def all_at_once(browser: Browser | None) -> None:
    """Everybody connects; then, in each round, all send before anybody receives."""
    asked: list[str] = []
    heard: list[tuple[Draft, str | bytes]] = []

    def by_path(request: Request) -> str:
        asked.append(request.path)
        return request.path.removeprefix("/")

    async def echo(connection: Connection, state: object) -> None:
        async for message in connection:
            heard.append((connection.draft, message))
            await connection.send(message)

    with trio.fail_after(LIMIT):
        async with (
            serving(echo, framing_mode=by_path, http_handler=page, subprotocols=["echo"]) as server,
            AsyncExitStack() as stack,
        ):
            clients: list[OurClient | Page] = []
            if browser is not None:
                await browser.open(f"http://127.0.0.1:{server.port}/")
                await browser.until("document.querySelector('#state').textContent === 'open'")
                clients.append(Page(browser))
            for draft in DRAFTS:
                # Those that look the same say in their path what they are. All have an origin,
                # since it is by its field that the two drafts of version 8 are told apart.
                url = f"ws://127.0.0.1:{server.port}/{draft.name}"
                dial = open_websocket(url, draft=draft, origin="http://127.0.0.1")
                clients.append(OurClient(await stack.enter_async_context(dial)))
            drafts = Counter(client.draft for client in clients)
            for number in range(ROUNDS):
                async with trio.open_nursery() as nursery:
                    for client in clients:
                        nursery.start_soon(client.send, number)
                async with trio.open_nursery() as nursery:
                    for client in clients:
                        nursery.start_soon(client.receive, number)
                assert Counter(connection.draft for connection in server.connections) == drafts
                said = Counter((client.draft, client.message(number)) for client in clients)
                assert Counter(heard) == said
                heard.clear()
    # The server asked for those whose requests leave it open, and read the others' own word.
    assert asked == [f"/{name}" for name in ALIKE]


async def test_every_draft() -> None:
    """Twelve clients, none of which is spoken to in another's draft."""
    await all_at_once(None)


async def test_every_draft_and_a_browser(browser: Browser) -> None:
    """The twelve, and beside them a page that came through the same port."""
    await all_at_once(browser)
