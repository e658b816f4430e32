"""A client object, which one task opens, several use, and another one closes."""

import trio

from trio_draftws import Connection, connect_websocket
from trio_draftws.testing import echo, served_on_port


class Translator:
    """Asks one question at a time, whichever task asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._turn = trio.Lock()

    @classmethod
    async def open(cls, nursery: trio.Nursery, url: str) -> "Translator":
        return cls(await connect_websocket(nursery, url, draft="rfc6455"))

    async def ask(self, question: str) -> str | bytes:
        async with self._turn:
            await self._connection.send(question)
            return await self._connection.receive()

    async def close(self) -> None:
        await self._connection.aclose()


async def main() -> None:
    async with served_on_port(echo) as server, trio.open_nursery() as nursery:
        translator = await Translator.open(nursery, server.url)

        async def use() -> None:
            with trio.fail_after(5):
                print(await translator.ask("hello"))
            await translator.close()

        nursery.start_soon(use)
    print("closed, so the nursery has ended")


trio.run(main)
