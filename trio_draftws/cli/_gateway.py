"""`gateway`: every draft in front, one behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

from trio_draftws import BinaryPolicy, open_gateway

from ._serving import serve
from ._stdio import CommandError, escape


async def gateway(
    *,
    to: str,
    draft: str,
    binary: BinaryPolicy,
    host: str,
    port: int,
    framing_mode: str,
    drafts: Sequence[str] | None,
    tls: tuple[str, str] | None,
) -> int:
    """Joins each client with the server at `to` until SIGINT or SIGTERM; returns 0.

    A line on standard error says of each connection that failed why it did.

    Raises:
        CommandError: it cannot serve like that.
    """
    _log_to_stderr()
    async with AsyncExitStack() as stack:
        try:
            way = await stack.enter_async_context(open_gateway(to, draft=draft, binary=binary))
        except ValueError as error:
            raise CommandError(str(error)) from error
        await serve(
            way.handler,
            host=host,
            port=port,
            framing_mode=framing_mode,
            drafts=drafts,
            tls=tls,
            conn_headers=way.conn_headers,
            subprotocols=way.choose_subprotocol,
            # Whose pages may connect is for the server to say, which is told their origin.
            origins=lambda request: True,
        )
    return 0


class _OneLine(logging.Formatter):
    """What a peer said may stand in it, so neither line ends nor escapes pass."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            said = f"{said}: {record.exc_info[1]!r}"
        return f"trio-draftws: {escape(said)}"


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("trio_draftws")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
