"""The command line: `echo`, `connect` and `gateway`.

The exit status is 0 when all went well, 1 when it did not (one line on standard error says why), 2
for a command line that makes no sense, and 128 and the signal's number for a `connect` that a
signal ended.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

import trio

from ._connect import connect
from ._echo import echo
from ._gateway import gateway
from ._stdio import CommandError, escape

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status.

    Args:
        arguments: the command line, without the program's name; by default that of the process.
    """
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    try:
        status: int = trio.run(partial(command, **options))
    except CommandError as error:
        # What a peer said may stand in it, so neither line ends nor escapes pass.
        print(f"trio-draftws: {escape(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # Only in the moments in which no command looks after signals
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trio-draftws",
        description="WebSocket in every draft that was ever published.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser(
        "echo",
        help="a server that sends back what it gets",
        description="A server that sends back what it gets, until SIGINT or SIGTERM.",
        allow_abbrev=False,
    )
    serve.set_defaults(command=echo)
    _add_front(serve)

    talk = commands.add_parser(
        "connect",
        help="send lines from standard input, print what comes back",
        description="Sends each line of standard input as a message and prints each message that "
        "comes on a line. At the end of the input it says so to the server and prints on until "
        "the server ends too.",
        allow_abbrev=False,
    )
    talk.set_defaults(command=connect)
    talk.add_argument("url", metavar="URL", help="ws://HOST[:PORT][/PATH] or wss://...")
    talk.add_argument(
        "--draft",
        metavar="NAME",
        default="auto",
        help="the draft to speak; auto tries one after the other, the newest first "
        "(default: %(default)s)",
    )
    talk.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        type=_field,
        help="a further field for the request; may be given several times",
    )
    _add_gateway(commands)
    return parser


def _add_gateway(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    way = commands.add_parser(
        "gateway",
        help="join clients of every draft with a server of another",
        description="Accepts clients of every draft and joins each with a connection of its own "
        "to one server, in the draft that this speaks, until SIGINT or SIGTERM. A line on "
        "standard error says of each connection that failed why it did.",
        allow_abbrev=False,
    )
    way.set_defaults(command=gateway)
    way.add_argument(
        "--to",
        metavar="URL",
        required=True,
        help="the server: ws://HOST[:PORT] or wss://...; if it has a path of its own, that is "
        "asked for, and else what the client asks for",
    )
    way.add_argument(
        "--draft",
        metavar="NAME",
        default="rfc6455",
        help="the draft to speak with the server; auto tries one after the other, the newest "
        "first (default: %(default)s)",
    )
    way.add_argument(
        "--binary",
        choices=("refuse", "base64"),
        default="refuse",
        help="what becomes of a binary message for a side whose draft has none: its connection "
        "is closed, or it is sent as text (default: %(default)s)",
    )
    _add_front(way)


def _add_front(serve: argparse.ArgumentParser) -> None:
    """The options of the commands that serve."""
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address or name to listen on (default: %(default)s)",
    )
    serve.add_argument(
        "--port", type=_port, default=8080, help="0 picks one (default: %(default)s)"
    )
    serve.add_argument(
        "--framing-mode",
        metavar="NAME",
        default="old",
        help="the draft to speak with clients whose opening does not tell (default: %(default)s)",
    )
    serve.add_argument(
        "--drafts",
        metavar="NAME,NAME",
        type=lambda text: text.split(","),
        help="speak only these drafts (default: all)",
    )
    serve.add_argument(
        "--tls",
        nargs=2,
        metavar=("CERT", "KEY"),
        help="serve wss with the certificate chain and the key of these PEM files",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _field(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"expected 'Name: value', got {text!r}")
    # The very bytes that were typed
    return os.fsencode(name), os.fsencode(value.strip(" \t"))
