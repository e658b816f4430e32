"""`gateway`: joins clients of every draft with a server that speaks one."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

from trio_draftws import BinaryPolicy, open_gateway

from ._command import Command
from ._serving import add_serving_options, serve
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

    For each connection that fails, a line on standard error says why.

    Raises:
        CommandError: it cannot listen, or an option is invalid.
    """
    _log_to_stderr()
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(open_gateway(to, draft=draft, binary=binary))
        except ValueError as error:
            raise CommandError(str(error)) from error
        await serve(
            opened.handler,
            host=host,
            port=port,
            framing_mode=framing_mode,
            drafts=drafts,
            tls=tls,
            conn_headers=opened.conn_headers,
            subprotocols=opened.choose_subprotocol,
            # The server behind it gets the Origin, and decides which pages may connect.
            origins=lambda request: True,
        )
    return 0


class _OneLineFormatter(logging.Formatter):
    """Formats a record as one line, escaped, since it may quote what a peer sent."""

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]!r}"
        return f"trio-draftws: {escape(text)}"


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLineFormatter())
    logger = logging.getLogger("trio_draftws")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        metavar="URL",
        required=True,
        help="the server: ws://HOST[:PORT] or wss://...; a path in it replaces the one that the "
        "client asks for",
    )
    parser.add_argument(
        "--draft",
        metavar="NAME",
        default="rfc6455",
        help="the draft to speak with the server; auto tries one after another, newest first "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--binary",
        choices=("refuse", "base64"),
        default="refuse",
        help="what to do with a binary message if the other side's draft has none: close the "
        "connection, or send the message as base64 text (default: %(default)s)",
    )
    add_serving_options(parser)


COMMAND = Command(
    name="gateway",
    help="join clients of every draft with a server that speaks one",
    description="Accepts clients of every draft, and joins each with a connection of its own to "
    "one server, in one draft, until SIGINT or SIGTERM. For each connection that fails, a line on "
    "standard error says why.",
    add_options=_add_options,
    run=gateway,
)
