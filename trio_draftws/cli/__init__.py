"""The command line. Each of `COMMANDS` is described and run by a module of its own.

The exit status is 0 for success; 1 for a failure, with one line on standard error that says why; 2
for a command line that is not understood; 3 if the server closed with another code than 1000 and
1001; and 128 plus the number of the signal, if one ended a client.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

import trio

from . import _connect, _echo, _gateway, _probe
from ._stdio import CommandError, escape

__all__ = ["main"]

COMMANDS = (
    _echo.COMMAND,
    _connect.COMMAND,
    _probe.COMMAND,
    _gateway.COMMAND,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status.

    Args:
        arguments: the command line without the program's name, a sequence of str; by default that
            of the process.

    Raises:
        SystemExit: `--help` or `--version` was asked for, or the command line is not understood.
    """
    options = vars(_parser().parse_args(arguments))
    run = options.pop("run")
    try:
        status: int = trio.run(partial(run, **options))
    except CommandError as error:
        # Escaped, since it may quote what a peer sent
        print(f"trio-draftws: {escape(str(error))}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        # Ctrl-C before or after the command handles signals itself
        return 130
    return status


class _Version(argparse.Action):
    """Looks for the version when it is asked for: where the package is not installed, but lies in
    the folder, there is none.
    """

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(parser.prog, version("trio_draftws"))
        except PackageNotFoundError:
            print(parser.prog, "(not installed)")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trio-draftws",
        description="WebSocket clients and servers for every draft that was ever published.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action=_Version,
        nargs=0,
        default=argparse.SUPPRESS,
        help="show the library's version and exit",
    )
    parsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command_parser = parsers.add_parser(
            command.name, help=command.help, description=command.description, allow_abbrev=False
        )
        command_parser.set_defaults(run=command.run)
        command.add_options(command_parser)
    return parser
