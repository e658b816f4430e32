"""The server that is soaked: one process, of the library's defaults but for what the load asks.

    python -m soak.server

It prints the port that it listens on. At SIGTERM it ends in order, and then prints one JSON object:
what it logged.

A message comes back as it was, but for two: `RAISE` makes the handler raise, and `STATUS` is
answered with what is alive in the process. Clients whose requests look the same are told apart by
their path.
"""

from __future__ import annotations

import gc
import json
import logging
import signal
from collections import Counter
from functools import partial

import attrs
import trio

from trio_draftws import Connection, Request, Server, serve_websocket

RAISE = "raise"
STATUS = "status"
NEW = "/new"

# What is kept of the unexpected: enough to look into it
MOST_TOLD = 20


class Planned(Exception):
    """Raised by a handler because its client asked for it."""


class Log(logging.Handler):
    """Counts what is to be expected, and keeps what is not."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.counts: Counter[str] = Counter()
        self.unexpected: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # As a log that is written somewhere: the text is made, tracebacks included.
        text = self.format(record)
        if record.levelno == logging.INFO:
            self.counts["peers that went away"] += 1
        elif record.exc_info is not None and record.exc_info[0] is Planned:
            self.counts["handlers that raised"] += 1
        else:
            self.counts["unexpected"] += 1
            if len(self.unexpected) < MOST_TOLD:
                self.unexpected.append(text)

    def to_json(self) -> dict[str, object]:
        return {"counts": dict(self.counts), "unexpected": self.unexpected}


@attrs.define
class House:
    """What the handlers know."""

    server: Server | None = None

    async def talk(self, connection: Connection, state: object) -> None:
        async for message in connection:
            if message == RAISE:
                raise Planned
            await connection.send(self.status() if message == STATUS else message)

    def status(self) -> str:
        """How much is alive here."""
        assert self.server is not None
        gc.collect()
        objects = gc.get_objects()
        return json.dumps(
            {
                "connections": len(self.server.connections),
                "tasks": trio.lowlevel.current_statistics().tasks_living,
                "objects": sum(type(one).__module__.startswith("trio_draftws") for one in objects),
            }
        )


def framing_mode(request: Request) -> str:
    return "new" if request.path == NEW else "old"


async def main() -> None:
    log = Log()
    logging.basicConfig(level=logging.INFO, handlers=[log])
    logging.captureWarnings(True)
    house = House()
    serve = partial(
        serve_websocket,
        house.talk,
        0,
        host="127.0.0.1",
        framing_mode=framing_mode,
        # All are kept busy: one takes longer to be answered than with nobody else there.
        handshake_timeout=60,
        close_timeout=60,
    )
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            house.server = await nursery.start(serve)
            print(house.server.port, flush=True)
            await anext(signals)
            await house.server.aclose()
    print(json.dumps(log.to_json()), flush=True)


if __name__ == "__main__":
    trio.run(main)
