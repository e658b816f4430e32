"""Prints what a JavaScript expression is on a page, by way of Chromium's DevTools.

    python devtools.py DEVTOOLS_URL URL EXPRESSION

`chromium --headless --remote-debugging-port=9222` prints its DevTools URL at its start.
`migration/devtools_before.py` is the same program on trio-websocket.
"""

import argparse
import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import trio

from trio_draftws import JSONChannel, connect_websocket

ENDS = (trio.EndOfChannel, trio.ClosedResourceError, trio.BrokenResourceError)
Message: TypeAlias = dict[str, Any]


class CommandFailed(Exception):
    """The browser says that it cannot do it."""


class BrowserGone(Exception):
    """The browser, or that page of it, has gone, and will not answer."""


class Listener(NamedTuple):
    """One who waits, for the answer with a number, or for events with a name."""

    key: object
    session: str | None
    channel: trio.MemorySendChannel[Message]


class DevTools:
    """The commands and events of a browser, over one connection that any task may use.

    `session` is a page that was attached to; None is the browser itself. Where it has
    gone, whoever waits for it gets a `BrowserGone`.
    """

    def __init__(self, values: JSONChannel) -> None:
        self._values = values
        self._numbers = itertools.count(1)
        self._listeners: set[Listener] = set()
        self._end: Exception | None = None

    @classmethod
    async def connect(cls, nursery: trio.Nursery, url: str) -> "DevTools":
        """Runs in the nursery until `aclose` is called, or the browser has gone."""
        connection = await connect_websocket(
            nursery, url, draft="rfc6455", max_message_size=2**28
        )
        devtools = cls(connection.json())
        nursery.start_soon(devtools._receive)
        return devtools

    async def aclose(self) -> None:
        """Closes the connection; the browser stays."""
        await self._values.aclose()

    async def command(
        self, method: str, /, session: str | None = None, **params: object
    ) -> Message:
        """Sends a command and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        with self._listen(number, method, session) as answers:
            await self._values.send(message)
            answer = await answers.receive()
        if "error" in answer:
            raise CommandFailed(f"{method}: {answer['error']['message']}")
        return dict(answer["result"])

    @contextmanager
    def events(
        self, method: str, session: str | None = None
    ) -> Iterator[trio.MemoryReceiveChannel[Message]]:
        """A channel of such events from now on."""
        with self._listen((session, method), method, session) as events:
            yield events

    @contextmanager
    def _listen(
        self, key: object, method: str, session: str | None
    ) -> Iterator[trio.MemoryReceiveChannel[Message]]:
        # Without a limit, since answers must not wait behind events that nobody takes.
        sender, receiver = trio.open_memory_channel[Message](math.inf)
        listener = Listener(key, session, sender)
        self._listeners.add(listener)
        if self._end is not None:
            sender.close()
        try:
            yield receiver
        except ENDS as error:
            end = self._end or error
            raise BrowserGone(f"{method}: {str(end) or 'that page has gone'}") from end
        finally:
            self._listeners.discard(listener)

    async def _receive(self) -> None:
        try:
            while True:
                self._deliver(await self._values.receive())
        except ENDS as error:
            self._end = error
        finally:
            if self._end is None:
                self._end = trio.ClosedResourceError("cancelled")
            self._close(self._listeners)

    def _deliver(self, message: Message) -> None:
        session, method = message.get("sessionId"), message.get("method")
        key = message.get("id", (session, method))
        for listener in self._listeners:
            if listener.key == key:
                listener.channel.send_nowait(message)
        # Chromium does not answer what a page was asked that has gone.
        if method == "Target.detachedFromTarget":
            self._end_session(message["params"]["sessionId"])
        elif method == "Inspector.targetCrashed":
            self._end_session(session)

    def _end_session(self, session: str | None) -> None:
        self._close({each for each in self._listeners if each.session == session})

    def _close(self, listeners: set[Listener]) -> None:
        for listener in listeners:
            listener.channel.close()
        self._listeners -= listeners


class Page:
    """One page of a browser."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self.command = partial(devtools.command, session=session)
        self.events = partial(devtools.events, session=session)

    @classmethod
    async def open(cls, devtools: DevTools, url: str) -> "Page":
        """Opens it in a new tab; returns when it is loaded."""
        target = await devtools.command("Target.createTarget", url="about:blank")
        attached = await devtools.command(
            "Target.attachToTarget", **target, flatten=True
        )
        page = cls(devtools, attached["sessionId"])
        await page.command("Page.enable")
        with page.events("Page.loadEventFired") as loaded:
            await page.command("Page.navigate", url=url)
            await loaded.receive()
        return page

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        reply = await self.command(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if details := reply.get("exceptionDetails"):
            raise CommandFailed(
                details["exception"].get("description", details["text"])
            )
        return reply["result"].get("value")


async def main(devtools_url: str, url: str, expression: str) -> None:
    async with trio.open_nursery() as nursery:
        devtools = await DevTools.connect(nursery, devtools_url)
        page = await Page.open(devtools, url)
        print(await page.evaluate(expression))
        await page.command("Page.close")
        await devtools.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("devtools_url")
    parser.add_argument("url")
    parser.add_argument("expression")
    arguments = parser.parse_args()
    trio.run(main, arguments.devtools_url, arguments.url, arguments.expression)
