"""Where both sides have said all there is nothing to wait for: a connection closes in one step."""

from __future__ import annotations

from typing import Any

import trio

from trio_draftws import DRAFTS, Connection, Draft, Server, open_websocket, use_framing_mode

from .turns import in_turn
from .wire import serving


class Steps(trio.abc.Instrument):
    """Notes how many connections a server has whenever the task of its handler stops."""

    server: Server | None = None
    task: trio.lowlevel.Task | None = None

    def __init__(self) -> None:
        self.open: list[int] = []

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self.task and self.server is not None:
            self.open.append(len(self.server.connections))


@in_turn("draft", [draft for draft in DRAFTS if draft.closing_handshake])
async def test_the_handler_s_last_step_closes(draft: Draft) -> None:
    steps = Steps()

    async def handler(connection: Connection, state: object) -> None:
        async for _ in connection:
            raise AssertionError("nothing is sent")
        steps.task = trio.lowlevel.current_task()

    with use_framing_mode(draft.name):
        await close_by_client(handler, draft, steps)


async def close_by_client(handler: Any, draft: Draft, steps: Steps) -> None:
    async with serving(handler) as server:
        steps.server = server
        trio.lowlevel.add_instrument(steps)
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as client:
            await client.aclose()
        while not steps.open:
            await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(steps)
        assert steps.open == [0]
        assert sum(server.statistics().closed.values()) == 1
