"""The command line: `echo`, `connect`, `probe` and `gateway`.

The exit status is 0 when all went well, 1 when it did not (one line on standard error says why), 2
for a command line that makes no sense, 3 where the server closed with another code than 1000 and
1001, and 128 and the signal's number for a command of a client that a signal ended.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trio_draftws.drafts import Draft, allowed_drafts

from ._client import Target
from ._connect import connect
from ._echo import echo
from ._gateway import gateway
from ._probe import probe
from ._stdio import CommandError, escape

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

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
        return error.status
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
    _add_echo(commands)
    _add_connect(commands)
    _add_probe(commands)
    _add_gateway(commands)
    return parser


def _add_echo(commands: Commands) -> None:
    serve = commands.add_parser(
        "echo",
        help="a server that sends back what it gets",
        description="A server that sends back what it gets, until SIGINT or SIGTERM.",
        allow_abbrev=False,
    )
    serve.set_defaults(command=echo)
    _add_front(serve)


def _add_connect(commands: Commands) -> None:
    talk = commands.add_parser(
        "connect",
        help="send lines from standard input, print what comes back",
        description="Sends each line of standard input as a message and prints each message that "
        "comes on a line. At the end of the input it says so to the server and prints on until "
        "the server ends too.",
        allow_abbrev=False,
    )
    talk.set_defaults(command=_at_target(connect))
    _add_target(talk)
    talk.add_argument(
        "--draft",
        metavar="NAME",
        default="auto",
        help="the draft to speak; auto tries one after the other, the newest first "
        "(default: %(default)s)",
    )
    talk.add_argument(
        "--binary",
        choices=["hex", "raw"],
        help="how to print binary messages (default: in hex at a terminal, raw elsewhere)",
    )
    talk.add_argument(
        "--verbose",
        action="store_true",
        help="show what goes over the wire, head and frames, on standard error",
    )


def _add_probe(commands: Commands) -> None:
    ask = commands.add_parser(
        "probe",
        help="find out which drafts a server speaks",
        description="Opens a connection in each draft in turn, one at a time, and says what came "
        "of it.",
        allow_abbrev=False,
    )
    ask.set_defaults(command=_at_target(probe))
    _add_target(ask)
    ask.add_argument(
        "--drafts",
        metavar="NAME,NAME",
        type=_drafts,
        help="try only these drafts (default: all)",
    )
    ask.add_argument(
        "--echo",
        action="store_true",
        help="send a message in each draft too, and say whether it comes back; only that can tell "
        "drafts whose requests look alike. It can hang or crash servers of 2010, which may "
        "answer in one draft and get the frames of another",
    )
    ask.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=5.0,
        help="for each opening and each message (default: %(default)s)",
    )
    ask.add_argument("--json", dest="as_json", action="store_true", help="print JSON")


def _add_target(parser: argparse.ArgumentParser) -> None:
    """What each command has that opens connections."""
    parser.add_argument("url", metavar="URL", help="ws://HOST[:PORT][/PATH] or wss://...")
    parser.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        dest="headers",
        action="append",
        default=[],
        type=_field,
        help="a further field for the request; may be given several times",
    )
    parser.add_argument("--origin", help="the origin to name in the request")
    parser.add_argument(
        "--subprotocol",
        metavar="NAME",
        dest="subprotocols",
        action="append",
        default=[],
        help="a subprotocol to ask for; may be given several times, the favourite first",
    )
    parser.add_argument(
        "--cafile",
        metavar="FILE",
        help="for wss, trust the certificates of this PEM file instead of the system's",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="for wss, trust any certificate whatever"
    )


def _at_target(command: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
    """The command, with what `_add_target` parsed as its `target`."""

    async def run(**options: Any) -> int:
        target = Target(**{name: options.pop(name) for name in Target.options()})
        return await command(target=target, **options)

    return run


def _add_gateway(commands: Commands) -> None:
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


def _drafts(text: str) -> tuple[Draft, ...]:
    try:
        return allowed_drafts(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return seconds
