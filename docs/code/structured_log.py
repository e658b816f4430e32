"""A log for machines: one JSON object per line, with the facts of each record."""

import json
import logging
import sys
from functools import partial

import trio

from trio_draftws import Connection, Server, open_websocket, serve_websocket


class AsJSON(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # The text without its values is the same for all records of a kind.
        facts = {"level": record.levelname, "kind": record.msg}
        if record.exc_info is not None and record.exc_info[1] is not None:
            facts["error"] = repr(record.exc_info[1])
        # `peer` is left out here because its port differs from run to run.
        for name in ("connection_id", "draft", "path"):
            facts[name] = getattr(record, name, None)
        return json.dumps(facts)


async def fail(connection: Connection, state: None) -> None:
    raise LookupError("no such room")


async def main() -> None:
    log = logging.StreamHandler(sys.stdout)
    log.setFormatter(AsJSON())
    logging.getLogger("trio_draftws").addHandler(log)
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve_websocket, fail, 0, host="127.0.0.1")
        )
        url = f"ws://127.0.0.1:{server.port}/rooms/7?token=secret"
        async with open_websocket(url, draft="rfc6455") as connection:
            async for _ in connection:
                pass
        await server.aclose()


trio.run(main)
